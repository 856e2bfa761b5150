//! Another plant file while a gateway runs.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use resonance_gateway::access::hash_password;
use serde_json::Value;

use super::gateway::{DEADLINE, Gateway, event, events, eventually, has_engine, resonance};
use super::killed::last_of_complete;
use super::machine::{Machine, VIEWER, sink, write_plant};
use crate::http::streams::{RESULTS, Stream};
use crate::mqtt::broker::Broker;
use crate::mqtt::subscriber::Subscriber;
use crate::peers::{python, workspace};

/// Who may change the plant.
const ENGINEER: (&str, &str) = ("erin", "engineers");

/// The lines of a plant file that name the engineer.
fn engineer(folder: &Path) -> String {
    let file = folder.join("erin.hash");
    std::fs::write(&file, hash_password(ENGINEER.1.as_bytes()).unwrap()).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    "[[user]]\nname = 'erin'\nrole = 'engineer'\npassword_hash = 'file:erin.hash'\n".into()
}

/// A second deployment of the same model.
fn second(every_ms: u32) -> String {
    let package = workspace().join("models/tool-wear");
    format!(
        "[[deployment]]\nid = 'second'\nmodel = '{}'\nasset = 'mill'\n\
         trigger = {{ every_ms = {every_ms} }}\n",
        package.display()
    )
}

/// `resonance reload` with these arguments: exit code, what it printed, what it said.
fn reload(gateway: &Gateway, arguments: &[&str]) -> (i32, String, String) {
    reload_as(gateway, ENGINEER, arguments)
}

fn reload_as(
    gateway: &Gateway,
    (name, password): (&str, &str),
    arguments: &[&str],
) -> (i32, String, String) {
    let output = resonance()
        .args(["reload", "--url", &gateway.url("http"), "--user", name])
        .args(arguments)
        .env("RESONANCE_PASSWORD", password)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A gateway whose deployment has given results, and its plant file.
fn running(machine: &Machine, folder: &Path, more: &str) -> (PathBuf, Gateway) {
    let plant = write_plant(folder, machine.port, 20, more);
    let gateway = Gateway::run(&plant);
    eventually("a result", || results(&status(&gateway), "wear").filter(|count| *count > 0));
    (plant, gateway)
}

fn status(gateway: &Gateway) -> Value {
    gateway.client(VIEWER.0, VIEWER.1).get("/api/v1/status").json()
}

fn results(status: &Value, deployment: &str) -> Option<u64> {
    let all = status["deployments"].as_array().unwrap();
    all.iter().find(|one| one["id"] == deployment).map(|one| one["results"].as_u64().unwrap())
}

#[test]
fn what_a_reload_does_not_change_runs_on_and_loses_nothing() {
    let test = "what_a_reload_does_not_change_runs_on_and_loses_nothing";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let Some(broker) = Broker::plain(test) else { return };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let mut machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    let same = engineer(folder.path()) + &sink(broker.port);
    let plant = write_plant(folder.path(), machine.port, 20, &same);
    let gateway = Gateway::run(&plant);
    let wear = |message: &Value| message["payload"]["deployment"] == "wear";
    let viewer = || gateway.client(VIEWER.0, VIEWER.1);
    let of_wear = format!("{RESULTS}?deployment=wear");
    let mut stream = Stream::on(viewer(), &of_wear, None);
    let mut messages = subscriber.until(DEADLINE, |all| all.len() >= 20);
    let before = status(&gateway);

    write_plant(folder.path(), machine.port, 20, &(same.clone() + &second(50)));
    let (code, told, _) = reload(&gateway, &["--dry-run"]);
    assert_eq!(code, 0);
    assert!(told.contains("starts   deployment/second"), "{told}");
    assert!(told.contains("changes  server/opcua"), "{told}");
    assert!(!told.contains("source/"), "{told}");
    assert_eq!(results(&status(&gateway), "second"), None, "a dry run changes nothing");

    machine.set("spindle_torque", 11.0);
    let (code, told, said) = reload(&gateway, &[]);
    assert_eq!((code, told.contains("starts   deployment/second")), (0, true), "{said}");
    machine.set("spindle_torque", 12.0);
    eventually("results of the second deployment", || {
        results(&status(&gateway), "second").filter(|count| *count > 5)
    });
    let mut streamed: Vec<_> = std::iter::from_fn(|| stream.next_if_any()).collect();
    let last = streamed.last().expect("results before the reload").id.clone();
    let mut stream = Stream::on(viewer(), &of_wear, Some(&last));
    streamed.extend(std::iter::from_fn(|| stream.next_if_any()).take(20));
    let sequences = streamed.iter().map(|sent| sent.data["sequence"].as_u64().unwrap());
    let first = streamed[0].data["sequence"].as_u64().unwrap();
    assert!(sequences.eq(first..first + streamed.len() as u64), "a stream resumes: {streamed:?}");
    let after = status(&gateway);
    assert!(results(&after, "wear") > results(&before, "wear"), "{after}");
    assert_eq!(after["sources"][0]["reconnects"], 0);
    assert_eq!(after["sources"][0]["gaps"], 0);
    let told = event(folder.path(), "plant.reloaded", "gateway");
    assert_eq!(told["principal"]["name"], ENGINEER.0);
    eventually("every observation in the hub", || {
        let now = status(&gateway);
        (now["sources"][0]["observations"] == now["hub"]["observations"]).then_some(())
    });

    let gave = results(&status(&gateway), "second");
    let (code, ..) = reload(&gateway, &["--rollback"]);
    assert_eq!((code, results(&status(&gateway), "second")), (0, None));
    let (code, told, _) = reload(&gateway, &[]);
    assert_eq!((code, results(&status(&gateway), "second").is_some()), (0, true), "{told}");
    assert_eq!(reload(&gateway, &[]).1, "nothing changes\n");

    let mut stream = Stream::on(viewer(), &format!("{RESULTS}?deployment=second"), None);
    let back = stream.next_if_any().expect("results once it is back").data["sequence"].as_u64();
    assert!(back > gave, "a deployment that comes back goes on counting: {back:?}, {gave:?}");
    let is_back =
        |message: &Value| !wear(message) && message["payload"]["sequence"].as_u64() >= back;
    let enough = |all: &[Value]| {
        all.iter().filter(|message| wear(message)).count() >= 100 && all.iter().any(is_back)
    };
    messages.extend(subscriber.until(DEADLINE, enough));
    let (wear, second): (Vec<_>, Vec<_>) = messages.into_iter().partition(|one| wear(one));
    assert!(last_of_complete(&wear) >= 100, "no result of it is missing");
    assert!(Some(last_of_complete(&second)) >= back, "nor of the second");
    assert!(gateway.stop().success());
}

#[test]
fn a_plant_file_that_cannot_be_gone_over_to_changes_nothing() {
    let test = "a_plant_file_that_cannot_be_gone_over_to_changes_nothing";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    let same = engineer(folder.path());
    let (_, gateway) = running(&machine, folder.path(), &same);

    let (code, _, said) = reload_as(&gateway, VIEWER, &[]);
    assert_eq!(code, 2, "{said}");

    let refused = |more: &str, why: &str| {
        write_plant(folder.path(), machine.port, 20, &(same.clone() + more));
        let before = results(&status(&gateway), "wear");
        let (code, _, said) = reload(&gateway, &[]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(why), "{said}");
        eventually("more results", || (results(&status(&gateway), "wear") > before).then_some(()));
        assert_eq!(status(&gateway)["sources"][0]["reconnects"], 0);
    };
    refused("[[deploymnt]]\nid = 'x'\n", "plant.toml:");
    refused("[spool]\nbytes_max = 10000000\n", "restart");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    refused(&(second(50) + &format!("[server.grpc]\nlisten = '{listen}'\n")), "cannot listen");
    assert_eq!(results(&status(&gateway), "second"), None, "nothing of it was taken over");
    let failed = events(folder.path());
    let failed = failed.iter().filter(|event| event["code"] == "plant.reload_failed").count();
    assert_eq!(failed, 2, "a file full of mistakes is the author's, the others are the gateway's");
    assert!(gateway.stop().success());
}

#[test]
fn a_source_that_changes_connects_anew_and_the_rest_runs_on() {
    let test = "a_source_that_changes_connects_anew_and_the_rest_runs_on";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let folder = tempfile::tempdir().unwrap();
    let (plant, gateway) = running(&machine, folder.path(), &engineer(folder.path()));
    let text = std::fs::read_to_string(&plant).unwrap();
    std::fs::write(&plant, text.replace("publishing_ms = 50", "publishing_ms = 60")).unwrap();
    gateway.hang_up();
    event(folder.path(), "plant.reloaded", "gateway");
    let connected = |event: &&Value| event["code"] == "source.connected";
    eventually("the second session", || {
        (events(folder.path()).iter().filter(connected).count() == 2).then_some(())
    });
    // What it says while the machine is away are results as well: it has to answer again.
    let before = results(&status(&gateway), "wear").unwrap();
    eventually("answers from the new session", || {
        let now = status(&gateway);
        let answers = now["deployments"][0]["state"] == "active";
        (answers && results(&now, "wear") > Some(before + 10)).then_some(())
    });
    assert!(gateway.stop().success());
}
