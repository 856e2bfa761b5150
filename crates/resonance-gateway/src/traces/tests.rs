use std::sync::Arc;

use resonance_plant::{ResultId, Timestamp};

use super::*;
use crate::events::EventLog;
use crate::spool::tests::record;

fn tracer(ratio: f64) -> (Tracer, mpsc::Receiver<Span>) {
    let (queue, waiting) = mpsc::channel(4);
    let taking =
        Taking { threshold: threshold(ratio), queue, counters: Arc::new(Counters::default()) };
    (Tracer(Some(Arc::new(taking))), waiting)
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

#[test]
fn the_share_of_results_that_is_traced_is_that_of_the_plant_file() {
    let traced = |ratio| {
        let (tracer, _waiting) = tracer(ratio);
        let id = |n: u64| ResultId::derive("wear", "sha256:ab", Timestamp::EPOCH, n);
        (0..10_000).filter(|n| tracer.samples(&id(*n))).count()
    };
    assert_eq!((traced(0.0), traced(1.0)), (0, 10_000));
    assert!((900..1_100).contains(&traced(0.1)), "{}", traced(0.1));
    assert!(!Tracer::default().samples(&ResultId([0xff; 16])), "nothing is traced by default");
    let (one, _waiting) = tracer(0.5);
    assert!(one.samples(&ResultId([0xff; 16])) && !one.samples(&ResultId([0; 16])));
}

#[test]
fn spans_that_nobody_takes_are_lost_and_counted() {
    let (tracer, waiting) = tracer(1.0);
    let record = record("wear", 1);
    tracer.take((0..6).map(|_| of_spool(&record, at(5))));
    assert_eq!(tracer.status(), Some(TracesStatus { exported: 0, lost: 2 }));
    drop(waiting);
    tracer.take([of_spool(&record, at(5))]);
    assert_eq!(tracer.status().unwrap().lost, 3);
    assert_eq!(Tracer::default().status(), None);
}

#[test]
fn stages_follow_one_another_below_one_span() {
    let mut record = (*record("wear", 1)).clone();
    record.computed_at = at(140);
    let stages = Stages {
        observed: at(100),
        received: at(110),
        gathered: at(120),
        began: at(125),
        ended: at(135),
        rows: 3,
    };
    let spans = of_result(&record, Some(stages));
    let root = &spans[0];
    assert_eq!((root.parent, root.trace), (None, record.id.0));
    let moments: Vec<(&str, i64, i64)> =
        spans.iter().map(|span| (&*span.name, span.from.millis(), span.to.millis())).collect();
    let expected = [
        ("result wear", 100, 140),
        ("observe", 100, 110),
        ("window", 110, 120),
        ("queue", 120, 125),
        ("infer", 125, 135),
    ];
    assert_eq!(moments, expected);
    let sink: Arc<str> = "mes".into();
    let delivered = of_delivery(&record.id, &sink, 2, (at(150), at(145)), Some("closed"));
    assert_eq!((delivered.from, delivered.to), (at(150), at(150)), "a clock that was set back");
    assert_eq!(delivered.error.as_deref(), Some("closed"));
    let context = context_of_delivery(&record.id, &sink);
    let parent: String = delivered.id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(context, format!("00-{}-{parent}-01", record.id));
    let parts: Vec<&Span> = spans[1..].iter().chain([&delivered]).collect();
    assert!(parts.iter().all(|span| span.parent == Some(root.id) && span.trace == root.trace));
    let ids: std::collections::BTreeSet<_> = parts.iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), parts.len(), "each has its own");
    assert_eq!(of_result(&record, Some(stages)), spans, "the same whoever asks");

    // A machine whose clock is ahead: no stage takes less than nothing.
    let spans = of_result(&record, Some(Stages { observed: at(500), ..stages }));
    assert!(spans.iter().all(|span| span.from <= span.to), "{spans:?}");
    assert_eq!(of_result(&record, None).len(), 1, "no model was asked");
}

fn plan(url: &str) -> TracesPlan {
    TracesPlan {
        collector: HttpConfig::for_url(url),
        ratio: 1.0,
        service_name: "resonance".into(),
        every: Duration::from_secs(1),
    }
}

/// In virtual time.
#[tokio::test(start_paused = true)]
async fn a_collector_that_hangs_does_not_hold_up_the_end() {
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plan = plan(&format!("http://{}/v1/traces", hanging.local_addr().unwrap()));
    let (clock, events) = (Arc::new(resonance_plant::SystemClock), Arc::new(EventLog::in_memory()));
    let counters = Arc::new(Counters::default());
    let exporter = exporter::Exporter::new(&plan, Arc::clone(&counters), clock, events).unwrap();
    let (queue, waiting) = mpsc::channel(4);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    queue.send(of_spool(&record("wear", 1), at(5))).await.unwrap();
    let sending = tokio::spawn(exporter.run(waiting, stopped));
    let (_connection, _) = hanging.accept().await.unwrap();
    queue.send(of_spool(&record("wear", 2), at(5))).await.unwrap();
    let told = tokio::time::Instant::now();
    stop.send(true).unwrap();
    sending.await.unwrap();
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    assert_eq!(counters.lost.value(), 2, "the one under way and the one that waited");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let plan = plan("collector:4318");
    let stop = tokio::sync::watch::channel(false).1;
    let (clock, events) = (Arc::new(resonance_plant::SystemClock), Arc::new(EventLog::in_memory()));
    let refused = Tracer::start(&plan, clock, events, stop).unwrap_err().to_string();
    assert!(refused.contains("url") && refused.contains("collector:4318"), "{refused}");
}
