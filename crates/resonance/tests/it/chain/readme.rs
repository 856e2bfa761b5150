//! What the README tells people to type, in its order.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::gateway::{Gateway, eventually, has_engine, resonance};
use crate::needs::workspace;

/// The commands of the README: whole lines of its blocks, and those in running text.
fn told() -> Vec<String> {
    let text = fs::read_to_string(workspace().join("README.md")).unwrap();
    let mut commands = Vec::new();
    for line in text.lines() {
        let pieces: Vec<&str> = match line.strip_prefix("    ") {
            Some(block) => vec![block.split(" #").next().unwrap_or(block)],
            None => line.split('`').skip(1).step_by(2).collect(),
        };
        let ours =
            pieces.into_iter().map(str::trim).filter(|piece| piece.starts_with("resonance "));
        commands.extend(ours.map(str::to_owned));
    }
    commands
}

/// Runs a command to its end, which must be good, and returns what it printed.
fn typed(command: &str, folder: &Path) -> String {
    let words = command.split(' ').skip(1);
    let output = resonance().args(words).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{command}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A simulated machine as a process of its own. Killed when dropped.
struct Simulated {
    child: Child,
    url: String,
}

impl Simulated {
    /// Starts a command, on a free port; it says where in one line of JSON.
    fn start(command: &str, folder: &Path) -> Self {
        let words = command.split(' ').skip(1);
        let more = ["--listen", "opc.tcp://127.0.0.1:0", "--format", "json"];
        let mut child = resonance()
            .args(words)
            .args(more)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        Self { child, url: said["url"].as_str().unwrap().to_owned() }
    }

    /// As Ctrl-C.
    fn interrupt(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_the_readme_says_to_type_works() {
    let test = "what_the_readme_says_to_type_works";
    if !has_engine(test) {
        return;
    }
    let told = told();
    let commands: Vec<&str> = told.iter().map(String::as_str).collect();
    let [demo, connect, check, run, status, example, cnc, inspect, bench] = commands[..] else {
        panic!("the README has other commands now: {commands:#?}")
    };
    assert_eq!(demo, "resonance demo", "chain/demo.rs and chain/terminal.rs run it");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();

    let example = typed(example, folder);
    assert!(example.contains("mqtt://127.0.0.1:1883"), "{example}");
    let machine = Simulated::start(cnc, folder);
    let model = workspace().join("models/tool-wear");
    let connect = connect
        .replace("URL", &machine.url)
        .replace("models/tool-wear", &model.display().to_string());
    typed(&format!("{connect} --security-policy none"), folder);
    let plant = fs::read_to_string(folder.join("plant.toml")).unwrap();
    // On free ports, as other tests run beside this one.
    let plant = plant
        .replace("listen = \"127.0.0.1:4841\"", "listen = \"127.0.0.1:0\"")
        .replace("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:0\"");
    fs::write(folder.join("plant.toml"), &plant).unwrap();
    assert_eq!(typed(check, folder), "plant.toml is valid\n");

    let mut command = resonance();
    command.args(run.split(' ').skip(1)).current_dir(folder).stdout(Stdio::piped());
    let gateway = Gateway::start(command);
    let url = gateway.url("http");
    let status = format!("{status} --url {url}");
    eventually("a first prediction", || {
        let told = typed(&format!("{status} --format json"), folder);
        let told: Value = serde_json::from_str(&told).unwrap();
        (told["deployments"][0]["results"].as_u64()? > 0).then_some(())
    });
    let table = typed(&status, folder);
    assert!(table.contains("cnc-tool-wear"), "{table}");
    gateway.interrupt();
    let (code, out, said) = gateway.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("observations"), "a line a second and the summary: {out}");
    assert_eq!(machine.interrupt(), Some(0));

    let root = workspace();
    assert!(typed(inspect, &root).contains("simulated"));
    let mut command = resonance();
    command.args(bench.split(' ').skip(1)).args(["--seconds", "1"]).current_dir(&root);
    let output = command.output().unwrap();
    // 1: slower than its budget, as it may be beside other tests.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("p99") && told.contains(" us"), "{told}");
}

#[test]
fn classes_and_schema_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let classes = typed("resonance plant classes", folder.path());
    assert!(classes.contains("cnc_machine_tool"), "{classes}");
    let class = typed("resonance plant classes cnc_machine_tool", folder.path());
    assert!(class.contains("urn:"), "{class}");
    let schema = typed("resonance plant schema", folder.path());
    let schema: Value = serde_json::from_str(&schema).unwrap();
    assert!(schema["properties"]["asset"].is_object());
    let unknown = resonance().args(["plant", "classes", "cnc_machinetool"]).output().unwrap();
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert_eq!(unknown.status.code(), Some(2), "{said}");
    assert!(said.contains("did you mean cnc_machine_tool?"), "{said}");
}

#[test]
fn a_plant_file_with_mistakes_fails_its_check() {
    let folder = tempfile::tempdir().unwrap();
    let mistakes = workspace().join("crates/resonance/src/config/tests/mistakes.toml");
    let plant = folder.path().join("plant.toml");
    fs::copy(mistakes, &plant).unwrap();
    let output = resonance().args(["plant", "check"]).arg(&plant).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("plant.toml:2:1") && said.contains("unsigned"), "{said}");
    let absent = resonance().args(["plant", "check", "absent.toml"]).output().unwrap();
    assert_eq!(absent.status.code(), Some(2));
}

/// Hashes what is typed; returns the exit code and what was printed.
fn hash(password: &[u8]) -> (Option<i32>, String) {
    let mut command = resonance();
    command.args(["user", "hash"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(password).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_password_is_hashed_and_a_bad_one_refused() {
    let (code, hashed) = hash(b"correct horse\nanother line\n");
    assert_eq!(code, Some(0));
    assert!(hashed.starts_with("$argon2id$") && hashed.ends_with('\n'), "{hashed}");
    assert_ne!(hash(b"correct horse\n").1, hashed, "salted");
    assert_eq!(hash(b"\n"), (Some(2), String::new()), "empty");
    assert_eq!(hash(&[b'x'; 10_000]), (Some(2), String::new()), "too long");
}
