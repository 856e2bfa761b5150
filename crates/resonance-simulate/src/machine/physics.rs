//! Machines that follow physics in virtual time: letting the time pass, and writing it as a table.

use std::io::Write;
use std::time::Duration;

use resonance_plant::Value;

use super::channel::MachineSpec;
use super::feed::{Feed, Next, Writer};
use super::running::{Endpoint, Running, StartError, start};

/// What a machine computes of itself, in virtual time: no IO and no clock. The same seed and the
/// same sequence of steps give the same values.
pub trait Physics: Send {
    /// Lets `dt_s` seconds pass; numbers that are not above 0 let no time pass.
    fn step(&mut self, dt_s: f64);

    /// Virtual seconds since the start.
    fn time_s(&self) -> f64;

    /// The value of a channel at the end of the last step; empty past the last channel.
    fn value(&self, channel: usize) -> Value;
}

/// How fast a simulated machine lives.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Simulated seconds per real second; above 0, at most 10,000. Source times stay real.
    pub speed: f64,
    /// Real time between two changes of the channels; 1 ms to 1 h.
    pub period: Duration,
}

impl Default for Pace {
    /// Its true speed, ten changes a second.
    fn default() -> Self {
        Self { speed: 1.0, period: Duration::from_millis(100) }
    }
}

/// Why a machine does not live at a pace.
#[derive(Debug, thiserror::Error)]
pub enum PaceError {
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
    /// It cannot listen.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Pace {
    /// Simulated seconds of one step.
    ///
    /// # Errors
    /// Where speed or period is out of bounds.
    pub fn step_s(&self) -> Result<f64, PaceError> {
        let period_s = self.period.as_secs_f64();
        let step_s = period_s * self.speed;
        let bounds = [
            ("speed", self.speed, 0.0, 10_000.0, "above 0, at most 10,000"),
            ("period in seconds", period_s, 0.000_999, 3600.0, "0.001 to 3600"),
            ("speed times period, seconds", step_s, 0.0, 86_400.0, "at most 86,400"),
        ];
        for (option, value, above, most, expected) in bounds {
            if !(value > above && value <= most) {
                return Err(PaceError::Option { option, value, expected });
            }
        }
        Ok(step_s)
    }
}

/// Serves a machine that lives at this pace. Returns once it listens.
///
/// # Errors
/// Where the pace is out of bounds or the machine cannot listen.
pub async fn start_paced(
    spec: MachineSpec,
    physics: impl Physics + 'static,
    endpoint: Endpoint,
    pace: &Pace,
) -> Result<Running, PaceError> {
    let (step_s, period) = (pace.step_s()?, pace.period);
    let channels = spec.channels.len();
    let feed = Box::new(Paced { physics, step_s, period, channels });
    Ok(start(spec, endpoint, feed).await?)
}

/// Physics as a feed.
#[derive(Debug)]
pub struct Paced<P> {
    /// What moves the channels.
    pub physics: P,
    /// Simulated seconds of a step.
    pub step_s: f64,
    /// Real time of a step.
    pub period: Duration,
    /// How many channels there are.
    pub channels: usize,
}

impl<P: Physics> Feed for Paced<P> {
    fn step(&mut self, out: &mut Writer<'_>) -> Next {
        self.physics.step(self.step_s);
        for channel in 0..self.channels {
            out.value(channel, &self.physics.value(channel));
        }
        Next::After(self.period)
    }
}

/// Writes a machine's channels as a CSV table: a header with `time_s` and these names, then `rows`
/// rows, one every `period_s` simulated seconds. The numbers of a profile have spaces between them.
///
/// # Errors
/// Where writing fails.
pub fn write_table<'a>(
    writer: impl Write,
    names: impl Iterator<Item = &'a str>,
    physics: &mut impl Physics,
    (rows, period_s): (u64, f64),
) -> Result<(), csv::Error> {
    let mut table = csv::Writer::from_writer(writer);
    let names: Vec<&str> = names.collect();
    table.write_record(std::iter::once("time_s").chain(names.iter().copied()))?;
    for _ in 0..rows {
        physics.step(period_s);
        table.write_field(format!("{:.3}", physics.time_s()))?;
        for channel in 0..names.len() {
            table.write_field(match physics.value(channel) {
                Value::Floats(profile) => {
                    let numbers: Vec<String> = profile.iter().map(f64::to_string).collect();
                    numbers.join(" ")
                }
                value => value.to_string(),
            })?;
        }
        table.write_record(None::<&[u8]>)?;
    }
    table.flush()?;
    Ok(())
}
