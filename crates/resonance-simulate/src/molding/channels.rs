//! What a gateway may read from the simulated molding machine.

use std::sync::LazyLock;

use resonance_plant::{DataType, Interpolation as I, QuantityKind as Q, Value};

use super::physics::{Phase, Reading, Shot};
use super::relations::{Relations, ZONES};
use crate::machine::{Axis, Channel, MachineSpec};

type Read = Box<dyn Fn(&Reading) -> Value + Send + Sync>;

/// The channels, each with where its value is, in the order of their numbers.
pub(super) static TABLE: LazyLock<Vec<(Channel, Read)>> = LazyLock::new(table);

/// What the machine shows.
pub fn spec(seed: u64) -> MachineSpec {
    MachineSpec {
        name: "IMM".into(),
        description: "A SIMULATED injection molding machine: its values follow stated physical \
                      relations, nothing here was measured. Names are those of UA/PlasticsRubber, \
                      of which it is no implementation."
            .into(),
        identification: vec![
            ("Manufacturer", "Resonance".into()),
            ("Model", "Simulated injection molding machine".into()),
            ("SerialNumber", format!("SIMULATED-{seed}")),
            ("SoftwareRevision", env!("CARGO_PKG_VERSION").into()),
        ],
        channels: TABLE.iter().map(|(channel, _)| channel.clone()).collect(),
    }
}

fn table() -> Vec<(Channel, Read)> {
    let mut table = status();
    table.extend(barrel());
    table.extend(last_cycle());
    table.extend(truth());
    table
}

fn row(
    channel: Channel,
    read: impl Fn(&Reading) -> Value + Send + Sync + 'static,
) -> (Channel, Read) {
    (channel, Box::new(read))
}

/// A number of the last cycle; no value before the first has ended.
fn of_shot(channel: Channel, read: fn(&Shot) -> f64) -> (Channel, Read) {
    row(channel.holding(I::Step), move |r| {
        r.last.as_ref().map_or(Value::Empty, |shot| Value::Float(read(shot)))
    })
}

fn id(name: &str) -> String {
    format!("urn:resonance:injection-molding:{name}")
}

fn status() -> Vec<(Channel, Read)> {
    vec![
        row(
            Channel::plain("MachineStatus", "MachineMode", DataType::Int32)
                .meaning(&id("machine-mode"))
                .labelled(&["other", "automatic", "semi automatic", "manual", "setup", "sleep"])
                .says("Mode the machine is in; setup while its valve is exchanged"),
            |r| Value::Int(if r.phase == Phase::Standing { 4 } else { 1 }),
        ),
        row(
            Channel::plain("MachineStatus", "Phase", DataType::Int32)
                .meaning(&id("phase"))
                .labelled(Phase::LABELS)
                .says("What the machine is doing within the cycle"),
            |r| Value::Int(r.phase as i64),
        ),
        row(
            Channel::plain("Job", "JobCycleCounter", DataType::Uint32)
                .counting(Q::Count, "B7")
                .meaning(&id("cycle-count"))
                .says("Cycles of the job"),
            |r| Value::Uint(r.cycles.into()),
        ),
        row(
            Channel::plain("Job", "LastPartId", DataType::String)
                .meaning(&id("last-part-id"))
                .says("Identification of the part that the last cycle made"),
            |r| r.last.as_ref().map_or(Value::Empty, |shot| Value::Text(shot.part_id.clone())),
        ),
    ]
}

/// The zones one by one, and as one profile along the barrel.
fn barrel() -> Vec<(Channel, Read)> {
    let barrel = &Relations::stated().barrel;
    let mut table: Vec<_> = (0..ZONES)
        .map(|zone| {
            let name = format!("TemperatureZone_{}", zone + 1);
            row(
                Channel::number(&format!("Barrel.{name}"), "ActualTemperature")
                    .measuring(Q::Temperature, "CEL", (0.0, 350.0))
                    .meaning(&id("barrel-temperature"))
                    .of(&format!("zone {}", zone + 1))
                    .says("Temperature of a zone of the barrel"),
                move |r| Value::Float(r.zones_deg_c[zone]),
            )
        })
        .collect();
    let profile = Channel::plain("Barrel", "TemperatureProfile", DataType::Float64Array)
        .measuring(Q::Temperature, "CEL", (0.0, 350.0))
        .meaning(&id("barrel-temperature-profile"))
        .holding(I::Step)
        .along(Axis {
            title: "Temperatures along the barrel".into(),
            axis_title: "Distance from the hopper".into(),
            axis_unit: resonance_plant::Unit::from_code("MMT"),
            steps: barrel.position_mm.into(),
        })
        .says("Temperatures of the barrel's zones, from the hopper to the nozzle");
    table.push(row(profile, |r| Value::Floats(r.zones_deg_c.into())));
    let mold = Channel::number("Mould.TemperatureZone_1", "ActualTemperature")
        .measuring(Q::Temperature, "CEL", (0.0, 200.0))
        .meaning(&id("mold-temperature"))
        .says("Temperature of the mould");
    table.push(row(mold, |r| Value::Float(r.mold_deg_c)));
    table
}

fn last_cycle() -> Vec<(Channel, Read)> {
    let unit = "InjectionUnit_1";
    vec![
        of_shot(
            Channel::number("Job", "LastCycleTime")
                .measuring(Q::Time, "SEC", (0.0, 120.0))
                .meaning(&id("cycle-time"))
                .says("Duration of the last cycle"),
            |shot| shot.cycle_s,
        ),
        of_shot(
            Channel::number(unit, "InjectionTime")
                .measuring(Q::Time, "SEC", (0.0, 10.0))
                .meaning(&id("injection-time"))
                .says("Duration of injection in the last cycle"),
            |shot| shot.injection_s,
        ),
        of_shot(
            Channel::number(unit, "DosingTime")
                .measuring(Q::Time, "SEC", (0.0, 60.0))
                .meaning(&id("dosing-time"))
                .says("Duration of dosing in the last cycle"),
            |shot| shot.dosing_s,
        ),
        of_shot(
            Channel::number(unit, "SpecificPressureMaximum")
                .measuring(Q::GaugePressure, "BAR", (0.0, 2000.0))
                .meaning(&id("specific-pressure-maximum"))
                .says("Highest specific pressure of the last cycle"),
            |shot| shot.pressure_bar,
        ),
        of_shot(
            Channel::number(unit, "CavityPressureMaximum")
                .measuring(Q::GaugePressure, "BAR", (0.0, 1000.0))
                .meaning(&id("cavity-pressure-maximum"))
                .says("Highest pressure in the cavity in the last cycle"),
            |shot| shot.cavity_bar,
        ),
        of_shot(
            Channel::number(unit, "CushionVolume")
                .measuring(Q::Volume, "CMQ", (0.0, 20.0))
                .meaning(&id("cushion-volume"))
                .says("Melt left before the screw in the last cycle"),
            |shot| shot.cushion_cm3,
        ),
        of_shot(
            Channel::number(unit, "PlastificationVolume")
                .measuring(Q::Volume, "CMQ", (0.0, 100.0))
                .meaning(&id("plastification-volume"))
                .says("Melt that was plastified in the last cycle"),
            |shot| shot.plastified_cm3,
        ),
    ]
}

/// What no machine reports.
fn truth() -> Vec<(Channel, Read)> {
    vec![
        of_shot(
            Channel::number("Simulation", "TruePartWeight")
                .measuring(Q::Mass, "GRM", (0.0, 100.0))
                .meaning("urn:resonance:simulation:part:weight")
                .says("Weight of the last part as the simulation computes it"),
            |shot| shot.weight_g,
        ),
        row(
            Channel::plain("Simulation", "TrueVerdict", DataType::Uint8)
                .meaning("urn:resonance:simulation:part:verdict")
                .labelled(&["light", "good", "heavy"])
                .says("Whether that weight is within tolerance"),
            |r| r.last.as_ref().map_or(Value::Empty, |_| Value::Uint(r.verdict.into())),
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
        let profile = &spec.channels[spec.position("Barrel.TemperatureProfile").unwrap()];
        assert_eq!(profile.axis.as_ref().unwrap().steps.len(), ZONES);
    }
}
