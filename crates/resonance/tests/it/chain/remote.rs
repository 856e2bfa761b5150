//! Deployments whose model another server runs: KServe's, which lies when told to, and a second
//! gateway behind TLS.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_gateway::remote::{Remote, RemoteConfig, RemoteError, RemoteProtocol};
use resonance_gateway::secret::SecretRef;
use resonance_inference::package::{self, VerifiedModel};
use resonance_plant::{Tensor, TensorBuf};
use resonance_proof::PackageLimits;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::gateway::{DEADLINE, Gateway, events, eventually, has_engine};
use super::machine::{Machine, OPERATOR, write_plant};
use crate::http::tls::certificate;
use crate::peers::{Peer, python, workspace};

fn package() -> PathBuf {
    workspace().join("models/tool-wear")
}

/// KServe's server with the package's model. It takes no port 0, so its ports were free before.
struct Served {
    peer: Peer,
    ports: [u16; 2],
}

impl Served {
    fn start(python: &Path) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let free = [free(), free()];
        let ports = free.each_ref().map(|listener| listener.local_addr().unwrap().port());
        drop(free);
        Self::on_ports(python, ports)
    }

    fn on_ports(python: &Path, ports: [u16; 2]) -> Self {
        let [http, grpc] = ports.map(|port| port.to_string());
        let package = package();
        let arguments = [package.to_str().unwrap(), &http, &grpc];
        let (peer, ready) = Peer::start(python, "oip_server.py", &arguments);
        assert_eq!(ready["ok"], true, "{ready}");
        Self { peer, ports }
    }

    fn tells(&mut self, lie: &str) {
        self.peer.tell(json!({"lie": lie}));
    }

    fn count(&mut self) -> u64 {
        self.peer.say(&json!({"count": true}));
        self.peer.answer()["count"].as_u64().unwrap()
    }

    /// A deployment that it runs.
    fn deployment(&self, id: &str, protocol: &str, more: &str) -> String {
        let port = self.ports[usize::from(protocol == "grpc")];
        format!(
            "[[deployment]]\nid = '{id}'\nmodel = '{}'\nasset = 'mill'\n\
             trigger = {{ every_ms = 50 }}\n{more}\n[deployment.remote]\n\
             url = 'http://127.0.0.1:{port}'\nprotocol = '{protocol}'\ncheck_ms = 200\n",
            package().display()
        )
    }
}

/// The states of some deployments, once they are these.
fn states(gateway: &Gateway, wanted: [(&str, &str); 2]) -> [Value; 2] {
    let mut client = gateway.client(OPERATOR.0, OPERATOR.1);
    eventually(&format!("{wanted:?}"), || {
        let listed = client.get("/api/v1/deployments").json();
        let all = listed["deployments"].as_array().unwrap();
        let one = |(id, state)| {
            let found = all.iter().find(|one| one["id"] == id).unwrap();
            (found["state"] == state).then(|| found.clone())
        };
        Some([one(wanted[0])?, one(wanted[1])?])
    })
}

/// The wear that a deployment gives now, if it gives one.
fn wear_of(client: &mut crate::http::client::Client, deployment: &str) -> Option<f64> {
    let path = format!("/api/v1/values?asset=mill&point={deployment}.flank_wear");
    client.get(&path).json()["values"][0]["value"].as_f64()
}

fn told(folder: &Path, code: &str, text: &str) -> usize {
    let is =
        |event: &&Value| event["code"] == code && event["message"].as_str().unwrap().contains(text);
    events(folder).iter().filter(is).count()
}

#[test]
fn a_foreign_server_runs_the_model_and_the_local_one_stands_in_while_it_is_gone() {
    let test = "a_foreign_server_runs_the_model_and_the_local_one_stands_in_while_it_is_gone";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let mut served = Served::start(&python);
    let folder = tempfile::tempdir().unwrap();
    let local =
        format!("fallback = {{ type = 'fall_back_to', model = '{}' }}", package().display());
    let more = served.deployment("far", "rest", &local) + &served.deployment("farther", "grpc", "");
    let gateway = Gateway::run(&write_plant(folder.path(), machine.port, 100, &more));
    states(&gateway, [("far", "active"), ("farther", "active")]);
    let mut client = gateway.client(OPERATOR.0, OPERATOR.1);
    let here = eventually("the local model's result", || wear_of(&mut client, "wear"));
    for deployment in ["far", "farther"] {
        let there = wear_of(&mut client, deployment).unwrap();
        assert!((here - there).abs() < 1e-4, "{deployment}: {here} {there}");
    }
    assert!(served.count() > 2);
    let ports = served.ports;
    served.peer.kill();
    let gone = states(&gateway, [("far", "degraded"), ("farther", "faulted")]);
    assert_eq!(gone[0]["reason"], "another model answers");
    assert!(gone[1]["reason"].as_str().unwrap().contains("127.0.0.1"), "{gone:?}");
    let stands_in = wear_of(&mut client, "far").unwrap();
    assert!((here - stands_in).abs() < 1e-4, "{here} {stands_in}");
    eventually("farther's result withdrawn", || {
        wear_of(&mut client, "farther").is_none().then_some(())
    });
    eventually("both losses told", || {
        (told(folder.path(), "remote.lost", "http://127.0.0.1") >= 2).then_some(())
    });
    let _served = Served::on_ports(&python, ports);
    states(&gateway, [("far", "active"), ("farther", "active")]);
    assert!(gateway.stop().success());
}

#[test]
fn a_server_that_lies_is_named_and_its_answers_are_never_results() {
    let test = "a_server_that_lies_is_named_and_its_answers_are_never_results";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let machine = Machine::start(&python);
    let mut served = Served::start(&python);
    let folder = tempfile::tempdir().unwrap();
    served.tells("declares_shape");
    let more = served.deployment("far", "rest", "") + &served.deployment("farther", "grpc", "");
    let gateway = Gateway::run(&write_plant(folder.path(), machine.port, 100, &more));
    let mut client = gateway.client(OPERATOR.0, OPERATOR.1);
    let here = eventually("the local model's result", || wear_of(&mut client, "wear"));
    for (lie, code, says) in [
        (
            "declares_shape",
            "remote.refused",
            "the manifest says FP32[-1, 1], the model FP32[-1, 2]",
        ),
        ("declares_type", "remote.refused", "the manifest says FP32[-1, 1], the model FP64[-1, 1]"),
        ("declares_name", "remote.refused", "has no such tensor, only something_else, condition"),
        ("answers_shape", "remote.refused", "it must be FP32[-1, 1], not FP32["),
        ("answers_rows", "remote.refused", "rows were sent"),
        ("answers_type", "remote.refused", "it must be FP32[-1, 1], not FP64["),
        ("answers_short", "remote.refused", "output \"flank_wear\""),
        ("answers_nothing", "remote.refused", "output \"flank_wear\" is missing"),
        ("not_ready", "remote.lost", "not ready"),
        ("slow", "remote.lost", "did not answer within 1000 ms"),
        ("fails", "remote.lost", "the model fell over"),
    ] {
        served.tells(lie);
        states(&gateway, [("far", "faulted"), ("farther", "faulted")]);
        eventually(&format!("{lie}: {code} {says}"), || {
            assert!(wear_of(&mut client, "far").is_none_or(|wear| (wear - here).abs() < 1e-4));
            (told(folder.path(), code, says) > 0).then_some(())
        });
        served.tells("honest");
        let fit = states(&gateway, [("far", "active"), ("farther", "active")]);
        assert!(fit.iter().all(|one| one["reason"] == ""), "{fit:?}");
        let there = wear_of(&mut client, "far").unwrap();
        assert!((there - here).abs() < 1e-4, "{lie}: {there} {here}");
    }
    assert!(gateway.stop().success());
}

#[test]
fn a_server_that_answers_golden_vectors_otherwise_serves_nothing() {
    let test = "a_server_that_answers_golden_vectors_otherwise_serves_nothing";
    let (true, Some(python)) = (has_engine(test), python(test)) else { return };
    let mut served = Served::start(&python);
    served.tells("answers_wrong");
    let runtime = Runtime::new().unwrap();
    for (protocol, port) in [(RemoteProtocol::Rest, 0), (RemoteProtocol::Grpc, 1)] {
        let url = format!("http://127.0.0.1:{}", served.ports[port]);
        let config = RemoteConfig { protocol, ..RemoteConfig::at(url) };
        let remote = remote(&config, &runtime);
        let refused = runtime.block_on(remote.check()).unwrap_err();
        assert!(matches!(refused, RemoteError::Golden { .. }), "{refused}");
        let text = refused.to_string();
        assert!(text.contains("element 0 of \"flank_wear\""), "{text}");
        assert!(infer(&remote).unwrap_err().contains("golden vectors"), "nothing is asked of it");
        served.tells("honest");
        assert_eq!(runtime.block_on(remote.check()), Ok(()));
        assert_eq!(infer(&remote), Ok(()));
        served.tells("answers_wrong");
    }
}

#[test]
fn no_more_inferences_a_second_than_allowed_are_asked_for() {
    let test = "no_more_inferences_a_second_than_allowed_are_asked_for";
    let Some(python) = python(test) else { return };
    let mut served = Served::start(&python);
    let runtime = Runtime::new().unwrap();
    let url = format!("http://127.0.0.1:{}", served.ports[0]);
    let config = RemoteConfig { max_per_second: Some(20), ..RemoteConfig::at(url) };
    let remote = remote(&config, &runtime);
    runtime.block_on(remote.check()).unwrap();
    let (before, began) = (served.count(), Instant::now());
    (0..20).for_each(|_| infer(&remote).unwrap());
    assert_eq!(served.count() - before, 20);
    // The first of them may come at once.
    assert!(began.elapsed() >= Duration::from_millis(19 * 50), "{:?}", began.elapsed());
}

fn model() -> Arc<VerifiedModel> {
    Arc::new(package::load(&package(), &PackageLimits::default()).unwrap())
}

fn remote(config: &RemoteConfig, runtime: &Runtime) -> Arc<Remote> {
    Arc::new(Remote::new(config, model(), runtime.handle().clone()).unwrap())
}

/// One inference of zeros.
fn infer(remote: &Arc<Remote>) -> Result<(), String> {
    let zeros = Tensor::zeros(remote.model.manifest.inputs[0].element, &[1, 13]).unwrap();
    let mut session = remote.program().session().unwrap();
    let inputs = TensorBuf { tensors: vec![zeros] };
    session.infer(&inputs, &mut TensorBuf::default()).map_err(|error| error.to_string())
}

/// A second gateway that only serves the model, over TLS, to users.
fn second(folder: &Path) -> (Gateway, [String; 2]) {
    certificate(folder);
    let hash = resonance_gateway::access::hash_password(b"asks").unwrap();
    std::fs::write(folder.join("line.hash"), hash).unwrap();
    let tls = "tls = { certificate = 'server.pem', key = 'server.key' }";
    let text = format!(
        "[plant]\n[[model]]\nfolder = '{}'\n\
         [server.http]\nlisten = '127.0.0.1:0'\n{tls}\n\
         [server.grpc]\nlisten = '127.0.0.1:0'\n{tls}\n\
         [[user]]\nname = 'line'\nrole = 'operate'\npassword_hash = 'file:line.hash'\n",
        package().display()
    );
    std::fs::write(folder.join("plant.toml"), text).unwrap();
    let gateway = Gateway::run(&folder.join("plant.toml"));
    let urls = ["http", "grpc"].map(|kind| {
        let url = gateway.url(kind);
        format!("https://localhost:{}", url.rsplit(':').next().unwrap())
    });
    (gateway, urls)
}

#[test]
fn a_second_gateway_is_asked_over_tls_by_a_user_it_knows() {
    let test = "a_second_gateway_is_asked_over_tls_by_a_user_it_knows";
    if !has_engine(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (gateway, urls) = second(folder.path());
    let other = tempfile::tempdir().unwrap();
    certificate(other.path());
    let secret = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Some(SecretRef(format!("file:{}", folder.path().join(name).display())))
    };
    let pem = |folder: &Path| Some(folder.join("server.pem").display().to_string());
    let runtime = Runtime::new().unwrap();
    let check = |config: &RemoteConfig| {
        let remote = remote(config, &runtime);
        runtime.block_on(remote.check()).map(|()| infer(&remote)).map_err(|e| e.to_string())
    };
    for (protocol, url) in [RemoteProtocol::Rest, RemoteProtocol::Grpc].into_iter().zip(urls) {
        let good = RemoteConfig {
            protocol,
            user: Some("line".into()),
            password: secret("right", "asks\n"),
            ca_file: pem(folder.path()),
            ..RemoteConfig::at(url)
        };
        assert_eq!(check(&good), Ok(Ok(())), "{protocol:?}");
        let stranger = RemoteConfig { password: secret("wrong", "guesses"), ..good.clone() };
        let refused = check(&stranger).unwrap_err();
        assert!(refused.contains("401") || refused.contains("Unauthenticated"), "{refused}");
        let untrusted = RemoteConfig { ca_file: pem(other.path()), ..good.clone() };
        let refused = check(&untrusted).unwrap_err();
        assert!(refused.contains("is not reached") && refused.contains("certificate"), "{refused}");
        let unknown = RemoteConfig { model: Some("absent".into()), ..good };
        let refused = check(&unknown).unwrap_err();
        assert!(refused.contains("404") || refused.contains("NotFound"), "{refused}");
    }
    assert!(gateway.stop().success());
}

#[test]
fn a_bearer_token_goes_with_every_request_and_into_no_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let body = "{\"error\": \"no entry\"}";
        let length = body.len();
        write!(&stream, "HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        head
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "s3cret\n").unwrap();
    let token = Some(SecretRef(format!("file:{}", file.display())));
    let config = RemoteConfig { token, version: Some("7".into()), ..RemoteConfig::at(url) };
    let runtime = Runtime::new().unwrap();
    let remote = remote(&config, &runtime);
    let refused = runtime.block_on(remote.check()).unwrap_err().to_string();
    assert!(refused.contains("403: no entry") && !refused.contains("s3cret"), "{refused}");
    assert!(!format!("{remote:?}").contains("s3cret"));
    let head = heard.join().unwrap();
    assert_eq!(head[0], "GET /v2/models/tool-wear/versions/7/ready HTTP/1.1");
    assert!(head.iter().any(|line| line == "authorization: Bearer s3cret"), "{head:?}");
}
