//! The metrics as Prometheus reads them.

use std::process::Command;

use serde_json::Value as Json;

use super::fixture::{Fixture, plan};
use crate::peers::{python, workspace};

/// The samples that Prometheus' own parser finds, as `[name, labels, value]`.
fn scraped(test: &str, fixture: &Fixture) -> Option<Vec<Json>> {
    let output = Command::new(python(test)?)
        .arg(workspace().join("tests/peers/prometheus_scrape.py"))
        .arg(format!("http://{}/metrics", fixture.addr))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn prometheus_reads_the_metrics() {
    let test = "prometheus_reads_the_metrics";
    let fixture = Fixture::start(&plan());
    let Some(samples) = scraped(test, &fixture) else { return };
    let value = |name: &str, labels: &[(&str, &str)]| {
        let wanted = |sample: &&Json| {
            sample[0] == name
                && sample[1].as_object().unwrap().len() == labels.len()
                && labels.iter().all(|(label, value)| sample[1][label] == *value)
        };
        let found: Vec<&Json> = samples.iter().filter(wanted).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?} in {samples:#?}");
        found[0][2].as_f64().unwrap()
    };
    let source = [("source", "press \"7\" \\ west")];
    assert_eq!(value("resonance_build_info", &[("version", "0.0.0")]), 1.0);
    assert_eq!(value("resonance_source_connected", &source), 1.0);
    assert_eq!(value("resonance_source_observations_total", &source), (1_u64 << 53) as f64);
    assert_eq!(value("resonance_source_clock_offset_seconds", &source), -0.0015);
    assert_eq!(value("resonance_hub_observations_total", &[]), 7.0);
    assert_eq!(value("resonance_events_unwritten_total", &[]), 0.0);
    let sink = [("sink", "mes")];
    assert_eq!(value("resonance_sink_connected", &sink), 0.0);
    assert_eq!(value("resonance_sink_waiting", &sink), 3.0);
    assert_eq!(value("resonance_sink_dead_letters", &sink), 2.0);
    assert_eq!(value("resonance_sink_left_out_total", &sink), 1.0);
    let wear = ("deployment", "wear");
    assert_eq!(value("resonance_deployment_inferences_total", &[wear]), 1.0);
    assert_eq!(value("resonance_deployment_state", &[wear, ("state", "active")]), 1.0);
    assert_eq!(value("resonance_deployment_state", &[wear, ("state", "faulted")]), 0.0);
    let latency = "resonance_deployment_latency_seconds";
    assert_eq!(value(latency, &[wear, ("quantile", "0.99")]), 0.001);
    assert_eq!(value(latency, &[wear, ("quantile", "1")]), 2.0);
    let model = [("model", "wear"), ("model_version", "3"), ("asset", "mill")];
    let model = [wear, model[0], model[1], model[2], ("trained_on", "none")];
    assert_eq!(value("resonance_deployment_info", &model), 1.0);
    let unknown = "resonance_source_last_message_time_seconds";
    assert!(samples.iter().all(|sample| sample[0] != unknown), "what is not known is not shown");
}

#[test]
fn metrics_are_for_those_who_may_view() {
    let fixture = Fixture::start(&super::fixture::plan_for_users());
    assert_eq!(fixture.client().get("/metrics").status, 401);
    let reply = fixture.client().user("vera", "see").get("/metrics");
    assert_eq!(reply.status, 200);
    let kind = reply.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    assert!(reply.text().ends_with("# EOF\n"));
}
