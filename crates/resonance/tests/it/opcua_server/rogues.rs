//! Clients whose certificates must not be admitted.

use std::path::Path;

use resonance_opcua::trust::{Folder, Item};

use super::*;
use crate::certificates::Material;

impl Site {
    fn with(&self, made: &Material, name: &str) -> Json {
        let (cert, key) = (made.path(name, "der"), made.path(name, "pem"));
        let options = ["--policy", "Basic256Sha256", "--mode", "SignAndEncrypt", "--cert", &cert];
        let more = ["--key", &key, "--uri", CLIENT_URI, "--user", "scada"];
        let options = options.into_iter().chain(more).chain(["--password", "correct horse"]);
        self.connects(&options.map(str::to_owned).collect::<Vec<_>>())
    }

    fn told_of(&self, name: &str, reason: &str) -> bool {
        let recent = self.context.events.recent(200);
        let of_it = format!("CN={name}");
        recent.iter().any(|e| e.message.contains(&of_it) && e.message.contains(reason))
    }
}

fn item(path: &str) -> Item {
    Item::of_file(&std::fs::read(path).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_trusted_authority_are_served_and_rogues_are_not() {
    let test = "clients_of_a_trusted_authority_are_served_and_rogues_are_not";
    let Some(site) = Site::start(test, false).await else { return };
    let Some(made) = Material::make(test, CLIENT_URI, "127.0.0.1") else { return };
    let folder = Folder::at(site.folder.path().join("pki"));
    let add = |folder: &Folder, name: &str, form: &str| match item(&made.path(name, form)) {
        Item::Certificate(it) => folder.trust(&it).unwrap(),
        Item::Crl(der) => folder.add_crl(&der).unwrap(),
        Item::Unreadable(problem) => panic!("{problem}"),
    };
    add(&folder, "ca", "der");

    // Without a list, nobody knows who was revoked.
    assert_eq!(site.with(&made, "good")["connected"], Json::Null);
    eventually("it is told", || site.told_of("good", "BadCertificateRevocationUnknown")).await;
    add(&folder, "ca", "crl");
    // The first time the stack does not know it; by the next it was judged.
    site.with(&made, "good");
    eventually("the good one is admitted", || site.with(&made, "good")["connected"] == true).await;

    for (name, reason) in [
        ("self_signed", "BadCertificateUntrusted"),
        ("unknown_authority", "BadCertificateChainIncomplete"),
        ("impostor", "BadCertificate"),
        ("expired", "BadCertificateTimeInvalid"),
        ("early", "BadCertificateTimeInvalid"),
        ("revoked", "BadCertificateRevoked"),
        ("signs_nothing", "BadCertificateUseNotAllowed"),
        ("for_mail", "BadCertificateUseNotAllowed"),
    ] {
        assert_eq!(site.with(&made, name)["connected"], Json::Null, "{name}");
        eventually(name, || site.told_of(name, reason)).await;
        assert_eq!(site.with(&made, name)["connected"], Json::Null, "{name} once more");
    }
    let kept = files(&site.folder.path().join("pki/rejected"));
    assert!(kept.len() >= 8 && kept.iter().all(|file| Path::new(file).is_file()));

    // Trusted by its fingerprint; then revoked, and one that is trusted itself rejected again.
    let Item::Certificate(own) = item(&made.path("self_signed", "der")) else { panic!() };
    folder.trust(&own).unwrap();
    eventually("it is admitted", || site.with(&made, "self_signed")["connected"] == true).await;
    folder.reject(&own).unwrap();
    eventually("it is refused", || site.with(&made, "self_signed")["connected"].is_null()).await;
    add(&folder, "ca_later", "crl");
    eventually("the good one is revoked", || site.told_of("good", "BadCertificateRevoked")).await;
    assert_eq!(site.with(&made, "good")["connected"], Json::Null);

    site.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_known_by_a_certificate() {
    let test = "a_user_is_known_by_a_certificate";
    let Some(made) = Material::make(test, CLIENT_URI, "127.0.0.1") else { return };
    let bytes = |name: &str| std::fs::read(made.path(name, "der")).unwrap();
    let Some(site) = Site::start_with(test, false, Some(bytes("below"))).await else { return };
    let Item::Certificate(application) = item(&made.path("self_signed", "der")) else { panic!() };
    Folder::at(site.folder.path().join("pki")).trust(&application).unwrap();
    let as_user = |name: &str| {
        let (cert, key) = (made.path("self_signed", "der"), made.path("self_signed", "pem"));
        let (user, secret) = (made.path(name, "der"), made.path(name, "pem"));
        let options = ["--policy", "Basic256Sha256", "--cert", &cert, "--key", &key];
        let more = ["--uri", CLIENT_URI, "--user-cert", &user, "--user-key", &secret];
        let options: Vec<String> = options.into_iter().chain(more).map(str::to_owned).collect();
        site.connects(&options)
    };
    eventually("anna is let in", || as_user("below")["connected"] == true).await;
    assert_eq!(as_user("good")["refused"], "BadUserAccessDenied", "somebody else's certificate");
    assert_eq!(as_user("self_signed")["refused"], "BadUserAccessDenied", "the application's own");
    assert!(site.has_event(Code::AccessFailed, ""), "it is told");
    site.stop().await;
}
