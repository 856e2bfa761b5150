//! The simulated CNC as a machine that listens.

use std::time::Duration;

use resonance_plant::SemanticId;

use super::{CHANNELS, ChannelDef, CncPhysics, Relations};
use crate::machine::{Channel, Endpoint, MachineSpec, Paced, Running, StartError, start};

/// Where a simulated CNC listens, and how it moves.
#[derive(Clone, Debug, Default)]
pub struct CncOptions {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How it moves.
    pub movement: Movement,
}

/// How a simulated CNC moves, whichever protocol shows it.
#[derive(Clone, Debug)]
pub struct Movement {
    /// Which machine: tools, blanks and noise follow from it.
    pub seed: u64,
    /// Simulated seconds per real second; above 0, at most 10,000. Source times stay real.
    pub speed: f64,
    /// Real time between two changes of the channels; 1 ms to 1 h.
    pub period: Duration,
    /// How many times as fast tools wear; 1 is what the relations say.
    pub wear_acceleration: f64,
    /// The flank wear of the first tool at the start, millimetres; `None`: a new tool.
    pub flank_wear_mm: Option<f64>,
    /// Begins in the middle of a part, with the spindle cutting, instead of at its cold start.
    pub start_cutting: bool,
}

impl Default for Movement {
    fn default() -> Self {
        Self {
            seed: 1,
            speed: 1.0,
            period: Duration::from_millis(100),
            wear_acceleration: 1.0,
            flank_wear_mm: None,
            start_cutting: false,
        }
    }
}

impl Movement {
    /// The machine at its beginning, and the simulated seconds of one step.
    ///
    /// # Errors
    /// Where an option is out of bounds.
    pub fn begin(&self) -> Result<(CncPhysics, f64), CncError> {
        let period_s = self.period.as_secs_f64();
        let bounds = [
            ("speed", self.speed, 0.0, 10_000.0, "above 0, at most 10,000"),
            ("wear acceleration", self.wear_acceleration, 0.0, 1e6, "above 0, at most 1e6"),
            ("period in seconds", period_s, 0.000_999, 3600.0, "0.001 to 3600"),
        ];
        for (option, value, above, most, expected) in bounds {
            if !(value > above && value <= most) {
                return Err(CncError::Option { option, value, expected });
            }
        }
        let mut physics = CncPhysics::new(Relations::stated(), self.seed);
        physics.set_wear_acceleration(self.wear_acceleration);
        if let Some(wear) = self.flank_wear_mm {
            let limit = Relations::stated().wear.limit_mm;
            if !(0.0..=limit).contains(&wear) {
                let expected = "0 to the wear limit of the relations, in millimetres";
                return Err(CncError::Option { option: "flank wear", value: wear, expected });
            }
            physics.set_flank_wear_mm(wear);
        }
        let step_s = period_s * self.speed;
        if self.start_cutting {
            physics.step_to_cutting(step_s);
        }
        Ok((physics, step_s))
    }
}

/// Why a simulated CNC does not start.
#[derive(Debug, thiserror::Error)]
pub enum CncError {
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

/// A simulated three-axis milling machine that speaks OPC UA.
///
/// Node ids are `CNC.<component>.<channel>`, such as `CNC.Spindle.SpindlePower`.
#[derive(Debug)]
pub struct CncMachine;

impl CncMachine {
    /// Starts it; it moves from then on.
    ///
    /// # Errors
    /// Where an option is out of bounds or the machine cannot listen.
    pub async fn start(options: CncOptions) -> Result<Running, CncError> {
        let (physics, step_s) = options.movement.begin()?;
        let period = options.movement.period;
        let feed = Box::new(Paced { physics, step_s, period, channels: CHANNELS.len() });
        Ok(start(Self::spec(options.movement.seed), options.endpoint, feed).await?)
    }

    /// What the machine shows.
    pub fn spec(seed: u64) -> MachineSpec {
        MachineSpec {
            name: "CNC".into(),
            description: "A SIMULATED three-axis milling machine: its values follow stated \
                          physical relations, nothing here was measured. Structured like \
                          UA/MachineTool and UA/CNC, not an implementation of them."
                .into(),
            identification: vec![
                ("Manufacturer", "Resonance".into()),
                ("Model", "Simulated milling machine".into()),
                ("SerialNumber", format!("SIMULATED-{seed}")),
                ("SoftwareRevision", env!("CARGO_PKG_VERSION").into()),
            ],
            channels: CHANNELS.iter().map(channel).collect(),
        }
    }
}

fn channel(def: &ChannelDef) -> Channel {
    let description = if def.also.is_empty() {
        def.description.to_owned()
    } else {
        format!("{} (elsewhere: {})", def.description, def.also)
    };
    Channel {
        quantity: def.quantity,
        unit: def.unit(),
        range: def.range,
        interpolation: def.interpolation,
        // Every id in the table is one; a test parses them all.
        semantic_id: SemanticId::parse(def.semantic_id).ok(),
        qualifier: def.qualifier.into(),
        labels: def.labels.iter().map(|label| (*label).into()).collect(),
        description: description.into(),
        ..Channel::plain(def.component, def.name, def.data_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_a_meaning_and_a_place_of_its_own() {
        let spec = CncMachine::spec(1);
        assert!(spec.channels.iter().all(|channel| channel.semantic_id.is_some()));
        assert!(spec.address_space().is_ok());
        assert!(spec.position("Spindle.SpindlePower").is_some());
    }

    #[tokio::test]
    async fn options_out_of_bounds_are_refused_by_name() {
        let movement = Movement { speed: 0.0, ..Movement::default() };
        let options = CncOptions { movement, ..CncOptions::default() };
        let error = CncMachine::start(options).await.unwrap_err().to_string();
        assert_eq!(error, "speed is 0; it must be above 0, at most 10,000");
        let movement = Movement { period: Duration::ZERO, ..Movement::default() };
        assert!(movement.begin().unwrap_err().to_string().contains("period"));
    }
}
