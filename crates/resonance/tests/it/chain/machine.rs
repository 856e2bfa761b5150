//! A milling machine on asyncua that wants encryption and a user, and the plant around it.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use resonance_gateway::access::hash_password;
use serde_json::json;

use crate::peers::{Peer, workspace};

/// What it shows: name, quantity, unit, semantic id below `urn:resonance:cnc:`, qualifier, and
/// the value while it cuts.
const POINTS: [(&str, &str, &str, &str, &str, f64); 10] = [
    ("spindle_torque", "torque", "NU", "spindle:torque", "", 10.0),
    ("spindle_power", "power", "KWT", "spindle:power", "", 3.0),
    ("spindle_vibration", "velocity", "C16", "spindle:vibration-rms", "", 2.0),
    ("spindle_speed", "rotational_speed", "RPM", "spindle:speed", "", 3_000.0),
    ("feed_rate", "velocity", "H81", "path:feed-rate", "", 900.0),
    ("axial_depth", "length", "MMT", "process:axial-depth", "", 2.0),
    ("radial_width", "length", "MMT", "process:radial-width", "", 20.0),
    ("load_x", "ratio", "P1", "axis:load", "X", 30.0),
    ("load_y", "ratio", "P1", "axis:load", "Y", 20.0),
    ("bearing_temperature", "temperature", "CEL", "spindle:bearing-temperature", "", 40.0),
];

/// The user of the machine.
const MACHINE_USER: (&str, &str) = ("gateway", "let me in");
/// Who may command the gateway, and who may only look at it.
pub(super) const OPERATOR: (&str, &str) = ("otto", "operates");
pub(super) const VIEWER: (&str, &str) = ("scada", "looks on");

/// A running machine.
pub(super) struct Machine {
    peer: Peer,
    python: PathBuf,
    pub(super) port: u64,
}

impl Machine {
    pub(super) fn start(python: &Path) -> Self {
        Self::on_port(python, 0)
    }

    fn on_port(python: &Path, port: u64) -> Self {
        let port = port.to_string();
        let nodes = POINTS.map(|(name, .., value)| format!("{name}:Double:{value}"));
        let (user, password) = MACHINE_USER;
        let mut arguments =
            vec!["--encrypted", "--port", &port, "--user", user, "--password", password];
        arguments.extend(nodes.iter().flat_map(|node| ["--node", node.as_str()]));
        let (peer, ready) = Peer::start(python, "opcua_machine.py", &arguments);
        Self { peer, python: python.into(), port: ready["port"].as_u64().unwrap() }
    }

    /// Turns its power off and on.
    pub(super) fn restart(self) -> Self {
        let Self { peer, python, port } = self;
        peer.kill();
        Self::on_port(&python, port)
    }

    /// Gives a variable a value now.
    pub(super) fn set(&mut self, node: &str, value: f64) {
        self.peer.tell(json!({"op": "set", "node": node, "value": value}));
    }
}

/// Writes a file that only its owner may read.
fn write_secret(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), Permissions::from_mode(0o600)).unwrap();
}

/// Writes a plant file of the machine at `port` with its secrets: the deployment `wear`, both
/// servers, and what `more` adds. Returns the file.
pub(super) fn write_plant(folder: &Path, port: u64, every_ms: u32, more: &str) -> PathBuf {
    write_secret(folder, "machine.password", MACHINE_USER.1);
    let user = MACHINE_USER.0;
    let source = format!(
        "[[source]]\nid = 'mill-opcua'\ntype = 'opcua'\n\
         url = 'opc.tcp://127.0.0.1:{port}/machine/'\nuser = '{user}'\n\
         password = 'file:machine.password'\ntrust_any_certificate = true\n\
         publishing_ms = 50\nbackoff_ms_max = 500\n"
    );
    write_plant_in(folder, &source, "ns=2;s=", every_ms, more)
}

/// The same with another source, whose addresses are the names of points.
pub(super) fn write_plant_of(folder: &Path, source: &str, every_ms: u32, more: &str) -> PathBuf {
    write_plant_in(folder, source, "", every_ms, more)
}

/// What the machine shows while it cuts.
pub(super) fn columns() -> [(&'static str, f64); POINTS.len()] {
    POINTS.map(|(name, .., value)| (name, value))
}

fn write_plant_in(
    folder: &Path,
    source: &str,
    addresses: &str,
    every_ms: u32,
    more: &str,
) -> PathBuf {
    let package = workspace().join("models/tool-wear");
    let mut text = format!(
        "events_file = 'events.jsonl'\n[plant]\nenterprise = 'acme'\n{source}\
         [[asset]]\nid = 'mill'\nclass = 'cnc_machine_tool'\nsource = 'mill-opcua'\n"
    );
    for (name, quantity, unit, semantics, qualifier, _) in POINTS {
        write!(
            text,
            "[[asset.point]]\nname = '{name}'\ntype = 'float64'\nquantity = '{quantity}'\n\
             unit = '{unit}'\nsemantic_id = 'urn:resonance:cnc:{semantics}'\n\
             address = '{addresses}{name}'\n"
        )
        .unwrap();
        if !qualifier.is_empty() {
            writeln!(text, "qualifier = '{qualifier}'").unwrap();
        }
    }
    write!(
        text,
        "[[deployment]]\nid = 'wear'\nmodel = '{}'\nasset = 'mill'\n\
         trigger = {{ every_ms = {every_ms} }}\n\
         [server.opcua]\nlisten = '127.0.0.1:0'\n[server.http]\nlisten = '127.0.0.1:0'\n",
        package.display()
    )
    .unwrap();
    for ((name, password), role) in [(OPERATOR, "operate"), (VIEWER, "view")] {
        let hash = hash_password(password.as_bytes()).unwrap();
        write_secret(folder, &format!("{name}.hash"), &hash);
        let hash = format!("file:{name}.hash");
        write!(text, "[[user]]\nname = '{name}'\nrole = '{role}'\npassword_hash = '{hash}'\n")
            .unwrap();
    }
    let path = folder.join("plant.toml");
    fs::write(&path, text + more).unwrap();
    path
}

/// The lines of a plant file that send results to the broker at `port`.
pub(super) fn sink(port: u16) -> String {
    format!(
        "[[sink]]\nid = 'mes'\ntype = 'mqtt'\nurl = 'mqtt://127.0.0.1:{port}'\n\
         backoff_ms_max = 500\n"
    )
}
