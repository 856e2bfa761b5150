//! The simulated machine's physics: virtual time in, values of its channels out.
//!
//! No IO and no clock: whoever drives it says how much time passes. The same relations, seed and
//! sequence of time steps give the same values.

use std::sync::Arc;

use resonance_plant::Value;

use super::channels::{CHANNELS, ChannelDef};
use super::motion::{Execution, Phase, distance};
use super::relations::{Block, BlockKind, Relations};
use crate::machine::Physics;
use crate::noise::{Chance, Wander};

/// The longest one step may be, seconds; more is cut to it.
pub const STEP_MAX_S: f64 = 86_400.0;

/// The tool in the spindle, with what sets it apart from its sisters.
#[derive(Clone, Debug)]
struct ToolState {
    number: u32,
    /// The share of its life that is used.
    used: f64,
    cutting_s: f64,
    taylor_factor: f64,
    force_factor: f64,
    vibration_factor: f64,
}

/// What cutting asks of the spindle, at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cut {
    power_w: f64,
    force_n: f64,
    feed_force_n: f64,
    depth_mm: f64,
    width_mm: f64,
}

/// All values at the end of the last step, as the machine's sensors and controller report them.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub execution: Execution,
    pub program: Arc<str>,
    pub block: u32,
    pub parts: u32,
    pub tool_number: u32,
    pub tool_changes: u32,
    pub tool_cutting_min: f64,
    pub flank_wear_mm: f64,
    pub speed_rpm: f64,
    pub speed_command_rpm: f64,
    pub speed_override_percent: f64,
    pub torque_nm: f64,
    pub power_kw: f64,
    pub load_percent: f64,
    pub energy_kwh: f64,
    pub bearing_deg_c: f64,
    pub motor_deg_c: f64,
    pub vibration_mm_per_s: f64,
    pub feed_mm_per_min: f64,
    pub feed_command_mm_per_min: f64,
    pub feed_override_percent: f64,
    pub cutting_speed_m_per_min: f64,
    pub depth_mm: f64,
    pub width_mm: f64,
    pub position_mm: [f64; 3],
    pub axis_load_percent: [f64; 3],
    pub coolant_l_per_min: f64,
    pub coolant_bar: f64,
    pub coolant_deg_c: f64,
    pub ambient_deg_c: f64,
    pub door_closed: bool,
}

/// The simulated machine.
#[derive(Clone, Debug)]
pub struct CncPhysics {
    relations: Relations,
    chance: Chance,
    time_s: f64,
    warmed_up: bool,
    wear_acceleration: f64,
    phase: Phase,
    program: Arc<str>,
    /// The block that comes next, or goes on after a tool change.
    next_block: usize,
    /// Where the tool left the cut for a tool change.
    resume_at_mm: [f64; 3],
    parts: u32,
    tool_changes: u32,
    tool: ToolState,
    part_factor: f64,
    feed_override: f64,
    speed_override: f64,
    speed_rpm: f64,
    /// Mean acceleration torque over the last stretch, newton metres.
    inertia_nm: f64,
    bearing_deg_c: f64,
    motor_deg_c: f64,
    coolant_deg_c: f64,
    coolant_share: f64,
    energy_ws: f64,
    force_texture: Wander,
    vibration_texture: Wander,
    reading: Reading,
}

impl Physics for CncPhysics {
    fn step(&mut self, dt_s: f64) {
        Self::step(self, dt_s);
    }

    fn time_s(&self) -> f64 {
        Self::time_s(self)
    }

    fn value(&self, channel: usize) -> Value {
        Self::value(self, channel)
    }
}

impl CncPhysics {
    /// A machine at the start of a shift, cold, with a new tool.
    pub fn new(relations: &Relations, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let home = relations.axes.tool_change_at_mm;
        let tool = new_tool(relations, relations.tool.tool_number_first, &mut chance);
        let ambient = relations.thermal.ambient_deg_c;
        let mut machine = Self {
            chance,
            time_s: 0.0,
            warmed_up: false,
            wear_acceleration: 1.0,
            phase: Phase::wait(Execution::Idle, home, relations.shift.idle_at_start_s, 0.0),
            program: relations.program.name.as_str().into(),
            next_block: 0,
            resume_at_mm: home,
            parts: 0,
            tool_changes: 0,
            tool,
            part_factor: 1.0,
            feed_override: 1.0,
            speed_override: 1.0,
            speed_rpm: 0.0,
            inertia_nm: 0.0,
            bearing_deg_c: ambient,
            motor_deg_c: ambient,
            coolant_deg_c: ambient,
            coolant_share: 0.0,
            energy_ws: 0.0,
            force_texture: Wander::default(),
            vibration_texture: Wander::default(),
            reading: Reading::default(),
            relations: relations.clone(),
        };
        machine.load_part();
        machine.read();
        machine
    }

    /// Lets tools wear this many times as fast as the relations say, at unchanged forces, power
    /// and temperatures, so that a demo sees a life in minutes. 1 is the truth; values that are
    /// not above 0 are taken as 1.
    pub fn set_wear_acceleration(&mut self, factor: f64) {
        self.wear_acceleration = if factor > 0.0 && factor.is_finite() { factor } else { 1.0 };
    }

    /// Puts in a tool that already has this flank wear, millimetres, 0 to the limit.
    pub fn set_flank_wear_mm(&mut self, flank_wear_mm: f64) {
        let wear = &self.relations.wear;
        self.tool.used = wear.used_at(flank_wear_mm.clamp(0.0, wear.limit_mm));
        self.read();
    }

    /// Lets `dt_s` seconds pass. Numbers that are not above 0 let no time pass; more than
    /// [`STEP_MAX_S`] is cut to it. Steps of 0.01 s to 1 s follow every transient.
    pub fn step(&mut self, dt_s: f64) {
        let mut left = if dt_s > 0.0 { dt_s.min(STEP_MAX_S) } else { 0.0 };
        while left > 0.0 {
            let stretch = left.min(self.phase.duration_s - self.phase.done_s);
            self.advance(stretch);
            left -= stretch;
            if self.phase.execution == Execution::Cutting && self.is_worn_out() {
                self.resume_at_mm = self.phase.position();
                self.phase = self.tool_change();
            } else if self.phase.done_s >= self.phase.duration_s {
                self.phase = self.following();
            }
        }
        self.read();
    }

    /// Lets time pass in steps of `dt_s` until material is removed, at most an hour of it: for
    /// those who do not want to watch a machine warm up. Returns the seconds that passed.
    pub fn step_to_cutting(&mut self, dt_s: f64) -> f64 {
        let from = self.time_s;
        let dt_s = if dt_s > 0.0 { dt_s } else { 0.1 };
        while self.phase.execution != Execution::Cutting && self.time_s - from < 3600.0 {
            self.step(dt_s);
        }
        self.time_s - from
    }

    /// Virtual seconds since the start of the shift.
    pub fn time_s(&self) -> f64 {
        self.time_s
    }

    /// What the machine is doing.
    pub fn execution(&self) -> Execution {
        self.reading.execution
    }

    /// The true flank wear, millimetres, which no sensor of a real machine reports.
    pub fn flank_wear_mm(&self) -> f64 {
        self.reading.flank_wear_mm
    }

    /// The channels, in the order of [`CncPhysics::value`].
    pub fn channels(&self) -> &'static [ChannelDef] {
        CHANNELS
    }

    /// The value of a channel at the end of the last step; empty past the last channel.
    pub fn value(&self, channel: usize) -> Value {
        CHANNELS.get(channel).map_or(Value::Empty, |def| (def.read)(&self.reading))
    }

    /// Moves everything on within one phase, exactly for any `dt_s` wherever the relation is
    /// linear.
    fn advance(&mut self, dt_s: f64) {
        let relations = &self.relations;
        self.phase.done_s += dt_s;
        self.time_s += dt_s;
        let before = omega(self.speed_rpm);
        let target = self.phase.spindle_rpm;
        self.speed_rpm = approach(self.speed_rpm, target, dt_s, relations.spindle.speed_time_s);
        let now = omega(self.speed_rpm);
        self.inertia_nm = if dt_s > 0.0 {
            relations.spindle.inertia_kg_m2 * (now - before) / dt_s
        } else {
            self.inertia_nm
        };
        let chance = &mut self.chance;
        self.force_texture.step(dt_s, relations.cutting.texture_time_s, chance);
        self.vibration_texture.step(dt_s, relations.vibration.texture_time_s, chance);
        let flow = if self.phase.execution == Execution::Cutting { 1.0 } else { 0.0 };
        self.coolant_share =
            approach(self.coolant_share, flow, dt_s, relations.coolant.flow_time_s);

        let cut = self.cut();
        self.wear(dt_s);
        self.heat(dt_s, &cut);
    }

    fn is_worn_out(&self) -> bool {
        self.relations.wear.flank_wear_mm(self.tool.used) >= self.relations.wear.limit_mm
    }

    fn wear(&mut self, dt_s: f64) {
        let Some(block) = self.cutting_block() else { return };
        let tool = &self.relations.tool;
        let feed = self.phase.feed_mm_per_min / (f64::from(tool.teeth) * self.speed_rpm);
        let speed = cutting_speed(tool.diameter_mm, self.speed_rpm);
        let life_min =
            self.relations.taylor.life_min(speed, feed, block.depth_mm, self.tool.taylor_factor);
        self.tool.used += self.wear_acceleration * dt_s / 60.0 / life_min;
        self.tool.cutting_s += dt_s;
    }

    fn heat(&mut self, dt_s: f64, cut: &Cut) {
        let (thermal, now) = (&self.relations.thermal, omega(self.speed_rpm));
        let spindle = &self.relations.spindle;
        let friction_w = spindle.friction_nm(now, self.bearing_deg_c) * now;
        let electrical_w = self.electrical_w(cut);
        let motor_w = (cut.power_w + friction_w) * (1.0 / spindle.efficiency - 1.0);
        let ambient = self.ambient();
        let bearing = ambient + thermal.bearing_k_per_w * friction_w;
        let motor = ambient + thermal.motor_k_per_w * motor_w;
        let coolant = ambient + thermal.coolant_k_per_w * thermal.coolant_heat_share * cut.power_w;
        self.bearing_deg_c = approach(self.bearing_deg_c, bearing, dt_s, thermal.bearing_time_s);
        self.motor_deg_c = approach(self.motor_deg_c, motor, dt_s, thermal.motor_time_s);
        self.coolant_deg_c = approach(self.coolant_deg_c, coolant, dt_s, thermal.coolant_time_s);
        self.energy_ws += electrical_w * dt_s;
    }

    fn ambient(&self) -> f64 {
        let thermal = &self.relations.thermal;
        let day = std::f64::consts::TAU * self.time_s / 86_400.0;
        thermal.ambient_deg_c + thermal.ambient_swing_k * day.sin()
    }

    fn cutting_block(&self) -> Option<&Block> {
        let turning = self.phase.execution == Execution::Cutting && self.speed_rpm > 1.0;
        let block = self.phase.block.filter(|_| turning)?;
        self.relations.program.block.get(block)
    }

    /// Kienzle's force and power for the block under way; nothing where nothing is cut.
    fn cut(&self) -> Cut {
        let Some(block) = self.cutting_block() else { return Cut::default() };
        let (tool, cutting) = (&self.relations.tool, &self.relations.cutting);
        let flank_wear = self.relations.wear.flank_wear_mm(self.tool.used);
        let feed = self.phase.feed_mm_per_min;
        let feed_per_tooth = feed / (f64::from(tool.teeth) * self.speed_rpm);
        let chip = feed_per_tooth * (block.width_mm / tool.diameter_mm).sqrt();
        let specific = cutting.specific_force(chip, flank_wear)
            * self.part_factor
            * self.tool.force_factor
            * (cutting.texture_scatter * self.force_texture.value).exp();
        // mm * mm * mm/min * N/mm2 = N mm/min; 60,000 of them are one watt.
        let power_w = block.depth_mm * block.width_mm * feed * specific / 60_000.0;
        let speed_m_per_s = cutting_speed(tool.diameter_mm, self.speed_rpm) / 60.0;
        let force_n = power_w / speed_m_per_s;
        let share = cutting.feed_force_share * (1.0 + cutting.feed_force_wear_per_mm * flank_wear);
        Cut {
            power_w,
            force_n,
            feed_force_n: force_n * share,
            depth_mm: block.depth_mm,
            width_mm: block.width_mm,
        }
    }

    fn shaft_nm(&self, cut: &Cut) -> f64 {
        let now = omega(self.speed_rpm);
        let cutting = if now > 0.0 { cut.power_w / now } else { 0.0 };
        cutting + self.relations.spindle.friction_nm(now, self.bearing_deg_c) + self.inertia_nm
    }

    fn electrical_w(&self, cut: &Cut) -> f64 {
        let spindle = &self.relations.spindle;
        let mechanical = self.shaft_nm(cut) * omega(self.speed_rpm);
        mechanical / spindle.efficiency + 1000.0 * spindle.standby_kw
    }

    /// What comes after the phase that has ended.
    fn following(&mut self) -> Phase {
        let shift = &self.relations.shift;
        let at = self.phase.to_mm;
        match self.phase.execution {
            Execution::Idle if !self.warmed_up => {
                self.warmed_up = true;
                let speed = self.relations.spindle.warm_up_speed_rpm;
                Phase::wait(Execution::WarmUp, at, shift.warm_up_s, speed)
            }
            Execution::Stopped => {
                Phase::wait(Execution::Idle, at, self.relations.shift.load_part_s, 0.0)
            }
            Execution::Idle if self.next_block >= self.relations.program.block.len() => {
                self.load_part();
                self.block_phase(at)
            }
            Execution::Idle | Execution::WarmUp => self.block_phase(at),
            Execution::ToolChange => self.return_phase(at),
            Execution::Positioning | Execution::Cutting => self.after_motion(at),
        }
    }

    fn after_motion(&mut self, at: [f64; 3]) -> Phase {
        if self.phase.block.is_some() {
            self.next_block += 1;
        }
        if self.next_block < self.relations.program.block.len() {
            return self.block_phase(at);
        }
        self.parts = self.parts.wrapping_add(1);
        let shift = &self.relations.shift;
        if self.chance.share() < shift.stop_probability {
            let [least, most] = shift.stop_s;
            let duration = least + (most - least) * self.chance.share();
            return Phase::wait(Execution::Stopped, at, duration, 0.0);
        }
        Phase::wait(Execution::Idle, at, shift.load_part_s, 0.0)
    }

    fn tool_change(&mut self) -> Phase {
        let (tool, changes) = (&self.relations.tool, self.tool_changes.wrapping_add(1));
        let number = tool.tool_number_first + changes % tool.tools_in_magazine;
        self.tool = new_tool(&self.relations, number, &mut self.chance);
        self.tool_changes = changes;
        let at = self.relations.axes.tool_change_at_mm;
        Phase::wait(Execution::ToolChange, at, self.relations.shift.tool_change_s, 0.0)
    }

    /// From the tool change back to where the cut goes on, the spindle turning up meanwhile.
    fn return_phase(&self, from_mm: [f64; 3]) -> Phase {
        let to_mm = self.resume_at_mm;
        let block = self.relations.program.block.get(self.next_block);
        let speed = block.map_or(0.0, |block| self.spindle_rpm(block));
        let duration_s = self.rapid_s(from_mm, to_mm) + self.relations.shift.spin_up_s;
        let mut phase = Phase::wait(Execution::Positioning, from_mm, duration_s, speed);
        phase.to_mm = to_mm;
        phase.feed_mm_per_min = distance(from_mm, to_mm) / duration_s * 60.0;
        phase
    }

    fn block_phase(&self, from_mm: [f64; 3]) -> Phase {
        let Some(block) = self.relations.program.block.get(self.next_block) else {
            return Phase::wait(Execution::Idle, from_mm, self.relations.shift.load_part_s, 0.0);
        };
        let to_mm = block.to_mm.unwrap_or(from_mm);
        let teeth = f64::from(self.relations.tool.teeth);
        let (execution, feed) = match block.kind {
            BlockKind::Rapid => (Execution::Positioning, self.relations.axes.rapid_mm_per_min),
            BlockKind::Dwell => (Execution::Positioning, 0.0),
            BlockKind::Cut => {
                let feed = block.feed_per_tooth_mm * teeth * self.programmed_rpm(block);
                (Execution::Cutting, feed * self.feed_override)
            }
        };
        let duration_s = match block.kind {
            BlockKind::Dwell => block.seconds,
            _ => (distance(from_mm, to_mm) / feed * 60.0).max(1e-3),
        };
        Phase {
            execution,
            block: Some(self.next_block),
            duration_s,
            done_s: 0.0,
            from_mm,
            to_mm,
            spindle_rpm: self.spindle_rpm(block),
            feed_mm_per_min: feed,
        }
    }

    fn rapid_s(&self, from: [f64; 3], to: [f64; 3]) -> f64 {
        distance(from, to) / self.relations.axes.rapid_mm_per_min * 60.0
    }

    fn programmed_rpm(&self, block: &Block) -> f64 {
        let circumference_m = std::f64::consts::PI * self.relations.tool.diameter_mm / 1000.0;
        block.speed_m_per_min / circumference_m
    }

    fn spindle_rpm(&self, block: &Block) -> f64 {
        let rpm = self.programmed_rpm(block) * self.speed_override;
        rpm.min(self.relations.spindle.speed_max_rpm)
    }

    fn load_part(&mut self) {
        let (relations, chance) = (&self.relations, &mut self.chance);
        self.next_block = 0;
        self.part_factor = chance.factor(relations.cutting.part_scatter);
        let shift = &relations.shift;
        self.feed_override = chance.one_of(&shift.feed_overrides_percent, 100.0) / 100.0;
        self.speed_override = chance.one_of(&shift.spindle_overrides_percent, 100.0) / 100.0;
    }

    /// What sensors and controller report now: the state with the sensors' noise.
    fn read(&mut self) {
        let cut = self.cut();
        let shaft_nm = self.shaft_nm(&cut);
        let power_kw = self.electrical_w(&cut) / 1000.0;
        let (rated_kw, ambient) = (self.relations.spindle.power_rated_kw, self.ambient());
        let true_vibration = self.true_vibration(&cut);
        let block = self.phase.block.and_then(|at| self.relations.program.block.get(at));
        let block_number = block.map_or(0, |block| block.number);
        let flank_wear_mm = self.relations.wear.flank_wear_mm(self.tool.used);
        let axis_load = self.axis_load(&cut);
        let relations = &self.relations;
        let (noise, chance) = (&relations.noise, &mut self.chance);
        let power_kw = power_kw * (1.0 + noise.power_share * chance.normal());
        let flow = self.coolant_share * (1.0 + noise.flow_share * chance.normal());
        let position = self.phase.position();
        self.reading = Reading {
            execution: self.phase.execution,
            program: Arc::clone(&self.program),
            block: block_number,
            parts: self.parts,
            tool_number: self.tool.number,
            tool_changes: self.tool_changes,
            tool_cutting_min: self.tool.cutting_s / 60.0,
            flank_wear_mm,
            speed_rpm: self.speed_rpm * (1.0 + noise.speed_share * chance.normal()),
            speed_command_rpm: self.phase.spindle_rpm,
            speed_override_percent: 100.0 * self.speed_override,
            torque_nm: shaft_nm * (1.0 + noise.torque_share * chance.normal()),
            power_kw,
            load_percent: 100.0 * power_kw.abs() / rated_kw,
            energy_kwh: self.energy_ws / 3.6e6,
            bearing_deg_c: self.bearing_deg_c + noise.temperature_k * chance.normal(),
            motor_deg_c: self.motor_deg_c + noise.temperature_k * chance.normal(),
            vibration_mm_per_s: true_vibration * (1.0 + noise.vibration_share * chance.normal()),
            feed_mm_per_min: self.phase.feed_mm_per_min,
            feed_command_mm_per_min: self.phase.feed_mm_per_min / self.feed_override,
            feed_override_percent: 100.0 * self.feed_override,
            cutting_speed_m_per_min: cutting_speed(relations.tool.diameter_mm, self.speed_rpm),
            depth_mm: cut.depth_mm,
            width_mm: cut.width_mm,
            position_mm: position.map(|mm| mm + noise.position_mm * chance.normal()),
            axis_load_percent: axis_load
                .map(|load| (load + noise.axis_load_percent * chance.normal()).max(0.0)),
            coolant_l_per_min: relations.coolant.flow_l_per_min * flow,
            // Turbulent flow through nozzles: pressure goes with the square of the flow.
            coolant_bar: relations.coolant.pressure_bar * flow * flow,
            coolant_deg_c: self.coolant_deg_c + noise.temperature_k * chance.normal(),
            ambient_deg_c: ambient + noise.temperature_k * chance.normal(),
            door_closed: self.phase.execution != Execution::Idle,
        };
    }

    fn true_vibration(&self, cut: &Cut) -> f64 {
        let vibration = &self.relations.vibration;
        let flank_wear = self.relations.wear.flank_wear_mm(self.tool.used);
        let turning = self.speed_rpm / self.relations.spindle.speed_max_rpm;
        let cutting = vibration.cutting_mm_per_s_per_n
            * cut.force_n
            * vibration.wear_factor(flank_wear)
            * self.tool.vibration_factor;
        let texture = (vibration.texture_scatter * self.vibration_texture.value).exp();
        (vibration.idle_mm_per_s * turning + cutting) * texture
    }

    fn axis_load(&self, cut: &Cut) -> [f64; 3] {
        let axes = &self.relations.axes;
        let rapid = (self.phase.feed_mm_per_min / axes.rapid_mm_per_min).min(1.0);
        self.phase.direction().map(|along| {
            let moving = (axes.load_rapid_percent - axes.load_idle_percent) * rapid;
            let pushing = axes.load_per_n_percent * cut.feed_force_n;
            axes.load_idle_percent + (moving + pushing) * along.abs()
        })
    }
}

fn new_tool(relations: &Relations, number: u32, chance: &mut Chance) -> ToolState {
    ToolState {
        number,
        used: 0.0,
        cutting_s: 0.0,
        taylor_factor: chance.factor(relations.taylor.c_scatter),
        force_factor: chance.factor(relations.cutting.tool_scatter),
        vibration_factor: chance.factor(relations.vibration.tool_scatter),
    }
}

/// From revolutions per minute to rad/s.
fn omega(rpm: f64) -> f64 {
    rpm * std::f64::consts::TAU / 60.0
}

/// Speed of the cutting edge, m/min.
fn cutting_speed(diameter_mm: f64, rpm: f64) -> f64 {
    std::f64::consts::PI * diameter_mm / 1000.0 * rpm
}

/// A first-order lag after `dt_s`, exactly.
fn approach(value: f64, target: f64, dt_s: f64, time_s: f64) -> f64 {
    target + (value - target) * (-dt_s / time_s).exp()
}

#[cfg(test)]
#[path = "physics_tests.rs"]
mod tests;
