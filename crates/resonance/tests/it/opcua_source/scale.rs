//! Many points, and machines that can do more or less than was asked.

use std::sync::Arc;

use resonance_gateway::hub::ingest::GapReason;
use resonance_gateway::sources::{Deadband, SourcePoint};
use resonance_plant::{Code, DataType, PointIndex, Status, Value};
use resonance_simulate::load::{LoadOptions, start_load};
use serde_json::json;

use super::harness::{Machine, Running, Said, config, points};

pub fn counters(count: u32) -> Arc<[SourcePoint]> {
    (0..count)
        .map(|index| SourcePoint {
            point: PointIndex(index + 100),
            path: format!("load.{index}").into(),
            address: format!("nsu=urn:resonance:simulate;s=Load.Counters.P{index:05}").into(),
            data_type: DataType::Float64,
            labels: Arc::default(),
            sampling_ms: None,
            deadband: None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_thousand_points_in_several_subscriptions_lose_nothing() {
    const POINTS: usize = 10_000;
    let options = LoadOptions { points: POINTS, hz: 5.0, ..LoadOptions::default() };
    let machine = start_load(options).await.unwrap();
    let split = config(machine.url(), "queue_size = 64\nitems_per_subscription = 3000");
    let mut source = Running::start(split, counters(POINTS as u32));
    let mut last = vec![(0, f64::NAN); POINTS];
    let mut taken = 0;
    source
        .until("five changes of each point", |this| {
            for said in &this.said[taken..] {
                let Said::Observed { point, value: Value::Float(value), .. } = said else {
                    continue;
                };
                let (count, before) = last[*point];
                assert!(count == 0 || *value == before + 1.0, "point {point}: {before}, {value}");
                last[*point] = (count + 1, *value);
            }
            taken = this.said.len();
            last.iter().all(|(count, _)| *count > 5).then_some(())
        })
        .await;
    assert_eq!(source.counters.sequence_gaps.value() + source.counters.overflows.value(), 0);
    source.stop();
}

#[tokio::test]
async fn an_overflow_bit_is_a_gap_of_its_point() {
    let test = "an_overflow_bit_is_a_gap_of_its_point";
    let nodes = ["Load:Double:1.5", "Flow:Double:0.5"];
    let Some(mut machine) = Machine::start(test, &nodes, &[]) else { return };
    let declared = [("Load", DataType::Float64), ("Flow", DataType::Float64)];
    let mut source = Running::start(config(&machine.url(), ""), points(&declared));
    let (before, _) = source.value(1, Value::Float(0.5)).await;
    machine.set("Flow", json!({"value": 9.5, "status": Status::GOOD.with_overflow().0}));
    let (after, status) = source.value(1, Value::Float(9.5)).await;
    assert!(status.is_good() && status.has_overflow());
    let gap = source.gap().await;
    assert_eq!((gap.reason, &*gap.points), (GapReason::Overflow, &[PointIndex(101)][..]));
    assert_eq!((gap.from, gap.to), (before, after));
    assert_eq!(source.counters.overflows.value(), 1);
    let event = source.event(Code::DataGap).await;
    assert!(event.message.contains("queue for a point was too short"), "{}", event.message);
}

#[tokio::test]
async fn changes_within_the_deadband_are_not_reported() {
    let test = "changes_within_the_deadband_are_not_reported";
    let nodes = ["Load:Double:1.0", "Name:String:\"a\""];
    let Some(mut machine) = Machine::start(test, &nodes, &[]) else { return };
    let declared = [("Load", DataType::Float64), ("Name", DataType::String)];
    let with_deadband: Arc<[SourcePoint]> = points(&declared)
        .iter()
        .map(|point| SourcePoint { deadband: Some(Deadband::Absolute(0.5)), ..point.clone() })
        .collect();
    let mut source = Running::start(config(&machine.url(), ""), with_deadband);
    source.value(0, Value::Float(1.0)).await;
    // A machine may refuse a deadband for what is no number; the point is read all the same.
    source.value(1, Value::Text("a".into())).await;
    for value in [1.2, 0.9, 1.1, 2.0] {
        machine.set("Load", json!({"value": value}));
    }
    source.value(0, Value::Float(2.0)).await;
    let reported: Vec<Value> = source.observed(0).map(|(value, ..)| value).collect();
    assert_eq!(reported, [Value::Float(1.0), Value::Float(2.0)]);
    let good = source.observed(0).all(|(.., status)| status == Status::GOOD);
    assert!(good);
}

#[tokio::test]
async fn a_deadband_in_percent_is_of_the_machines_range_and_told_where_it_has_none() {
    let test = "a_deadband_in_percent_is_of_the_machines_range_and_told_where_it_has_none";
    let Some(mut machine) = Machine::start(test, &[], &[]) else { return };
    let add = |node: &str, range| json!({"op": "add", "node": node, "value": 1.0, "range": range});
    machine.peer.tell(add("Load", json!([-100, 100])));
    machine.peer.tell(add("Flow", json!(null)));
    let declared = [("Load", DataType::Float64), ("Flow", DataType::Float64)];
    let in_percent: Arc<[SourcePoint]> = points(&declared)
        .iter()
        .map(|point| SourcePoint { deadband: Some(Deadband::Percent(5.0)), ..point.clone() })
        .collect();
    let mut source = Running::start(config(&machine.url(), ""), in_percent);
    source.value(0, Value::Float(1.0)).await;
    source.value(1, Value::Float(1.0)).await;
    // Five percent of 200 are 10.
    for value in [8.0, -8.0, 1.0, 12.0, 3.0] {
        machine.set("Load", json!({"value": value}));
        machine.set("Flow", json!({"value": value}));
    }
    source.value(1, Value::Float(3.0)).await;
    source.value(0, Value::Float(12.0)).await;
    let reported = |source: &Running, point| -> Vec<Value> {
        source.observed(point).map(|(value, ..)| value).collect()
    };
    let floats = |values: &[f64]| -> Vec<Value> {
        values.iter().map(|value| Value::Float(*value)).collect()
    };
    assert_eq!(reported(&source, 1), floats(&[1.0, 8.0, -8.0, 1.0, 12.0, 3.0]), "it has no range");
    let changes = reported(&source, 0);
    assert_eq!(changes, floats(&[1.0, -8.0, 12.0]));
    let told = source.event(Code::PointUnfiltered).await;
    for part in
        ["mill.flow", "5 percent", "BadDeadbandFilterInvalid", "instead of deadband_percent"]
    {
        assert!(told.message.contains(part), "{}", told.message);
    }
    assert_eq!(source.counters.unfiltered.value(), 1);
    source.stop();
}
