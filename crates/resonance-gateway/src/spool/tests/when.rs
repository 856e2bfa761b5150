//! What a sink is given of all results.

use super::*;
use crate::spool::when::Chooser;

/// A result, 100 ms after the one before, with a label where there is one.
fn said(sequence: u64, label: Option<&str>, change: impl FnOnce(&mut ResultRecord)) -> Spooled {
    let mut record = Arc::unwrap_or_clone(record("wear", sequence));
    record.source_time = Timestamp::from_millis(100 * i64::try_from(sequence).unwrap());
    record.outputs[0].label = label.map(Into::into);
    change(&mut record);
    Spooled {
        sequence,
        id: record.id,
        deployment: record.deployment.to_string(),
        asset: record.asset.to_string(),
        model: record.model.name.to_string(),
        model_version: record.model.version.to_string(),
        trained_on: record.model.trained_on.to_string(),
        spooled_at: record.computed_at,
        is_replay: false,
        payload: serde_json::to_vec(&record).unwrap().into(),
    }
}

fn when(toml: &str) -> When {
    toml::from_str(toml).unwrap()
}

/// The sequences of those that are chosen.
fn chosen(condition: &str, rows: &[Spooled]) -> Vec<u64> {
    let mut chosen = rows.to_vec();
    let left_out = Chooser::new(when(condition)).choose(&mut chosen, 0);
    assert_eq!(left_out as usize, rows.len() - chosen.len());
    sequences(&chosen)
}

#[test]
fn a_change_is_one_of_labels_states_or_worth() {
    let labels = ["ok", "ok", "worn", "worn", "ok"];
    let rows: Vec<Spooled> =
        (1..).zip(labels).map(|(n, label)| said(n, Some(label), |_| {})).collect();
    assert_eq!(chosen("", &rows), [1, 2, 3, 4, 5], "each, unless something else is said");
    assert_eq!(chosen("on = 'change'", &rows), [1, 3, 5]);
    assert_eq!(chosen("labels = ['worn', 'torn']", &rows), [3, 4]);
    let numbers = [
        said(1, None, |_| {}),
        said(2, None, |r| r.outputs[0].value = Value::Float(0.75)),
        said(3, None, |r| r.outputs[0].value = Value::Boolean(true)),
        said(4, None, |r| r.outputs[0].value = Value::Int(4)),
        said(5, None, |r| r.outputs[0].value = Value::Int(4)),
        said(6, None, |r| r.outputs[0].value = Value::Int(5)),
        said(7, None, |r| r.status = Status(0x8000_0000)),
        said(8, None, |r| (r.backfilled, r.outputs[0].value) = (true, Value::Int(9))),
        said(9, None, |r| r.status = Status(0x8000_0000)),
    ];
    assert_eq!(chosen("on = 'change'", &numbers), [1, 3, 4, 6, 7], "decimals alone are none");
}

#[test]
fn another_part_is_a_change_though_the_same_is_said_of_it() {
    let parts = [None, Some("P-1"), Some("P-1"), Some("P-2"), None];
    let rows: Vec<Spooled> = (1..)
        .zip(parts)
        .map(|(n, part)| said(n, Some("ok"), |r| r.part_id = part.map(Into::into)))
        .collect();
    assert_eq!(chosen("on = 'change'", &rows), [1, 2, 4, 5]);
}

#[test]
fn a_condition_that_was_left_is_entered_anew() {
    let values = [30.0, 19.0, 18.0, 21.0, 20.0, 0.0];
    let rows: Vec<Spooled> = (1..)
        .zip(values)
        .map(|(n, value)| said(n, None, |r| r.outputs[0].value = Value::Float(value)))
        .collect();
    let low = "output = 'wear'\nwithin = [0, 20]";
    assert_eq!(chosen(low, &rows), [2, 3, 5, 6]);
    assert_eq!(chosen(&format!("on = 'change'\n{low}"), &rows), [2, 5]);
    assert_eq!(chosen("output = 'other'\nwithin = [0, 20]", &rows), [0; 0]);
}

#[test]
fn at_most_one_in_a_time_and_a_change_is_only_late() {
    let labels = ["ok", "ok", "worn", "worn", "worn", "worn", "worn", "ok"];
    let rows: Vec<Spooled> =
        (1..).zip(labels).map(|(n, label)| said(n, Some(label), |_| {})).collect();
    assert_eq!(chosen("at_most_every_ms = 300", &rows), [1, 4, 7]);
    assert_eq!(chosen("on = 'change'\nat_most_every_ms = 300", &rows), [1, 4, 8]);
}

#[test]
fn deployments_are_apart_and_what_is_no_result_passes() {
    let of = |n, name: &str| {
        let mut row = said(n, Some("ok"), |_| {});
        row.deployment = name.into();
        row
    };
    let mut rows = vec![of(1, "wear"), of(2, "heat"), of(3, "wear"), of(4, "heat")];
    assert_eq!(chosen("on = 'change'", &rows), [1, 2]);
    assert_eq!(chosen("deployments = ['heat']", &rows), [2, 4]);
    rows[2].payload = "{}".into();
    rows[3].is_replay = true;
    assert_eq!(chosen("on = 'change'", &rows), [1, 2, 3, 4], "replays are always wanted");
}

#[tokio::test]
async fn what_is_left_out_holds_nothing_back_and_decisions_stay() {
    let bench = Bench::new();
    let spool = bench.open(&bench.plan(LARGE, DropPolicy::Oldest), &["mes"]);
    let (mes, counters) = cursor(&spool, "mes");
    let mut mes = mes.choosing(Some(&when("at_most_every_ms = 10")));
    (1..=25).for_each(|n| spool.writer().offer(record("wear", n)));
    assert_eq!(sequences(&read(&mut mes, 3).await), [1, 11, 21]);
    mes.acknowledge(1);
    mes.rewind();
    assert_eq!(sequences(&read(&mut mes, 2).await), [11, 21], "as decided the first time");
    mes.acknowledge(21);
    let nothing = tokio::time::timeout(Duration::from_millis(50), mes.next(10)).await;
    assert!(nothing.is_err(), "{nothing:?}");
    await_that("all are deleted", || spool.status().kept == 0);
    assert_eq!(counters.left_out.value(), 22, "each once");
}
