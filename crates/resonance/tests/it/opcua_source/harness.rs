//! Runs a source on a thread of its own, as the supervisor does, and collects what it says.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use resonance_gateway::events::EventLog;
use resonance_gateway::hub::ingest::{BlockReceiver, Gap, Message, SessionState, Waker, channel};
use resonance_gateway::sources::opcua::{OpcUaConfig, OpcUaSource};
use resonance_gateway::sources::{Link, Source, SourceError, SourcePoint};
use resonance_gateway::status::SourceCounters;
use resonance_plant::{
    Clock, Code, DataType, Event, PointIndex, Status, SystemClock, Timestamp, Value,
};
use serde_json::json;

use crate::peers::{Peer, python};

/// Nothing here takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a source said, in order.
#[derive(Clone, Debug)]
pub enum Said {
    Observed { point: usize, value: Value, time: Timestamp, status: Status, backfilled: bool },
    Missing(Gap),
    Session(SessionState),
}

/// A source that runs.
pub struct Running {
    pub said: Vec<Said>,
    pub counters: Arc<SourceCounters>,
    pub events: Arc<EventLog>,
    receiver: BlockReceiver,
    stop: tokio::sync::watch::Sender<bool>,
    thread: Option<JoinHandle<Result<(), SourceError>>>,
}

/// Points by address, with what they declare.
pub fn points(points: &[(&str, DataType)]) -> Arc<[SourcePoint]> {
    let numbered = points.iter().zip(0_u32..);
    numbered
        .map(|((name, data_type), index)| SourcePoint {
            // Gateways have several sources: a source's points need not start at zero.
            point: PointIndex(index + 100),
            path: format!("mill.{}", name.to_lowercase()).into(),
            address: format!("ns=2;s={name}").into(),
            data_type: *data_type,
            labels: Arc::default(),
            sampling_ms: None,
            deadband: None,
        })
        .collect()
}

/// A configuration without security unless `more` says so.
pub fn config(url: &str, more: &str) -> OpcUaConfig {
    let security = if more.contains("security_policy") {
        ""
    } else {
        "security_policy = 'none'\nallow_weak_security = true\n"
    };
    let text = format!(
        "url = '{url}'\npublishing_ms = 50\nsampling_ms = 0\nbackoff_ms_max = 1000\n{security}{more}"
    );
    toml::from_str(&text).expect("the test's configuration is right")
}

impl Running {
    pub fn start(config: OpcUaConfig, points: Arc<[SourcePoint]>) -> Self {
        Self::start_at(config, points, Arc::new(SystemClock))
    }

    /// Starts a source that takes the time from `clock`.
    pub fn start_at(
        config: OpcUaConfig,
        points: Arc<[SourcePoint]>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::of(Box::new(OpcUaSource::new(config)), points, clock)
    }

    /// Starts a source of any kind.
    pub fn of(source: Box<dyn Source>, points: Arc<[SourcePoint]>, clock: Arc<dyn Clock>) -> Self {
        let (sender, receiver) = channel(Waker::default());
        let (events, counters) = (Arc::new(EventLog::in_memory()), Arc::default());
        let link = Link {
            id: "mill".into(),
            points,
            clock,
            events: events.clone(),
            counters: Arc::clone(&counters),
        };
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the system gives a runtime")
                .block_on(source.run(link, sender, stopped))
        });
        Self { said: Vec::new(), counters, events, receiver, stop, thread: Some(thread) }
    }

    /// Takes what it said since.
    pub fn drain(&mut self) {
        while let Some(message) = self.receiver.receive() {
            match message {
                Message::Gap(gap) => self.said.push(Said::Missing(gap)),
                Message::Session(state) => self.said.push(Said::Session(state)),
                Message::Block(block) => {
                    for row in 0..block.len() {
                        self.said.push(Said::Observed {
                            point: block.point[row] as usize - 100,
                            value: block.exact(row),
                            time: Timestamp::from_nanos(block.source_time[row]),
                            status: Status(block.status[row]),
                            backfilled: block.backfilled,
                        });
                    }
                    self.receiver.give_back(block);
                }
            }
        }
    }

    /// Collects until it finds what the test waits for.
    pub async fn until<T>(&mut self, what: &str, mut find: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.drain();
            if let Some(found) = find(self) {
                return found;
            }
            if Instant::now() > deadline {
                let last: Vec<&Said> = self.said.iter().rev().take(20).collect();
                panic!("{what} never came; last: {last:#?}; events: {:#?}", self.events.recent(9));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for a value of a point; returns its time and status.
    pub async fn value(&mut self, point: usize, value: Value) -> (Timestamp, Status) {
        let what = format!("{value:?} of point {point}");
        self.until(&what, |this| {
            this.observed(point)
                .find(|(found, ..)| *found == value)
                .map(|(_, time, status)| (time, status))
        })
        .await
    }

    /// Waits for a status of a point; returns the value that carries it.
    pub async fn status(&mut self, point: usize, status: Status) -> Value {
        let what = format!("{status} of point {point}");
        self.until(&what, |this| {
            this.observed(point).find(|(.., found)| *found == status).map(|(value, ..)| value)
        })
        .await
    }

    /// Every observation of a point, in order.
    pub fn observed(&self, point: usize) -> impl Iterator<Item = (Value, Timestamp, Status)> {
        self.said.iter().filter_map(move |said| match said {
            Said::Observed { point: of, value, time, status, .. } if *of == point => {
                Some((value.clone(), *time, *status))
            }
            _ => None,
        })
    }

    pub async fn session(&mut self, state: SessionState) {
        self.until(&format!("{state:?}"), |this| {
            this.said
                .iter()
                .any(|said| matches!(said, Said::Session(found) if *found == state))
                .then_some(())
        })
        .await;
    }

    pub async fn gap(&mut self) -> Gap {
        self.until("a gap", |this| {
            this.said.iter().find_map(|said| match said {
                Said::Missing(gap) => Some(gap.clone()),
                _ => None,
            })
        })
        .await
    }

    pub async fn event(&mut self, code: Code) -> Arc<Event> {
        self.until(&format!("the event {code}"), |this| {
            this.events.recent(1_000).into_iter().find(|event| event.code == code)
        })
        .await
    }

    /// Checks that each point counts up by one, but where a gap of the point says that values are
    /// missing. Returns how many are. What a machine says first is a point's value at that time;
    /// it samples from then on, so what follows first may be any later count.
    pub fn missing_within_gaps(&self) -> u64 {
        let gaps: Vec<&Gap> = self
            .said
            .iter()
            .filter_map(|said| if let Said::Missing(gap) = said { Some(gap) } else { None })
            .collect();
        let (mut last, mut sampled) = (HashMap::new(), HashSet::new());
        let mut missing = 0;
        for said in &self.said {
            let Said::Observed { point, value: Value::Float(value), time, .. } = said else {
                continue;
            };
            let Some((before, since)) = last.insert(*point, (*value, *time)) else { continue };
            if sampled.insert(*point) || *value == before + 1.0 {
                continue;
            }
            let index = PointIndex(*point as u32 + 100);
            let of = |gap: &&&Gap| gap.points.is_empty() || gap.points.contains(&index);
            let told = gaps.iter().filter(of).any(|gap| gap.from < *time && gap.to > since);
            let near =
                |other: &(Value, Timestamp, Status)| other.1.since(*time).abs() < 100_000_000;
            let around: Vec<_> = self.observed(*point).filter(near).collect();
            let gaps: Vec<_> = gaps.iter().map(|gap| (gap.from, gap.to, gap.reason)).collect();
            assert!(
                told,
                "point {point}: {before} at {since}, {value} at {time}; {around:#?}; {gaps:?}"
            );
            missing += (value - before) as u64 - 1;
        }
        missing
    }

    /// Forgets what was said so far.
    pub fn forget(&mut self) {
        self.drain();
        self.said.clear();
    }

    /// Stops the source in order and awaits its end.
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(Ok(())))), "the source ends without error");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// A machine played by asyncua.
pub struct Machine {
    pub peer: Peer,
    pub port: u16,
}

impl Machine {
    /// Starts one with nodes given as `name:type:value`.
    pub fn start(test: &str, nodes: &[&str], more: &[&str]) -> Option<Self> {
        Some(Self::start_with(&python(test)?, nodes, more))
    }

    fn start_with(python: &Path, nodes: &[&str], more: &[&str]) -> Self {
        let mut arguments: Vec<&str> = nodes.iter().flat_map(|node| ["--node", *node]).collect();
        arguments.extend(more);
        let (peer, ready) = Peer::start(python, "opcua_machine.py", &arguments);
        let port = ready["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        Self { peer, port: port.unwrap_or_else(|| panic!("no port: {ready}")) }
    }

    pub fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}/machine/", self.port)
    }

    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Sets a node's value, type, status and source time.
    pub fn set(&mut self, node: &str, more: serde_json::Value) {
        let mut command = json!({"op": "set", "node": node});
        let fields = command.as_object_mut().expect("it is an object");
        fields.extend(more.as_object().expect("it is an object").clone());
        self.peer.tell(command);
    }
}
