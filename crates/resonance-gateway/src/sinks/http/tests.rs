//! The sink against a simulated MES in memory, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use resonance_plant::{Clock, Code, EventSink, ManualClock, ResultRecord, Timestamp};
use resonance_simulate::mes::{Behaviour, HttpMes};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::HttpConfig;
use super::connection::{Connect, Connecting};
use super::endpoint::Endpoint;
use super::poster::Poster;
use crate::events::EventLog;
use crate::origin::Stream;
use crate::plan::{DropPolicy, SpoolPlan};
use crate::sinks::Delivery;
use crate::sinks::payload::{Acknowledge, Format};
use crate::spool::tests::record;
use crate::spool::{DeadLetters, Selection, Spool};
use crate::status::SinkCounters;

/// A way to the MES that can be cut.
struct Wire {
    mes: HttpMes,
    is_cut: AtomicBool,
    connections: AtomicU32,
}

impl Connect for Wire {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async move {
            self.connections.fetch_add(1, Ordering::Relaxed);
            if self.is_cut.load(Ordering::Relaxed) {
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            let mes = self.mes.clone();
            tokio::spawn(async move { mes.serve(theirs).await });
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}

/// A gateway's sink, its spool and the MES.
struct World {
    folder: tempfile::TempDir,
    mes: HttpMes,
    wire: Arc<Wire>,
    events: Arc<EventLog>,
    counters: Arc<SinkCounters>,
    spool: Arc<Spool>,
    stop: watch::Sender<bool>,
    sink: JoinHandle<()>,
}

fn confirming() -> HttpConfig {
    HttpConfig {
        format: Format::B2mmlXml,
        acknowledge: Acknowledge::ConfirmBod,
        unconfirmed_max: u16::MAX,
        ..HttpConfig::for_url("http://mes/results")
    }
}

impl World {
    /// A sink with `count` results to deliver.
    async fn start(config: HttpConfig, behaviour: Behaviour, count: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = SpoolPlan {
            path: folder.path().join("spool.sqlite"),
            bytes_max: 1 << 30,
            age_max: Duration::from_secs(7 * 24 * 3_600),
            drop: DropPolicy::Oldest,
        };
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_millis(0)));
        let events = Arc::new(EventLog::in_memory());
        let sink_events = Arc::clone(&events) as Arc<dyn EventSink>;
        let sinks = ["mes".into()];
        let spool =
            Spool::open(&plan, &sinks, Arc::clone(&clock), Arc::clone(&sink_events)).unwrap();
        (1..=count).for_each(|n| spool.writer().offer(result(n)));
        let mes = HttpMes::default();
        mes.behave(behaviour);
        let wire = Arc::new(Wire {
            mes: mes.clone(),
            is_cut: AtomicBool::new(false),
            connections: AtomicU32::new(0),
        });
        let counters = Arc::new(SinkCounters::default());
        let delivery = Delivery {
            id: "mes".into(),
            cursor: spool.cursor("mes", Arc::clone(&counters)).unwrap(),
            clock,
            events: sink_events,
            counters: Arc::clone(&counters),
        };
        // The writer is a thread of its own: virtual time must not run away from it.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while spool.status().written < count {
            assert!(std::time::Instant::now() < deadline, "the spool is written");
            std::thread::yield_now();
        }
        let endpoint = Endpoint::new(&config, "mes").unwrap();
        let (stop, stopped) = watch::channel(false);
        let connect = Arc::clone(&wire) as Arc<dyn Connect>;
        let sink = tokio::spawn(Poster::new(&config, endpoint, connect, delivery).run(stopped));
        Self { folder, mes, wire, events, counters, spool: Arc::new(spool), stop, sink }
    }

    /// Waits in virtual time until so many results were taken, at most two hours.
    async fn taken(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(7_200);
        while self.mes.taken_count() < count {
            assert!(Instant::now() < deadline, "{:#?}", self.events.recent(10));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the sink and the spool; returns the dead letters.
    async fn end(self) -> Vec<(String, String)> {
        self.stop.send(true).unwrap();
        self.sink.await.unwrap();
        Arc::into_inner(self.spool).unwrap().close();
        let letters = DeadLetters::open(&self.folder.path().join("spool.sqlite")).unwrap();
        let found = letters.list(&Selection::default()).unwrap();
        found.into_iter().map(|letter| (letter.id.to_string(), letter.reason)).collect()
    }

    fn told(&self, code: Code) -> Vec<String> {
        let events = self.events.recent(1_000);
        events.iter().filter(|e| e.code == code).map(|e| e.message.clone()).collect()
    }
}

fn result(n: u64) -> Arc<ResultRecord> {
    record("wear", n)
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| result(n).id.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn results_arrive_in_order_once_each_under_its_id() {
    for (format, acknowledge) in [
        (Format::Result, Acknowledge::Transport),
        (Format::B2mmlXml, Acknowledge::ConfirmBod),
        (Format::B2mmlJson, Acknowledge::ConfirmBod),
    ] {
        let config = HttpConfig { format, acknowledge, ..confirming() };
        let world = World::start(config, Behaviour::Good, 20).await;
        world.taken(20).await;
        assert_eq!(world.mes.taken(), ids(1..=20));
        for request in world.mes.received() {
            assert_eq!([request.key], request.ids[..], "{format:?}");
        }
        assert_eq!(world.wire.connections.load(Ordering::Relaxed), 1, "kept alive");
        assert_eq!((world.mes.repeated(), world.counters.failed.value()), (0, 0));
        assert_eq!(world.end().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mes_that_answers_200_and_loses_the_message_gets_it_again() {
    let world = World::start(confirming(), Behaviour::LosesMessages, 5).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.counters.delivered.value(), 0, "200 alone is no delivery");
    assert!(world.told(Code::SinkRefused)[0].contains("confirmed nothing"), "told");
    assert_eq!(world.told(Code::SinkRefused).len(), 1, "once");
    world.mes.behave(Behaviour::Good);
    world.taken(5).await;
    assert_eq!(world.mes.taken(), ids(1..=5));
    assert_eq!(world.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_it_loses_every_time_becomes_a_dead_letter_and_the_rest_goes_on() {
    let lost = result(7).id.to_string();
    for batch_max in [1, 8] {
        let config = HttpConfig { unconfirmed_max: 3, batch_max, ..confirming() };
        let rule = Behaviour::LosesByRule(lost.clone());
        let world = World::start(config, rule, 20).await;
        world.taken(19).await;
        assert_eq!(world.mes.taken(), ids((1..=20).filter(|n| *n != 7)));
        let alone = world.mes.received().iter().filter(|of| of.ids == [lost.clone()]).count();
        assert_eq!(alone, 3, "attempts with it alone");
        let letters = world.end().await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].0, lost);
        assert!(letters[0].1.starts_with("sent 3 times: answered 200"), "{letters:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_confirmation_200_is_delivery_and_what_is_lost_is_lost() {
    let config = HttpConfig { acknowledge: Acknowledge::Transport, ..confirming() };
    let world = World::start(config, Behaviour::LosesMessages, 5).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((world.counters.delivered.value(), world.mes.taken_count()), (5, 0));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn five_hundred_for_an_hour_loses_nothing_and_is_not_hammered() {
    let world = World::start(confirming(), Behaviour::Fails(500, None), 50).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let attempts = world.mes.received().len();
    assert!((100..=300).contains(&attempts), "{attempts} attempts in an hour");
    world.mes.behave(Behaviour::Good);
    let back = Instant::now();
    world.taken(50).await;
    assert!(back.elapsed() < Duration::from_secs(32), "within one wait");
    assert_eq!(world.mes.taken(), ids(1..=50));
    assert_eq!(world.mes.repeated(), 0);
    assert_eq!(world.told(Code::SinkRefused).len(), 1, "told once");
    assert_eq!(world.told(Code::SinkConnected).len(), 1);
    assert_eq!(world.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    let world = World::start(confirming(), Behaviour::Fails(429, Some(900)), 1).await;
    tokio::time::sleep(Duration::from_secs(3_590)).await;
    assert_eq!(world.mes.received().len(), 4, "at 0, 900, 1800 and 2700 s");
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn garbage_a_wrong_confirmation_and_a_slow_mes_are_no_delivery() {
    for behaviour in
        [Behaviour::Garbage, Behaviour::ConfirmsAnother, Behaviour::Slow(Duration::from_secs(11))]
    {
        let world = World::start(confirming(), behaviour.clone(), 3).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(world.counters.delivered.value(), 0, "{behaviour:?}");
        assert!(world.counters.failed.value() >= 3, "{behaviour:?}");
        world.mes.behave(Behaviour::Good);
        world.taken(3).await;
        assert_eq!(world.mes.taken(), ids(1..=3));
        assert_eq!(world.end().await, [], "{behaviour:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_refuses_becomes_a_dead_letter_and_the_rest_goes_on() {
    let refused = result(7).id.to_string();
    for (format, acknowledge, batch_max, reason) in [
        (Format::Result, Acknowledge::Transport, 1, "answered 422 Unprocessable Entity: rule"),
        (Format::B2mmlXml, Acknowledge::ConfirmBod, 1, "rejected: rule"),
        (Format::B2mmlJson, Acknowledge::ConfirmBod, 8, "rejected: rule"),
        (Format::Result, Acknowledge::Transport, 8, "answered 422 Unprocessable Entity: rule"),
    ] {
        let config = HttpConfig { format, acknowledge, batch_max, ..confirming() };
        let rule = Behaviour::RefusesByRule(refused.clone());
        let world = World::start(config, rule, 20).await;
        world.taken(19).await;
        assert_eq!(world.mes.taken(), ids((1..=20).filter(|n| *n != 7)), "{format:?}");
        assert_eq!(world.mes.repeated(), 0);
        let letters = world.end().await;
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!(letters[0].0, refused);
        assert!(letters[0].1.starts_with(reason), "{letters:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_holds_everything_back() {
    let world = World::start(confirming(), Behaviour::Fails(401, None), 3).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(world.told(Code::SinkRefused)[0].contains("check the sink's user"));
    world.mes.behave(Behaviour::Good);
    world.taken(3).await;
    assert_eq!(world.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_told_once_and_everything_follows() {
    let world = World::start(confirming(), Behaviour::Good, 0).await;
    world.wire.is_cut.store(true, Ordering::Relaxed);
    (1..=10).for_each(|n| world.spool.writer().offer(result(n)));
    let deadline = Instant::now() + Duration::from_secs(600);
    while world.counters.failed.value() < 5 {
        assert!(Instant::now() < deadline, "it tries");
        // The spool's thread lives in real time.
        std::thread::sleep(Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(world.told(Code::SinkDisconnected).len(), 1, "told once");
    world.wire.is_cut.store(false, Ordering::Relaxed);
    world.taken(10).await;
    assert_eq!(world.mes.taken(), ids(1..=10));
    assert_eq!(world.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_result_record_never_blocks_b2mml() {
    let world = World::start(confirming(), Behaviour::Fails(500, None), 3).await;
    let path = world.folder.path().join("spool.sqlite");
    let file = rusqlite::Connection::open(path).unwrap();
    file.execute("UPDATE result SET payload = x'7b7d' WHERE sequence = 2", []).unwrap();
    world.mes.behave(Behaviour::Good);
    world.taken(2).await;
    assert_eq!(world.mes.taken(), ids([1, 3]));
    let letters = world.end().await;
    assert!(letters[0].1.contains("not a result record"), "{letters:?}");
}
