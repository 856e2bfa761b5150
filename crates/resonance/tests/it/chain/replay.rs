//! Recordings as sources of a whole gateway.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::gateway::{Gateway, event, eventually, has_engine};
use super::machine::{VIEWER, columns, write_plant_of};
use crate::contract::recordings::Recording;

/// Rows of a recording.
const ROWS: u64 = 200;

fn status(gateway: &Gateway) -> Value {
    gateway.client(VIEWER.0, VIEWER.1).get("/api/v1/status").json()
}

/// Records what the mill of these tests shows while it cuts.
fn record(recording: Recording, folder: &Path) -> std::path::PathBuf {
    let columns = columns();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    recording.write_rows(folder, "run", &names, ROWS, |column, row| {
        columns[column].1 + 0.01 * (row % 7) as f64
    })
}

#[test]
fn a_recording_in_either_form_gives_the_same_results_as_a_machine() {
    let test = "a_recording_in_either_form_gives_the_same_results_as_a_machine";
    if !has_engine(test) {
        return;
    }
    for recording in [Recording::Csv, Recording::Parquet] {
        let folder = tempfile::tempdir().unwrap();
        let file = record(recording, folder.path());
        let source = format!(
            "[[source]]\nid = 'mill-opcua'\ntype = 'replay'\nfile = '{}'\nperiod_ms = 10\n\
             repeat = true\n",
            file.file_name().unwrap().display()
        );
        let plant = write_plant_of(folder.path(), &source, 20, "");
        let gateway = Gateway::run(&plant);
        let seen = eventually("results", || {
            let status = status(&gateway);
            let results = status["deployments"][0]["results"].as_u64().unwrap();
            (results > 20).then_some(status)
        });
        let of = &seen["sources"][0];
        assert_eq!(of["connection"], "connected", "{recording:?}: {of}");
        assert_eq!((of["gaps"].as_u64(), of["refused"].as_u64()), (Some(0), Some(0)), "{of}");
        // Rows of as many observations as there are columns.
        assert!(of["observations"].as_u64() >= Some(10 * columns().len() as u64), "{of}");
        assert_eq!(seen["deployments"][0]["failures"], 0, "{recording:?}");
        // The file is spoilt under it: told, and the gateway runs on.
        fs::write(&file, b"PAR1 this is no recording PAR1").unwrap();
        let told = event(folder.path(), "source.refused", "source/mill-opcua");
        assert!(told["message"].as_str().unwrap().contains("trying again"), "{told}");
        record(recording, folder.path());
        eventually("the recording anew", || {
            (status(&gateway)["sources"][0]["reconnects"].as_u64()? > 0).then_some(())
        });
        assert!(gateway.stop().success());
    }
}
