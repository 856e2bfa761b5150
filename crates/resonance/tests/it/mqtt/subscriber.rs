//! The Python subscriber.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peers::Teller;

/// A running subscriber. Killed when dropped.
pub struct Subscriber(Teller);

impl Subscriber {
    /// Subscribes to everything at the broker; `None` where Python or its packages are absent.
    pub fn start(test: &str, port: u16) -> Option<Self> {
        Self::with(test, json!({"host": "127.0.0.1", "port": port}))
    }

    /// As [`Subscriber::start`], with further options of the script.
    pub fn with(test: &str, mut options: Value) -> Option<Self> {
        options["client_id"] = "foreign".into();
        options["filter"] = "#".into();
        Teller::start(test, "mqtt_subscriber.py", &options).map(Self)
    }

    /// Messages until `done` of all so far, or the time is over.
    pub fn until(&self, time: Duration, mut done: impl FnMut(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + time;
        let mut messages = Vec::new();
        while !done(&messages) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.0.within(left) {
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
