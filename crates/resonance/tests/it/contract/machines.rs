//! Machines on a network that say one number after the other, when they are told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resonance_gateway::plan::SourceKind;
use resonance_gateway::sources::SourcePoint;
use resonance_plant::{DataType, Interpolation};
use resonance_simulate::machine::{self, Channel, Endpoint, Feed, MachineSpec, Next, Writer};
use resonance_simulate::mtconnect::{AgentOptions, Said, Serving, cnc_model, serve};
use resonance_wire::mtconnect::Version;

use crate::opcua_source::scale::counters;

/// Between two numbers; and how often the machine looks for what changed, so that it misses none.
const PERIOD: Duration = Duration::from_millis(5);
const TICK: Duration = Duration::from_millis(2);
/// Observations that an MTConnect agent keeps.
const BUFFER: u64 = 100_000;
/// The data item that counts.
const ITEM: &str = "x_pos";

/// How machines are reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Protocol {
    OpcUa,
    Mtconnect,
}

/// A machine that runs.
pub(super) enum Machine {
    OpcUa { running: machine::Running, emission: Arc<Emission> },
    Mtconnect { agent: Serving, said: u64, target: u64 },
}

/// How far a machine has counted, and how far it shall.
#[derive(Debug, Default)]
pub(super) struct Emission {
    said: AtomicU64,
    target: AtomicU64,
}

struct Counting {
    emission: Arc<Emission>,
    begun: bool,
}

impl Feed for Counting {
    fn step(&mut self, out: &mut Writer<'_>) -> Next {
        let said = self.emission.said.load(Ordering::Acquire);
        let more = said < self.emission.target.load(Ordering::Acquire);
        if more || !std::mem::replace(&mut self.begun, true) {
            let said = said + u64::from(more);
            out.float(0, said as f64);
            self.emission.said.store(said, Ordering::Release);
        }
        Next::After(PERIOD)
    }
}

async fn opc_ua(emission: &Arc<Emission>) -> machine::Running {
    let channel = Channel {
        interpolation: Interpolation::Counter,
        ..Channel::plain("Counters", "P00000", DataType::Float64)
    };
    let spec = MachineSpec {
        name: "Load".into(),
        description: "Counts when it is told to".into(),
        identification: Vec::new(),
        channels: vec![channel],
    };
    let feed = Counting { emission: Arc::clone(emission), begun: false };
    let endpoint = Endpoint { tick: TICK, ..Endpoint::default() };
    machine::start(spec, endpoint, Box::new(feed)).await.unwrap()
}

impl Machine {
    /// Starts one that says 1.
    pub(super) async fn start(protocol: Protocol) -> Self {
        match protocol {
            Protocol::OpcUa => {
                let emission = Arc::new(Emission::default());
                emission.target.store(1, Ordering::Release);
                Self::OpcUa { running: opc_ua(&emission).await, emission }
            }
            Protocol::Mtconnect => {
                let model = cnc_model(Version { major: 2, minor: 7 }, BUFFER, 1);
                let agent = serve(model, AgentOptions::default()).await.unwrap();
                let mut machine = Self::Mtconnect { agent, said: 0, target: 1 };
                machine.step();
                machine
            }
        }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        match self {
            Self::OpcUa { running, .. } => running.addr(),
            Self::Mtconnect { agent, .. } => agent.addr(),
        }
    }

    /// How far it has counted.
    pub(super) fn said(&self) -> u64 {
        match self {
            Self::OpcUa { emission, .. } => emission.said.load(Ordering::Acquire),
            Self::Mtconnect { said, .. } => *said,
        }
    }

    /// Tells it to count on by so many.
    pub(super) fn ask(&mut self, more: u64) {
        match self {
            Self::OpcUa { emission, .. } => {
                emission.target.fetch_add(more, Ordering::AcqRel);
            }
            Self::Mtconnect { target, .. } => *target += more,
        }
    }

    /// Counts on, where it does not do so by itself. Returns whether there is more to say.
    pub(super) fn step(&mut self) -> bool {
        match self {
            Self::OpcUa { emission, .. } => {
                let said = emission.said.load(Ordering::Acquire);
                said < emission.target.load(Ordering::Acquire)
            }
            Self::Mtconnect { agent, said, target } => {
                if *said < *target {
                    *said += 1;
                    agent.observe(ITEM, Said::Text(said.to_string()));
                }
                *said < *target
            }
        }
    }

    /// Its server begins anew and knows nothing but the last number.
    pub(super) async fn restart(self) -> Self {
        match self {
            Self::OpcUa { running, emission } => {
                running.stop().await;
                Self::OpcUa { running: opc_ua(&emission).await, emission }
            }
            Self::Mtconnect { agent, said, target } => {
                agent.restart();
                agent.observe(ITEM, Said::Text(said.to_string()));
                Self::Mtconnect { agent, said, target }
            }
        }
    }
}

impl Protocol {
    /// A source of a machine at this address, with a watchdog for impatient tests.
    pub(super) fn source(self, addr: SocketAddr, publishing: Duration) -> SourceKind {
        let every_ms = publishing.as_millis();
        let watchdog = "silence_ms_max = 1000\nrequest_timeout_ms = 1000\nbackoff_ms_max = 300";
        match self {
            Self::OpcUa => {
                let text = format!(
                    "url = 'opc.tcp://{addr}'\nsecurity_policy = 'none'\n\
                     allow_weak_security = true\nsampling_ms = 0\nqueue_size = 100\n\
                     publishing_ms = {every_ms}\n{watchdog}"
                );
                SourceKind::Opcua(toml::from_str(&text).unwrap())
            }
            Self::Mtconnect => {
                let text = format!(
                    "url = 'http://{addr}'\nheartbeat_ms = 100\ninterval_ms = {every_ms}\n{watchdog}"
                );
                SourceKind::Mtconnect(toml::from_str(&text).unwrap())
            }
        }
    }

    /// The point that counts.
    pub(super) fn points(self) -> Arc<[SourcePoint]> {
        match self {
            Self::OpcUa => counters(1),
            Self::Mtconnect => crate::mtconnect::points(&[(ITEM, DataType::Float64)]),
        }
    }
}
