//! A backup of a plant that runs, and the plant that is restored from it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use resonance_gateway::events::EventLog;
use resonance_gateway::plan::SpoolPlan;
use resonance_simulate::mes::{Behaviour, HttpMes};
use serde_json::Value;

use super::gateway::{Gateway, eventually, has_engine, resonance};
use super::machine::{Machine, VIEWER, write_plant};
use crate::mqtt::gateway as spool;
use crate::peers::python;

/// Runs a command that must succeed; returns what it printed.
fn run(arguments: &[&Path]) -> Value {
    let output = resonance().args(arguments).args(["--format", "json"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn results(gateway: &Gateway) -> u64 {
    let status = gateway.client(VIEWER.0, VIEWER.1).get("/api/v1/status").json();
    status["deployments"][0]["results"].as_u64().unwrap()
}

/// The ids of the first results that wait in the spool of a plant that ended.
async fn kept(folder: &Path, count: usize) -> Vec<String> {
    let plan = SpoolPlan { path: folder.join("spool.sqlite"), ..spool::plan(folder) };
    let spool = spool::open(&plan, &Arc::new(EventLog::in_memory()));
    let mut cursor = spool.cursor("mes", Arc::default()).unwrap();
    let mut ids = Vec::new();
    while ids.len() < count {
        ids.extend(cursor.next(count - ids.len()).await.iter().map(|one| one.id.to_string()));
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plant_restored_from_a_backup_made_while_it_ran_goes_on_where_the_backup_was() {
    let test = "a_plant_restored_from_a_backup_made_while_it_ran";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let mes = HttpMes::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    mes.behave(Behaviour::Fails(503, None));
    let folder = tempfile::tempdir().unwrap();
    let url = mes.url();
    let sink =
        format!("[[sink]]\nid = 'mes'\ntype = 'http'\nurl = '{url}'\nbackoff_ms_max = 200\n");
    let plant = write_plant(folder.path(), machine.port, 20, &sink);
    let gateway = Gateway::run(&plant);
    eventually("results", || (results(&gateway) > 50).then_some(()));
    // It writes on meanwhile, and has no sink that takes anything.
    let archive = folder.path().join("plant.tar.gz");
    let made = run(&[Path::new("backup"), &plant, &archive]);
    let then = results(&gateway);
    eventually("more results", || (results(&gateway) > then + 50).then_some(()));
    gateway.kill();

    let again = folder.path().join("again");
    let mut restore = resonance();
    restore.arg("restore").args([&archive, &again]).args(["--format", "json", "--sha256"]);
    let output = restore.arg(made["sha256"].as_str().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left_out = made["listing"]["left_out"].to_string();
    for secret in ["machine.password", "otto.hash", "scada.hash"] {
        assert!(left_out.contains(secret) && !again.join(secret).exists(), "{left_out}");
        fs::copy(folder.path().join(secret), again.join(secret)).unwrap();
    }
    mes.behave(Behaviour::Good);
    let gateway = Gateway::run(&again.join("plant.toml"));
    eventually("results anew", || (results(&gateway) > 50).then_some(()));
    let taken = eventually("what waited", || {
        let taken = mes.taken();
        (taken.len() > 150).then_some(taken)
    });
    assert_eq!(mes.repeated(), 0);
    gateway.stop();
    let listed = kept(folder.path(), usize::try_from(then).unwrap()).await;
    let from_before = taken.iter().filter(|id| listed.contains(id)).count() as u64;
    assert!((50..=then).contains(&from_before), "{from_before} of the {then} there were");
    assert_eq!(taken[..50], listed[..50], "the oldest first, under the same ids");
    mes.stop().await;
}
