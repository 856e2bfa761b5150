//! Certificates that somebody else's program made, good and rogue: who is trusted, by whom.

use std::process::Command;

use resonance_gateway::hub::ingest::SessionState;
use resonance_opcua::trust::{Expected, Folder, Item, Peer, Trust};
use resonance_plant::{Clock, Code, DataType, SystemClock, Value};
use serde_json::Value as Json;

use crate::opcua_source::harness::{Machine, Running, config, points};
use crate::peers;

const URI: &str = "urn:resonance:test-machine";

/// A folder of certificates made by `tests/peers/certificates.py`.
pub struct Material(tempfile::TempDir);

impl Material {
    pub fn make(test: &str, uri: &str, host: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new(peers::python(test)?)
            .arg(peers::workspace().join("tests/peers/certificates.py"))
            .args([folder.path().to_str().unwrap(), uri, host])
            .status()
            .unwrap();
        assert!(made.success());
        Some(Self(folder))
    }

    pub fn path(&self, name: &str, form: &str) -> String {
        self.0.path().join(format!("{name}.{form}")).to_string_lossy().into_owned()
    }

    fn bytes(&self, name: &str, form: &str) -> Vec<u8> {
        std::fs::read(self.path(name, form)).unwrap()
    }

    /// A folder that trusts these authorities and applications and has these lists.
    fn folder(
        &self,
        trusted: &[&str],
        issuers: &[&str],
        lists: &[&str],
    ) -> (tempfile::TempDir, Folder) {
        let at = tempfile::tempdir().unwrap();
        let folder = Folder::at(at.path());
        for name in trusted.iter().chain(issuers) {
            let Item::Certificate(it) = Item::of_file(&self.bytes(name, "der")) else { panic!() };
            match trusted.contains(name) {
                true => folder.trust(&it).unwrap(),
                false => folder.add_issuer(&it).unwrap(),
            };
        }
        for name in lists {
            folder.add_crl(&self.bytes(name, "crl")).unwrap();
        }
        (at, folder)
    }
}

const EXPECTED: Expected<'_> = Expected {
    peer: Peer::Server,
    host: Some("127.0.0.1"),
    application_uri: Some(URI),
    allow_unknown_revocation: false,
};

#[test]
fn every_rogue_is_refused_for_its_own_reason() {
    let test = "every_rogue_is_refused_for_its_own_reason";
    let Some(made) = Material::make(test, URI, "127.0.0.1") else { return };
    let judge = |folder: &Folder, chain: &[&str], expected| {
        let chain: Vec<u8> = chain.iter().flat_map(|name| made.bytes(name, "der")).collect();
        folder.trust_list().judge(&chain, expected, SystemClock.now()).map_err(|e| e.to_string())
    };
    let (_ca, folder) = made.folder(&["ca", "old_ca"], &[], &["ca"]);
    assert_eq!(judge(&folder, &["good"], EXPECTED), Ok(Trust::Authority));
    for (name, reason) in [
        ("self_signed", "BadCertificateUntrusted"),
        ("unknown_authority", "BadCertificateChainIncomplete"),
        ("of_old_authority", "BadCertificateIssuerTimeInvalid"),
        ("expired", "BadCertificateTimeInvalid"),
        ("early", "BadCertificateTimeInvalid"),
        ("revoked", "BadCertificateRevoked"),
        ("wrong_host", "BadCertificateHostNameInvalid"),
        ("wrong_uri", "BadCertificateUriInvalid"),
        ("signs_nothing", "BadCertificateUseNotAllowed"),
        ("for_mail", "BadCertificateUseNotAllowed"),
        ("impostor", "BadCertificate"),
        ("ca", "BadCertificate"),
    ] {
        let refused = judge(&folder, &[name], EXPECTED).unwrap_err();
        assert!(refused.starts_with(reason), "{name}: {refused}");
        assert!(refused.contains(';') || name == "self_signed", "a remedy: {refused}");
    }

    // Through an authority between, that is known or shown; each needs its list.
    let below = |trusted: &[&str], issuers: &[&str], lists: &[&str], chain: &[&str]| {
        let (_at, folder) = made.folder(trusted, issuers, lists);
        judge(&folder, chain, EXPECTED)
    };
    assert_eq!(below(&["ca"], &["between"], &["ca", "between"], &["below"]), Ok(Trust::Authority));
    assert_eq!(
        below(&["ca"], &[], &["ca", "between"], &["below", "between"]),
        Ok(Trust::Authority)
    );
    assert_eq!(below(&["between"], &[], &["between"], &["below"]), Ok(Trust::Authority));
    let unknown = "BadCertificateRevocationUnknown";
    for (lists, chain) in [(&["ca"][..], &["below", "between"][..]), (&["between"], &["below"])] {
        let refused = below(&["ca"], &["between"], lists, chain).unwrap_err();
        assert!(refused.starts_with(unknown), "{refused}");
    }
    let refused = below(&["ca"], &[], &["ca"], &["below"]).unwrap_err();
    assert!(refused.starts_with("BadCertificateChainIncomplete"), "{refused}");
    // An authority that is not trusted completes chains and no more.
    let refused = below(&[], &["ca"], &["ca"], &["good"]).unwrap_err();
    assert!(refused.starts_with("BadCertificateChainIncomplete"), "{refused}");

    // No list, or one that is out of date, unless that is allowed; a list that is there counts.
    for lists in [&[][..], &["ca_stale"]] {
        let refused = below(&["ca"], &[], lists, &["good"]).unwrap_err();
        assert!(refused.starts_with(unknown), "{refused}");
        let (_at, folder) = made.folder(&["ca"], &[], lists);
        let lenient = Expected { allow_unknown_revocation: true, ..EXPECTED };
        assert_eq!(judge(&folder, &["good"], lenient), Ok(Trust::Authority));
        if !lists.is_empty() {
            let refused = judge(&folder, &["revoked"], lenient).unwrap_err();
            assert!(refused.starts_with("BadCertificateRevoked"), "{refused}");
        }
    }

    // Trusted itself: names do not matter, dates, uses and revocation do.
    let exact = ["wrong_host", "wrong_uri", "self_signed", "unknown_authority", "good"];
    let (_at, folder) = made.folder(&exact, &["ca"], &["ca_later"]);
    for name in &exact[..4] {
        assert_eq!(judge(&folder, &[name], EXPECTED), Ok(Trust::Exact), "{name}");
    }
    assert!(judge(&folder, &["good"], EXPECTED).unwrap_err().starts_with("BadCertificateRevoked"));
    let (_at, folder) = made.folder(&["expired", "for_mail"], &[], &[]);
    for (name, reason) in [("expired", "BadCertificateTime"), ("for_mail", "BadCertificateUse")] {
        assert!(judge(&folder, &[name], EXPECTED).unwrap_err().starts_with(reason), "{name}");
    }
}

#[tokio::test]
async fn a_machine_of_a_trusted_authority_is_read_and_rogues_are_not() {
    let test = "a_machine_of_a_trusted_authority_is_read_and_rogues_are_not";
    let Some(made) = Material::make(test, URI, "127.0.0.1") else { return };
    let start = |name: &str| {
        let (certificate, key) = (made.path(name, "der"), made.path(name, "pem"));
        let options = ["--encrypted", "--certificate", &certificate, "--key", &key];
        Machine::start(test, &["Load:Double:1.5"], &options).unwrap()
    };
    let (at, _folder) = made.folder(&["ca", "soon"], &[], &["ca"]);
    let settings = format!("security_policy = 'basic256sha256'\npki = '{}'", at.path().display());
    let of = |machine: &Machine| {
        Running::start(config(&machine.url(), &settings), points(&[("Load", DataType::Float64)]))
    };
    for (name, reason) in [
        ("self_signed", "not trusted"),
        ("unknown_authority", "BadCertificateChainIncomplete"),
        ("expired", "BadCertificateTimeInvalid"),
        ("revoked", "BadCertificateRevoked"),
        ("wrong_host", "BadCertificateHostNameInvalid"),
        ("wrong_uri", "BadCertificateUriInvalid"),
        ("for_mail", "BadCertificateUseNotAllowed"),
    ] {
        let machine = start(name);
        let mut source = of(&machine);
        let told = source.event(Code::SourceUntrusted).await;
        assert!(told.message.contains(reason), "{name}: {}", told.message);
        assert_eq!(source.observed(0).count(), 0, "{name}");
        source.stop();
    }
    for name in ["good", "soon"] {
        let machine = start(name);
        let mut source = of(&machine);
        source.session(SessionState::Alive).await;
        source.value(0, Value::Float(1.5)).await;
        assert!(source.counters.certificate_until.value() > 0);
        if name == "soon" {
            let told = source.event(Code::CertificateExpiring).await;
            assert!(told.message.contains("runs out in 9 days"), "{}", told.message);
        }
        source.stop();
    }
}

fn command(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_resonance"))
        .arg("certificate")
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn certificates_are_trusted_and_rejected_by_command() {
    let test = "certificates_are_trusted_and_rejected_by_command";
    let Some(made) = Material::make(test, URI, "127.0.0.1") else { return };
    let (at, folder) = made.folder(&["ca"], &[], &["ca"]);
    let pki = at.path().to_str().unwrap();
    let Item::Certificate(stranger) = Item::of_file(&made.bytes("self_signed", "der")) else {
        panic!()
    };
    folder.reject(&stranger).unwrap();
    let print = stranger.fingerprint();
    let states = || -> Vec<(String, String)> {
        let (code, said) = command(&["list", "--pki", pki, "--format", "json"]);
        assert_eq!(code, 0, "{said}");
        let rows: Vec<Json> = serde_json::from_str(&said).unwrap();
        let text = |row: &Json, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        rows.iter().map(|row| (text(row, "subject"), text(row, "state"))).collect()
    };
    let is = |subject: &str, state: &str| (format!("CN={subject}"), state.to_owned());
    let authority = is("Plant authority", "trusted authority");
    let list = (String::new(), "revocation list".to_owned());
    assert_eq!(states(), [authority, list.clone(), is("self_signed", "refused")]);

    // By the first digits, as people write them.
    let short = print[..12].to_uppercase();
    let colons = format!("{}:{}", &short[..6], &short[6..]);
    let (code, said) = command(&["trust", "--pki", pki, "--thumbprint", &colons]);
    assert!(code == 0 && said.contains(&print), "{said}");
    assert!(states().contains(&is("self_signed", "trusted")), "{:?}", states());
    assert_eq!(states().len(), 3, "it is no longer among the rejected");
    let (code, _) = command(&["reject", "--pki", pki, "--thumbprint", &stranger.thumbprint()]);
    assert_eq!(code, 0, "the thumbprint of OPC UA does, too");
    assert_eq!(states().last(), Some(&is("self_signed", "refused")));
    let (code, _) = command(&["remove", "--pki", pki, "--thumbprint", &print]);
    assert_eq!((code, states().len()), (0, 2));

    let good = made.path("good", "der");
    assert_eq!(command(&["trust", "--pki", pki, "--file", &good]).0, 0);
    let later = made.path("ca_later", "crl");
    assert_eq!(command(&["add", "--pki", pki, "--file", &later]).0, 0);
    assert!(states().contains(&is("good", "refused")), "the newer list revokes it: {:?}", states());
    assert_eq!(states().iter().filter(|it| **it == list).count(), 1, "it replaced the older");

    // An older list neither takes its place nor stands before it.
    let older = made.path("ca", "crl");
    let (code, said) = command(&["add", "--pki", pki, "--file", &older]);
    assert!(code != 0 && said.contains("newer"), "{said}");
    std::fs::copy(&older, at.path().join("trusted/a.crl")).unwrap();
    assert!(states().contains(&is("good", "refused")), "{:?}", states());
    let (code, said) = command(&["reject", "--pki", pki, "--file", &made.path("soon", "der")]);
    assert!(code != 0 && said.contains("vouches for it"), "its authority is trusted: {said}");

    // What cannot be is said, with what to do.
    let junk = made.path("junk", "der");
    std::fs::write(&junk, "junk").unwrap();
    for (arguments, code, part) in [
        (&["trust", "--pki", pki, "--thumbprint", "00000000"][..], 1, "no such certificate"),
        (&["trust", "--pki", pki, "--thumbprint", "12"], 2, "eight hexadecimal digits"),
        (&["trust", "--pki", pki, "--file", &junk], 2, "no certificate"),
        (&["add", "--pki", pki, "--file", &good], 2, "trust --file"),
        (&["list", "--pki", "/nowhere"], 2, "no such folder"),
        (&["list"], 2, "PLANT.toml"),
    ] {
        let (ended, said) = command(arguments);
        assert!(ended == code && said.contains(part), "{arguments:?}: {ended} {said}");
    }
    let (code, said) = command(&["list", "--pki", pki]);
    assert!(code == 0 && said.contains("CN=Plant authority"), "{said}");
}

/// A list judges by what the plant file says of each that uses the folder.
#[test]
fn a_list_judges_as_the_plant_does() {
    let test = "a_list_judges_as_the_plant_does";
    let Some(made) = Material::make(test, URI, "127.0.0.1") else { return };
    // An authority that is trusted, and no word of what it revoked.
    let (at, folder) = made.folder(&["ca"], &[], &[]);
    let Item::Certificate(machine) = Item::of_file(&made.bytes("good", "der")) else { panic!() };
    folder.keep_rejected(&machine).unwrap();
    let plant = at.path().join("plant.toml");
    let state = |of_source: &str| {
        let text = format!(
            "[[source]]\nid = 'mill'\ntype = 'opcua'\nurl = 'opc.tcp://127.0.0.1:4840'\n\
             pki = '{}'\n{of_source}",
            at.path().display()
        );
        std::fs::write(&plant, text).unwrap();
        let (code, said) = command(&["list", plant.to_str().unwrap(), "--format", "json"]);
        assert_eq!(code, 0, "{said}");
        let rows: Vec<Json> = serde_json::from_str(&said).unwrap();
        let of_machine = |row: &&Json| row["subject"] == "CN=good";
        rows.iter().find(of_machine).expect("it is listed").clone()
    };
    let refused = state("");
    assert_eq!((&refused["state"], &refused["used_by"]), (&"refused".into(), &"mill".into()));
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.contains("BadCertificateRevocationUnknown"), "{reason}");
    assert_eq!(state("allow_unknown_revocation = true")["state"], "trusted");
    let both = state(&format!(
        "allow_unknown_revocation = true\n[server.opcua]\nlisten = '127.0.0.1:4841'\n\
         allow_anonymous = true\npki = '{}'\n",
        at.path().display()
    ));
    assert_eq!((&both["state"], &both["used_by"]), (&"trusted".into(), &"mill, server".into()));
    assert!(both["reason"].as_str().unwrap().starts_with("not for server: "), "{both}");
}
