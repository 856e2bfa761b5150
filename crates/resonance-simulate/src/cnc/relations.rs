//! The stated relations as typed constants; `relations.toml` says what each means and why.
#![allow(missing_docs, reason = "relations.toml documents each key, once for both languages")]

use std::sync::LazyLock;

use serde::Deserialize;

/// The text of the relations that every simulated CNC follows, for those who read it themselves.
pub const STATED: &str = include_str!("relations.toml");

/// Constants of the simulated machine. Keys end in their unit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relations {
    pub tool: Tool,
    pub taylor: Taylor,
    pub wear: Wear,
    pub cutting: Cutting,
    pub spindle: Spindle,
    pub thermal: Thermal,
    pub vibration: Vibration,
    pub coolant: Coolant,
    pub axes: Axes,
    pub noise: Noise,
    pub shift: Shift,
    pub program: Program,
}

/// Why relations are refused.
#[derive(Debug, thiserror::Error)]
pub enum RelationsError {
    /// The text is not TOML or a key is missing, unknown or of the wrong type.
    #[error("the relations cannot be read: {0}")]
    Unreadable(#[from] toml::de::Error),
    /// A constant makes no physical sense.
    #[error("relations: {key} is {value}; it must be {expected}")]
    Unphysical {
        /// Which constant.
        key: &'static str,
        /// What it is.
        value: f64,
        /// What it must be.
        expected: &'static str,
    },
    /// A block of the program lacks what its kind needs.
    #[error("relations: program block {number} ({kind}) needs {needs}")]
    Block {
        /// The block's number.
        number: u32,
        /// The block's kind.
        kind: &'static str,
        /// What is missing.
        needs: &'static str,
    },
}

impl Relations {
    /// The relations of `relations.toml`.
    pub fn stated() -> &'static Self {
        static RELATIONS: LazyLock<Relations> = LazyLock::new(|| {
            Relations::parse(STATED).expect("embedded at build time and checked by a test")
        });
        &RELATIONS
    }

    /// Relations from text.
    ///
    /// # Errors
    /// Names the key that is unreadable or makes no physical sense.
    pub fn parse(text: &str) -> Result<Self, RelationsError> {
        let relations: Self = toml::from_str(text)?;
        relations.check()?;
        Ok(relations)
    }

    fn check(&self) -> Result<(), RelationsError> {
        let positive = [
            ("tool.diameter_mm", self.tool.diameter_mm),
            ("tool.teeth", f64::from(self.tool.teeth)),
            ("tool.tools_in_magazine", f64::from(self.tool.tools_in_magazine)),
            ("taylor.n", self.taylor.n),
            ("taylor.c_m_per_min", self.taylor.c_m_per_min),
            ("taylor.feed_reference_mm", self.taylor.feed_reference_mm),
            ("taylor.depth_reference_mm", self.taylor.depth_reference_mm),
            ("wear.run_in_share", self.wear.run_in_share),
            ("wear.limit_mm", self.wear.limit_mm),
            ("cutting.texture_time_s", self.cutting.texture_time_s),
            ("spindle.speed_max_rpm", self.spindle.speed_max_rpm),
            ("spindle.power_rated_kw", self.spindle.power_rated_kw),
            ("spindle.speed_time_s", self.spindle.speed_time_s),
            ("spindle.efficiency", self.spindle.efficiency),
            ("thermal.bearing_time_s", self.thermal.bearing_time_s),
            ("thermal.motor_time_s", self.thermal.motor_time_s),
            ("thermal.coolant_time_s", self.thermal.coolant_time_s),
            ("vibration.texture_time_s", self.vibration.texture_time_s),
            ("coolant.flow_time_s", self.coolant.flow_time_s),
            ("axes.rapid_mm_per_min", self.axes.rapid_mm_per_min),
            ("shift.load_part_s", self.shift.load_part_s),
            ("shift.tool_change_s", self.shift.tool_change_s),
        ];
        for (key, value) in positive {
            if !(value > 0.0 && value.is_finite()) {
                return Err(RelationsError::Unphysical { key, value, expected: "positive" });
            }
        }
        let cuts = self.program.block.iter().filter(|block| block.kind == BlockKind::Cut).count();
        if cuts == 0 {
            let key = "program.block";
            return Err(RelationsError::Unphysical {
                key,
                value: 0.0,
                expected: "at least one cut",
            });
        }
        self.program.block.iter().try_for_each(Block::check)
    }
}

/// See `[tool]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    pub diameter_mm: f64,
    pub teeth: u32,
    pub tool_number_first: u32,
    pub tools_in_magazine: u32,
}

/// See `[taylor]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taylor {
    pub n: f64,
    pub c_m_per_min: f64,
    pub feed_exponent: f64,
    pub feed_reference_mm: f64,
    pub depth_exponent: f64,
    pub depth_reference_mm: f64,
    pub c_scatter: f64,
}

impl Taylor {
    /// Cutting time until the wear limit, minutes, of a tool whose constant C is `factor` times
    /// the stated one, at a cutting speed (m/min), a feed per tooth (mm) and an axial depth (mm).
    pub fn life_min(&self, speed: f64, feed_per_tooth: f64, depth: f64, factor: f64) -> f64 {
        let feed = (feed_per_tooth / self.feed_reference_mm).powf(self.feed_exponent);
        let depth = (depth / self.depth_reference_mm).powf(self.depth_exponent);
        (self.c_m_per_min * factor / (speed * feed * depth)).powf(1.0 / self.n)
    }
}

/// See `[wear]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wear {
    pub run_in_mm: f64,
    pub run_in_share: f64,
    pub steady_mm: f64,
    pub final_mm: f64,
    pub final_power: f64,
    pub limit_mm: f64,
    pub fresh_below_mm: f64,
    pub usable_below_mm: f64,
    pub worn_below_mm: f64,
}

impl Wear {
    /// Flank wear VB, millimetres, once the share `used` of the tool's life is gone.
    pub fn flank_wear_mm(&self, used: f64) -> f64 {
        self.run_in_mm * (1.0 - (-used / self.run_in_share).exp())
            + self.steady_mm * used
            + self.final_mm * used.powf(self.final_power)
    }

    /// The share of life used at a flank wear (mm): the inverse of the curve, by bisection.
    pub fn used_at(&self, flank_wear_mm: f64) -> f64 {
        let (mut low, mut high) = (0.0, 2.0);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.flank_wear_mm(middle) < flank_wear_mm {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }

    /// 0 fresh, 1 usable, 2 worn, 3 replace.
    pub fn class(&self, flank_wear_mm: f64) -> u8 {
        [self.fresh_below_mm, self.usable_below_mm, self.worn_below_mm]
            .iter()
            .map(|bound| u8::from(flank_wear_mm >= *bound))
            .sum()
    }
}

/// See `[cutting]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutting {
    pub k_c11_n_per_mm2: f64,
    pub m_c: f64,
    pub wear_per_mm: f64,
    pub part_scatter: f64,
    pub tool_scatter: f64,
    pub texture_scatter: f64,
    pub texture_time_s: f64,
    pub feed_force_share: f64,
    pub feed_force_wear_per_mm: f64,
}

impl Cutting {
    /// The specific cutting force, N/mm², at a mean chip thickness (mm) and flank wear (mm).
    pub fn specific_force(&self, chip_mm: f64, flank_wear_mm: f64) -> f64 {
        self.k_c11_n_per_mm2 * chip_mm.powf(-self.m_c) * (1.0 + self.wear_per_mm * flank_wear_mm)
    }
}

/// See `[spindle]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spindle {
    pub speed_max_rpm: f64,
    pub power_rated_kw: f64,
    pub speed_time_s: f64,
    pub inertia_kg_m2: f64,
    pub friction_constant_nm: f64,
    pub friction_viscous_nms: f64,
    pub grease_thinning_per_k: f64,
    pub efficiency: f64,
    pub standby_kw: f64,
    pub warm_up_speed_rpm: f64,
}

impl Spindle {
    /// Friction torque, N·m, at an angular speed (rad/s) and bearing temperature (°C).
    pub fn friction_nm(&self, omega: f64, bearing_deg_c: f64) -> f64 {
        if omega <= 0.0 {
            return 0.0;
        }
        let thinning = (-self.grease_thinning_per_k * (bearing_deg_c - 20.0)).exp();
        self.friction_constant_nm + self.friction_viscous_nms * omega * thinning
    }
}

/// See `[thermal]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thermal {
    pub ambient_deg_c: f64,
    pub ambient_swing_k: f64,
    pub bearing_time_s: f64,
    pub bearing_k_per_w: f64,
    pub motor_time_s: f64,
    pub motor_k_per_w: f64,
    pub coolant_time_s: f64,
    pub coolant_k_per_w: f64,
    pub coolant_heat_share: f64,
}

/// See `[vibration]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vibration {
    pub idle_mm_per_s: f64,
    pub cutting_mm_per_s_per_n: f64,
    pub wear_per_mm: f64,
    pub wear_per_mm2: f64,
    pub tool_scatter: f64,
    pub texture_scatter: f64,
    pub texture_time_s: f64,
}

impl Vibration {
    /// By how much a flank wear (mm) multiplies the vibration that cutting causes.
    pub fn wear_factor(&self, flank_wear_mm: f64) -> f64 {
        1.0 + self.wear_per_mm * flank_wear_mm + self.wear_per_mm2 * flank_wear_mm.powi(2)
    }
}

/// See `[coolant]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coolant {
    pub flow_l_per_min: f64,
    pub pressure_bar: f64,
    pub flow_time_s: f64,
}

/// See `[axes]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axes {
    pub rapid_mm_per_min: f64,
    pub load_idle_percent: f64,
    pub load_rapid_percent: f64,
    pub load_per_n_percent: f64,
    pub tool_change_at_mm: [f64; 3],
}

/// See `[noise]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    pub power_share: f64,
    pub torque_share: f64,
    pub speed_share: f64,
    pub vibration_share: f64,
    pub axis_load_percent: f64,
    pub temperature_k: f64,
    pub flow_share: f64,
    pub position_mm: f64,
}

/// See `[shift]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    pub idle_at_start_s: f64,
    pub warm_up_s: f64,
    pub load_part_s: f64,
    pub tool_change_s: f64,
    pub spin_up_s: f64,
    pub stop_probability: f64,
    pub stop_s: [f64; 2],
    pub feed_overrides_percent: Vec<f64>,
    pub spindle_overrides_percent: Vec<f64>,
}

/// The part program.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The name the controller shows.
    pub name: String,
    /// Its blocks, in order.
    pub block: Vec<Block>,
}

/// One block of the part program.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// The block's number.
    pub number: u32,
    /// What it does.
    pub kind: BlockKind,
    /// Where it ends, machine coordinates; absent: where it began.
    #[serde(default)]
    pub to_mm: Option<[f64; 3]>,
    /// How long a dwell takes.
    #[serde(default)]
    pub seconds: f64,
    /// The programmed cutting speed.
    pub speed_m_per_min: f64,
    /// Feed per tooth of a cut.
    #[serde(default)]
    pub feed_per_tooth_mm: f64,
    /// Axial depth of a cut.
    #[serde(default)]
    pub depth_mm: f64,
    /// Radial width of a cut.
    #[serde(default)]
    pub width_mm: f64,
}

/// What a block does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Moves at rapid traverse.
    Rapid,
    /// Waits.
    Dwell,
    /// Removes material on the way.
    Cut,
}

impl Block {
    fn check(&self) -> Result<(), RelationsError> {
        let refuse = |kind, needs| Err(RelationsError::Block { number: self.number, kind, needs });
        let cuts = [self.speed_m_per_min, self.feed_per_tooth_mm, self.depth_mm, self.width_mm];
        match self.kind {
            BlockKind::Rapid if self.to_mm.is_none() => refuse("rapid", "to_mm"),
            BlockKind::Dwell if self.seconds.is_nan() || self.seconds <= 0.0 => {
                refuse("dwell", "seconds above 0")
            }
            BlockKind::Cut if self.to_mm.is_none() => refuse("cut", "to_mm"),
            BlockKind::Cut if !cuts.iter().all(|value| *value > 0.0) => {
                refuse("cut", "speed, feed per tooth, depth and width above 0")
            }
            _ => Ok(()),
        }
    }
}
