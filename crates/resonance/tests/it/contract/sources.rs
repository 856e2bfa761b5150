//! Sources of machines on a network, and what their faults are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::hub::ingest::{BLOCKS_IN_FLIGHT, GapReason, SessionState};
use resonance_gateway::plan::{SourceKind, SourcePlan};
use resonance_gateway::sources::build;
use resonance_plant::{BLOCK_CAPACITY, Code, SystemClock, Value};
use resonance_simulate::mutants::FaultyProxy;

use super::images::{self, Camera};
use super::machines::{Machine, Protocol};
use super::recordings::{self, Recording};
use super::{Fault, SLOW, ledger, rows};
use crate::opcua_source::harness::{Running, Said};

rows! { holds:
    opcua = Protocol::OpcUa;
    mtconnect = Protocol::Mtconnect;
}

rows! { images::holds:
    image_folder = Camera::Folder;
    image_http = Camera::Http;
}

rows! { recordings::holds:
    csv = Recording::Csv;
    parquet = Recording::Parquet;
}

/// Which rows of the table are about a kind of source. A new kind needs a row.
#[expect(dead_code, reason = "it only has to compile")]
fn machine_of(kind: &SourceKind) -> &'static [&'static str] {
    match kind {
        SourceKind::Image(_) => &["image_folder", "image_http"],
        SourceKind::Opcua(_) => &["opcua"],
        SourceKind::Mtconnect(_) => &["mtconnect"],
        SourceKind::Replay(_) => &["csv", "parquet"],
    }
}

/// How often machines send what is new; more often in a flood.
const PUBLISHING: Duration = Duration::from_millis(40);
const PUBLISHING_IN_A_FLOOD: Duration = Duration::from_millis(10);
/// How long a source must take nothing more, to stand.
const STANDS: Duration = Duration::from_millis(700);
/// A machine that ran for less is not told from itself by when it started.
const RAN_BEFORE: Duration = Duration::from_millis(2_500);
/// No fault here takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(40);

/// A machine behind a network that fails, and one that does not.
struct Scene {
    began: Instant,
    machine: Machine,
    proxy: FaultyProxy,
    source: Running,
    other: (Machine, Running),
    /// Whether what the source says is taken.
    takes: bool,
}

/// Starts a source as the gateway does.
pub(super) fn start(
    kind: SourceKind,
    points: Arc<[resonance_gateway::sources::SourcePoint]>,
) -> Running {
    let plan = SourcePlan { id: "mill".into(), kind, points: Arc::clone(&points) };
    Running::of(build(&plan), points, Arc::new(SystemClock))
}

async fn holds(_test: &str, protocol: Protocol, fault: Fault) {
    let publishing = if fault == Fault::Flood { PUBLISHING_IN_A_FLOOD } else { PUBLISHING };
    let began = Instant::now();
    let machine = Machine::start(protocol).await;
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let other = Machine::start(protocol).await;
    let undisturbed = start(protocol.source(other.addr(), PUBLISHING), protocol.points());
    let source = start(protocol.source(proxy.addr(), publishing), protocol.points());
    let mut scene =
        Scene { began, machine, proxy, source, other: (other, undisturbed), takes: true };
    scene.source.value(0, Value::Float(1.0)).await;
    scene.other.1.value(0, Value::Float(1.0)).await;
    scene.says(50).await;
    let scene = scene.suffers(fault).await;
    scene.ends(fault).await;
}

impl Scene {
    /// Both machines count on by so many, and the one that nothing ails is heard at once.
    async fn says(&mut self, more: u64) {
        self.machine.ask(more);
        self.other.0.ask(more);
        let began = Instant::now();
        while self.machine.step() | self.other.0.step() {
            assert!(began.elapsed() < DEADLINE, "the machines still count");
            self.take();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.take();
        self.other.1.value(0, Value::Float(self.other.0.said() as f64)).await;
    }

    fn take(&mut self) {
        if self.takes {
            self.source.drain();
        }
        self.other.1.drain();
    }

    /// Waits until the source has lost its machine once more than before.
    async fn is_lost(&mut self, before: u64) {
        let again = |source: &Running| {
            (ledger::sessions(source, SessionState::Lost) > before).then_some(())
        };
        self.source.until("the loss of the machine", again).await;
    }

    /// Waits until the last number was heard.
    async fn is_heard(&mut self) {
        self.source.value(0, Value::Float(self.machine.said() as f64)).await;
    }

    async fn suffers(mut self, fault: Fault) -> Self {
        match fault {
            Fault::Cut => {
                for bytes in [0, 1, 77, 400] {
                    let before = ledger::sessions(&self.source, SessionState::Lost);
                    self.proxy.cut_after_bytes(bytes);
                    self.says(50).await;
                    self.is_lost(before).await;
                    self.is_heard().await;
                }
            }
            Fault::Slow => {
                self.proxy.delay(SLOW);
                self.says(500).await;
                self.is_heard().await;
                self.proxy.resume();
            }
            Fault::Stall => {
                self.proxy.stall();
                self.says(100).await;
                self.source.event(Code::SourceSilent).await;
                self.is_lost(0).await;
                self.says(100).await;
                self.proxy.resume();
                self.is_heard().await;
            }
            Fault::Flood => self.is_flooded().await,
            Fault::Garbage => {
                for bytes in [8, 300] {
                    let before = ledger::sessions(&self.source, SessionState::Lost);
                    self.proxy.garble(bytes);
                    self.says(50).await;
                    self.is_lost(before).await;
                    self.is_heard().await;
                }
                self.source.event(Code::SourceDisconnected).await;
            }
            Fault::Restart => {
                while self.began.elapsed() < RAN_BEFORE {
                    self.says(20).await;
                }
                self.proxy.refuse().await;
                self.is_lost(0).await;
                self.says(100).await;
                self.machine = self.machine.restart().await;
                self.proxy.redirect(self.machine.addr());
                self.proxy.resume();
                self.is_heard().await;
                let gap = self.source.gap().await;
                assert_eq!(gap.reason, GapReason::ServerRestart);
                self.source.event(Code::SourceRestarted).await;
            }
        }
        self
    }

    /// Nobody takes what the source has: it stands, whatever the machine says, and goes on.
    async fn is_flooded(&mut self) {
        self.takes = false;
        let (began, mut held) = (Instant::now(), (0, Instant::now()));
        while held.1.elapsed() < STANDS {
            self.says(20).await;
            let now = self.source.counters.observations.value();
            if now != held.0 {
                held = (now, Instant::now());
            }
            assert!(began.elapsed() < DEADLINE, "it takes more and more: {now}");
        }
        assert!(held.0 <= (BLOCKS_IN_FLIGHT * BLOCK_CAPACITY) as u64, "{} are held", held.0);
        assert!(held.0 < self.machine.said(), "the machine said more than the source holds");
        self.takes = true;
        self.is_heard().await;
    }

    async fn ends(mut self, fault: Fault) {
        self.says(50).await;
        self.is_heard().await;
        let missing = ledger::check(&self.source, self.machine.said());
        let reconnects = self.source.counters.reconnects.value();
        match fault {
            Fault::Slow => {
                assert_eq!((reconnects, missing), (0, 0), "it was there all the time");
            }
            // What its queues could not hold is missing, and told.
            Fault::Flood => assert_eq!(reconnects, 0, "it was there all the time"),
            _ => assert!(reconnects > 0, "it was connected anew"),
        }
        eprintln!(
            "{fault:?}: {} said, {missing} missing, {reconnects} times anew",
            self.machine.said()
        );
        let (machine, other) = self.other;
        assert_eq!(ledger::check(&other, machine.said()), 0, "another source misses nothing");
        assert_eq!(other.counters.reconnects.value(), 0, "another source stays connected");
        let gaps = other.said.iter().filter(|said| matches!(said, Said::Missing(_))).count();
        assert_eq!(gaps, 0);
        other.stop();
        self.source.stop();
    }
}
