//! What a gateway may read from the simulated coating line.

use std::sync::LazyLock;

use resonance_plant::{DataType, QuantityKind as Q, Value};

use super::physics::{Fault, Reading};
use crate::machine::{Channel, MachineSpec};

type Read = fn(&Reading) -> Value;

/// The channels, each with where its value is, in the order of their numbers.
pub(super) static TABLE: LazyLock<Vec<(Channel, Read)>> = LazyLock::new(table);

/// What the line shows.
pub fn spec(seed: u64) -> MachineSpec {
    MachineSpec {
        name: "Coating".into(),
        description: "A SIMULATED spray coating line: its values follow stated physical \
                      relations, nothing here was measured."
            .into(),
        identification: vec![
            ("Manufacturer", "Resonance".into()),
            ("Model", "Simulated coating line".into()),
            ("SerialNumber", format!("SIMULATED-{seed}")),
            ("SoftwareRevision", env!("CARGO_PKG_VERSION").into()),
        ],
        channels: TABLE.iter().map(|(channel, _)| channel.clone()).collect(),
    }
}

fn table() -> Vec<(Channel, Read)> {
    let id = |name: &str| format!("urn:resonance:coating:{name}");
    vec![
        (
            Channel::number("Material", "Viscosity")
                .measuring(Q::DynamicViscosity, "C24", (0.0, 300.0))
                .meaning(&id("material:viscosity"))
                .says("Viscosity of the coating material"),
            |r| Value::Float(r.viscosity_mpa_s),
        ),
        (
            Channel::number("Material", "Temperature")
                .measuring(Q::Temperature, "CEL", (0.0, 60.0))
                .meaning(&id("material:temperature"))
                .says("Temperature of the coating material"),
            |r| Value::Float(r.material_deg_c),
        ),
        (
            Channel::number("Spray", "Pressure")
                .measuring(Q::GaugePressure, "BAR", (0.0, 10.0))
                .meaning(&id("spray:pressure"))
                .says("Pressure at the spray gun"),
            |r| Value::Float(r.pressure_bar),
        ),
        (
            Channel::number("Spray", "Flow")
                .measuring(Q::VolumeFlow, "L2", (0.0, 2.0))
                .meaning(&id("spray:flow"))
                .says("Flow of material to the gun"),
            |r| Value::Float(r.flow_l_per_min),
        ),
        (
            Channel::number("Booth", "Temperature")
                .measuring(Q::Temperature, "CEL", (0.0, 60.0))
                .meaning(&id("booth:temperature"))
                .says("Temperature in the booth"),
            |r| Value::Float(r.booth_deg_c),
        ),
        (
            Channel::number("Booth", "Humidity")
                .measuring(Q::RelativeHumidity, "P1", (0.0, 100.0))
                .meaning(&id("booth:humidity"))
                .says("Relative humidity in the booth"),
            |r| Value::Float(r.humidity_percent),
        ),
        (
            Channel::number("Line", "Speed")
                .measuring(Q::Velocity, "2X", (0.0, 20.0))
                .meaning(&id("line:speed"))
                .says("Speed of the parts"),
            |r| Value::Float(r.speed_m_per_min),
        ),
        (
            Channel::number("Film", "Thickness")
                .measuring(Q::Length, "4H", (0.0, 100.0))
                .meaning(&id("film:thickness"))
                .says("Thickness of the film"),
            |r| Value::Float(r.thickness_um),
        ),
        (
            Channel::plain("Simulation", "TrueFault", DataType::Uint8)
                .meaning("urn:resonance:simulation:coating:fault")
                .labelled(Fault::LABELS)
                .says("What the simulation has broken; no real line reports it"),
            |r| Value::Uint(r.fault as u64),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_a_meaning_and_a_place_of_its_own() {
        let spec = spec(1);
        assert!(spec.channels.iter().all(|channel| channel.semantic_id.is_some()));
        assert!(spec.channels.iter().all(|c| c.quantity.is_some() == c.unit.is_some()));
        assert!(spec.address_space().is_ok());
    }
}
