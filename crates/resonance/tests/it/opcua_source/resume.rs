//! Sessions that outlive their connection.

use std::time::Duration;

use resonance_gateway::hub::ingest::{GapReason, SessionState};
use resonance_plant::{Code, Value};
use resonance_simulate::load::{LoadOptions, start_load};
use resonance_simulate::machine::{Endpoint, User};
use resonance_simulate::mutants::FaultyProxy;

use super::harness::{Running, Said, config};
use super::scale::counters;

const POINTS: u32 = 50;

impl Running {
    /// Waits until the first point counted on by this much.
    async fn count_on(&mut self, by: f64) {
        let newest = |this: &Self| {
            this.said.iter().rev().find_map(|said| match said {
                Said::Observed { point: 0, value: Value::Float(value), .. } => Some(*value),
                _ => None,
            })
        };
        let start = self.until("a count", newest).await;
        self.until("more counts", |this| {
            newest(this).filter(|value| *value >= start + by).map(|_| ())
        })
        .await;
    }

    fn sessions(&self) -> Vec<SessionState> {
        let state = |said: &Said| match said {
            Said::Session(state) => Some(*state),
            _ => None,
        };
        self.said.iter().filter_map(state).collect()
    }
}

/// Cuts a connection three times; whatever the machine had to say meanwhile must arrive.
async fn cut_thrice(endpoint: Endpoint, settings: &str) {
    use SessionState::{Alive, Lost, Resumed};
    // Slow enough that the machine samples every count, however busy this computer is.
    let options = LoadOptions { points: POINTS as usize, hz: 10.0, endpoint };
    let machine = start_load(options).await.unwrap();
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let settings = format!("queue_size = 100\n{settings}");
    let mut source = Running::start(config(&proxy.url(), &settings), counters(POINTS));
    source.count_on(20.0).await;
    for _ in 0..3 {
        proxy.cut().await;
        source.count_on(20.0).await;
    }
    assert_eq!(source.missing_within_gaps(), 0);
    assert_eq!(source.sessions(), [Alive, Lost, Resumed, Lost, Resumed, Lost, Resumed]);
    assert_eq!((source.counters.gaps.value(), source.counters.reconnects.value()), (0, 3));
    assert_eq!(machine.summary().sessions, 1, "one session all the time");
    let again = source.events.recent(1_000).into_iter().rfind(|e| e.code == Code::SourceConnected);
    assert!(again.unwrap().message.contains("its session went on"));
    source.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_cut_loses_nothing() {
    cut_thrice(Endpoint::default(), "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_cut_of_an_encrypted_session_with_a_password_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "right-one\n").unwrap();
    let endpoint = Endpoint {
        pki: Some(folder.path().join("machine")),
        user: Some(User { name: "gateway".into(), password: "right-one".into() }),
        ..Endpoint::default()
    };
    let settings = format!(
        "security_policy = 'basic256sha256'\ntrust_any_certificate = true\nuser = 'gateway'\n\
         password = 'file:{}'\npki = '{}'",
        password.display(),
        folder.path().join("gateway").display()
    );
    cut_thrice(endpoint, &settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_while_lost_messages_are_asked_for_again_loses_nothing() {
    use SessionState::{Alive, Lost};
    let options = LoadOptions { points: POINTS as usize, hz: 20.0, ..LoadOptions::default() };
    let machine = start_load(options).await.unwrap();
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let quick = toml::from_str(&format!(
        "url = '{}'\npublishing_ms = 50\nsampling_ms = 0\nbackoff_ms_max = 400\n\
         queue_size = 100\nsecurity_policy = 'none'\nallow_weak_security = true",
        proxy.url()
    ));
    let mut source = Running::start(quick.unwrap(), counters(POINTS));
    source.count_on(5.0).await;
    // Some in the midst of the handshake, most of a repeated message or between two of them.
    let cuts = 12;
    for kilobytes in 0..cuts {
        proxy.cut().await;
        proxy.cut_after_bytes(500 + 1_000 * kilobytes);
        source.count_on(10.0).await;
    }
    assert_eq!(source.missing_within_gaps(), 0);
    assert_eq!((source.counters.gaps.value(), machine.summary().sessions), (0, 1));
    let count = |state| source.sessions().iter().filter(|found| **found == state).count();
    assert_eq!(count(Alive), 1, "one session all the time");
    assert!(count(Lost) > cuts as usize + 4, "a cut of a session that had just gone on");
    source.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_that_outlives_the_subscription_is_a_gap_and_a_new_session() {
    let options = LoadOptions { points: POINTS as usize, hz: 20.0, ..LoadOptions::default() };
    let machine = start_load(options).await.unwrap();
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    // Subscriptions that nobody asks for end after two seconds.
    let settings = "queue_size = 100\nsilence_ms_max = 600";
    let mut source = Running::start(config(&proxy.url(), settings), counters(POINTS));
    source.count_on(20.0).await;
    // The session goes on, and ends before all that it owes was asked for.
    proxy.cut().await;
    proxy.cut_after_bytes(3_000);
    let accepted = proxy.traffic().accepted;
    proxy.await_traffic(|traffic| traffic.accepted >= accepted + 2).await;
    proxy.refuse().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    proxy.resume();
    assert_eq!(source.gap().await.reason, GapReason::ConnectionLost);
    source.count_on(20.0).await;
    assert!(source.missing_within_gaps() > 0);
    assert_eq!(source.sessions().last(), Some(&SessionState::Alive));
    source.stop();
}
