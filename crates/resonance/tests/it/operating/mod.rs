//! What those who install and operate the gateway use besides it.

mod completions;
mod doctor;
mod log_format;
mod man;
mod packages;
mod service;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::needs::skip;

/// Whether a program is there; `lacks` names it to those who require it.
fn has(test: &str, program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    if !found {
        skip(test, program, &format_args!("there is no {program}"));
    }
    found
}

/// Runs our program to its end, in a folder; returns the exit code, what it printed and what it
/// said.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resonance"));
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// `resonance run plant.toml` in a folder. Killed when dropped.
struct Runs(Child);

impl Runs {
    /// Starts it, and waits until its HTTP server answers.
    fn gateway(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resonance"));
        command.args(["run", "plant.toml"]).current_dir(folder).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let runs = Self(child);
        let ready = said.lines().map_while(Result::ok).any(|line| line.starts_with("http server"));
        assert!(ready, "it ended before it listened");
        runs
    }

    /// As `kill`; waits until it ended.
    fn stop(mut self) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
