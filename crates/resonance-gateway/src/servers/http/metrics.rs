//! `GET /metrics`: what the status counts, in the OpenMetrics text format, for Prometheus.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use resonance_plant::Timestamp;

use super::shared::Shared;
use crate::recording::Recorded;
use crate::status::{
    Connection, DeploymentState, DeploymentStatus, EventsStatus, HubStatus, LatencySummary,
    ServerStatus, SinkStatus, SourceStatus, SpoolStatus, Status,
};
use crate::traces::TracesStatus;

/// OpenMetrics 1.0.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut registry = Registry::with_prefix("resonance");
    registry.register_collector(Box::new(Seen((shared.context.status)())));
    let mut text = String::new();
    // The only error is that of the writer, and a String takes everything.
    let _ = text::encode(&mut text, &registry);
    ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}

/// A status as metrics. Names follow Prometheus: base units, counters end in `_total`.
#[derive(Debug)]
struct Seen(Status);

/// A metric that each of several things has.
struct Metric<T> {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    value: Of<T>,
}

enum Of<T> {
    Counter(fn(&T) -> u64),
    /// `None`: not known, so not shown.
    Gauge(fn(&T) -> Option<f64>),
}

const fn counter<T>(name: &'static str, help: &'static str, value: fn(&T) -> u64) -> Metric<T> {
    Metric { name, help, unit: None, value: Of::Counter(value) }
}

const fn gauge<T>(
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    value: fn(&T) -> Option<f64>,
) -> Metric<T> {
    Metric { name, help, unit, value: Of::Gauge(value) }
}

const SOURCES: &[Metric<SourceStatus>] = &[
    gauge("source_connected", "1 while the source has its machine", None, |s| up(s.connection)),
    gauge("source_points", "Points of the source", None, |s| Some(s.points as f64)),
    counter("source_observations", "Observations handed to the hub", |s| s.observations),
    counter("source_gaps", "Gaps reported", |s| s.gaps),
    counter("source_sequence_gaps", "Notifications lost after every repair", |s| s.sequence_gaps),
    counter("source_overflows", "Values with the Overflow bit", |s| s.overflows),
    counter("source_refused", "Values refused for their type", |s| s.refused),
    counter("source_backfilled", "Observations read from history", |s| s.backfilled),
    counter("source_unfiltered", "Points not filtered as their deadband asks", |s| s.unfiltered),
    counter("source_times_replaced", "Source times absent or implausible", |s| s.times_replaced),
    counter("source_reconnects", "Times the machine was connected anew", |s| s.reconnects),
    gauge("source_clock_offset", "The machine's clock minus ours", Some(Unit::Seconds), |s| {
        Some(s.clock_offset_us as f64 / 1e6)
    }),
    gauge("source_last_message_time", "When the last message came", Some(Unit::Seconds), |s| {
        s.last_message.map(seconds)
    }),
];

const HUB: &[Metric<HubStatus>] = &[
    counter("hub_observations", "Observations taken", |h| h.observations),
    counter("hub_blocks", "Blocks taken", |h| h.blocks),
    counter("hub_gaps", "Gaps taken", |h| h.gaps),
    counter("hub_rewinds", "Times a point's source time went back", |h| h.rewinds),
];

const DEPLOYMENTS: &[Metric<DeploymentStatus>] = &[
    counter("deployment_triggers", "Times it was triggered", |d| d.triggers),
    counter("deployment_inferences", "Inferences that gave an answer", |d| d.inferences),
    counter("deployment_results", "Results given, fallbacks included", |d| d.results),
    counter("deployment_overruns", "Triggers dropped: the model was busy", |d| d.overruns),
    counter("deployment_failures", "Inferences that failed", |d| d.failures),
    counter("deployment_over_budget", "Inferences over the latency budget", |d| d.over_budget),
];

const SINKS: &[Metric<SinkStatus>] = &[
    gauge("sink_connected", "1 while the sink has its system", None, |s| up(s.connection)),
    counter("sink_delivered", "Results acknowledged by the system", |s| s.delivered),
    counter("sink_failed", "Attempts that failed", |s| s.failed),
    gauge("sink_waiting", "Results that wait", None, |s| Some(s.waiting as f64)),
    counter("sink_dropped", "Results dropped before this sink had them", |s| s.dropped),
    counter("sink_left_out", "Results that its `when` keeps from it", |s| s.left_out),
    gauge("sink_dead_letters", "Results refused for good and kept", None, |s| {
        Some(s.refused as f64)
    }),
];

const SERVERS: &[Metric<ServerStatus>] = &[
    gauge("server_clients", "Sessions or connections", None, |s| Some(s.clients as f64)),
    counter("server_requests", "Requests answered", |s| s.requests),
    counter("server_delivered", "Results delivered to subscribers", |s| s.delivered),
    counter("server_refused", "Requests malformed, denied or too many", |s| s.refused),
];

const SPOOL: &[Metric<SpoolStatus>] = &[
    counter("spool_written", "Results written", |s| s.written),
    counter("spool_dropped", "Results dropped by the policy or unwritten", |s| s.dropped),
    gauge("spool_kept", "Results kept", None, |s| Some(s.kept as f64)),
    gauge("spool_size", "Size of the results kept", Some(Unit::Bytes), |s| Some(s.bytes as f64)),
];

const EVENTS: &[Metric<EventsStatus>] = &[
    counter("events", "Events recorded", |e| e.recorded),
    counter("events_errors", "Events of severity error", |e| e.errors),
    counter("events_unwritten", "Events that the events file could not take", |e| e.unwritten),
];

const RECORDING: &[Metric<Recorded>] = &[
    counter("recording_windows", "Windows recorded", |r| r.windows),
    counter("recording_observations", "Observations recorded", |r| r.observations),
    counter("recording_files", "Files of the recording finished", |r| r.files),
    counter("recording_lost_windows", "Windows that were not kept", |r| r.windows_lost),
    counter("recording_lost_observations", "Observations that were not kept", |r| {
        r.observations_lost
    }),
];

const TRACES: &[Metric<TracesStatus>] = &[
    counter("traces_exported_spans", "Spans the collector took", |t| t.exported),
    counter("traces_lost_spans", "Spans lost on the way to the collector", |t| t.lost),
];

const STATES: [(DeploymentState, &str); 6] = [
    (DeploymentState::Inactive, "inactive"),
    (DeploymentState::Ready, "ready"),
    (DeploymentState::Active, "active"),
    (DeploymentState::Suspended, "suspended"),
    (DeploymentState::Degraded, "degraded"),
    (DeploymentState::Faulted, "faulted"),
];

impl Collector for Seen {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Self(status) = self;
        encoder
            .encode_descriptor("build", "The product", None, MetricType::Info)?
            .encode_info(&[("version", status.version)])?;
        let unit = Some(Unit::Seconds);
        encoder
            .encode_descriptor(
                "start_time",
                "Since when it runs",
                unit.as_ref(),
                MetricType::Gauge,
            )?
            .encode_gauge(&seconds(status.started_at))?;
        each(&mut encoder, &status.sources, "source", |s| &s.id, SOURCES)?;
        one(&mut encoder, &status.hub, HUB)?;
        each(&mut encoder, &status.deployments, "deployment", |d| &d.id, DEPLOYMENTS)?;
        models(&mut encoder, &status.deployments)?;
        states(&mut encoder, &status.deployments)?;
        let total = "From trigger to result, since the start";
        latency(&mut encoder, &status.deployments, "deployment_latency", total, |d| &d.latency)?;
        let engine = "In the engine, since the start";
        let name = "deployment_inference_latency";
        latency(&mut encoder, &status.deployments, name, engine, |d| &d.inference)?;
        each(&mut encoder, &status.sinks, "sink", |s| &s.id, SINKS)?;
        each(&mut encoder, &status.servers, "server", |s| s.kind, SERVERS)?;
        one(&mut encoder, &status.spool, SPOOL)?;
        one(&mut encoder, &status.events, EVENTS)?;
        status.recording.as_ref().map_or(Ok(()), |kept| one(&mut encoder, kept, RECORDING))?;
        status.traces.as_ref().map_or(Ok(()), |traces| one(&mut encoder, traces, TRACES))
    }
}

/// Each metric of all things, told apart by a label.
fn each<T>(
    encoder: &mut DescriptorEncoder<'_>,
    things: &[T],
    label: &str,
    id: fn(&T) -> &str,
    metrics: &[Metric<T>],
) -> fmt::Result {
    for metric in metrics {
        let mut family = metric.describe(encoder)?;
        for thing in things {
            metric.value(family.encode_family(&[(label, id(thing))])?, thing)?;
        }
    }
    Ok(())
}

/// Each metric of the only thing of its kind.
fn one<T>(encoder: &mut DescriptorEncoder<'_>, it: &T, metrics: &[Metric<T>]) -> fmt::Result {
    metrics.iter().try_for_each(|metric| metric.value(metric.describe(encoder)?, it))
}

impl<T> Metric<T> {
    fn describe<'a>(
        &'a self,
        encoder: &'a mut DescriptorEncoder<'_>,
    ) -> Result<MetricEncoder<'a>, fmt::Error> {
        let kind = match self.value {
            Of::Counter(_) => MetricType::Counter,
            Of::Gauge(_) => MetricType::Gauge,
        };
        encoder.encode_descriptor(self.name, self.help, self.unit.as_ref(), kind)
    }

    fn value(&self, mut encoder: MetricEncoder<'_>, of: &T) -> fmt::Result {
        match self.value {
            Of::Counter(value) => encoder.encode_counter::<NoLabelSet, _, f64>(&value(of), None),
            Of::Gauge(value) => value(of).map_or(Ok(()), |value| encoder.encode_gauge(&value)),
        }
    }
}

/// Which model each deployment serves: labels to join with.
fn models(encoder: &mut DescriptorEncoder<'_>, all: &[DeploymentStatus]) -> fmt::Result {
    let help = "What the deployment is about and its model";
    let mut family = encoder.encode_descriptor("deployment", help, None, MetricType::Info)?;
    for deployment in all {
        family.encode_info(&[
            ("deployment", &*deployment.id),
            ("asset", &*deployment.asset),
            ("model", &*deployment.model),
            ("model_version", &*deployment.model_version),
            ("trained_on", &*deployment.trained_on),
        ])?;
    }
    Ok(())
}

/// One series for each state, 1 for that in which the deployment is.
fn states(encoder: &mut DescriptorEncoder<'_>, all: &[DeploymentStatus]) -> fmt::Result {
    let help = "1 for the state in which the deployment is";
    let mut family =
        encoder.encode_descriptor("deployment_state", help, None, MetricType::Gauge)?;
    for deployment in all {
        for (state, name) in STATES {
            family
                .encode_family(&[("deployment", &*deployment.id), ("state", name)])?
                .encode_gauge(&i64::from(deployment.state == state))?;
        }
    }
    Ok(())
}

fn latency(
    encoder: &mut DescriptorEncoder<'_>,
    all: &[DeploymentStatus],
    name: &str,
    help: &str,
    of: fn(&DeploymentStatus) -> &LatencySummary,
) -> fmt::Result {
    let unit = Some(Unit::Seconds);
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
    for deployment in all {
        let LatencySummary { p50_us, p99_us, max_us } = *of(deployment);
        for (quantile, us) in [("0.5", p50_us), ("0.99", p99_us), ("1", max_us)] {
            family
                .encode_family(&[("deployment", &*deployment.id), ("quantile", quantile)])?
                .encode_gauge(&(f64::from(us) / 1e6))?;
        }
    }
    Ok(())
}

fn up(connection: Connection) -> Option<f64> {
    Some(if connection == Connection::Connected { 1.0 } else { 0.0 })
}

fn seconds(at: Timestamp) -> f64 {
    at.nanos() as f64 / 1e9
}
