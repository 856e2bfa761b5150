//! Starts foreign peers written in Python.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

pub use crate::needs::{python, workspace};

/// Whether a foreign validator finds each instance valid by the JSON Schema in a file.
pub fn validate(test: &str, schema: &Path, instances: &[Value]) -> Option<Vec<bool>> {
    let mut child = Command::new(python(test)?)
        .arg(workspace().join("tests/peers/validate_json.py"))
        .arg(schema)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_string(instances).unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the validator ran");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Starts a peer whose standard output is for the test; what it says of itself is shown, as all that
/// a test prints, where the test fails.
fn spawn(command: &mut Command) -> Child {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the interpreter runs");
    let told = BufReader::new(child.stderr.take().expect("stderr is piped"));
    std::thread::spawn(move || {
        told.split(b'\n').map_while(Result::ok).for_each(|line| {
            eprintln!("{}", String::from_utf8_lossy(&line));
        });
    });
    child
}

/// A Python peer that obeys one JSON command a line. Killed when dropped.
pub struct Peer {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<std::process::ChildStdout>,
}

impl Peer {
    /// Starts a script of `tests/peers` and returns it with the first line it prints.
    pub fn start(python: &Path, script: &str, arguments: &[&str]) -> (Self, Value) {
        let mut command = Command::new(python);
        command.arg(workspace().join("tests/peers").join(script)).args(arguments);
        let mut child = spawn(command.stdin(Stdio::piped()));
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut peer = Self { child, commands, answers };
        let ready = peer.answer();
        (peer, ready)
    }

    /// Gives a command and awaits that it was obeyed.
    pub fn tell(&mut self, command: Value) {
        self.say(&command);
        let answer = self.answer();
        assert_eq!(answer["ok"], true, "{command}: {answer}");
    }

    /// Gives a command, whatever comes of it.
    pub fn say(&mut self, command: &Value) {
        let line = format!("{command}\n");
        let commands = self.commands.as_mut().expect("commands are taken until the end");
        commands.write_all(line.as_bytes()).expect("the peer runs");
    }

    /// Lets a peer go on that waits for a line.
    pub fn go_on(&mut self) {
        let commands = self.commands.as_mut().expect("commands are taken until the end");
        commands.write_all(b"\n").expect("the peer runs");
    }

    /// The next line the peer prints.
    pub fn answer(&mut self) -> Value {
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

/// A Python peer that tells what it gets, one line of JSON at a time, whenever it gets it. Killed
/// when dropped.
pub struct Teller {
    child: Child,
    lines: Receiver<Value>,
}

impl Teller {
    /// Starts a script of `tests/peers` and waits until it says that it is ready; `None` where
    /// Python or its packages are absent.
    pub fn start(test: &str, script: &str, options: &Value) -> Option<Self> {
        let mut command = Command::new(python(test)?);
        command.arg(workspace().join("tests/peers").join(script)).arg(options.to_string());
        let mut child = spawn(&mut command);
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).expect("a line of JSON")).is_err() {
                    return;
                }
            }
        });
        let teller = Self { child, lines };
        assert_eq!(teller.next()["ready"], true, "{script} {options}");
        Some(teller)
    }

    /// The next thing it tells, within 20 seconds.
    pub fn next(&self) -> Value {
        self.within(Duration::from_secs(20)).expect("it tells something within 20 seconds")
    }

    /// The next thing it tells, if it does within this time.
    pub fn within(&self, time: Duration) -> Result<Value, RecvTimeoutError> {
        self.lines.recv_timeout(time)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
