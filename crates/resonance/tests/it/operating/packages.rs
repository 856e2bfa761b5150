//! The archive for computers without a network, and the Debian package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::has;
use crate::needs::{engine, skip, workspace};

/// A script of `packaging/`, run on the program under test; what it makes goes to `out`.
fn package(test: &str, script: &str, out: &Path) -> Option<Output> {
    let engine = engine(test)?;
    let mut command = Command::new(workspace().join("packaging").join(script));
    command.env("BINARY", env!("CARGO_BIN_EXE_resonance")).env("ORT", engine.library());
    // Small is for those who ship it.
    command.env("OUT", out).env("LEVEL", "1").env("ZIP", "none");
    Some(command.output().unwrap())
}

/// The file that a script says it made.
fn made(output: &Output) -> PathBuf {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// A command that sees nothing of where it was built.
fn elsewhere(program: &Path) -> Command {
    let mut command = Command::new(program);
    let variables = std::env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| name.to_string_lossy().starts_with("RESONANCE_")) {
        command.env_remove(name);
    }
    command.current_dir("/");
    command
}

fn install(tree: &Path, arguments: &[&str]) -> Output {
    Command::new("sh").arg(tree.join("install.sh")).args(arguments).output().unwrap()
}

#[test]
fn the_archive_runs_where_there_is_no_network() {
    let test = "the_archive_runs_where_there_is_no_network";
    if !(has(test, "tar") && has(test, "strip")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = package(test, "bundle", folder.path()) else { return };
    let archive = made(&output);
    let unpack =
        Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder.path()).status();
    assert!(unpack.unwrap().success());
    let name = archive.file_name().unwrap().to_str().unwrap().strip_suffix(".tar.gz").unwrap();
    let tree = folder.path().join(name);

    // Every file is as it was packed, and is listed.
    let sums = fs::read_to_string(tree.join("SHA256SUMS")).unwrap();
    for file in ["resonance", "install.sh", "models/tool-wear/model.onnx", "man/man1/resonance.1"] {
        assert!(sums.lines().any(|line| line.ends_with(&format!("  {file}"))), "{file}: {sums}");
    }
    let plant = fs::read_to_string(tree.join("doc/plant.toml")).unwrap();
    for file in ["events.jsonl\"", "spool.sqlite\"", "pki\""] {
        assert!(plant.contains(&format!("\"/var/lib/resonance/{file}")), "{file}");
    }

    installed(&tree, folder.path());
    runs_alone(test, &tree.join("resonance"));

    // What was damaged on its way is not installed.
    fs::write(tree.join("doc/README.md"), "other\n").unwrap();
    let damaged = install(&tree, &["--prefix", "/usr", "--destdir", "/nowhere"]);
    assert_eq!(damaged.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&damaged.stderr).contains("SHA256SUMS"));
}

/// Installs below a folder, finds everything in its place, and takes it away again.
fn installed(tree: &Path, folder: &Path) {
    let stage = folder.join("stage");
    let to = ["--prefix", "/usr", "--destdir", stage.to_str().unwrap()];
    let output = install(tree, &to);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let program = stage.join("usr/bin/resonance");
    let doctor = elsewhere(&program).args(["doctor", "--format", "json"]).output().unwrap();
    let found: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let checks = found["checks"].as_array().unwrap();
    let engine = checks.iter().find(|check| check["check"] == "engine").unwrap();
    let said = engine["said"].as_str().unwrap();
    assert!(said.contains("stage/usr/lib/resonance/lib/libonnxruntime.so"), "{said}");
    for file in [
        "usr/share/man/man1/resonance-run.1",
        "usr/share/bash-completion/completions/resonance",
        "usr/share/resonance/models/turbofan-rul/model.toml",
        "usr/lib/systemd/system/resonance.service",
        "usr/share/doc/resonance/onnxruntime-LICENSE",
    ] {
        assert!(stage.join(file).is_file(), "{file}");
    }
    assert!(install(tree, &[&["--remove"], &to[..]].concat()).status.success());
    let left = Command::new("find").arg(&stage).args(["!", "-type", "d"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

/// The demo, in a network of its own that has nothing but itself.
fn runs_alone(test: &str, program: &Path) {
    let alone =
        "ip link set lo up && ip route | wc -l && exec \"$0\" demo --duration 10s --format json";
    let mut command = elsewhere(Path::new("unshare"));
    let ran = command.args(["-rn", "sh", "-c", alone]).arg(program).output();
    let output = match ran {
        Ok(output) if output.stderr.starts_with(b"unshare:") => {
            return skip(test, "root", &String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => output,
        Err(error) => return skip(test, "root", &format_args!("unshare: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let out = String::from_utf8(output.stdout).unwrap();
    let (routes, summary) = out.split_once('\n').unwrap();
    assert_eq!(routes.trim(), "0", "the network is cut");
    let summary: Value = serde_json::from_str(summary).unwrap();
    assert!(summary["inferences"].as_u64().unwrap() > 0, "{summary:#}");
}

#[test]
fn the_debian_package_holds_what_it_says() {
    let test = "the_debian_package_holds_what_it_says";
    if !(has(test, "dpkg-deb") && has(test, "strip")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(output) = package(test, "deb", folder.path()) else { return };
    let deb = made(&output);
    let ask = |arguments: &[&str]| {
        let output = Command::new("dpkg-deb").args(arguments).arg(&deb).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let control = ask(&["--field"]);
    assert!(control.contains(&format!("Version: {}\n", env!("CARGO_PKG_VERSION"))), "{control}");
    assert!(control.contains("Depends: libc6 (>= 2."), "{control}");
    let contents = ask(&["--contents"]);
    assert!(contents.lines().all(|line| line.contains(" root/root ")), "{contents}");
    for file in [
        "./usr/bin/resonance -> ../lib/resonance/resonance",
        "./usr/lib/systemd/system/resonance.service",
        "./usr/share/man/man1/resonance.1.gz",
        "./usr/share/doc/resonance/copyright",
        "./usr/share/doc/resonance/changelog.gz",
    ] {
        assert!(contents.lines().any(|line| line.ends_with(file)), "{file}: {contents}");
    }
    assert!(!contents.contains("./etc/"), "the plant file is the operator's");

    let root = folder.path().join("root");
    let unpacked = Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(&root).status();
    assert!(unpacked.unwrap().success());
    let model = root.join("usr/share/resonance/models/tool-wear");
    let mut command = elsewhere(&root.join("usr/bin/resonance"));
    let output = command.args(["model", "inspect"]).arg(model).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
