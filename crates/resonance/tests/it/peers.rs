//! Starts foreign peers written in Python, or says loudly that they are absent.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace exists while its tests run")
}

/// The interpreter that has the peers' packages. `None`, and a line on stderr that names the
/// test, where there is none.
pub fn python(test: &str) -> Option<PathBuf> {
    let configured = std::env::var_os("RESONANCE_PEERS_PYTHON").map(PathBuf::from);
    let python = configured.unwrap_or_else(|| workspace().join(".cache/peers/bin/python"));
    if python.exists() {
        return Some(python);
    }
    eprintln!("SKIPPED {test}: no {}; run `make peers`", python.display());
    None
}

/// A Python peer that obeys one JSON command a line. Killed when dropped.
pub struct Peer {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<std::process::ChildStdout>,
}

impl Peer {
    /// Starts a script of `tests/peers` and returns it with the first line it prints.
    pub fn start(python: &Path, script: &str, arguments: &[&str]) -> (Self, serde_json::Value) {
        let mut child = Command::new(python)
            .arg(workspace().join("tests/peers").join(script))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter runs");
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut peer = Self { child, commands, answers };
        let ready = peer.answer();
        (peer, ready)
    }

    /// Gives a command and awaits that it was obeyed.
    pub fn tell(&mut self, command: serde_json::Value) {
        let line = format!("{command}\n");
        let commands = self.commands.as_mut().expect("commands are taken until the end");
        commands.write_all(line.as_bytes()).expect("the peer runs");
        let answer = self.answer();
        assert_eq!(answer["ok"], true, "{command}: {answer}");
    }

    /// Lets a peer go on that waits for a line.
    pub fn go_on(&mut self) {
        let commands = self.commands.as_mut().expect("commands are taken until the end");
        commands.write_all(b"\n").expect("the peer runs");
    }

    /// The next line the peer prints.
    pub fn answer(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the peer's output is text");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("the peer said {line:?}: {e}"))
    }

    /// As `kill -9`: no goodbye.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}
