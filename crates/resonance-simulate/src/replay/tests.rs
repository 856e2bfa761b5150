use std::io::Write;
use std::time::Duration;

use resonance_plant::{PointIndex, Status, Value};

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::File::create(folder.path().join(name))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }
    folder
}

fn open(folder: &tempfile::TempDir, file: &str) -> Result<Recording, ReplayError> {
    Recording::open(ReplayOptions::new(folder.path().join(file)))
}

/// Replays to the end and gives back the machine.
async fn played(recording: Recording) -> Running {
    let running = recording.start(Endpoint::default()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), running.ended()).await.unwrap();
    running
}

fn last(running: &Running, path: &str) -> (Value, Status) {
    let at = running.spec().position(path).unwrap();
    let observation = running.values().observation(PointIndex(at as u32)).unwrap();
    (observation.value, observation.status)
}

const MILL: &str = "\
machine = 'Mill'
period_ms = 1
[[column]]
name = 'x'
point = 'AxisX.Position'
unit = 'MMT'
range = [0, 200]
semantic_id = 'urn:mill:axis:position'
qualifier = 'X'
[[column]]
name = 'phase'
point = 'Program.Phase'
type = 'uint8'
labels = ['Starting', 'Prep']
";

#[tokio::test]
async fn a_described_table_is_served_as_described() {
    let folder = folder(&[
        ("mill.csv", "x,phase,extra\r\n1.5,Starting,1\r\n2.5,Prep,2\r\n"),
        ("mill.toml", MILL),
    ]);
    let recording = open(&folder, "mill.csv").unwrap();
    assert!(recording.notices()[0].ends_with("left out: extra"), "{:?}", recording.notices());
    let axis = &recording.spec().channels[0];
    assert_eq!(recording.spec().node_id(axis), "Mill.AxisX.Position");
    assert_eq!((axis.unit.unwrap().code(), &*axis.qualifier.0), ("MMT", "X"));
    let running = played(recording).await;
    assert_eq!(last(&running, "AxisX.Position"), (Value::Float(2.5), Status::GOOD));
    assert_eq!(last(&running, "Program.Phase"), (Value::Int(1), Status::GOOD));
    let summary = running.stop().await;
    assert_eq!((summary.steps, summary.values, summary.bad_rows), (2, 4, 0));
}

#[tokio::test]
async fn bad_rows_are_named_and_counted_and_the_rest_is_served() {
    let rows = "x,phase\n1,Prep\n2\n3,Melting\n\n,Prep\n4,7\n5,Prep,x\n";
    let folder = folder(&[("mill.csv", rows), ("mill.toml", MILL)]);
    let running = played(open(&folder, "mill.csv").unwrap()).await;
    assert_eq!(last(&running, "AxisX.Position"), (Value::Float(4.0), Status::GOOD));
    // Line 3 has too few fields, line 8 too many, line 4 a phase that is no label.
    let said = running.counters().last_bad().unwrap();
    assert!(
        said.ends_with("mill.csv:8: 3 fields where 2 are expected; the row is left out"),
        "{said}"
    );
    let summary = running.stop().await;
    assert_eq!((summary.steps, summary.bad_rows), (4, 3));
}

#[tokio::test]
async fn unreadable_and_missing_fields_turn_bad() {
    let folder = folder(&[("mill.csv", "x,phase\n1,Prep\n,Melting\n"), ("mill.toml", MILL)]);
    let running = played(open(&folder, "mill.csv").unwrap()).await;
    assert_eq!(last(&running, "AxisX.Position"), (Value::Empty, Status::BAD_NO_DATA));
    assert_eq!(last(&running, "Program.Phase"), (Value::Empty, Status::BAD_TYPE_MISMATCH));
    let said = running.counters().last_bad().unwrap();
    let expected = "mill.csv:3: column 2 (\"Program.Phase\"): \"Melting\" is none of the labels: \
                    Starting, Prep";
    assert!(said.ends_with(expected), "{said}");
    running.stop().await;
}

const UNITS: &str = "\
machine = 'Engine'
separator = 'whitespace'
header = false
group = 'unit'
period_ms = 1
missing = 'hold'
[[column]]
name = 'unit'
point = ''
[[column]]
name = 'cycle'
type = 'int32'
[[column]]
name = 'T24'
point = 'Sensors.T24'
unit = 'A48'
";

#[tokio::test]
async fn a_table_without_header_is_split_by_blanks_and_by_group() {
    let rows = "1 1 640.5  \r\n1\t2\t641\r\n2 1 650\r\n2 2 651.5\r\n3 1 1\r\n";
    let folder = folder(&[("engine.txt", rows), ("replay.toml", UNITS)]);
    let options = ReplayOptions {
        group: Some("2".to_owned()),
        ..ReplayOptions::new(folder.path().join("engine.txt"))
    };
    let running = played(Recording::open(options).unwrap()).await;
    assert_eq!(last(&running, "cycle").0, Value::Int(2));
    assert_eq!(last(&running, "Sensors.T24").0, Value::Float(651.5));
    assert_eq!(running.spec().channels.len(), 2);
    assert_eq!(running.stop().await.steps, 2);
}

#[tokio::test]
async fn a_repeated_recording_begins_anew() {
    let folder = folder(&[("mill.csv", "x,phase\n1,Prep\n2,Prep\n"), ("mill.toml", MILL)]);
    let options =
        ReplayOptions { repeat: true, ..ReplayOptions::new(folder.path().join("mill.csv")) };
    let running = Recording::open(options).unwrap().start(Endpoint::default()).await.unwrap();
    let enough = async {
        while running.counters().steps() < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), enough).await.unwrap();
    assert_eq!(running.stop().await.bad_rows, 0);
}

#[tokio::test]
async fn a_time_column_sets_the_pace() {
    let sidecar = "time_column = 't'\n[[column]]\nname = 't'\n[[column]]\nname = 'x'\n";
    let rows = "t,x\n0.00,1\n0.06,2\n0.03,3\n0.031,4\n";
    let folder = folder(&[("a.csv", rows), ("a.toml", sidecar)]);
    let options = ReplayOptions { speed: 2.0, ..ReplayOptions::new(folder.path().join("a.csv")) };
    let before = std::time::Instant::now();
    let running = played(Recording::open(options).unwrap()).await;
    // 30 ms between the first two; 500 ms, the usual period, where time runs backwards and at
    // the end.
    assert!(before.elapsed() >= Duration::from_millis(1_030));
    assert_eq!(running.spec().channels.len(), 1, "a time column without a point is not served");
    let said = running.counters().last_bad().unwrap();
    assert!(said.contains("a.csv:4: column 1: time moves by -0.03"), "{said}");
    running.stop().await;
}

#[tokio::test]
async fn without_a_sidecar_columns_are_taken_from_the_rows() {
    let folder = folder(&[("a.csv", "load,mode,v1.x\n1.5,AUTO,2\n2.5,\"MAN, slow\",\n")]);
    let recording = open(&folder, "a.csv").unwrap();
    assert!(recording.notices()[0].contains("no sidecar; 3 columns"), "{:?}", recording.notices());
    let running = Recording { feed: quick(recording.feed), ..recording };
    let running = played(running).await;
    assert_eq!(last(&running, "load").0, Value::Float(2.5));
    assert_eq!(last(&running, "mode").0, Value::Text("MAN, slow".into()));
    assert_eq!(last(&running, "v1_x"), (Value::Empty, Status::BAD_NO_DATA));
    running.stop().await;
}

fn quick(mut feed: Replay) -> Replay {
    feed.hurry();
    feed
}

#[test]
fn tables_and_sidecars_that_do_not_fit_are_refused_by_name() {
    let check = |rows: &str, sidecar: &str, says: &str| {
        let folder = folder(&[("a.csv", rows), ("a.toml", sidecar)]);
        let error = open(&folder, "a.csv").unwrap_err().to_string();
        assert!(error.contains(says), "{error:?} lacks {says:?}");
    };
    let column = |rest: &str| format!("[[column]]\nname = 'x'\n{rest}");
    check("x\n1\n", "[[column]]\nname = 'y'\n", "describes a column \"y\"");
    check("x,x\n1,2\n", &column(""), "two columns \"x\"");
    check("", &column(""), "it is empty");
    check("x\n", &column("unit = 'XYZ'"), "unknown UNECE unit code \"XYZ\"");
    check("x\n", &column("unit = 'CEL'\nquantity = 'torque'"), "does not measure torque");
    check("x\n", &column("range = [2, 1]"), "must rise");
    check("x\n", &column("type = 'bytes'"), "has no form as one field");
    check("x\n", &column("labels = ['a']"), "whole-number type");
    check("x\n", &column("colour = 'red'"), "colour");
    check("x\n", &format!("period_ms = 0\n{}", column("")), "period_ms is 0");
    check("x\n", &format!("time_column = 't'\n{}", column("")), "time column \"t\"");
    check("x\n", &format!("machine = 'a.b'\n{}", column("")), "cannot be the name of a machine");
    check("x\n", &format!("{}{}", column(""), column("")), "described twice");
    let error = Recording::open(ReplayOptions::new("/nowhere/a.csv")).unwrap_err();
    assert!(error.to_string().contains("a.csv"), "{error}");
    let slow = ReplayOptions { speed: f64::NAN, ..ReplayOptions::new("a.csv") };
    assert!(matches!(Recording::open(slow), Err(ReplayError::Speed(_))));
}

#[tokio::test]
async fn lines_that_are_no_text_or_never_end_are_left_out() {
    let folder = folder(&[("mill.toml", MILL)]);
    let mut bytes = b"x,phase\n1,Prep\n\xff\xfe,Prep\n".to_vec();
    bytes.extend(std::iter::repeat_n(b'9', 3 << 20));
    bytes.extend(b"\n2,Prep\n\"3,Prep\n");
    std::fs::write(folder.path().join("mill.csv"), bytes).unwrap();
    let running = played(open(&folder, "mill.csv").unwrap()).await;
    assert_eq!(last(&running, "AxisX.Position").0, Value::Float(2.0));
    let said = running.counters().last_bad().unwrap();
    assert!(said.ends_with("mill.csv:6: a quote is not closed; the row is left out"), "{said}");
    assert_eq!(running.stop().await.bad_rows, 3);
}
