//! MTConnect between this project's agent, its source and peers that share no code with either.

mod faults;
mod foreign;
mod schemas;
mod source;

use std::sync::Arc;

use resonance_gateway::sources::SourcePoint;
use resonance_gateway::sources::mtconnect::{MtconnectConfig, MtconnectSource};
use resonance_plant::{DataType, PointIndex, SystemClock};
use resonance_simulate::mtconnect::{AgentOptions, Said, Serving, cnc_model, serve};
use resonance_wire::mtconnect::Version;

use crate::opcua_source::harness::Running;

/// Points by data item, with what they declare.
pub fn points(points: &[(&str, DataType)]) -> Arc<[SourcePoint]> {
    let numbered = points.iter().zip(0_u32..);
    numbered
        .map(|((id, data_type), index)| SourcePoint {
            point: PointIndex(index + 100),
            path: format!("mill.{id}").into(),
            address: (*id).into(),
            data_type: *data_type,
            labels: Arc::default(),
            sampling_ms: None,
            deadband: None,
        })
        .collect()
}

fn config(url: &str, more: &str) -> MtconnectConfig {
    let text = format!("url = '{url}'\ninterval_ms = 10\nbackoff_ms_max = 500\n{more}");
    toml::from_str(&text).expect("the test's configuration is right")
}

fn start(url: &str, more: &str, of: &[(&str, DataType)]) -> Running {
    let source = Box::new(MtconnectSource::new(config(url, more)));
    Running::of(source, points(of), Arc::new(SystemClock))
}

/// An agent of the CNC's model that says only what the test lets it say.
async fn agent(version: &str, buffer_size: u64) -> Serving {
    let model = cnc_model(Version::parse(version).unwrap(), buffer_size, 1);
    serve(model, AgentOptions::default()).await.unwrap()
}

fn number(value: f64) -> Said {
    Said::Text(value.to_string())
}
