//! Outages that are filled from the machine's history.

use std::collections::BTreeSet;

use resonance_gateway::hub::ingest::{GapReason, SessionState};
use resonance_plant::{Code, DataType, PointIndex, Value};
use resonance_simulate::mutants::FaultyProxy;
use serde_json::json;

use super::harness::{Machine, Running, Said, config, points};

const VALUES: i64 = 1_500;

impl Running {
    /// Values of a point in the order in which they came, and whether each is from history.
    fn counted(&self, point: usize) -> Vec<(i64, bool)> {
        let of_it = |said: &Said| match said {
            Said::Observed { point: of, value: Value::Int(value), backfilled, .. }
                if *of == point =>
            {
                Some((*value, *backfilled))
            }
            _ => None,
        };
        self.said.iter().filter_map(of_it).collect()
    }
}

/// Cuts the connection, has values change meanwhile, and looks what arrives afterwards.
async fn outage(test: &str, options: &[&str], settings: &str, full: bool) {
    let Some(mut machine) = Machine::start(test, &[], options) else { return };
    for (node, history) in [("Count", true), ("Still", true), ("Plain", false)] {
        let add =
            json!({"op": "add", "node": node, "type": "Int64", "value": -2, "history": history});
        machine.peer.tell(add);
    }
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let named =
        [("Count", DataType::Int64), ("Still", DataType::Int64), ("Plain", DataType::Int64)];
    let mut source = Running::start(config(&proxy.url(), settings), points(&named));
    for point in 0..3 {
        source.value(point, Value::Int(-2)).await;
    }
    machine.set("Count", json!({"type": "Int64", "value": -1}));
    machine.set("Plain", json!({"type": "Int64", "value": -1}));
    source.value(0, Value::Int(-1)).await;
    source.value(2, Value::Int(-1)).await;

    proxy.cut().await;
    proxy.refuse().await;
    source.session(SessionState::Lost).await;
    machine.peer.tell(json!({"op": "ramp", "node": "Count", "count": VALUES, "awaited": true}));
    machine.set("Plain", json!({"type": "Int64", "value": 7}));
    machine.peer.tell(json!({"op": "forget_subscriptions"}));
    proxy.resume();
    source.value(2, Value::Int(7)).await;
    machine.set("Count", json!({"type": "Int64", "value": VALUES}));
    source.value(0, Value::Int(VALUES)).await;

    let still = [(-2, false); 2];
    assert_eq!(source.counted(1), still, "what did not change is said again: it is not uncertain");
    let times: Vec<_> = source.observed(0).map(|(_, time, _)| time).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "in order by source time");
    let came = source.counted(0);
    let distinct: BTreeSet<i64> = came.iter().map(|(value, _)| *value).collect();
    assert_eq!(distinct.len(), came.len(), "each once");
    let recovered = came.iter().filter(|(_, backfilled)| *backfilled).count();
    assert_eq!(source.counters.backfilled.value(), recovered as u64);
    assert_eq!((came[0], came[1]), ((-2, false), (-1, false)));
    assert_eq!(came.last(), Some(&(VALUES, false)), "what is new is not marked");
    let gaps: Vec<_> = source
        .said
        .iter()
        .filter_map(|said| match said {
            Said::Missing(gap) => Some((gap.reason, gap.points.to_vec())),
            _ => None,
        })
        .collect();
    let lost = GapReason::ConnectionLost;
    if full {
        let all: Vec<i64> = came.iter().map(|(value, _)| *value).collect();
        assert_eq!(all, (-2..=VALUES).collect::<Vec<_>>());
        assert_eq!(gaps, [(lost, vec![PointIndex(102)])], "the one without history");
        let told = source.event(Code::DataRecovered).await;
        let text = format!("{recovered} values of 2 points");
        assert!(told.message.starts_with(&text), "{}", told.message);
    } else {
        assert_eq!(gaps.len(), 2, "{gaps:?}");
        let part = (lost, vec![PointIndex(100)]);
        assert!(recovered < VALUES as usize && gaps.contains(&part), "{recovered} {gaps:?}");
    }
    source.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_an_outage_are_read_from_history_once_and_in_order() {
    outage("values_of_an_outage_are_read_from_history_once_and_in_order", &[], "", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_read_in_as_many_pages_as_the_machine_makes() {
    let pages = ["--history-page", "300"];
    outage("history_is_read_in_as_many_pages_as_the_machine_makes", &pages, "", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_read_within_bounds_and_what_is_left_is_a_gap() {
    let test = "history_is_read_within_bounds_and_what_is_left_is_a_gap";
    outage(test, &["--history-page", "300"], "backfill_values_max = 500", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_backfill_an_outage_is_a_gap() {
    let test = "without_backfill_an_outage_is_a_gap";
    let Some(mut machine) = Machine::start(test, &[], &[]) else { return };
    machine
        .peer
        .tell(json!({"op": "add", "node": "Count", "type": "Int64", "value": 0, "history": true}));
    let proxy = FaultyProxy::start(machine.addr()).await.unwrap();
    let config = config(&proxy.url(), "backfill_s_max = 0");
    let mut source = Running::start(config, points(&[("Count", DataType::Int64)]));
    source.value(0, Value::Int(0)).await;
    proxy.cut().await;
    proxy.refuse().await;
    source.session(SessionState::Lost).await;
    for value in 1..=3 {
        machine.set("Count", json!({"type": "Int64", "value": value}));
    }
    machine.peer.tell(json!({"op": "forget_subscriptions"}));
    proxy.resume();
    source.value(0, Value::Int(3)).await;
    assert_eq!(source.counted(0), [(0, false), (3, false)]);
    assert_eq!(source.gap().await.points.len(), 0, "all points");
    source.stop();
}
