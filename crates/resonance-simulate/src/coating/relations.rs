//! The stated relations as typed constants; `relations.toml` says what each means.
#![allow(missing_docs, reason = "relations.toml documents each key, once for both languages")]

use std::sync::LazyLock;

use serde::Deserialize;

/// The text of the relations that every simulated coating line follows.
pub const STATED: &str = include_str!("relations.toml");

/// Constants of the simulated line. Keys end in their unit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relations {
    pub material: Material,
    pub spray: Spray,
    pub line: Line,
    pub booth: Booth,
    pub noise: Noise,
    pub fault: Faults,
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
pub struct Material {
    pub commanded_deg_c: f64,
    pub time_constant_s: f64,
    pub wander_k: f64,
    pub wander_time_s: f64,
    pub viscosity_mpa_s: f64,
    pub temperature_exponent_per_k: f64,
    pub solids: f64,
    pub solids_exponent: f64,
    pub solids_scatter: f64,
    pub solids_time_s: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spray {
    pub pressure_bar: f64,
    pub wander_bar: f64,
    pub wander_time_s: f64,
    pub ripple_bar: f64,
    pub flow_l_per_min: f64,
    pub viscosity_exponent: f64,
    pub transfer: f64,
    pub transfer_loss_per_bar: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    pub speed_m_per_min: f64,
    pub wander_m_per_min: f64,
    pub wander_time_s: f64,
    pub width_m: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Booth {
    pub commanded_deg_c: f64,
    pub wander_k: f64,
    pub wander_time_s: f64,
    pub humidity_percent: f64,
    pub humidity_wander_percent: f64,
    pub humidity_time_s: f64,
    pub flash_loss_per_k: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    pub viscosity_mpa_s: f64,
    pub temperature_k: f64,
    pub pressure_bar: f64,
    pub flow_l_per_min: f64,
    pub thickness_um: f64,
    pub humidity_percent: f64,
    pub speed_m_per_min: f64,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    pub every_s: f64,
    pub lasts_s: f64,
    pub grows_s: f64,
    pub clog_share: f64,
    pub pulsation: f64,
    pub solvent_share: f64,
    pub heater_k: f64,
    pub air_cap_share: f64,
}
