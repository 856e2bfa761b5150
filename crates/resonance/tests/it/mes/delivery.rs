//! Delivery to a MES on another HTTP stack, and to one behind mosquitto.

use resonance_gateway::sinks::http::{HttpConfig, HttpSink};
use resonance_gateway::sinks::mqtt::MqttConfig;
use resonance_gateway::sinks::payload::{Acknowledge, Format};
use resonance_plant::Code;
use serde_json::{Value, json};

use crate::mqtt::broker::Broker;
use crate::mqtt::gateway::{Gateway, config, id};
use crate::peers::{self, Peer, Teller};

/// The Python MES and a sink's configuration for it.
fn http_mes(test: &str) -> Option<(Peer, HttpConfig)> {
    let python = peers::python(test)?;
    let (peer, ready) = Peer::start(&python, "http_mes.py", &[]);
    let config = HttpConfig {
        format: Format::B2mmlXml,
        acknowledge: Acknowledge::ConfirmBod,
        backoff_ms_max: 500,
        ..HttpConfig::for_url(format!("http://127.0.0.1:{}/results", ready["port"]))
    };
    Some((peer, config))
}

fn taken(peer: &mut Peer) -> Value {
    peer.tell(json!({"do": "taken"}));
    peer.answer()
}

fn ids(sequences: impl IntoIterator<Item = u64>) -> Value {
    sequences.into_iter().map(|sequence| Value::from(id(sequence))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_mes_over_http_gets_every_result_whatever_it_does() {
    let Some((mut mes, config)) = http_mes("delivery to a foreign HTTP MES") else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::with(folder.path(), Box::new(HttpSink::new(config)));
    gateway.offer(1..=50);
    gateway.await_delivered(50).await;
    assert_eq!(taken(&mut mes), json!({"taken": ids(1..=50), "keys": ids(1..=50)}));
    for behaviour in ["lose", "fail", "close"] {
        mes.tell(json!({"do": "behave", "as": behaviour}));
        let (delivered, failed) =
            (gateway.counters.delivered.value(), gateway.counters.failed.value());
        let next = delivered + 1;
        gateway.offer([next]);
        gateway
            .await_that(behaviour, |gateway| gateway.counters.failed.value() >= failed + 2)
            .await;
        assert_eq!(gateway.counters.delivered.value(), delivered, "{behaviour}");
        mes.tell(json!({"do": "behave", "as": "good"}));
        gateway.await_delivered(next).await;
    }
    assert_eq!(taken(&mut mes)["taken"], ids(1..=53));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_foreign_mes_rejects_is_a_dead_letter_that_can_be_replayed() {
    let Some((mut mes, config)) = http_mes("rejection by a foreign HTTP MES") else { return };
    let folder = tempfile::tempdir().unwrap();
    mes.tell(json!({"do": "refuse", "text": id(3)}));
    let gateway = Gateway::with(folder.path(), Box::new(HttpSink::new(config)));
    gateway.offer(1..=5);
    gateway.await_delivered(4).await;
    gateway.await_that("one dead letter", |of| of.counters.refused.value() == 1).await;
    gateway.await_event(Code::SinkRefused, "the order is closed").await;
    mes.tell(json!({"do": "refuse", "text": "nothing at all"}));
    let listed = super::dead_letters::list(&crate::mqtt::gateway::file(folder.path()));
    assert_eq!(listed[0]["id"], id(3));
    assert_eq!(listed[0]["reason"], "rejected: the order is closed");
    super::dead_letters::run(&crate::mqtt::gateway::file(folder.path()), &["replay", "--all"]);
    gateway.await_delivered(5).await;
    gateway.await_that("none is left", |of| of.counters.refused.value() == 0).await;
    assert_eq!(taken(&mut mes)["taken"], ids([1, 2, 4, 5, 3]));
    gateway.stop().await;
}

/// The Python MES behind a broker.
fn mqtt_mes(test: &str, options: &Value) -> Option<Teller> {
    Teller::start(test, "mqtt_mes.py", options)
}

fn confirmed(url: String) -> MqttConfig {
    MqttConfig {
        topic: "plant/{asset}".into(),
        format: Format::B2mmlJson,
        acknowledge: Acknowledge::ConfirmBod,
        confirm_ms_max: 1_000,
        ..config(url)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_mqtt_only_the_applications_confirmation_counts() {
    let test = "confirmation over mqtt";
    let Some(broker) = Broker::plain(test) else { return };
    let options = json!({"host": "127.0.0.1", "port": broker.port, "lose": 1, "refuse": id(4)});
    let Some(mes) = mqtt_mes(test, &options) else { return };
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), confirmed(broker.url()));
    gateway.offer([1]);
    let first = mes.next();
    assert_eq!((&first["ids"], &first["lost"]), (&json!([id(1)]), &json!(true)));
    assert_eq!(first["message"], "ProcessWorkSchedule");
    assert_eq!(first["content_type"], "application/json");
    gateway.await_event(Code::SinkDisconnected, "confirmed nothing").await;
    assert_eq!(gateway.counters.delivered.value(), 0, "the broker's word is not enough");
    let again = mes.next();
    assert_eq!((&again["ids"], &again["lost"]), (&json!([id(1)]), &json!(false)));
    gateway.await_delivered(1).await;
    gateway.offer(2..=6);
    gateway.await_delivered(5).await;
    gateway.await_that("one dead letter", |of| of.counters.refused.value() == 1).await;
    let came: Vec<Value> = (2..=6).map(|_| mes.next()["ids"][0].clone()).collect();
    assert_eq!(Value::from(came), ids(2..=6), "in order");
    gateway.await_event(Code::SinkRefused, "the order is closed").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_mes_behind_a_broker_loses_every_time_is_a_dead_letter() {
    let test = "messages lost over mqtt";
    let Some(broker) = Broker::plain(test) else { return };
    let options = json!({"host": "127.0.0.1", "port": broker.port, "lose": 2});
    let Some(mes) = mqtt_mes(test, &options) else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = MqttConfig { unconfirmed_max: 2, ..confirmed(broker.url()) };
    let gateway = Gateway::start(folder.path(), config);
    gateway.offer([1]);
    gateway.await_that("one dead letter", |of| of.counters.refused.value() == 1).await;
    let spool = crate::mqtt::gateway::file(folder.path());
    let reason = super::dead_letters::list(&spool)[0]["reason"].clone();
    assert!(reason.as_str().unwrap().starts_with("sent 2 times: the application"), "{reason}");
    gateway.offer([2]);
    gateway.await_delivered(1).await;
    super::dead_letters::run(&spool, &["replay", "--id", &id(1)]);
    gateway.await_delivered(2).await;
    let came: Vec<Value> = (0..4).map(|_| mes.next()["ids"][0].clone()).collect();
    assert_eq!(Value::from(came), ids([1, 1, 2, 1]));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mes_behind_the_broker_nothing_counts_as_delivered() {
    let test = "no confirmation over mqtt";
    let Some(broker) = Broker::plain(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = MqttConfig { unconfirmed_max: 1, ..confirmed(broker.url()) };
    let gateway = Gateway::start(folder.path(), config);
    gateway.offer(1..=3);
    gateway.await_event(Code::SinkRefused, "nobody subscribes").await;
    gateway.await_that("it tries", |of| of.counters.failed.value() >= 6).await;
    assert_eq!(gateway.counters.delivered.value(), 0);
    assert_eq!(gateway.counters.refused.value(), 0, "nobody lost them");
    let options = json!({"host": "127.0.0.1", "port": broker.port});
    let Some(mes) = mqtt_mes(test, &options) else { return };
    gateway.await_delivered(3).await;
    let came: Vec<Value> = (0..3).map(|_| mes.next()["ids"][0].clone()).collect();
    assert_eq!(Value::from(came), ids(1..=3), "in order");
    gateway.stop().await;
}
