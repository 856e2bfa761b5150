//! `resonance run` as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

use crate::http::client::Client;
pub(super) use crate::needs::has_engine;

/// Nothing here takes longer, even on a busy computer.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// The binary, with nothing set yet.
pub(super) fn resonance() -> Command {
    Command::new(env!("CARGO_BIN_EXE_resonance"))
}

/// Asks until something is there.
pub(super) fn eventually<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running `resonance`. Killed when dropped.
pub(super) struct Gateway {
    child: Child,
    /// What it said on standard error so far.
    said: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    /// Starts `resonance run` on a plant file.
    pub(super) fn run(plant: &Path) -> Self {
        let mut command = resonance();
        command.arg("run").arg(plant).stdout(Stdio::null());
        Self::start(command)
    }

    /// Starts a command that runs a gateway.
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary was built");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| heard.lock().push(line));
        });
        Self { child, said }
    }

    /// Where a server of this kind listens, once it does.
    pub(super) fn url(&self, kind: &str) -> String {
        let start = format!("{kind} server at ");
        eventually(&format!("{kind} server of {:?}", self.said.lock()), || {
            let said = self.said.lock();
            said.iter().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
        })
    }

    pub(super) fn http(&self) -> SocketAddr {
        let url = self.url("http");
        url.trim_start_matches("http://").parse().unwrap_or_else(|_| panic!("{url}"))
    }

    /// A connection of a user to the HTTP server.
    pub(super) fn client(&self, name: &str, password: &str) -> Client {
        Client::connect(self.http()).user(name, password)
    }

    /// As `kill -9`.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As `kill`, and waits until it ended.
    pub(super) fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap()
    }

    /// As Ctrl-C where the terminal hands it on.
    pub(super) fn interrupt(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }

    /// Asks it to read its plant file again.
    pub(super) fn hang_up(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    /// Whether it said this on standard error so far.
    pub(super) fn has_said(&self, text: &str) -> bool {
        self.said.lock().iter().any(|line| line.contains(text))
    }

    /// Waits for its end; returns the exit code and what it printed.
    pub(super) fn end(mut self) -> (Option<i32>, String, String) {
        let mut out = String::new();
        if let Some(mut stdout) = self.child.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut out).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        (code, out, self.said.lock().join("\n"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The events a gateway wrote into its folder; every line is whole.
pub(super) fn events(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    // Of a gateway that still writes, the last line may be on its way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
    whole.lines().map(parse).collect()
}

/// Waits for an event with this code and subject.
pub(super) fn event(folder: &Path, code: &str, subject: &str) -> Value {
    eventually(&format!("{code} of {subject}"), || {
        let of = |event: &Value| event["code"] == code && event["subject"] == subject;
        events(folder).into_iter().find(of)
    })
}
