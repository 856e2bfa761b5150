//! The gateway's OPC UA server, with asyncua as the SCADA system.

mod rogues;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::access::{Access, hash_password};
use resonance_gateway::deployments::{Command as Order, CommandRefused, Deployments};
use resonance_gateway::events::EventLog;
use resonance_gateway::models::Models;
use resonance_gateway::plan::{OpcUaServerPlan, UserPlan};
use resonance_gateway::results::Results;
use resonance_gateway::servers::{Context, RunningServer, opcua};
use resonance_gateway::status::{
    DeploymentState, DeploymentStatus, EventsStatus, HubStatus, LatencySummary, SpoolStatus,
    Status as Gateway,
};
use resonance_plant::{
    Asset, AssetId, Clock, Code, DataType, Interpolation, LastValues, Plant, Point, PointIndex,
    Principal, Qualifier, Range, Role, SemanticId, Status, SystemClock, Timestamp, Unit, Value,
    ValueKind,
};
use serde_json::{Value as Json, json};

use crate::peers::{self, Peer};

const CLIENT_URI: &str = "urn:peers:scada";
const DEADLINE: Duration = Duration::from_secs(10);

/// The info bits with which a status says that the queue overflowed (OPC 10000-4, 7.39).
const OVERFLOW: u64 = 0x480;

const LOAD: PointIndex = PointIndex(0);
const COOLANT: PointIndex = PointIndex(1);
const STATE: PointIndex = PointIndex(2);
const PROGRAM: PointIndex = PointIndex(3);
const PARTS: PointIndex = PointIndex(4);
const WEAR: PointIndex = PointIndex(5);

/// A deployment that stands still.
#[derive(Debug)]
struct Wear;

impl Deployments for Wear {
    fn status(&self) -> Vec<DeploymentStatus> {
        vec![DeploymentStatus {
            id: "wear".into(),
            asset: "mill".into(),
            outputs: Arc::from([WEAR]),
            model: "tool-wear".into(),
            model_version: "1.2.0".into(),
            trained_on: "simulated".into(),
            state: DeploymentState::Active,
            reason: String::new(),
            triggers: 8,
            inferences: 7,
            results: 7,
            overruns: 1,
            failures: 0,
            over_budget: 0,
            latency: LatencySummary { p50_us: 120, p99_us: 400, max_us: 900 },
            inference: LatencySummary::default(),
        }]
    }

    fn command(&self, _: &str, _: Order, _: Principal) -> Result<(), CommandRefused> {
        Err(CommandRefused::State("not to be commanded".to_owned()))
    }
}

/// A server over a small plant, and what a SCADA system needs to reach it.
struct Site {
    server: opcua::Running,
    context: Context,
    python: PathBuf,
    folder: tempfile::TempDir,
}

impl Site {
    async fn start(test: &str, open: bool) -> Option<Self> {
        Self::start_with(test, open, None).await
    }

    /// A site that knows the user anna by this certificate.
    async fn start_with(test: &str, open: bool, anna: Option<Vec<u8>>) -> Option<Self> {
        Self::start_toward(test, open, anna, Vec::new()).await
    }

    /// One that makes the connections to these clients.
    async fn start_toward(
        test: &str,
        open: bool,
        anna: Option<Vec<u8>>,
        connect_to: Vec<SocketAddr>,
    ) -> Option<Self> {
        let python = peers::python(test)?;
        let folder = tempfile::tempdir().unwrap();
        let context = context(anna);
        let plan = OpcUaServerPlan {
            listen: "127.0.0.1:0".parse().unwrap(),
            connect_to,
            host: "127.0.0.1".to_owned(),
            allow_anonymous: open,
            allow_none: open,
            pki: folder.path().join("pki"),
            allow_unknown_revocation: false,
        };
        let server = opcua::start(&plan, &context).await.unwrap();
        Some(Self { server, context, python, folder })
    }

    fn write(&self, point: PointIndex, value: Value, time: Timestamp, status: Status) {
        self.context.values.write_value(point, &value, time, self.context.clock.now(), status);
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// The options of a client with a certificate, a policy, and perhaps a user.
    fn secured(&self, policy: &str, mode: &str, user: Option<(&str, &str)>) -> Vec<String> {
        let (cert, key) = (self.path("scada.der"), self.path("scada.pem"));
        let mut options = vec![
            ("--policy", policy),
            ("--mode", mode),
            ("--cert", &cert),
            ("--key", &key),
            ("--uri", CLIENT_URI),
        ];
        if let Some((name, password)) = user {
            options.extend([("--user", name), ("--password", password)]);
        }
        options.iter().flat_map(|(key, value)| [(*key).to_owned(), (*value).to_owned()]).collect()
    }

    /// Runs the peer to its end and returns what it printed.
    fn scada(&self, options: &[String], action: &[&str]) -> Vec<Json> {
        let output = Command::new(&self.python)
            .arg(peers::workspace().join("tests/peers/scada.py"))
            .args(options)
            .arg(self.server.url())
            .args(action)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn connects(&self, options: &[String]) -> Json {
        self.scada(options, &["connect"]).remove(0)
    }

    fn make_client_certificate(&self) {
        let made = Command::new(&self.python)
            .arg(peers::workspace().join("tests/peers/scada.py"))
            .args(["certificate", &self.path("scada.der"), &self.path("scada.pem"), CLIENT_URI])
            .status()
            .unwrap();
        assert!(made.success());
    }

    fn rejected(&self) -> Vec<PathBuf> {
        files(&self.folder.path().join("pki/rejected"))
    }

    /// What an operator does after comparing thumbprints.
    fn trust_the_rejected(&self) {
        for file in self.rejected() {
            let trusted = self.folder.path().join("pki/trusted").join(file.file_name().unwrap());
            std::fs::rename(file, trusted).unwrap();
        }
    }

    fn has_event(&self, code: Code, part: &str) -> bool {
        let recent = self.context.events.recent(100);
        recent.iter().any(|event| event.code == code && event.message.contains(part))
    }

    async fn stop(self) {
        Box::new(self.server).stop().await;
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn context(anna: Option<Vec<u8>>) -> Context {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let events = Arc::new(EventLog::in_memory());
    let mut users = vec![UserPlan {
        name: "scada".into(),
        role: Role::View,
        password_hash: Some(hash_password(b"correct horse").unwrap().into()),
        certificate: None,
    }];
    users.extend(anna.map(|der| UserPlan {
        name: "anna".into(),
        role: Role::View,
        password_hash: None,
        certificate: Some(der.into()),
    }));
    let access = Access::new(&users, Arc::clone(&clock), Arc::clone(&events) as _).unwrap();
    let plant = Arc::new(plant());
    let started_at = clock.now();
    Context {
        values: Arc::new(LastValues::new(plant.points.len())),
        plant,
        models: Arc::new(Models::default()),
        deployments: Arc::new(Wear),
        results: Results::new(None),
        events,
        clock,
        access: Arc::new(access),
        wishes: None,
        status: Arc::new(move || Gateway {
            recording: None,
            traces: None,
            at: started_at,
            started_at,
            version: "test",
            sources: Vec::new(),
            hub: HubStatus::default(),
            deployments: Vec::new(),
            sinks: Vec::new(),
            servers: Vec::new(),
            spool: SpoolStatus::default(),
            events: EventsStatus::default(),
        }),
    }
}

fn plant() -> Plant {
    let point = |name: &str, data_type| Point {
        asset: 0,
        name: name.into(),
        data_type,
        quantity: None,
        unit: None,
        range: None,
        interpolation: Interpolation::Step,
        semantic_id: None,
        qualifier: Qualifier::default(),
        labels: Arc::from([]),
        description: "".into(),
    };
    let mut points = [
        ("load", DataType::Float64),
        ("coolant", DataType::Float32),
        ("state", DataType::Int32),
        ("program", DataType::String),
        ("parts", DataType::Uint64),
        ("wear.flank_wear", DataType::Float64),
    ]
    .map(|(name, data_type)| point(name, data_type));
    points[0].unit = Unit::from_code("P1");
    points[0].range = Some(Range { low: 0.0, high: 150.0 });
    points[4].semantic_id = Some(SemanticId::parse("0173-1#02-AAH996#003").unwrap());
    points[0].semantic_id = Some(SemanticId::parse("urn:resonance:spindle:load").unwrap());
    points[0].qualifier = "X".into();
    points[1].unit = Unit::from_code("CEL");
    points[2].labels = ["idle", "cutting", "fault"].map(Arc::from).into();
    let asset = Asset {
        id: AssetId("mill".into()),
        equipment_id: "acme/line-1/mill".into(),
        physical_asset_id: Some("SN-7".into()),
        class: None,
        description: "a mill".into(),
    };
    Plant { assets: vec![asset], points: points.into() }
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_trusted_applications_with_known_users_are_served() {
    let Some(site) = Site::start("only_trusted_applications_with_known_users", false).await else {
        return;
    };
    site.make_client_certificate();
    let user = Some(("scada", "correct horse"));
    let encrypted = site.secured("Basic256Sha256", "SignAndEncrypt", user);

    assert_eq!(site.connects(&encrypted)["connected"], Json::Null, "nobody trusts it yet");
    eventually("it waits for an operator", || site.rejected().len() == 1).await;
    eventually("the refused certificate is told", || {
        site.has_event(Code::AccessFailed, "certificate is not trusted")
    })
    .await;
    site.trust_the_rejected();
    eventually("it is admitted", || site.connects(&encrypted) == json!({"connected": true})).await;

    let wrong = site.secured("Basic256Sha256", "SignAndEncrypt", Some(("scada", "wrong")));
    assert_eq!(site.connects(&wrong)["refused"], "BadUserAccessDenied");
    let unknown = site.secured("Basic256Sha256", "SignAndEncrypt", Some(("nobody", "x")));
    assert_eq!(site.connects(&unknown)["refused"], "BadUserAccessDenied", "the same answer");
    let anonymous = site.secured("Basic256Sha256", "SignAndEncrypt", None);
    assert_eq!(site.connects(&anonymous)["connected"], Json::Null);
    assert_eq!(
        site.connects(&[])["connected"],
        Json::Null,
        "there is no endpoint without security"
    );
    assert!(site.has_event(Code::AccessFailed, "scada"), "{:?}", site.context.events.recent(10));

    for policy in ["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] {
        for mode in ["Sign", "SignAndEncrypt"] {
            let options = site.secured(policy, mode, user);
            assert_eq!(site.connects(&options), json!({"connected": true}), "{policy} {mode}");
        }
    }
    assert!(site.server.status().refused >= 3);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scada_that_cannot_reach_the_server_is_connected_to() {
    let test = "scada_that_cannot_reach_the_server_is_connected_to";
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let Some(site) = Site::start_toward(test, false, None, vec![free]).await else { return };
    site.make_client_certificate();
    let user = Some(("scada", "correct horse"));
    let mut options = site.secured("Basic256Sha256", "SignAndEncrypt", user);
    options.extend(["--listen".to_owned(), free.port().to_string()]);
    assert_eq!(site.connects(&options)["connected"], Json::Null, "nobody trusts it yet");
    eventually("it waits for an operator", || site.rejected().len() == 1).await;
    site.trust_the_rejected();
    let url = site.server.url();
    let connected = json!({
        "connected": true,
        "endpoint_url": url,
        "server_uri": "urn:127.0.0.1:resonance:gateway",
    });
    eventually("it is admitted", || site.connects(&options) == connected).await;
    // Nobody awaited it at first.
    let client = free.to_string();
    assert!(site.has_event(Code::ClientMissing, &client));
    assert!(site.has_event(Code::ClientConnected, &client));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scada_finds_units_ranges_labels_and_deployments() {
    let Some(site) = Site::start("scada_finds_units_ranges_labels_and_deployments", true).await
    else {
        return;
    };
    let time = Timestamp::parse_rfc3339("2026-11-21T08:00:00.123456Z").unwrap();
    let micros = time.nanos() / 1_000;
    site.write(LOAD, Value::Float(42.5), time, Status::GOOD);
    site.write(COOLANT, Value::Float(21.5), time, Status::UNCERTAIN_LAST_USABLE_VALUE);
    site.write(STATE, Value::Int(1), time, Status::GOOD);
    site.write(PROGRAM, Value::Text("O1234".into()), time, Status::BAD_NOT_CONNECTED);
    site.write(PARTS, Value::Uint(u64::MAX), time, Status::GOOD);
    let ids = ["mill", "mill.load", "mill.coolant", "mill.state", "mill.program", "mill.parts"];
    let action: Vec<&str> = ["look", opcua::NAMESPACE]
        .into_iter()
        .chain(ids)
        .chain(["/deployments/wear", "mill.wear.flank_wear"])
        .collect();
    eventually("the board has the deployment", || {
        let state = site.scada(&[], &["look", opcua::NAMESPACE, "/deployments/wear.State"]);
        state[0]["data"]["status"] == 0
    })
    .await;
    let found = site.scada(&[], &action);
    let [mill, load, coolant, state, program, parts, wear, flank_wear] = &found[..] else {
        panic!("{found:?}")
    };
    for (property, expected) in
        [("ModelName", "tool-wear"), ("ModelVersion", "1.2.0"), ("TrainedOn", "simulated")]
    {
        assert_eq!(flank_wear[property], expected, "{flank_wear}");
        assert_eq!(load[property], Json::Null, "a machine's own value has no model");
    }

    assert_eq!(
        (&mill["class"], &mill["EquipmentId"]),
        (&json!("Object"), &json!("acme/line-1/mill"))
    );
    assert_eq!(mill["PhysicalAssetId"], "SN-7");
    assert_eq!(mill["children"].as_array().map(Vec::len), Some(2 + 6), "properties and points");

    assert_eq!((&load["type"], &load["parent"]), (&json!("AnalogUnitRangeType"), &json!("mill")));
    assert_eq!(
        load["data"],
        json!({"value": 42.5, "type": "Double", "status": 0, "source_time_us": micros})
    );
    assert_eq!(load["EURange"], json!({"low": 0.0, "high": 150.0}));
    assert_eq!(load["EngineeringUnits"]["unit_id"], Unit::from_code("P1").unwrap().ua_unit_id());
    assert_eq!(
        load["EngineeringUnits"]["namespace"],
        "http://www.opcfoundation.org/UA/units/un/cefact"
    );
    assert_eq!(load["SemanticId"], "urn:resonance:spindle:load");
    assert_eq!(load["dictionary"], json!(["urn:resonance:spindle:load"]));
    assert_eq!(coolant["dictionary"], json!([]));
    for (dictionary, id, kind, variable) in [
        ("URI", "urn:resonance:spindle:load", "UriDictionaryEntryType", "mill.load"),
        ("IRDI", "0173-1#02-AAH996#003", "IrdiDictionaryEntryType", "mill.parts"),
    ] {
        let namespace = format!("http://opcfoundation.org/UA/Dictionary/{dictionary}");
        let entry = &site.scada(&[], &["look", &namespace, id])[0];
        assert_eq!((&entry["name"], &entry["type"]), (&json!(id), &json!(kind)));
        assert_eq!(entry["parent"], 17_594, "the standard folder of dictionaries");
        assert_eq!(entry["dictionary"], json!([variable]), "what has that meaning");
    }
    assert_eq!((&load["Qualifier"], &coolant["Qualifier"]), (&json!("X"), &Json::Null));

    assert_eq!(coolant["type"], "AnalogUnitType");
    assert_eq!(coolant["data"]["type"], "Float");
    assert_eq!(coolant["data"]["status"], Status::UNCERTAIN_LAST_USABLE_VALUE.0);

    assert_eq!(state["type"], "MultiStateValueDiscreteType");
    assert_eq!(state["ValueAsText"], "cutting");
    assert_eq!(state["EnumValues"][2], json!({"value": 2, "name": "fault"}));

    assert_eq!(program["data"]["status"], Status::BAD_NOT_CONNECTED.0);
    assert_eq!(parts["data"]["value"], json!(u64::MAX));

    assert_eq!((&wear["class"], &wear["Asset"]), (&json!("Object"), &json!("mill")));
    let fields: Vec<String> = ["ModelName", "ModelVersion", "TrainedOn", "LatencyP99", "Results"]
        .map(|field| format!("/deployments/wear.{field}"))
        .into();
    let action: Vec<&str> =
        ["look", opcua::NAMESPACE].into_iter().chain(fields.iter().map(String::as_str)).collect();
    let values: Vec<Json> =
        site.scada(&[], &action).iter().map(|field| field["data"]["value"].clone()).collect();
    assert_eq!(
        values,
        [json!("tool-wear"), json!("1.2.0"), json!("simulated"), json!(400), json!(7)]
    );
    site.stop().await;
}

/// What asyncua, which sends no filter, is told of a value that changes in every way, also against
/// the source's clock.
/// The stack sets the Overflow bit in a queue of one too; it is not looked at there.
async fn watch_changes(test: &str, interval_ms: &str, queue: &str) {
    let Some(site) = Site::start(test, true).await else { return };
    let base = Timestamp::parse_rfc3339("2026-11-21T08:00:00Z").unwrap();
    let at = |millis: i64| Timestamp::from_nanos(base.nanos() + millis * 1_000_000);
    let told = |value: Option<f64>, time: Option<i64>, status: Status| {
        json!({
            "value": value,
            "type": if value.is_some() { "Double" } else { "Null" },
            "status": status.0,
            "source_time_us": time.map(|millis| at(millis).nanos() / 1_000),
        })
    };
    let is_queue_of_one = queue == "1";
    let by_publishing = interval_ms == "-1";
    // What the stack would change otherwise: see the record of decision 3.
    let when = |millis: i64, would_change: bool| {
        (is_queue_of_one || !would_change && !by_publishing).then_some(millis)
    };
    let uncertain = Status::UNCERTAIN_LAST_USABLE_VALUE;
    let alone = told(None, None, uncertain);
    let full = told(Some(1.0), Some(1), uncertain);
    let status_alone = if is_queue_of_one { vec![full] } else { vec![alone, full] };
    let bad = |millis, status| vec![told(None, (!by_publishing).then_some(millis), status)];
    let good = |value, millis, back| vec![told(Some(value), when(millis, back), Status::GOOD)];
    let changes = [
        (1.0, 1, uncertain, status_alone),
        (1.0, 2, Status::BAD_NOT_CONNECTED, bad(2, Status::BAD_NOT_CONNECTED)),
        (1.0, 3, Status::BAD_TYPE_MISMATCH, bad(3, Status::BAD_TYPE_MISMATCH)),
        (2.0, 4, Status::GOOD, good(2.0, 4, false)),
        (3.0, -5_000, Status::GOOD, good(3.0, -5_000, true)),
        (4.0, -4_999, Status::GOOD, good(4.0, -4_999, false)),
    ];

    site.write(LOAD, Value::Float(1.0), at(0), Status::GOOD);
    let count = (1 + changes.iter().map(|change| change.3.len()).sum::<usize>()).to_string();
    let watched = ["watch", opcua::NAMESPACE, "mill.load", interval_ms, &count, queue];
    // A leading minus would be taken for an option.
    let arguments: Vec<&str> = ["--", site.server.url()].into_iter().chain(watched).collect();
    let (mut scada, ready) = Peer::start(&site.python, "scada.py", &arguments);
    assert_eq!(ready, json!({"subscribed": true}));
    let mut answer = || {
        let mut answer = scada.answer();
        if is_queue_of_one {
            let status = answer["status"].as_u64().unwrap();
            answer["status"] = json!(status & !OVERFLOW);
        }
        answer
    };
    assert_eq!(answer(), told(Some(1.0), when(0, false), Status::GOOD), "the initial value");
    for (value, time, status, expected) in changes {
        site.write(LOAD, Value::Float(value), at(time), status);
        for expected in expected {
            assert_eq!(answer(), expected, "interval {interval_ms}, queue {queue}");
        }
    }
    assert!(site.server.status().delivered >= 6);
    let slot = site.context.values.slot(LOAD).unwrap();
    assert_eq!((slot.kind, slot.value), (ValueKind::Float, 4.0));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scada_receives_changes_with_status_and_source_time() {
    for interval_ms in ["0", "30", "1000"] {
        for queue in ["10", "1"] {
            let test = "scada_receives_changes_with_status_and_source_time";
            watch_changes(test, interval_ms, queue).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scada_that_samples_by_publishing_is_told_no_wrong_source_time() {
    for queue in ["10", "1"] {
        let test = "scada_that_samples_by_publishing_is_told_no_wrong_source_time";
        watch_changes(test, "-1", queue).await;
    }
}

/// Whoever may look may not command: there is nothing on this server that can be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_can_be_written() {
    let Some(site) = Site::start("nothing_can_be_written", true).await else { return };
    let time = Timestamp::parse_rfc3339("2026-11-21T08:00:00Z").unwrap();
    site.write(LOAD, Value::Float(42.5), time, Status::GOOD);
    site.write(STATE, Value::Int(1), time, Status::GOOD);
    let ids = ["mill.load", "mill.state", "mill.load/EURange", "mill/EquipmentId"];
    let action: Vec<&str> = ["write", opcua::NAMESPACE].into_iter().chain(ids).collect();
    let answers = site.scada(&[], &action);
    assert_eq!(answers.len(), ids.len(), "{answers:?}");
    for (id, answer) in ids.into_iter().zip(answers) {
        assert_eq!(answer, json!({"id": id, "refused": "BadNotWritable"}));
    }
    let load = site.context.values.observation(LOAD).unwrap();
    assert_eq!((load.value, load.source_time), (Value::Float(42.5), time), "it is as it was");
    site.stop().await;
}
