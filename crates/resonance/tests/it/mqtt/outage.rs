//! Brokers that go away and gateways that are killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::events::EventLog;
use resonance_gateway::status::SinkCounters;
use resonance_plant::Code;
use serde_json::Value;

use super::broker::Broker;
use super::gateway::{Gateway, config, id, open, plan};
use super::subscriber::Subscriber;

/// Results a second: sixty times the ten a second of the ten minutes in virtual time.
const RATE: u64 = 600;
const OUTAGE: Duration = Duration::from_secs(10);

fn sequence(message: &Value) -> u64 {
    message["payload"]["sequence"].as_u64().unwrap()
}

/// Every result came, and for the first time in order.
fn assert_complete(messages: &[Value], last: u64) {
    let mut seen = BTreeSet::new();
    let firsts: Vec<u64> = messages.iter().map(sequence).filter(|n| seen.insert(*n)).collect();
    assert_eq!(firsts, (1..=last).collect::<Vec<_>>());
    for message in messages {
        assert_eq!(message["payload"]["id"], id(sequence(message)), "the id stays the same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_down_for_ten_seconds_at_sixty_times_the_rate_gets_everything() {
    let test = "mqtt outage";
    let Some(mut broker) = Broker::plain(test) else { return };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), config(broker.url()));
    let started = Instant::now();
    let (mut offered, mut down_at, mut down) = (0, None, false);
    let second = Duration::from_secs(1);
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while started.elapsed() < OUTAGE + 3 * second {
        tick.tick().await;
        let due = u64::try_from(started.elapsed().as_millis()).unwrap() * RATE / 1_000;
        gateway.offer(offered + 1..=due);
        offered = due;
        match down_at {
            None if started.elapsed() > second => {
                broker.stop();
                (down_at, down) = (Some(Instant::now()), true);
            }
            Some(at) if down && at.elapsed() >= OUTAGE => {
                assert!(gateway.counters.waiting.value() > 5_000, "{:?}", gateway.counters);
                broker.start_again();
                down = false;
            }
            _ => {}
        }
    }
    let ended = Instant::now();
    gateway
        .await_that("the backlog is gone", |gateway| {
            gateway.spool.status().written == offered && gateway.counters.waiting.value() == 0
        })
        .await;
    eprintln!("{offered} results delivered {:?} after the last was offered", ended.elapsed());
    let messages = subscriber
        .until(Duration::from_secs(20), |all| all.iter().map(sequence).max() == Some(offered));
    assert_complete(&messages, offered);
    assert_eq!(gateway.spool.status().dropped, 0);
    assert!(!gateway.events_of(Code::SinkDisconnected).is_empty());
    assert_eq!(gateway.events_of(Code::SinkConnected).len(), 2);
    gateway.stop().await;
}

const CHILD_FOLDER: &str = "RESONANCE_TEST_KILLED_GATEWAY";
const CHILD_BROKER: &str = "RESONANCE_TEST_KILLED_GATEWAY_BROKER";

/// The gateway that is killed: offers results and says how many are written, until it dies.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a child process of `a_killed_gateway_loses_nothing_it_had_written`"]
async fn a_gateway_to_be_killed() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let broker = std::env::var(CHILD_BROKER).unwrap();
    let gateway = Gateway::start(Path::new(&folder), config(broker));
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    for batch in 0..60_000 {
        tick.tick().await;
        gateway.offer(batch * 5 + 1..=batch * 5 + 5);
        let mut out = std::io::stdout().lock();
        writeln!(out, "written {}", gateway.spool.status().written).unwrap();
        out.flush().unwrap();
    }
}

/// Runs the child until it has written `written`, and kills it. Returns what it said last.
fn run_and_kill(folder: &Path, broker: &str, written: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["mqtt::outage::a_gateway_to_be_killed", "--exact", "--ignored", "--nocapture"])
        .env(CHILD_FOLDER, folder)
        .env(CHILD_BROKER, broker)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = 0;
    for line in lines.map_while(Result::ok) {
        let number = line.strip_prefix("written ").and_then(|number| number.parse().ok());
        said = number.unwrap_or(said);
        if said >= written {
            // SIGKILL.
            child.kill().unwrap();
            break;
        }
    }
    child.wait().unwrap();
    assert!(said >= written, "the child ended by itself after {said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_loses_nothing_it_had_written() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens on the discard port of this machine: everything waits in the spool.
    let said = run_and_kill(folder.path(), "mqtt://127.0.0.1:9", 3_000);
    let events = Arc::new(EventLog::in_memory());
    let spool = open(&plan(folder.path()), &events);
    assert!(spool.last_sequence("tool-wear") >= said, "sequence numbers go on");
    let mut cursor = spool.cursor("mes", Arc::new(SinkCounters::default())).unwrap();
    let mut sequences = Vec::new();
    while sequences.len() < usize::try_from(said).unwrap() {
        let next = tokio::time::timeout(Duration::from_secs(10), cursor.next(1_000));
        for result in next.await.expect("what was written is there") {
            let json: Value = serde_json::from_slice(&result.payload).unwrap();
            sequences.push(json["sequence"].as_u64().unwrap());
        }
    }
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    assert_eq!(events.recorded.value(), 0, "the file is in order: {:?}", events.recent(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_while_it_delivers_goes_on_where_it_was() {
    let test = "mqtt killed gateway";
    let Some(broker) = Broker::plain(test) else { return };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let folder = tempfile::tempdir().unwrap();
    let said = run_and_kill(folder.path(), &broker.url(), 2_000);
    let gateway = Gateway::start(folder.path(), config(broker.url()));
    let last = gateway.spool.last_sequence("tool-wear");
    assert!(last >= said);
    gateway.offer(last + 1..=last + 10);
    let all = last + 10;
    let messages = subscriber
        .until(Duration::from_secs(20), |all_so_far| all_so_far.last().map(sequence) == Some(all));
    assert_complete(&messages, all);
    let again = messages.len() as u64 - all;
    assert!(again < all, "not everything is sent twice: {again} of {all}");
    gateway.stop().await;
}

/// Results in the backlog whose delivery is measured.
const BACKLOG: u64 = 10_000;
/// What a broker on the same computer must be given at least, results a second; several times
/// as much is usual.
const DELIVERED_PER_S_MIN: f64 = 500.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_delivered_at_thousands_a_second() {
    let Some(broker) = Broker::plain("mqtt backlog") else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), config(broker.url()));
    gateway.await_event(Code::SinkConnected, "").await;
    let started = Instant::now();
    gateway.offer(1..=BACKLOG);
    gateway.await_delivered(BACKLOG).await;
    let rate = BACKLOG as f64 / started.elapsed().as_secs_f64();
    eprintln!("mosquitto acknowledged {rate:.0} results/s");
    assert!(rate >= DELIVERED_PER_S_MIN, "{rate:.0} results/s");
    gateway.stop().await;
}
