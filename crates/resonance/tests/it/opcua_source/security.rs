//! Who trusts whom.

use resonance_gateway::hub::ingest::SessionState;
use resonance_plant::{Code, DataType, Status, Value};
use resonance_simulate::cnc::{CncMachine, CncOptions};
use resonance_simulate::machine::Endpoint;

use crate::certificates::Material;

use super::harness::{Machine, Running, config, points};

const LOAD: &[(&str, DataType)] = &[("Load", DataType::Float64)];

const ENCRYPTED: &[&str] = &["--encrypted", "--user", "gateway", "--password", "right-one"];

fn secure(pki: &std::path::Path, password: &std::path::Path, more: &str) -> String {
    format!(
        "security_policy = 'basic256sha256'\nuser = 'gateway'\npassword = 'file:{}'\npki = '{}'\n\
         {more}",
        password.display(),
        pki.display()
    )
}

#[tokio::test]
async fn an_encrypted_session_with_a_password_needs_trust_and_the_right_password() {
    let test = "an_encrypted_session_with_a_password_needs_trust_and_the_right_password";
    let Some(machine) = Machine::start(test, &["Load:Double:1.5"], ENCRYPTED) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (pki, password) = (folder.path().join("pki"), folder.path().join("password"));
    std::fs::write(&password, "wrong-one\n").unwrap();

    // A stranger's certificate is refused, with its fingerprint, and kept for whoever decides.
    let settings = secure(&pki, &password, "");
    let mut source = Running::start(config(&machine.url(), &settings), points(LOAD));
    let untrusted = source.event(Code::SourceUntrusted).await;
    assert!(untrusted.message.contains("fingerprint"), "{}", untrusted.message);
    let rejected = std::fs::read_dir(pki.join("rejected")).unwrap().next().unwrap().unwrap();
    let file = rejected.file_name();
    assert!(untrusted.message.contains(file.to_str().unwrap()), "{}", untrusted.message);

    // Trusted while it runs: the password is next, and it is wrong.
    std::fs::rename(rejected.path(), pki.join("trusted").join(&file)).unwrap();
    let refused = source.event(Code::SourceRefused).await;
    assert!(refused.message.contains("BadUserAccessDenied"), "{}", refused.message);
    assert!(refused.message.contains("check user and password"), "{}", refused.message);
    assert!(!refused.message.contains("wrong-one"), "secrets are not told");

    // Corrected while it runs.
    std::fs::write(&password, "right-one\n").unwrap();
    source.session(SessionState::Alive).await;
    source.value(0, Value::Float(1.5)).await;
    source.stop();

    // Pinned by its fingerprint, in a folder that trusts nobody.
    let print = file.to_str().unwrap().trim_end_matches(".der");
    let elsewhere = folder.path().join("elsewhere");
    for (pin, code) in [(print, Code::SourceConnected), ("00ff", Code::SourceUntrusted)] {
        let settings = secure(&elsewhere, &password, &format!("server_fingerprint = '{pin}'"));
        let mut source = Running::start(config(&machine.url(), &settings), points(LOAD));
        source.event(code).await;
    }
}

#[tokio::test]
async fn what_the_machine_does_not_offer_is_refused_with_what_it_does() {
    let test = "what_the_machine_does_not_offer_is_refused_with_what_it_does";
    let Some(machine) = Machine::start(test, &["Load:Double:1.5"], &[]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings =
        format!("security_policy = 'basic256sha256'\npki = '{}'", folder.path().display());
    let mut source = Running::start(config(&machine.url(), &settings), points(LOAD));
    let refused = source.event(Code::SourceRefused).await;
    assert!(refused.message.contains("it offers None / None"), "{}", refused.message);
}

#[tokio::test]
async fn an_absent_secret_is_named() {
    let absent = "user = 'gateway'\npassword = 'env:RESONANCE_TEST_ABSENT'";
    let mut source = Running::start(config("opc.tcp://127.0.0.1:9", absent), points(LOAD));
    let refused = source.event(Code::SourceRefused).await;
    assert!(refused.message.contains("RESONANCE_TEST_ABSENT"), "{}", refused.message);
    source.stop();
}

/// Policies that are safe, as the plant file and asyncua name them.
const SAFE: [(&str, &str); 3] = [
    ("basic256sha256", "Basic256Sha256"),
    ("aes128_sha256_rsaoaep", "Aes128Sha256RsaOaep"),
    ("aes256_sha256_rsapss", "Aes256Sha256RsaPss"),
];

const MODES: [(&str, &str); 2] = [("sign", "Sign"), ("sign_and_encrypt", "SignAndEncrypt")];

/// Makes a session with the machine at `url`, and reads a value in it.
async fn reads(url: &str, pki: &std::path::Path, policy: &str, mode: &str, node: &str) {
    let settings = format!(
        "security_policy = '{policy}'\nsecurity_mode = '{mode}'\nallow_weak_security = true\n\
         trust_any_certificate = true\npki = '{}'",
        pki.display()
    );
    let config = config(url, &settings);
    let mut source = Running::start(config, points(&[(node, DataType::Float64)]));
    let what = format!("a value from {url} with {policy} / {mode}");
    source.until(&what, |this| this.observed(0).find(|(.., it)| *it == Status::GOOD)).await;
    source.stop();
}

#[tokio::test]
async fn every_safe_policy_and_mode_of_our_server_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint {
        pki: Some(folder.path().join("machine")),
        allow_none: false,
        ..Endpoint::default()
    };
    let machine = CncMachine::start(CncOptions { endpoint, ..CncOptions::default() });
    let machine = machine.await.unwrap();
    let pki = folder.path().join("gateway");
    for (policy, _) in SAFE {
        for (mode, _) in MODES {
            reads(machine.url(), &pki, policy, mode, "CNC.Spindle.SpindlePower").await;
        }
    }
    machine.stop().await;
}

#[tokio::test]
async fn every_policy_and_mode_of_a_foreign_machine_is_spoken_weak_ones_if_allowed() {
    let test = "every_policy_and_mode_of_a_foreign_machine_is_spoken_weak_ones_if_allowed";
    let weak = ("basic256", "Basic256");
    let pairs: Vec<_> = SAFE
        .iter()
        .chain([&weak])
        .flat_map(|policy| MODES.iter().map(move |mode| (policy, mode)))
        .collect();
    let names: Vec<String> = pairs.iter().map(|(p, m)| format!("{}_{}", p.1, m.1)).collect();
    let mut options = vec!["--encrypted"];
    options.extend(names.iter().flat_map(|name| ["--policy", name.as_str()]));
    let Some(machine) = Machine::start(test, &["Load:Double:1.5"], &options) else { return };
    let pki = tempfile::tempdir().unwrap();
    for (policy, mode) in pairs {
        reads(&machine.url(), pki.path(), policy.0, mode.0, "Load").await;
    }
}

#[tokio::test]
async fn a_user_is_known_to_the_machine_by_a_certificate() {
    let test = "a_user_is_known_to_the_machine_by_a_certificate";
    let Some(made) = Material::make(test, "urn:peers:user", "127.0.0.1") else { return };
    let known = made.path("good", "der");
    let options = ["--encrypted", "--user-certificate", &known];
    let Some(machine) = Machine::start(test, &["Load:Double:1.5"], &options) else { return };
    let pki = tempfile::tempdir().unwrap();
    let of = |certificate: &str, key: &str| {
        let settings = format!(
            "security_policy = 'basic256sha256'\ntrust_any_certificate = true\npki = '{}'\n\
             user_certificate = '{certificate}'\nuser_key = 'file:{key}'",
            pki.path().display()
        );
        Running::start(config(&machine.url(), &settings), points(LOAD))
    };
    let mut source = of(&known, &made.path("good", "pem"));
    source.session(SessionState::Alive).await;
    source.value(0, Value::Float(1.5)).await;
    source.stop();
    for (certificate, key, part) in [
        // Another user, and one who has the certificate and not its key.
        (made.path("soon", "der"), made.path("soon", "pem"), "user_certificate and user_key"),
        (known.clone(), made.path("soon", "pem"), "BadIdentityTokenInvalid"),
        (known.clone(), known.clone(), "user_key"),
        (made.path("good", "pem"), known.clone(), "is no certificate"),
        ("/nowhere.der".into(), known.clone(), "/nowhere.der"),
    ] {
        let mut source = of(&certificate, &key);
        let told = source
            .until(part, |this| {
                let events = this.events.recent(100);
                events.into_iter().find(|event| event.code == Code::SourceRefused)
            })
            .await;
        assert!(told.message.contains(part), "{part}: {}", told.message);
        source.stop();
    }
}
