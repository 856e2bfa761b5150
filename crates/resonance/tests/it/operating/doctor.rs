//! `resonance doctor`: each check is made to fail once, and the support bundle holds no secret.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::{Runs, has, run};
use crate::mqtt::broker::Broker;
use crate::needs::{has_engine, workspace};

/// What the doctor promises, and what a busy computer adds to it.
const BUDGET: Duration = Duration::from_secs(15);

/// The doctor's findings on a plant file, with the exit code.
fn doctor(folder: &Path, variables: &[(&str, &str)]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resonance"));
    command.args(["doctor", "plant.toml", "--format", "json"]).current_dir(folder);
    let started = Instant::now();
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(started.elapsed() < BUDGET, "{:?}", started.elapsed());
    let findings = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), findings)
}

/// The first check of this kind whose subject has this in it.
fn find<'f>(findings: &'f Value, check: &str, subject: &str) -> &'f Value {
    let of = |one: &&Value| {
        one["check"] == check && one["subject"].as_str().is_some_and(|s| s.contains(subject))
    };
    let found = findings["checks"].as_array().unwrap().iter().find(of);
    found.unwrap_or_else(|| panic!("no {check} of {subject:?} in {findings:#}"))
}

fn failed(findings: &Value, check: &str, subject: &str) -> String {
    let found = find(findings, check, subject);
    assert_eq!(found["state"], "fail", "{found:#}");
    assert!(!found["remedy"].as_str().unwrap().is_empty(), "{found:#}");
    found["said"].as_str().unwrap().to_owned()
}

/// Makes a certificate that holds from and to these days, counted from now, and its key.
fn certificate(folder: &Path, name: &str, (from, to): (i64, i64)) {
    let day = |days: i64| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let at = i64::try_from(now.as_secs()).unwrap() + days * 24 * 3_600;
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(at.try_into().unwrap())
    };
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "test");
    (parameters.not_before, parameters.not_after) = (day(from), day(to));
    let key = rcgen::KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    fs::write(folder.join(format!("{name}.pem")), made.pem()).unwrap();
    let file = folder.join(format!("{name}.key"));
    fs::write(&file, key.serialize_pem()).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
}

fn server(tls: &str) -> String {
    format!(
        "[server.http]\nlisten = '127.0.0.1:0'\n\
         [server.http.tls]\ncertificate = '{tls}.pem'\nkey = '{tls}.key'\n"
    )
}

#[test]
fn certificates_that_expired_or_soon_will_and_keys_of_others_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    certificate(folder, "soon", (-1, 12));
    certificate(folder, "good", (-1, 400));
    certificate(folder, "old", (-400, -3));
    certificate(folder, "early", (3, 400));
    let with = |plant: &str| {
        fs::write(folder.join("plant.toml"), plant).unwrap();
        doctor(folder, &[])
    };

    let (_, good) = with(&server("good"));
    assert_eq!(find(&good, "certificate", "good.pem")["state"], "ok");
    assert_eq!(find(&good, "key", "good.key")["state"], "ok");
    let (_, soon) = with(&server("soon"));
    let soon = find(&soon, "certificate", "soon.pem");
    assert_eq!(soon["state"], "warn", "{soon:#}");
    // The second that it takes to look may be the last of a day.
    let said = soon["said"].as_str().unwrap();
    assert!(["test: 12 days left", "test: 11 days left"].contains(&said), "{said}");

    let (code, old) = with(&server("old"));
    assert_eq!((code, &old["verdict"]), (Some(1), &"fail".into()));
    assert!(failed(&old, "certificate", "old.pem").contains("test: expired on 20"));
    let (_, early) = with(&server("early"));
    assert!(failed(&early, "certificate", "early.pem").contains("not valid before"));

    fs::copy(folder.join("old.key"), folder.join("good.key")).unwrap();
    let (code, other) = with(&server("good"));
    assert_eq!(code, Some(1));
    failed(&other, "key", "good.key");

    // A machine's certificate that is trusted, and an authority that a sink trusts.
    let trusted = folder.join("pki/trusted");
    fs::create_dir_all(&trusted).unwrap();
    fs::copy(folder.join("old.pem"), trusted.join("mill.pem")).unwrap();
    let plant = "[server.opcua]\nlisten = '127.0.0.1:0'\nallow_anonymous = true\n\
                 [[sink]]\nid = 'mes'\ntype = 'http'\nurl = 'https://127.0.0.1:9/'\n\
                 ca_file = 'old.pem'\n";
    let (_, found) = with(plant);
    assert!(failed(&found, "certificate", "trusted/mill.pem").contains("expired"));
    assert!(failed(&found, "certificate", "sink mes").contains("expired"));
}

#[test]
fn a_port_that_is_taken_fails_and_one_of_a_running_gateway_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let plant = format!("[server.http]\nlisten = '{address}'\nanonymous = 'view'\n");
    fs::write(folder.join("plant.toml"), plant).unwrap();
    let (code, found) = doctor(folder, &[]);
    assert_eq!(code, Some(1));
    let said = failed(&found, "port", &address.to_string());
    assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");

    drop(taken);
    let gateway = Runs::gateway(folder);
    let (_, found) = doctor(folder, &[]);
    let port = find(&found, "port", &address.to_string());
    assert_eq!(port["state"], "ok", "{port:#}");
    assert!(port["said"].as_str().unwrap().contains("a running gateway"), "{port:#}");
    gateway.stop();
    let (_, found) = doctor(folder, &[]);
    assert_eq!(find(&found, "port", &address.to_string())["said"], "free");
}

#[test]
fn an_absent_library_fails_where_a_model_needs_it() {
    let test = "an_absent_library_fails_where_a_model_needs_it";
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let model = workspace().join("models/tool-wear");
    let plant = format!("[[model]]\nfolder = '{}'\n", model.display());
    fs::write(folder.join("plant.toml"), &plant).unwrap();
    let (code, found) = doctor(folder, &[("RESONANCE_ONNXRUNTIME", "/nowhere/libonnxruntime.so")]);
    assert_eq!(code, Some(1));
    assert!(failed(&found, "engine", "onnxruntime").contains("/nowhere/libonnxruntime.so"));
    failed(&found, "model", "tool-wear");

    fs::write(folder.join("plant.toml"), "").unwrap();
    let (_, found) = doctor(folder, &[("RESONANCE_ONNXRUNTIME", "/nowhere/libonnxruntime.so")]);
    assert_eq!(find(&found, "engine", "onnxruntime")["state"], "warn", "nobody needs it");

    if !has_engine(test) {
        return;
    }
    fs::write(folder.join("plant.toml"), &plant).unwrap();
    let (_, found) = doctor(folder, &[]);
    assert_eq!(find(&found, "engine", "onnxruntime")["state"], "ok");
    assert_eq!(find(&found, "model", "tool-wear")["state"], "ok");
}

#[test]
fn peers_that_are_absent_or_hang_fail_within_the_time() {
    // It takes connections and says nothing.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = hangs.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let plant = format!(
        "[[source]]\nid = 'hangs'\ntype = 'opcua'\nurl = 'opc.tcp://127.0.0.1:{port}'\n\
         security_policy = 'none'\nsecurity_mode = 'none'\nallow_weak_security = true\n\
         [[source]]\nid = 'absent'\ntype = 'opcua'\nurl = 'opc.tcp://127.0.0.1:9'\n\
         security_policy = 'none'\nsecurity_mode = 'none'\nallow_weak_security = true\n\
         [[sink]]\nid = 'broker'\ntype = 'mqtt'\nurl = 'mqtt://127.0.0.1:{port}'\n\
         [[sink]]\nid = 'mes'\ntype = 'http'\nurl = 'http://127.0.0.1:9/'\n"
    );
    fs::write(folder.path().join("plant.toml"), plant).unwrap();
    let (code, found) = doctor(folder.path(), &[]);
    assert_eq!(code, Some(1));
    for (check, subject) in
        [("source", "hangs"), ("source", "absent"), ("sink", "broker"), ("sink", "mes")]
    {
        failed(&found, check, subject);
    }
}

#[test]
fn machines_that_answer_are_asked_for_their_time_and_a_broker_keeps_its_clients() {
    let test = "machines_that_answer_are_asked_for_their_time_and_a_broker_keeps_its_clients";
    let Some(broker) = Broker::plain(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cnc = Simulated::start(&["simulate", "cnc", "--listen", "opc.tcp://127.0.0.1:0"]);
    let agent = Simulated::start(&["simulate", "mtconnect", "--listen", "127.0.0.1:0"]);
    let plant = format!(
        "[[source]]\nid = 'cnc'\ntype = 'opcua'\nurl = '{}'\n\
         security_policy = 'none'\nsecurity_mode = 'none'\nallow_weak_security = true\n\
         [[source]]\nid = 'agent'\ntype = 'mtconnect'\nurl = '{}'\n\
         [[sink]]\nid = 'mes'\ntype = 'mqtt'\nurl = 'mqtt://127.0.0.1:{}'\n\
         [server.http]\nlisten = '127.0.0.1:0'\nanonymous = 'view'\n",
        cnc.url, agent.url, broker.port
    );
    fs::write(folder.path().join("plant.toml"), plant).unwrap();
    let (_, found) = doctor(folder.path(), &[]);
    for (check, subject) in
        [("source", "cnc"), ("source clock", "cnc"), ("source", "agent"), ("source clock", "agent")]
    {
        assert_eq!(find(&found, check, subject)["state"], "ok", "{found:#}");
    }
    assert_eq!(find(&found, "sink", "mes")["state"], "ok", "{found:#}");
}

/// A simulated machine as a process of its own. Killed when dropped.
struct Simulated {
    child: Child,
    url: String,
}

impl Simulated {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resonance"));
        command.args(arguments).args(["--format", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        Self { child, url: said["url"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_clock_that_is_not_synchronized_fails() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), "").unwrap();
    let programs = folder.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let chronyc = programs.join("chronyc");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let says = |leap: &str| {
        let line = format!("7F7F0101,,10,1700000000.1,0.000001,0,0,1,0,0,0,0,0,{leap}");
        fs::write(&chronyc, format!("#!/bin/sh\necho '{line}'\n")).unwrap();
        fs::set_permissions(&chronyc, PermissionsExt::from_mode(0o755)).unwrap();
        doctor(folder.path(), &[("PATH", &path)])
    };
    let (code, found) = says("Not synchronised");
    assert_eq!(code, Some(1));
    assert!(failed(&found, "clock", "").contains("chrony"));
    let (_, found) = says("Normal");
    assert_eq!(find(&found, "clock", "")["state"], "ok");
}

/// What a bundle holds, by name; read by a foreign program.
fn unpacked(folder: &Path, bundle: &str) -> BTreeMap<String, String> {
    let to = folder.join("unpacked");
    fs::create_dir(&to).unwrap();
    let tar = Command::new("tar").arg("-xzf").arg(folder.join(bundle)).arg("-C").arg(&to).status();
    assert!(tar.unwrap().success());
    let files = fs::read_dir(to.join("resonance-support")).unwrap();
    let read = |file: fs::DirEntry| {
        let name = file.file_name().into_string().unwrap();
        (name, fs::read_to_string(file.path()).unwrap())
    };
    files.map(|file| read(file.unwrap())).collect()
}

/// Secrets in every place where a plant file may have, or should not have, one.
const SECRETS: [&str; 7] = [
    "planted-in-a-file",
    "planted-in-a-variable",
    "planted in \"quotes\" and \\ more",
    "planted-in-a-comment",
    "planted-in-the-text",
    "planted-in-a-url",
    "9182736455",
];

#[test]
fn the_support_bundle_tells_much_and_no_secret() {
    let test = "the_support_bundle_tells_much_and_no_secret";
    if !has(test, "tar") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("mes.password"), format!("{}\n", SECRETS[0])).unwrap();
    fs::write(folder.join("token"), SECRETS[2]).unwrap();
    let plant = "events_file = 'events.jsonl'\n\
         [[sink]]\nid = 'a'\ntype = 'http'\nurl = 'http://127.0.0.1:9/'\nuser = 'u'\n\
         password = 'file:mes.password' # it is planted-in-a-comment\n\
         [[sink]]\nid = 'b'\ntype = 'mqtt'\nurl = 'mqtt://127.0.0.1:9'\nuser = 'u'\n\
         password = 'env:PLANTED'\n\
         [[sink]]\nid = 'c'\ntype = 'http'\nurl = 'http://127.0.0.1:9/'\ntoken = 'file:token'\n\
         [server.http]\nlisten = '127.0.0.1:0'\nanonymous = 'view'\n";
    fs::write(folder.join("plant.toml"), plant).unwrap();
    // Whoever wrote an event may have known it, too.
    let event = |secret: &str| {
        let secret = serde_json::Value::from(secret).to_string();
        format!("{{\"code\":\"sink.refused\",\"message\":{secret}}}\n")
    };
    let events: String = SECRETS[..3].iter().map(|secret| event(secret)).collect();
    fs::write(folder.join("events.jsonl"), events).unwrap();

    let gathered_knowing = |bundle: &str, known: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resonance"));
        command.args(["doctor", "plant.toml", "--bundle", bundle]).current_dir(folder);
        command.env_remove("PLANTED").envs(known.map(|known| ("PLANTED", known)));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("holds doctor.json"), "{said}");
        let _ = fs::remove_dir_all(folder.join("unpacked"));
        unpacked(folder, bundle)
    };
    let gathered = |bundle: &str| gathered_knowing(bundle, Some(SECRETS[1]));
    let files = gathered("support.tar.gz");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "doctor.json",
        "events.jsonl",
        "plant-check.json",
        "plant.toml",
        "status.json",
        "versions.json",
    ];
    assert_eq!(names, expected);
    let holds_none = |files: &BTreeMap<String, String>| {
        for (name, text) in files {
            for secret in SECRETS {
                let escaped = serde_json::Value::from(secret).to_string();
                let within = escaped.trim_matches('"');
                assert!(!text.contains(secret) && !text.contains(within), "{secret} in {name}");
            }
        }
    };
    holds_none(&files);
    assert!(files["plant.toml"].contains("password = 'env:PLANTED'"), "{}", files["plant.toml"]);
    assert!(files["events.jsonl"].contains("sink.refused"));
    let checked: Value = serde_json::from_str(&files["doctor.json"]).unwrap();
    failed(&checked, "sink", "a");
    let mut raw = Vec::new();
    let bundle = fs::File::open(folder.join("support.tar.gz")).unwrap();
    let mode = bundle.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else reads it");
    (&bundle).read_to_end(&mut raw).unwrap();
    assert!(raw.starts_with(&[0x1f, 0x8b]), "gzip");

    // Whoever packs without knowing every secret cannot take them out of what the gateway wrote.
    let files = gathered_knowing("unknowing.tar.gz", None);
    assert!(!files.contains_key("events.jsonl") && !files.contains_key("status.json"));
    assert!(files["left-out.txt"].contains("env:PLANTED"), "{}", files["left-out.txt"]);
    holds_none(&files);

    // A plant file with secrets where none may be is refused, and shown without them.
    let wrong = plant
        .replace("'file:token'", "'planted-in-the-text'")
        .replace("'env:PLANTED'", "9182736455")
        .replace("http://127.0.0.1:9/", "http://u:planted-in-a-url@127.0.0.1:9/");
    fs::write(folder.join("plant.toml"), wrong).unwrap();
    let files = gathered("wrong.tar.gz");
    holds_none(&files);
    assert!(files["plant.toml"].contains("token = \"***\""), "{}", files["plant.toml"]);

    let (code, _, said) = run(folder, &["doctor", "plant.toml", "--bundle", "wrong.tar.gz"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("wrong.tar.gz"), "it is there already: {said}");
}

#[test]
fn people_read_lines_with_remedies() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plant.toml"), "spol = 1\n").unwrap();
    let (code, out, _) = run(folder.path(), &["doctor", "plant.toml"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("fail  plant") && out.contains("= resonance plant check"), "{out}");
    assert!(!out.contains('\x1b'), "no colour in a pipe: {out}");
    let (code, _, said) = run(folder.path(), &["doctor", "absent.toml"]);
    assert_eq!(code, Some(2), "{said}");
}
