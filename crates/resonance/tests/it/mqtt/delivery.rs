//! Delivery to a broker that is there: properties, access, encryption.

use std::path::Path;
use std::process::Command;

use resonance_gateway::secret::SecretRef;
use resonance_gateway::sinks::mqtt::MqttConfig;
use resonance_gateway::status::Connection;
use resonance_plant::Code;
use serde_json::json;

use super::broker::Broker;
use super::gateway::{Gateway, config, id};
use super::subscriber::Subscriber;
use crate::result_record::record;

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_subscriber_gets_results_in_order_with_their_properties() {
    let test = "mqtt delivery to a foreign subscriber";
    let Some(broker) = Broker::plain(test) else { return };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let folder = tempfile::tempdir().unwrap();
    let topic = "plant/{asset}/{deployment}/{model}".to_owned();
    let gateway = Gateway::start(folder.path(), MqttConfig { topic, ..config(broker.url()) });
    gateway.offer(1..=500);
    let messages = subscriber.messages(500);
    for (message, sequence) in messages.iter().zip(1..) {
        assert_eq!(message["payload"]["id"], id(sequence));
        assert_eq!(message["user"]["result_id"], id(sequence));
        assert_eq!(message["correlation"], id(sequence));
    }
    let first = &messages[0];
    assert_eq!(first["topic"], "plant/line 1%2Fmill-1/tool-wear/cnc-tool-wear");
    assert_eq!((&first["qos"], &first["retain"]), (&json!(1), &json!(false)));
    assert_eq!(first["properties"]["ContentType"], "application/json");
    assert_eq!(first["properties"]["PayloadFormatIndicator"], 1);
    let expiry = first["properties"]["MessageExpiryInterval"].as_u64().unwrap();
    assert!((3_500..=3_600).contains(&expiry), "{expiry} of 3600 s");
    assert_eq!(first["user"]["model"], "cnc-tool-wear");
    assert_eq!(first["user"]["model_version"], "1.2.0");
    assert_eq!(first["user"]["trained_on"], "simulated");
    assert_eq!(first["payload"], serde_json::to_value(record(1)).unwrap(), "one encoding");
    gateway.await_delivered(500).await;
    let counters = &gateway.counters;
    assert_eq!(counters.connection.value(), Connection::Connected);
    assert_eq!((counters.failed.value(), counters.dropped.value()), (0, 0));
    gateway.await_that("nothing is kept", |gateway| gateway.spool.status().kept == 0).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_result_is_retained_where_asked_for() {
    let test = "mqtt retain";
    let Some(broker) = Broker::plain(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway =
        Gateway::start(folder.path(), MqttConfig { retain: true, ..config(broker.url()) });
    gateway.offer(1..=3);
    gateway.await_delivered(3).await;
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let message = &subscriber.messages(1)[0];
    assert_eq!((&message["retain"], &message["payload"]["sequence"]), (&json!(true), &json!(3)));
    gateway.stop().await;
}

/// Writes mosquitto's password file for one user.
fn passwords(folder: &Path, user: &str, password: &str) -> String {
    let file = folder.join("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-c", "-b"])
        .arg(&file)
        .args([user, password])
        .status();
    assert!(made.unwrap().success());
    format!("password_file {}", file.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_the_right_one_delivers_what_waited() {
    let test = "mqtt users";
    let prepare = |folder: &Path| passwords(folder, "gateway", "right");
    let Some(broker) = Broker::start(test, prepare) else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, "wrong\n").unwrap();
    let config = MqttConfig {
        user: Some("gateway".into()),
        password: Some(SecretRef(format!("file:{}", secret.display()))),
        ..config(broker.url())
    };
    let gateway = Gateway::start(folder.path(), config.clone());
    gateway.offer(1..=10);
    // mosquitto says "not authorized" to a wrong password.
    gateway.await_event(Code::SinkRefused, "check user, password").await;
    gateway.await_that("it tries again", |gateway| gateway.counters.failed.value() >= 3).await;
    assert_eq!(gateway.events_of(Code::SinkRefused).len(), 1, "told once");
    let told = format!("{:?}", gateway.events.recent(100));
    assert!(!told.contains("wrong"), "no secret in an event");
    gateway.stop().await;
    std::fs::write(&secret, "right\n").unwrap();
    let gateway = Gateway::start(folder.path(), config);
    gateway.await_delivered(10).await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_topic_holds_results_back_until_it_is_allowed() {
    let test = "mqtt refusals";
    let mut acl = std::path::PathBuf::new();
    let Some(broker) = Broker::start(test, |folder| {
        acl = folder.join("acl");
        std::fs::write(&acl, "topic read #\n").unwrap();
        format!("acl_file {}", acl.display())
    }) else {
        return;
    };
    let Some(subscriber) = Subscriber::start(test, broker.port) else { return };
    let folder = tempfile::tempdir().unwrap();
    // mosquitto 2.0 never gives back the Receive Maximum that refused results took: few at once,
    // so that it does not hang up in the middle.
    let few = MqttConfig { in_flight_max: 8, ..config(broker.url()) };
    let gateway = Gateway::start(folder.path(), few);
    gateway.offer(1..=100);
    gateway.await_event(Code::SinkRefused, "not authorized (0x87)").await;
    let failed = gateway.counters.failed.value();
    let again = |gateway: &Gateway| gateway.counters.failed.value() >= failed + 3;
    gateway.await_that("it tries again", again).await;
    assert_eq!(gateway.counters.delivered.value(), 0);
    assert_eq!(gateway.events_of(Code::SinkRefused).len(), 1, "told once");
    std::fs::write(&acl, "topic readwrite #\n").unwrap();
    broker.reload();
    let messages = subscriber.messages(100);
    for (message, sequence) in messages.iter().zip(1..) {
        assert_eq!(message["payload"]["id"], id(sequence), "in order");
    }
    gateway.await_delivered(100).await;
    assert_eq!(gateway.counters.dropped.value(), 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_larger_than_the_broker_takes_is_set_aside_and_the_rest_delivered() {
    let test = "mqtt packet size";
    let limit = |_: &Path| "max_packet_size 2000".to_owned();
    let Some(broker) = Broker::start(test, limit) else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), config(broker.url()));
    gateway.offer([1]);
    let mut large = record(2);
    large.window.points = (0..200).map(|n| format!("mill-1.channel-{n}").into()).collect();
    gateway.spool.writer().offer(large.into());
    gateway.offer([3]);
    gateway.await_delivered(2).await;
    gateway.await_event(Code::SinkRefused, "more than the broker takes").await;
    gateway.await_that("it is through", |gateway| gateway.spool.status().kept == 0).await;
    assert_eq!(gateway.counters.failed.value(), 1);
    gateway.stop().await;
}

/// Writes an authority and a certificate for `localhost`; returns mosquitto's lines.
fn certificates(folder: &Path) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
    std::fs::write(folder.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let server_key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let certificate = server.signed_by(&server_key, &issuer).unwrap();
    std::fs::write(folder.join("server.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("server.key"), server_key.serialize_pem()).unwrap();
    let at = folder.display();
    format!("certfile {at}/server.pem\nkeyfile {at}/server.key")
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_delivers_to_a_trusted_broker_and_to_no_other() {
    let test = "mqtt tls";
    let Some(broker) = Broker::start(test, certificates) else { return };
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    certificates(other.path());
    let ca = |folder: &Path| Some(folder.join("ca.pem").display().to_string());
    let url = format!("mqtts://localhost:{}", broker.port);
    let trusting = |ca_file| MqttConfig { ca_file, ..config(url.clone()) };
    let gateway = Gateway::start(folder.path(), trusting(ca(other.path())));
    gateway.offer(1..=10);
    gateway.await_event(Code::SinkRefused, "check ca_file").await;
    assert_eq!(gateway.counters.delivered.value(), 0);
    gateway.stop().await;
    let options = json!({
        "host": "localhost", "port": broker.port, "ca_file": ca(broker.folder()),
    });
    let Some(subscriber) = Subscriber::with(test, options) else { return };
    let gateway = Gateway::start(folder.path(), trusting(ca(broker.folder())));
    assert_eq!(subscriber.messages(10)[9]["payload"]["id"], id(10));
    gateway.stop().await;
}
