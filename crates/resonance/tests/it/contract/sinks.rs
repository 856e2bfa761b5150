//! Sinks, each beside another one on the same spool.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::events::EventLog;
use resonance_gateway::plan::{SinkKind, SinkPlan, SpoolPlan};
use resonance_gateway::sinks::{Delivery, SinkError, build};
use resonance_gateway::spool::Spool;
use resonance_gateway::status::SinkCounters;
use resonance_plant::{Code, SystemClock};
use resonance_simulate::mes::HttpMes;
use resonance_simulate::mutants::FaultyProxy;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::systems::{Kind, System};
use super::{Fault, SLOW, rows};
use crate::mqtt::gateway::{id, plan};
use crate::result_record::record;

rows! { holds:
    http = Kind::Http(1);
    http_in_batches = Kind::Http(20);
    http_b2mml = Kind::HttpB2mml;
    mqtt = Kind::Mqtt;
    mqtt_b2mml = Kind::MqttB2mml;
}

/// Which rows of the table are about a kind of sink. A new kind needs a row.
#[expect(dead_code, reason = "it only has to compile")]
fn system_of(kind: &SinkKind) -> &'static [&'static str] {
    match kind {
        SinkKind::Http(_) => &["http", "http_in_batches", "http_b2mml"],
        SinkKind::Mqtt(_) => &["mqtt", "mqtt_b2mml"],
    }
}

/// Nothing here takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
/// What a flooded spool may keep, bytes.
const FLOODED_BYTES_MAX: u64 = 2 << 20;
/// Results in a flood, and in one wave of it.
const FLOOD: u64 = 12_000;
const WAVE: u64 = 1_000;

/// A sink that runs.
struct Sending {
    counters: Arc<SinkCounters>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), SinkError>>,
}

impl Sending {
    fn start(id: &str, kind: SinkKind, spool: &Spool, events: &Arc<EventLog>) -> Self {
        let counters = Arc::new(SinkCounters::default());
        let delivery = Delivery {
            id: id.into(),
            cursor: spool.cursor(id, Arc::clone(&counters)).unwrap(),
            clock: Arc::new(SystemClock),
            events: events.clone(),
            counters: Arc::clone(&counters),
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(build(&SinkPlan { id: id.into(), kind }).run(delivery, stopped));
        Self { counters, stop, task }
    }

    /// What became of results so far: delivered or counted as lost.
    fn accounted(&self) -> u64 {
        let counters = &self.counters;
        let refused = u64::try_from(counters.refused.value()).unwrap();
        counters.delivered.value() + counters.dropped.value() + refused
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(Duration::from_secs(10), self.task).await;
        ended.expect("the sink stops within ten seconds").unwrap().unwrap();
    }
}

/// A system behind a network that fails, and one that nothing ails.
struct Scene {
    kind: Kind,
    system: System,
    proxy: FaultyProxy,
    sink: Sending,
    other: (HttpMes, Sending),
    spool: Spool,
    events: Arc<EventLog>,
    offered: u64,
    _folder: tempfile::TempDir,
}

fn spool_plan(folder: &Path, fault: Fault) -> SpoolPlan {
    let plan = plan(folder);
    match fault {
        Fault::Flood => SpoolPlan { bytes_max: FLOODED_BYTES_MAX, ..plan },
        _ => plan,
    }
}

async fn holds(test: &str, kind: Kind, fault: Fault) {
    let Some(system) = kind.start(test).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let events = Arc::new(EventLog::in_memory());
    let spool = Spool::open(
        &spool_plan(folder.path(), fault),
        &["mes".into(), "other".into()],
        Arc::new(SystemClock),
        events.clone(),
    );
    let spool = spool.unwrap();
    let proxy = FaultyProxy::start(system.addr()).await.unwrap();
    let mes = HttpMes::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = System::Http(vec![mes.clone()]).addr();
    let other = Sending::start("other", Kind::Http(20).sink(addr), &spool, &events);
    let sink = Sending::start("mes", kind.sink(proxy.addr()), &spool, &events);
    let mut scene = Scene {
        kind,
        system,
        proxy,
        sink,
        other: (mes, other),
        spool,
        events,
        offered: 0,
        _folder: folder,
    };
    scene.offers(20).await;
    scene.is_through().await;
    scene.suffers(fault).await;
    scene.ends(fault).await;
}

impl Scene {
    /// So many more results, of which the other system has each soon.
    async fn offers(&mut self, more: u64) {
        let writer = self.spool.writer();
        for sequence in self.offered + 1..=self.offered + more {
            writer.offer(Arc::new(record(sequence)));
        }
        self.offered += more;
        let offered = self.offered;
        self.until("the other system has all", |of| of.other.1.accounted() == offered).await;
    }

    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !holds(self) {
            let recent = self.events.recent(20);
            let counters = [&self.sink.counters, &self.other.1.counters];
            assert!(Instant::now() < deadline, "{what}; {counters:?}; {recent:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until it is known of every result what became of it.
    async fn is_through(&self) {
        // What a cut left unacknowledged comes twice, and counts twice where it arrived twice.
        let is_through =
            |of: &Self| of.sink.counters.waiting.value() == 0 && of.sink.accounted() >= of.offered;
        self.until("all are through", is_through).await;
    }

    /// Waits until an attempt failed.
    async fn fails(&self) {
        self.until("an attempt fails", |of| of.sink.counters.failed.value() > 0).await;
    }

    /// Waits until the sink has made another connection. Whether what the old one did not answer
    /// counts as failed depends on whether the system may have closed it between two messages.
    async fn comes_anew(&self, before: u64) {
        let again = |of: &Self| of.proxy.traffic().accepted > before;
        self.until("another connection", again).await;
    }

    /// How often this was told of the sink.
    fn told(&self, code: Code) -> usize {
        let of = |event: &&Arc<resonance_plant::Event>| {
            event.code == code && &*event.subject == "sink/mes"
        };
        self.events.recent(1_000).iter().filter(of).count()
    }

    async fn suffers(&mut self, fault: Fault) {
        match fault {
            Fault::Cut => {
                for bytes in [0, 1, 3, 50] {
                    let before = self.proxy.traffic().accepted;
                    self.proxy.cut_after_bytes(bytes);
                    self.offers(30).await;
                    self.comes_anew(before).await;
                    self.is_through().await;
                }
            }
            Fault::Slow => {
                self.proxy.delay(SLOW);
                self.offers(20).await;
                self.is_through().await;
                self.proxy.resume();
                assert_eq!(self.sink.counters.failed.value(), 0, "slow is no failure");
            }
            Fault::Stall => {
                self.proxy.stall();
                self.offers(30).await;
                if self.kind.is_impatient() {
                    self.fails().await;
                }
                assert_eq!(self.sink.counters.delivered.value(), 20, "nothing passes");
                self.offers(30).await;
                self.proxy.resume();
                self.is_through().await;
            }
            Fault::Flood => self.is_flooded().await,
            Fault::Garbage => {
                for bytes in [1, 64] {
                    let before = self.proxy.traffic().accepted;
                    self.proxy.garble(bytes);
                    self.offers(30).await;
                    self.comes_anew(before).await;
                    self.is_through().await;
                }
            }
            Fault::Restart => {
                self.proxy.refuse().await;
                self.offers(100).await;
                self.fails().await;
                self.system.restart(&self.proxy).await;
                self.proxy.resume();
                self.is_through().await;
                assert!(self.told(Code::SinkDisconnected) > 0);
                assert!(self.told(Code::SinkConnected) > 1);
            }
        }
    }

    /// Nothing passes and more comes than the spool may keep.
    async fn is_flooded(&mut self) {
        self.proxy.stall();
        for _ in 0..FLOOD / WAVE {
            self.offers(WAVE).await;
            let written = self.spool.status().bytes;
            // The last transaction may be above it until the next housekeeping.
            assert!(written < 2 * FLOODED_BYTES_MAX, "{written} bytes are kept");
        }
        self.until("the spool keeps its bound", |of| of.spool.status().bytes <= FLOODED_BYTES_MAX)
            .await;
        self.proxy.resume();
        self.is_through().await;
        assert!(self.sink.counters.dropped.value() > 0, "more came than it may keep");
    }

    async fn ends(mut self, fault: Fault) {
        self.offers(20).await;
        self.is_through().await;
        let counters = Arc::clone(&self.sink.counters);
        let (delivered, dropped) = (counters.delivered.value(), counters.dropped.value());
        assert_eq!(counters.refused.value(), 0, "none is a dead letter");
        assert_eq!(dropped == 0, fault != Fault::Flood, "{dropped} are dropped");
        let other = &self.other.1.counters;
        let undisturbed = (other.failed.value(), other.dropped.value());
        assert_eq!(undisturbed, (0, 0), "the other sink is undisturbed");
        let expected: Vec<String> = (1..=self.offered).map(id).collect();
        let taken = self.system.taken(usize::try_from(delivered).unwrap());
        assert!(taken.len() as u64 >= delivered, "{delivered} delivered, {} taken", taken.len());
        in_order(&taken, &expected, self.offered - delivered);
        let others = self.other.0.taken();
        in_order(&others, &expected, 0);
        eprintln!(
            "{:?} {fault:?}: {} offered, {delivered} delivered, {dropped} dropped, {} failures",
            self.kind,
            self.offered,
            counters.failed.value()
        );
        self.sink.stop().await;
        self.other.1.stop().await;
        let spool = self.spool;
        tokio::task::spawn_blocking(move || spool.close()).await.unwrap();
        self.other.0.stop().await;
    }
}

/// What came are the ids of results as they were made, in order, of which at most so many lack.
fn in_order(came: &[String], expected: &[String], lacking_max: u64) {
    let mut rest = expected.iter();
    for id in came {
        assert!(rest.any(|made| made == id), "{id} came late or was never made");
    }
    let lacking = (expected.len() - came.len()) as u64;
    assert!(lacking <= lacking_max, "{lacking} never came");
}
