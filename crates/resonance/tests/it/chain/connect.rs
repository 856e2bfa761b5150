//! `resonance connect`: from a machine's own description to a prediction.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::gateway::{Gateway, eventually, has_engine, resonance};
use crate::peers::{Peer, python, workspace};

fn connect(url: &str, more: &[&str]) -> Output {
    let arguments = ["connect", url, "--security-policy", "none"];
    resonance().args(arguments).args(more).output().unwrap()
}

fn json(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn point<'p>(proposal: &'p Value, name: &str) -> &'p Value {
    let points = proposal["proposal"]["assets"][0]["points"].as_array().unwrap();
    points.iter().find(|point| point["name"] == name).unwrap_or_else(|| panic!("{points:#?}"))
}

#[test]
fn a_machine_that_follows_a_companion_specification_describes_itself() {
    let test = "a_machine_that_follows_a_companion_specification_describes_itself";
    let Some(python) = python(test) else { return };
    let (_machine, ready) = Peer::start(&python, "companion_machine.py", &[]);
    let url = format!("opc.tcp://127.0.0.1:{}/machine/", ready["port"]);
    let found = json(&connect(&url, &["--format", "json"]));
    assert_eq!(found["proposal"]["assets"][0]["id"], "mill-7");
    assert_eq!(found["proposal"]["assets"][0]["class"], "cnc_machine_tool");
    let speed = point(&found, "act_speed");
    assert_eq!(speed["semantic_id"], "urn:resonance:cnc:spindle:speed");
    assert_eq!((&speed["unit"], &speed["data_type"]), (&"RPM".into(), &"float64".into()));
    assert_eq!((&speed["range"]["low"], &speed["range"]["high"]), (&0.0.into(), &12_000.0.into()));
    assert_eq!(speed["address"], "nsu=http://maker.example/mill/;s=Spindle.ActSpeed");
    assert_eq!(point(&found, "door")["data_type"], "boolean");
    let left_out = &found["proposal"]["left_out"];
    assert_eq!(left_out[0]["browse_path"], "Mill 7/Signature", "{left_out}");
    let warnings = found["proposal"]["warnings"].as_array().unwrap();
    let contradicted = |text: &Value| text.as_str().unwrap().contains("act_power is 44 now");
    assert!(warnings.iter().any(contradicted), "{warnings:?}");
    assert_eq!(found["check"]["valid"], true, "{}", found["check"]);

    // The file it writes shows no change, until the file says otherwise.
    let folder = tempfile::tempdir().unwrap();
    let plant = folder.path().join("plant.toml");
    let file = plant.to_str().unwrap();
    assert_eq!(connect(&url, &["--out", file]).status.code(), Some(0));
    assert_eq!(connect(&url, &["--out", file]).status.code(), Some(2), "nothing is overwritten");
    assert_eq!(connect(&url, &["--diff", file]).status.code(), Some(0));
    let text = std::fs::read_to_string(&plant).unwrap().replace("12000.0", "9000.0");
    std::fs::write(&plant, text).unwrap();
    let changed = connect(&url, &["--diff", file]);
    assert_eq!(changed.status.code(), Some(1));
    let told = String::from_utf8(changed.stdout).unwrap();
    assert!(told.contains("range: [0.0, 9000.0] in the file, [0.0, 12000.0]"), "{told}");
}

/// The simulated CNC behind an OPC UA server.
fn simulated() -> (std::process::Child, String) {
    simulate(&["cnc", "--start-cutting", "--listen", "opc.tcp://127.0.0.1:0"])
}

/// The simulated CNC behind an MTConnect agent.
fn simulated_agent(version: &str) -> (std::process::Child, String) {
    let address = ["--listen", "127.0.0.1:0"];
    simulate(
        &[&["mtconnect", "--start-cutting", "--schema-version", version], &address[..]].concat(),
    )
}

/// A simulated machine; its address is read from what it prints.
fn simulate(arguments: &[&str]) -> (std::process::Child, String) {
    let mut command: Command = resonance();
    command.arg("simulate").args(arguments);
    command.args(["--format", "json"]).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
    (child, ready["url"].as_str().unwrap().to_owned())
}

#[test]
fn from_a_machine_to_a_prediction_without_a_plant_file_of_ones_own() {
    let test = "from_a_machine_to_a_prediction_without_a_plant_file_of_ones_own";
    if !has_engine(test) {
        return;
    }
    let (machine, url) = simulated();
    first_prediction(machine, &url, &["--security-policy", "none"], "tool-wear");
}

/// The molding machine's model takes a temperature profile whole; the coating line's, half a minute.
#[test]
fn from_other_machines_to_a_prediction_without_a_plant_file_of_ones_own() {
    let test = "from_other_machines_to_a_prediction_without_a_plant_file_of_ones_own";
    if !has_engine(test) {
        return;
    }
    let machines = [("injection-molding", "molding-quality"), ("coating-line", "coating-anomaly")];
    for (machine, model) in machines {
        let listen = ["--listen", "opc.tcp://127.0.0.1:0", "--speed", "60"];
        let (machine, url) = simulate(&[&[machine], &listen[..]].concat());
        first_prediction(machine, &url, &["--security-policy", "none"], model);
    }
}

#[test]
fn from_an_mtconnect_agent_to_a_prediction_without_a_plant_file_of_ones_own() {
    let test = "from_an_mtconnect_agent_to_a_prediction_without_a_plant_file_of_ones_own";
    if !has_engine(test) {
        return;
    }
    for version in ["1.8", "2.7"] {
        let (machine, url) = simulated_agent(version);
        first_prediction(machine, &url, &[], "tool-wear");
    }
}

/// Connects, runs what was proposed as it is, and waits for a prediction.
fn first_prediction(mut machine: std::process::Child, url: &str, more: &[&str], model: &str) {
    let folder = tempfile::tempdir().unwrap();
    let plant = folder.path().join("plant.toml");
    let model = workspace().join("models").join(model);
    let arguments = ["--model", model.to_str().unwrap(), "--out", plant.to_str().unwrap()];
    let mut command = resonance();
    let written = command.args(["connect", url]).args(more).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&written.stderr).into_owned();
    assert!(written.status.success(), "{said}");
    on_free_ports(&plant);
    let gateway = Gateway::run(&plant);
    let mut client = crate::http::client::Client::connect(gateway.http());
    eventually("a prediction", || {
        let status = client.get("/api/v1/status").json();
        let deployment = &status["deployments"][0];
        (deployment["results"].as_u64()? > 0 && deployment["state"] == "active").then_some(())
    });
    drop(gateway);
    machine.kill().unwrap();
    machine.wait().unwrap();
}

#[test]
fn an_agent_s_device_model_becomes_assets_points_units_and_meanings() {
    let (mut machine, url) = simulated_agent("2.7");
    let ask = |more: &[&str]| resonance().args(["connect", &url]).args(more).output().unwrap();
    let found = json(&ask(&["--format", "json"]));
    let assets = found["proposal"]["assets"].as_array().unwrap();
    assert_eq!((assets.len(), &assets[0]["id"]), (1, &"cnc".into()));
    assert_eq!(assets[0]["class"], "cnc_machine_tool");
    for (name, address, unit, meaning, reason) in [
        ("spindle_torque", "s_torque", "NU", "spindle:torque", "MTConnect Spindle/TORQUE"),
        ("feed_rate", "p_feed", "C16", "path:feed-rate", "MTConnect Path/PATH_FEEDRATE.ACTUAL"),
        ("load_x", "x_load", "P1", "axis:load", "MTConnect Linear/LOAD"),
        ("depth_of_cut", "p_depth", "MMT", "process:axial-depth", "the machine says so"),
    ] {
        let point = point(&found, name);
        assert_eq!((&point["address"], &point["unit"]), (&address.into(), &unit.into()), "{name}");
        assert_eq!(point["semantic_id"], format!("urn:resonance:cnc:{meaning}"), "{name}");
        assert!(point["reason"].as_str().unwrap().contains(reason), "{point}");
    }
    assert_eq!(point(&found, "load_x")["qualifier"], "X");
    assert_eq!(point(&found, "execution")["labels"][1], "ACTIVE");
    let left_out = &found["proposal"]["left_out"][0];
    assert!(left_out["why"].as_str().unwrap().contains("the agent itself"), "{left_out}");
    assert_eq!(found["check"]["valid"], true, "{}", found["check"]);

    let listed = ask(&["--search", "spindle torque"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("spindle_torque") && listed.lines().count() == 2, "{listed}");
    let folder = tempfile::tempdir().unwrap();
    let plant = folder.path().join("plant.toml");
    let file = plant.to_str().unwrap();
    assert_eq!(ask(&["--device", "CNC", "--out", file]).status.code(), Some(0));
    assert_eq!(ask(&["--diff", file]).status.code(), Some(0));
    let text = std::fs::read_to_string(&plant).unwrap();
    std::fs::write(&plant, text.replace("unit = \"NU\"", "unit = \"KWT\"")).unwrap();
    let changed = ask(&["--diff", file]);
    let told = String::from_utf8(changed.stdout).unwrap();
    assert_eq!(changed.status.code(), Some(1));
    assert!(told.contains("unit: KWT in the file, NU in the machine"), "{told}");

    let nobody = ask(&["--device", "nobody"]);
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert_eq!(nobody.status.code(), Some(1), "{said}");
    assert!(said.contains("NO_DEVICE") && said.contains("/probe"), "{said}");
    assert_eq!(ask(&["--trust-any-certificate"]).status.code(), Some(2));
    machine.kill().unwrap();
    machine.wait().unwrap();
}

/// Tests run beside each other, and beside gateways on this computer.
fn on_free_ports(plant: &Path) {
    let text = std::fs::read_to_string(plant).unwrap();
    let text =
        text.replace("127.0.0.1:4841", "127.0.0.1:0").replace("127.0.0.1:8080", "127.0.0.1:0");
    std::fs::write(plant, text).unwrap();
}

/// From the machine into a list, through a spreadsheet program, and from there to a plant file.
#[test]
fn a_list_of_tags_goes_through_a_spreadsheet_program_and_back() {
    let test = "a_list_of_tags_goes_through_a_spreadsheet_program_and_back";
    let Some(python) = python(test) else { return };
    let (mut machine, url) = simulated_agent("2.7");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ask = |more: &[&str]| resonance().args(["connect", &url]).args(more).output().unwrap();
    let (tags, edited) = (file("tags.xlsx"), file("edited.xlsx"));
    let exported = ask(&["--export-tags", &tags]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    assert_eq!(ask(&["--export-tags", &tags]).status.code(), Some(2), "nothing is overwritten");
    let arguments = [&*tags, &edited, "y_pos", "urn:example:axis:place"];
    let (_, read) = Peer::start(&python, "tag_list.py", &arguments);
    assert_eq!((&read["formulas"], &read["row"]["unit"]), (&0.into(), &"MMT".into()), "{read}");
    assert_eq!(read["row"]["point"], "position_y");
    machine.kill().unwrap();
    machine.wait().unwrap();

    let plant = file("plant.toml");
    let written = ask(&["--tags", &edited, "--offline", "--out", &plant]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let text = std::fs::read_to_string(&plant).unwrap();
    assert!(text.contains("semantic_id = \"urn:example:axis:place\""), "{text}");
    assert!(text.contains("range = [-12.5, "), "{text}");
    assert_eq!(text.matches("[[asset.point]]").count() as u64, read["rows"].as_u64().unwrap());
    let csv = file("tags.csv");
    assert!(ask(&["--tags", &edited, "--offline", "--export-tags", &csv]).status.success());
    let again = ask(&["--tags", &csv, "--offline"]);
    assert_eq!(std::str::from_utf8(&again.stdout).unwrap().lines().count(), text.lines().count());
    std::fs::write(&csv, "address,type,unit\ns_load,real,parsec\n").unwrap();
    let refused = ask(&["--tags", &csv, "--offline"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("tags.csv: row 2, unit: \"parsec\" is no unit"), "{said}");
}

#[test]
fn what_cannot_be_asked_is_said_with_what_to_do() {
    let refused = connect("mqtt://127.0.0.1:1", &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("opc.tcp://host:port"));
    for nobody in ["opc.tcp://127.0.0.1:1", "http://127.0.0.1:1"] {
        assert_eq!(connect(nobody, &[]).status.code(), Some(1), "{nobody}");
    }
    let (mut machine, url) = simulated();
    let encrypted = resonance().args(["connect", &url]).output().unwrap();
    let said = String::from_utf8_lossy(&encrypted.stderr).into_owned();
    assert_eq!(encrypted.status.code(), Some(1), "{said}");
    assert!(said.contains("it offers None") && said.contains("--security-policy"), "{said}");
    let searched = connect(&url, &["--search", "spindle torque"]);
    let listed = String::from_utf8(searched.stdout).unwrap();
    assert!(listed.contains("spindle_torque") && listed.lines().count() == 2, "{listed}");
    machine.kill().unwrap();
    machine.wait().unwrap();
}
