//! The stated relations as typed constants; `relations.toml` says what each means.
#![allow(missing_docs, reason = "relations.toml documents each key, once for both languages")]

use std::sync::LazyLock;

use serde::Deserialize;

/// The text of the relations that every simulated molding machine follows.
pub const STATED: &str = include_str!("relations.toml");

/// Zones of the barrel.
pub const ZONES: usize = 5;

/// Constants of the simulated machine. Keys end in their unit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relations {
    pub cycle: Cycle,
    pub barrel: Barrel,
    pub mold: Mold,
    pub material: Material,
    pub injection: Injection,
    pub hold: Hold,
    pub screw: Screw,
    pub part: Part,
}

impl Relations {
    /// The relations of `relations.toml`.
    pub fn stated() -> &'static Self {
        static RELATIONS: LazyLock<Relations> = LazyLock::new(|| {
            #[expect(
                clippy::expect_used,
                reason = "the text is part of the program; a test reads it"
            )]
            toml::from_str(STATED).expect("embedded at build time and checked by a test")
        });
        &RELATIONS
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cycle {
    pub close_s: f64,
    pub hold_s: f64,
    pub cooling_s: f64,
    pub open_s: f64,
    pub scatter: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Barrel {
    pub position_mm: [f64; ZONES],
    pub commanded_deg_c: [f64; ZONES],
    pub weight: [f64; ZONES],
    pub time_constant_s: f64,
    pub wander_deg_c: f64,
    pub wander_time_s: f64,
    pub fault_every_s: f64,
    pub fault_lasts_s: f64,
    pub fault_deg_c: f64,
    pub shear_heating_k: f64,
    pub sensor_noise_deg_c: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mold {
    pub commanded_deg_c: f64,
    pub wander_deg_c: f64,
    pub wander_time_s: f64,
    pub sensor_noise_deg_c: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Material {
    pub reference_deg_c: f64,
    pub temperature_exponent_per_k: f64,
    pub batch_every_cycles: u32,
    pub batch_scatter: f64,
    pub specific_volume_cm3_per_g: f64,
    pub expansion_per_k: f64,
    pub compressibility_per_bar: f64,
    pub mold_expansion_per_k: f64,
    pub batch_density_scatter: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Injection {
    pub shot_cm3: f64,
    pub flow_cm3_per_s: f64,
    pub pressure_bar: f64,
    pub viscosity_exponent: f64,
    pub pressure_limit_bar: f64,
    pub noise_bar: f64,
    pub scatter: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    pub pressure_bar: f64,
    pub wander_bar: f64,
    pub wander_time_s: f64,
    pub transmission: f64,
    pub transmission_loss: f64,
    pub noise_bar: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Screw {
    pub dosing_s: f64,
    pub cushion_cm3: f64,
    pub leak_cm3: f64,
    pub valve_life_cycles: u32,
    pub exchange_s: f64,
    pub leak_bar_per_cm3: f64,
    pub noise_cm3: f64,
    pub viscosity_exponent: f64,
    pub scatter: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub cavity_cm3: f64,
    pub noise_g: f64,
    pub good_from_g: f64,
    pub good_to_g: f64,
}
