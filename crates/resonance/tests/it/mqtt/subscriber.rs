//! The Python subscriber.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peers;

/// A running subscriber. Killed when dropped.
pub struct Subscriber {
    child: Child,
    lines: Receiver<Value>,
}

impl Subscriber {
    /// Subscribes to everything at the broker; `None` where Python or its packages are absent.
    pub fn start(test: &str, port: u16) -> Option<Self> {
        Self::with(test, json!({"host": "127.0.0.1", "port": port}))
    }

    /// As [`Subscriber::start`], with further options of the script.
    pub fn with(test: &str, mut options: Value) -> Option<Self> {
        let python = peers::python(test)?;
        options["client_id"] = "foreign".into();
        options["filter"] = "#".into();
        let mut child = Command::new(python)
            .arg(peers::workspace().join("tests/peers/mqtt_subscriber.py"))
            .arg(options.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let said = serde_json::from_str(&line).expect("a line of JSON");
                if sender.send(said).is_err() {
                    return;
                }
            }
        });
        let subscriber = Self { child, lines };
        let ready = subscriber.lines.recv_timeout(Duration::from_secs(20)).expect("a subscription");
        assert_eq!(ready["ready"], true, "{ready}");
        Some(subscriber)
    }

    /// Messages until `done` of all so far, or the time is over.
    pub fn until(&self, time: Duration, mut done: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + time;
        let mut messages = Vec::new();
        while !done(&messages) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.get("topic").is_some() => messages.push(line),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        messages
    }

    /// The next `count` messages, within 20 seconds.
    pub fn messages(&self, count: usize) -> Vec<Value> {
        let messages = self.until(Duration::from_secs(20), |all| all.len() == count);
        assert_eq!(messages.len(), count, "messages within 20 seconds");
        messages
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
