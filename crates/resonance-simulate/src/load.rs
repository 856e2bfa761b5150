//! A machine for measurements: many counters that all change at a fixed rate.
//!
//! Every channel's value counts its own changes from 1, so that a receiver can prove that it saw
//! each of them: values of a point are contiguous, or something was lost.

use std::time::Duration;

use resonance_plant::{DataType, Interpolation};

use crate::machine::{
    Channel, Endpoint, Feed, MachineSpec, Next, Running, StartError, Writer, start,
};

/// How much load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How many points; 1 to 1,000,000.
    pub points: usize,
    /// How often each changes, 1/s; above 0, to 10,000.
    pub hz: f64,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { endpoint: Endpoint::default(), points: 10_000, hz: 10.0 }
    }
}

/// Why load cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// An option is out of bounds.
    #[error("{option} is {value}; it must be {expected}")]
    Option {
        /// Which.
        option: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// The machine does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Starts the load: node ids `Load.Counters.P00000` onwards, type Double.
///
/// # Errors
/// Where an option is out of bounds or the machine cannot listen.
pub async fn start_load(options: LoadOptions) -> Result<Running, LoadError> {
    let LoadOptions { endpoint, points, hz } = options;
    if !(1..=1_000_000).contains(&points) {
        let (option, value) = ("points", points as f64);
        return Err(LoadError::Option { option, value, expected: "1 to 1,000,000" });
    }
    if !(0.001..=10_000.0).contains(&hz) {
        let expected = "0.001 to 10,000";
        return Err(LoadError::Option { option: "hz", value: hz, expected });
    }
    let channels = (0..points).map(|at| Channel {
        interpolation: Interpolation::Counter,
        ..Channel::plain("Counters", &format!("P{at:05}"), DataType::Float64)
    });
    let spec = MachineSpec {
        name: "Load".into(),
        description: "No machine: counters that change at a fixed rate, to measure receivers"
            .into(),
        identification: vec![("Model", format!("{points} counters at {hz} Hz"))],
        channels: channels.collect(),
    };
    let period = Duration::from_secs_f64(1.0 / hz);
    Ok(start(spec, endpoint, Box::new(Count { count: 0, points, period })).await?)
}

struct Count {
    count: u64,
    points: usize,
    period: Duration,
}

impl Feed for Count {
    fn step(&mut self, out: &mut Writer<'_>) -> Next {
        self.count += 1;
        for channel in 0..self.points {
            out.float(channel, self.count as f64);
        }
        Next::After(self.period)
    }
}
