//! Simulated machines as a foreign client sees them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use resonance_plant::{DataType, PointIndex, Timestamp, Value as PlantValue};
use resonance_simulate::cnc::{CncMachine, CncOptions, Movement};
use resonance_simulate::load::{LoadOptions, start_load};
use resonance_simulate::machine::{Endpoint, Pace, Running, start_paced};
use resonance_simulate::molding::{self, MoldingPhysics};
use resonance_simulate::replay::{Recording, ReplayError, ReplayOptions};
use serde_json::Value;

use crate::needs::shared;
use crate::peers::{Peer, python, workspace};

/// A milling run, in the shared data.
const MILL_RECORDING: &str = "data/cnc-mill/experiment_02.csv";

/// Long enough for a Python client on a busy computer.
const DEADLINE: Duration = Duration::from_secs(60);

/// The first `count` lines of a peer that reads a machine.
async fn read(python: &Path, arguments: Vec<String>, count: usize) -> Vec<Value> {
    let python = python.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (mut peer, first) = Peer::start(&python, "machine_reader.py", &arguments);
        let mut lines = vec![first];
        while lines.len() < count {
            lines.push(peer.answer());
        }
        lines
    });
    tokio::time::timeout(DEADLINE, reading).await.expect("the peer answers in time").unwrap()
}

fn seconds_now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The profile is a YArrayItemType (OPC 10000-8, 5.3.4.4): i=12029, with all that is mandatory.
#[tokio::test]
async fn a_foreign_client_reads_the_temperature_profile_with_its_axis() {
    let Some(python) = python("a_foreign_client_reads_the_temperature_profile_with_its_axis")
    else {
        return;
    };
    let (spec, physics) = (molding::spec(1), MoldingPhysics::new(1));
    let machine = start_paced(spec, physics, Endpoint::default(), &Pace::default()).await.unwrap();
    let arguments = vec![machine.url().to_owned(), "browse".to_owned(), "IMM".to_owned()];
    let shown = read(&python, arguments, 1).await.remove(0);
    let profile = &shown["variables"]["ns=2;s=IMM.Barrel.TemperatureProfile"];
    assert_eq!(profile["type_definition"], 12029, "{profile}");
    let numbers = profile["value"].as_array().unwrap();
    assert_eq!(numbers.len(), 5);
    assert!(numbers.iter().all(|t| (170.0..260.0).contains(&t.as_f64().unwrap())), "{numbers:?}");
    let told = &profile["properties"];
    assert_eq!(told["Title"], "Temperatures along the barrel");
    assert_eq!(told["EURange"], serde_json::json!([0.0, 350.0]));
    assert_eq!(told["EngineeringUnits"]["symbol"], "°C");
    assert_eq!(told["AxisScaleType"], 0);
    let axis = &told["XAxisDefinition"];
    assert_eq!(axis["steps"], serde_json::json!([80.0, 200.0, 320.0, 440.0, 540.0]));
    assert_eq!((&axis["unit"]["symbol"], &axis["range"][1]), (&"mm".into(), &540.0.into()));
    let zone = &shown["variables"]["ns=2;s=IMM.Barrel.TemperatureZone_5.ActualTemperature"];
    assert_eq!(zone["properties"]["Qualifier"], "zone 5");
    machine.stop().await;
}

#[tokio::test]
async fn a_foreign_client_browses_the_cnc_and_reads_units_and_times() {
    let Some(python) = python("a_foreign_client_browses_the_cnc_and_reads_units_and_times") else {
        return;
    };
    let movement = Movement { start_cutting: true, speed: 10.0, ..Movement::default() };
    let options = CncOptions { movement, ..CncOptions::default() };
    let machine = CncMachine::start(options).await.unwrap();
    let started = seconds_now();
    let arguments = vec![machine.url().to_owned(), "browse".to_owned(), "CNC".to_owned()];
    let shown = read(&python, arguments, 1).await.remove(0);

    assert!(shown["description"].as_str().unwrap().contains("SIMULATED"));
    let variables = shown["variables"].as_object().unwrap();
    for channel in &machine.spec().channels {
        let id = format!("ns=2;s={}", machine.spec().node_id(channel));
        let variable = &variables[&id];
        assert_eq!(variable["good"], true, "{id}");
        let age = variable["source_time"].as_f64().unwrap() - started;
        assert!((-1.0..DEADLINE.as_secs_f64()).contains(&age), "{id}: source time off by {age} s");
        let semantic_id = channel.semantic_id.as_ref().unwrap().as_str();
        assert_eq!(variable["properties"]["SemanticId"], semantic_id, "{id}");
        let qualifier = variable["properties"]["Qualifier"].as_str().unwrap_or_default();
        assert_eq!(qualifier, &*channel.qualifier.0, "{id}");
        if let Some(unit) = channel.unit {
            let told = &variable["properties"]["EngineeringUnits"];
            assert_eq!(told["id"], unit.ua_unit_id(), "{id}");
            assert_eq!(told["symbol"], unit.symbol(), "{id}");
            assert_eq!(told["namespace"], "http://www.opcfoundation.org/UA/units/un/cefact");
        }
    }
    let power = &variables["ns=2;s=CNC.Spindle.SpindlePower"];
    assert_eq!(power["type"], "Double");
    assert_eq!(power["properties"]["EURange"], serde_json::json!([-15.0, 30.0]));
    let state = &variables["ns=2;s=CNC.Controller.Execution"]["properties"];
    assert_eq!(state["EnumValues"][3], serde_json::json!([3, "cutting"]));
    let serial = &variables["ns=2;s=CNC.Identification.SerialNumber"]["value"];
    assert_eq!(*serial, "SIMULATED-1");
    machine.stop().await;
}

/// A row as served: one number a channel; states by their number.
fn expected_rows(file: &Path, machine: &Running) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(file).unwrap();
    let channels = &machine.spec().channels;
    let state = |at: usize, field: &str| {
        channels[at].labels.iter().position(|label| &**label == field).unwrap() as f64
    };
    let mut lines = text.lines();
    lines.next();
    // The sidecar describes the first columns, in their order.
    let mut rows: Vec<Vec<f64>> = lines
        .map(|line| {
            let fields = line.split(',').take(channels.len()).enumerate();
            fields.map(|(at, f)| f.parse().unwrap_or_else(|_| state(at, f))).collect()
        })
        .collect();
    // What does not change is not notified.
    rows.dedup();
    rows
}

/// The machine's rows after each moment at which something changed, but for the first two: the
/// subscription begins in the midst of one row.
fn observed_rows(notifications: &[Value], ids: &[String]) -> Vec<Vec<f64>> {
    let mut moments: BTreeMap<u64, Vec<(usize, f64)>> = BTreeMap::new();
    for told in notifications {
        let id = told["node"].as_str().unwrap();
        let column = ids.iter().position(|known| known == id).unwrap();
        let micros = (told["source_time"].as_f64().unwrap() * 1e6).round() as u64;
        moments.entry(micros).or_default().push((column, told["value"].as_f64().unwrap()));
    }
    // The last moment may have been cut off.
    moments.pop_last();
    let mut row = vec![f64::NAN; ids.len()];
    let mut rows = Vec::new();
    for changes in moments.into_values() {
        for (column, value) in changes {
            row[column] = value;
        }
        rows.push(row.clone());
    }
    rows.drain(..2);
    rows.dedup();
    rows
}

#[tokio::test]
async fn a_recording_is_served_row_by_row_in_order() {
    let test = "a_recording_is_served_row_by_row_in_order";
    let (Some(python), Some(file)) = (python(test), shared(test, MILL_RECORDING)) else { return };
    let options = ReplayOptions {
        describe: Some(workspace().join("models/cnc-mill/replay.toml")),
        speed: 1.0,
        ..ReplayOptions::new(&file)
    };
    let machine = Recording::open(options).unwrap().start(Endpoint::default()).await.unwrap();
    let ids: Vec<String> = machine
        .spec()
        .channels
        .iter()
        .map(|channel| format!("ns=2;s={}", machine.spec().node_id(channel)))
        .collect();
    let count = 1_000;
    let mut arguments = vec![machine.url().to_owned(), "watch".to_owned(), count.to_string()];
    arguments.extend(ids.iter().cloned());
    let notifications = read(&python, arguments, count).await;

    let (observed, expected) =
        (observed_rows(&notifications, &ids), expected_rows(&file, &machine));
    assert!(observed.len() >= 10, "{} rows", observed.len());
    let begin = expected.iter().position(|row| *row == observed[0]);
    let begin = begin.unwrap_or_else(|| panic!("no recorded row is {:?}", observed[0]));
    for (at, row) in observed.iter().enumerate() {
        assert_eq!(*row, expected[begin + at], "row {at} after row {begin}");
    }
    assert_eq!(machine.stop().await.bad_rows, 0);
}

#[tokio::test]
async fn a_parquet_file_of_another_program_is_served_by_its_types() {
    let test = "a_parquet_file_of_another_program_is_served_by_its_types";
    let Some(python) = python(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = workspace().join("tests/peers/recordings.py");
    let mut written = std::process::Command::new(python);
    written.arg(script).arg("table").arg(folder.path());
    assert!(written.status().unwrap().success());
    let open = |name: &str| {
        let file = folder.path().join(name);
        Recording::open(ReplayOptions { speed: 100.0, ..ReplayOptions::new(file) })
    };
    let recording = open("table.parquet").unwrap();
    let notices = recording.notices().join("\n");
    assert!(notices.contains("its time from at") && notices.contains("profile"), "{notices}");
    let machine = recording.start(Endpoint::default()).await.unwrap();
    tokio::time::timeout(DEADLINE, machine.ended()).await.unwrap();
    let day = Timestamp::parse_rfc3339("2026-03-01T00:00:00Z").unwrap();
    let last = Timestamp::parse_rfc3339("2026-03-01T06:00:00.024Z").unwrap();
    for (name, data_type, value) in [
        ("count", DataType::Int64, PlantValue::Int(2_499)),
        ("also", DataType::Datetime, PlantValue::Time(last)),
        ("day", DataType::Datetime, PlantValue::Time(day)),
        ("torque", DataType::Float64, PlantValue::Float(2_499.0 / 8.0)),
        ("half", DataType::Float32, PlantValue::Float(1.5)),
        ("small", DataType::Int8, PlantValue::Int(-99)),
        ("large", DataType::Uint64, PlantValue::Uint(u64::MAX)),
        ("wide", DataType::Uint32, PlantValue::Int((1 << 32) - 2)),
        ("price", DataType::Float64, PlantValue::Float(12.34)),
        ("running", DataType::Boolean, PlantValue::Boolean(true)),
        ("program", DataType::String, PlantValue::Text("O0".into())),
        ("holes", DataType::Float64, PlantValue::Empty),
    ] {
        let at = machine.spec().position(name).unwrap_or_else(|| panic!("{name} is served"));
        assert_eq!(machine.spec().channels[at].data_type, data_type, "{name}");
        let observed = machine.values().observation(PointIndex(at as u32)).unwrap();
        assert_eq!(observed.value, value, "{name}");
    }
    assert_eq!(machine.stop().await.bad_rows, 0);

    for (name, says) in [
        ("cut.parquet", "no whole Parquet file"),
        ("lists.parquet", "none of its columns has one number, text or time a row"),
    ] {
        let refused = open(name).unwrap_err();
        assert!(matches!(refused, ReplayError::Table { .. }), "{refused}");
        let said = refused.to_string();
        assert!(said.contains(says) && said.contains(name), "{said}");
    }
    let refused = open("zstd.parquet").unwrap_err().to_string();
    assert!(refused.contains("zstd.parquet: it is compressed with ZSTD"), "{refused}");
}

#[tokio::test]
async fn counters_under_load_arrive_without_a_hole() {
    let Some(python) = python("counters_under_load_arrive_without_a_hole") else { return };
    let options = LoadOptions { points: 200, hz: 20.0, ..LoadOptions::default() };
    let machine = start_load(options).await.unwrap();
    let node = "ns=2;s=Load.Counters.P00199".to_owned();
    let arguments = vec![machine.url().to_owned(), "watch".to_owned(), "40".to_owned(), node];
    let told = read(&python, arguments, 40).await;
    let counts: Vec<f64> = told.iter().map(|line| line["value"].as_f64().unwrap()).collect();
    assert!(counts.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "{counts:?}");
    let summary = machine.stop().await;
    assert!(summary.notifications >= 39, "{summary:?}");
}
