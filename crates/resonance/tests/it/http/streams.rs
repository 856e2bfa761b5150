//! Server-sent events.

use std::sync::Arc;

use resonance_plant::result::WindowRef;
use resonance_plant::{
    Code, Event, EventSink, Latency, ModelCategory, ModelUsed, OutputValue, Qualifier, ResultId,
    ResultRecord, Status, Value,
};

use super::client::Client;
use super::fixture::{Fixture, now, plan, wait_until};

fn record(deployment: &str, sequence: u64) -> Arc<ResultRecord> {
    let output = OutputValue {
        name: "wear".into(),
        point: None,
        value: Value::Float(0.25),
        label: None,
        quantity: None,
        unit: None,
        semantic_id: None,
        qualifier: Qualifier::default(),
        uncertainty: None,
        status: Status::GOOD,
    };
    let window = WindowRef {
        from: now(),
        to: now(),
        samples: 1,
        points: Arc::from([]),
        worst_status: Status::GOOD,
    };
    let model = ModelUsed {
        name: "wear".into(),
        version: "3".into(),
        digest: "sha256:00".into(),
        engine: "none".into(),
        trained_on: "none".into(),
        fallback: None,
    };
    Arc::new(ResultRecord {
        id: ResultId::derive(deployment, "sha256:00", now(), sequence),
        deployment: deployment.into(),
        asset: "mill".into(),
        equipment_id: "acme/north/hall-1/line-2/mill".into(),
        physical_asset_id: Some("SN-7".into()),
        part_id: None,
        category: ModelCategory::SoftSensor,
        model: Arc::new(model),
        sequence,
        outputs: vec![output],
        window,
        source_time: now(),
        computed_at: now(),
        valid_until: now(),
        latency: Latency::default(),
        status: Status::GOOD,
        backfilled: false,
    })
}

/// One event of a stream.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    event: String,
    pub(crate) id: String,
    pub(crate) data: serde_json::Value,
}

/// A stream that was opened, and what was read of it but not taken yet.
pub(crate) struct Stream {
    client: Client,
    text: String,
}

impl Stream {
    fn open(fixture: &Fixture, path: &str, last_id: Option<&str>) -> Self {
        Self::on(fixture.client(), path, last_id)
    }

    pub(crate) fn on(mut client: Client, path: &str, last_id: Option<&str>) -> Self {
        let lines = last_id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        client.head("GET", path, &lines);
        let head = client.reply_head().unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        let mut stream = Self { client, text: String::new() };
        // The first piece comes at once: whatever is published from now on is in the stream.
        stream.text = stream.client.chunk().unwrap();
        assert!(stream.text.starts_with("retry: 2000\n\n"), "{}", stream.text);
        stream.text.drain(..13);
        stream
    }

    fn next(&mut self) -> Sent {
        self.next_if_any().expect("the stream goes on")
    }

    /// `None`: the server ended it.
    pub(crate) fn next_if_any(&mut self) -> Option<Sent> {
        while !self.text.contains("\n\n") {
            self.text += &self.client.chunk()?;
        }
        let end = self.text.find("\n\n").unwrap();
        let block: String = self.text.drain(..end + 2).collect();
        let field = |name: &str| {
            let prefix = format!("{name}: ");
            let line = block.lines().find(|line| line.starts_with(&prefix));
            line.unwrap_or_else(|| panic!("no {name} in {block:?}"))[prefix.len()..].to_owned()
        };
        let data = serde_json::from_str(&field("data")).unwrap();
        Some(Sent { event: field("event"), id: field("id"), data })
    }
}

pub(crate) const RESULTS: &str = "/api/v1/results/stream";

#[test]
fn results_are_streamed_with_ids_and_a_cut_stream_goes_on_where_it_was() {
    let fixture = Fixture::start(&plan());
    let mut stream = Stream::open(&fixture, RESULTS, None);
    fixture.results.publish(record("wear", 1));
    let first = stream.next();
    assert_eq!((first.event.as_str(), &first.data["sequence"]), ("result", &1.into()));
    assert_eq!(first.data["id"], record("wear", 1).id.to_string());
    assert_eq!(first.data["outputs"][0]["value"], 0.25);
    assert_eq!(first.data, serde_json::to_value(&*record("wear", 1)).unwrap(), "every field");
    drop(stream);

    fixture.results.publish(record("wear", 2));
    fixture.results.publish(record("wear", 3));
    let mut again = Stream::open(&fixture, RESULTS, Some(&first.id));
    assert_eq!(again.next().data["sequence"], 2);
    assert_eq!(again.next().data["sequence"], 3);
    // The first stream's end may be seen only after more was sent on it.
    wait_until(|| fixture.status().delivered >= 3);
}

#[test]
fn a_subscriber_may_ask_for_one_deployment() {
    let fixture = Fixture::start(&plan());
    let mut stream = Stream::open(&fixture, &format!("{RESULTS}?deployment=wear"), None);
    fixture.results.publish(record("other", 1));
    fixture.results.publish(record("wear", 9));
    assert_eq!(stream.next().data["deployment"], "wear");
}

#[test]
fn a_subscriber_that_comes_back_too_late_is_told_how_many_it_lost() {
    let fixture = Fixture::start(&plan());
    let mut stream = Stream::open(&fixture, RESULTS, None);
    fixture.results.publish(record("wear", 1));
    let first = stream.next();
    drop(stream);
    // More than is kept; published no faster than taken in, so that only the ring drops.
    for sequence in 2..=3_001 {
        fixture.results.publish(record("wear", sequence));
        if sequence % 1_000 == 0 {
            let mut probe = Stream::open(&fixture, RESULTS, None);
            fixture.results.publish(record("probe", 0));
            while probe.next().data["deployment"] != "probe" {}
        }
    }
    let mut again = Stream::open(&fixture, RESULTS, Some(&first.id));
    let lost = again.next();
    assert_eq!(lost.event, "lost");
    let next = again.next();
    let number = |id: &str| id.rsplit('-').next().unwrap().parse::<u64>().unwrap();
    assert_eq!(lost.data["count"], number(&next.id) - number(&first.id) - 1);
    assert!(lost.data["count"].as_u64().unwrap() > 900, "{lost:?}");
}

#[test]
fn ids_of_another_run_are_answered_with_an_unknown_loss() {
    let fixture = Fixture::start(&plan());
    let mut stream = Stream::open(&fixture, RESULTS, Some("12345-6"));
    let lost = stream.next();
    assert_eq!((lost.event.as_str(), &lost.data["count"]), ("lost", &serde_json::Value::Null));
    fixture.results.publish(record("wear", 1));
    assert_eq!(stream.next().event, "result");
}

#[test]
fn events_are_streamed_too() {
    let fixture = Fixture::start(&plan());
    let mut stream = Stream::open(&fixture, "/api/v1/events/stream", None);
    fixture.events.record(Event::new(now(), Code::DataGap, "source/mill", "two seconds"));
    let mut sent = stream.next();
    // That the server listens is an event too, and may come first.
    if sent.data["code"] == "server.listening" {
        sent = stream.next();
    }
    assert_eq!((sent.event.as_str(), &sent.data["code"]), ("event", &"data.gap".into()));
    assert_eq!(sent.data["subject"], "source/mill");
}

#[test]
fn streams_end_when_the_server_stops_and_are_bounded_while_it_runs() {
    let mut fixture = Fixture::start(&plan());
    let mut streams: Vec<_> = (0..64).map(|_| Stream::open(&fixture, RESULTS, None)).collect();
    let reply = fixture.client().get(RESULTS);
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(reply.json()["code"], "server.overloaded");
    drop(streams.split_off(1));
    let took = fixture.stop();
    assert!(took < std::time::Duration::from_secs(3), "{took:?}");
    assert_eq!(streams[0].client.chunk(), None, "the stream ends in order");
}
