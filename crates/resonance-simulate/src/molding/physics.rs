//! The simulated molding machine's physics: virtual time in, values of its channels out.

use std::sync::Arc;

use resonance_plant::Value;

use super::channels::TABLE;
use super::relations::{Relations, ZONES};
use crate::machine::Physics;
use crate::noise::{Chance, Wander};

/// What the machine is doing; its place in [`Phase::LABELS`] is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Stands while the non-return valve is exchanged.
    Standing,
    #[default]
    Closing,
    Injecting,
    Holding,
    Cooling,
    Opening,
}

impl Phase {
    pub(super) const LABELS: &'static [&'static str] =
        &["standing", "closing", "injecting", "holding", "cooling", "opening"];
}

/// What one cycle came to; reported when it ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Shot {
    pub part_id: Arc<str>,
    pub cycle_s: f64,
    pub injection_s: f64,
    pub dosing_s: f64,
    pub pressure_bar: f64,
    pub cavity_bar: f64,
    pub cushion_cm3: f64,
    pub plastified_cm3: f64,
    pub weight_g: f64,
}

/// What the machine reports at the end of a step.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub phase: Phase,
    pub cycles: u32,
    pub zones_deg_c: [f64; ZONES],
    pub mold_deg_c: f64,
    /// The last cycle that ended; before the first, nothing is known of one.
    pub last: Option<Shot>,
    pub verdict: u8,
}

/// The simulated machine.
#[derive(Clone, Debug)]
pub struct MoldingPhysics {
    relations: &'static Relations,
    chance: Chance,
    time_s: f64,
    seed: u64,
    phase: Phase,
    /// Seconds until the phase ends.
    left_s: f64,
    zones_deg_c: [f64; ZONES],
    heaters: [Wander; ZONES],
    /// Seconds until a heater fails, or, once one failed, until it is repaired.
    fault_in_s: f64,
    /// The zone whose heater failed.
    failed: Option<usize>,
    mold: Wander,
    hold: Wander,
    batch: f64,
    batch_density: f64,
    valve_cycles: u32,
    cycles: u32,
    shot: Shot,
    reading: Reading,
}

impl MoldingPhysics {
    /// A machine in production: warm, with a part of its valve's life behind it.
    pub fn new(seed: u64) -> Self {
        let relations = Relations::stated();
        let mut chance = Chance::new(seed);
        let valve = chance.share() * f64::from(relations.screw.valve_life_cycles);
        let mut machine = Self {
            relations,
            time_s: 0.0,
            seed,
            phase: Phase::Closing,
            left_s: relations.cycle.close_s,
            zones_deg_c: relations.barrel.commanded_deg_c,
            heaters: std::array::from_fn(|_| Wander { value: chance.normal() }),
            fault_in_s: 0.0,
            failed: None,
            mold: Wander { value: chance.normal() },
            hold: Wander { value: chance.normal() },
            batch: 1.0,
            batch_density: 1.0,
            valve_cycles: valve as u32,
            cycles: 0,
            shot: Shot { cycle_s: relations.cycle.close_s, ..Shot::default() },
            reading: Reading::default(),
            chance,
        };
        machine.fault_in_s = machine.until_fault_s();
        machine.load_batch();
        machine.read();
        machine
    }

    /// The weight of the last part, grams, as a scale would tell it; `None` before the first.
    pub fn last_weight_g(&self) -> Option<f64> {
        self.reading.last.as_ref().map(|shot| shot.weight_g)
    }

    fn advance(&mut self, dt_s: f64) {
        let barrel = &self.relations.barrel;
        self.time_s += dt_s;
        self.left_s -= dt_s;
        self.fault_in_s -= dt_s;
        if self.fault_in_s <= 0.0 {
            (self.failed, self.fault_in_s) = match self.failed {
                Some(_) => (None, self.until_fault_s()),
                None => {
                    let zone = (self.chance.share() * ZONES as f64) as usize;
                    (Some(zone.min(ZONES - 1)), barrel.fault_lasts_s)
                }
            };
        }
        let keep = (-dt_s / barrel.time_constant_s).exp();
        for zone in 0..ZONES {
            let heater = &mut self.heaters[zone];
            heater.step(dt_s, barrel.wander_time_s, &mut self.chance);
            let lost = if self.failed == Some(zone) { barrel.fault_deg_c } else { 0.0 };
            let target = barrel.commanded_deg_c[zone] + barrel.wander_deg_c * heater.value - lost;
            self.zones_deg_c[zone] = target + (self.zones_deg_c[zone] - target) * keep;
        }
        self.mold.step(dt_s, self.relations.mold.wander_time_s, &mut self.chance);
        self.hold.step(dt_s, self.relations.hold.wander_time_s, &mut self.chance);
    }

    /// Ends the phase and begins the next.
    fn next_phase(&mut self) {
        let cycle = &self.relations.cycle;
        let scatter = self.chance.factor(cycle.scatter);
        let (phase, lasts_s) = match self.phase {
            Phase::Standing => (Phase::Closing, cycle.close_s * scatter),
            Phase::Closing => {
                self.inject();
                (Phase::Injecting, self.shot.injection_s)
            }
            Phase::Injecting => (Phase::Holding, cycle.hold_s),
            Phase::Holding => (Phase::Cooling, cycle.cooling_s.max(self.shot.dosing_s)),
            Phase::Cooling => (Phase::Opening, cycle.open_s * scatter),
            Phase::Opening => {
                self.end_cycle();
                if self.valve_cycles >= self.relations.screw.valve_life_cycles {
                    self.valve_cycles = 0;
                    (Phase::Standing, self.relations.screw.exchange_s)
                } else {
                    (Phase::Closing, cycle.close_s * scatter)
                }
            }
        };
        (self.phase, self.left_s) = (phase, self.left_s + lasts_s);
        self.shot.cycle_s += if phase == Phase::Standing { 0.0 } else { lasts_s };
    }

    /// What this shot comes to, from how everything stands when it is injected.
    fn inject(&mut self) {
        let Relations { barrel, mold, material, injection, hold, screw, part, .. } = self.relations;
        let chance = &mut self.chance;
        let weighted = self.zones_deg_c.iter().zip(barrel.weight).map(|(t, weight)| t * weight);
        let unsheared_deg_c: f64 = weighted.sum();
        let viscosity_at = |deg_c: f64| {
            let above = deg_c - material.reference_deg_c;
            self.batch * (-material.temperature_exponent_per_k * above).exp()
        };
        let shear_k =
            barrel.shear_heating_k * viscosity_at(unsheared_deg_c + barrel.shear_heating_k);
        let melt_deg_c = unsheared_deg_c + shear_k;
        let viscosity = viscosity_at(melt_deg_c);

        let needed_bar = injection.pressure_bar * viscosity.powf(injection.viscosity_exponent);
        // Beyond the limit the flow falls until the pressure suffices.
        let slower = (needed_bar / injection.pressure_limit_bar)
            .max(1.0)
            .powf(1.0 / injection.viscosity_exponent);
        let used = f64::from(self.valve_cycles) / f64::from(screw.valve_life_cycles);
        let leak_cm3 = screw.leak_cm3 * used * used;
        let hold_bar = hold.pressure_bar + hold.wander_bar * self.hold.value;
        let transmission = hold.transmission - hold.transmission_loss * (viscosity - 1.0);
        let cavity_bar = hold_bar * transmission - screw.leak_bar_per_cm3 * leak_cm3;
        let volume = 1.0 + material.expansion_per_k * (melt_deg_c - material.reference_deg_c)
            - material.compressibility_per_bar
                * (cavity_bar - hold.pressure_bar * hold.transmission)
            + material.mold_expansion_per_k * mold.wander_deg_c * self.mold.value;
        let density = self.batch_density / (material.specific_volume_cm3_per_g * volume);

        let injection_s = injection.shot_cm3 / injection.flow_cm3_per_s * slower;
        self.shot.injection_s = injection_s * chance.factor(injection.scatter);
        self.shot.dosing_s = screw.dosing_s
            * viscosity.powf(screw.viscosity_exponent)
            * chance.factor(screw.scatter);
        self.shot.pressure_bar =
            needed_bar.min(injection.pressure_limit_bar) + injection.noise_bar * chance.normal();
        self.shot.cavity_bar = cavity_bar + hold.noise_bar * chance.normal();
        self.shot.cushion_cm3 = screw.cushion_cm3 - leak_cm3 + screw.noise_cm3 * chance.normal();
        self.shot.plastified_cm3 =
            injection.shot_cm3 + leak_cm3 + screw.noise_cm3 * chance.normal();
        self.shot.weight_g = part.cavity_cm3 * density + part.noise_g * chance.normal();
    }

    fn end_cycle(&mut self) {
        self.cycles += 1;
        self.valve_cycles += 1;
        self.shot.part_id = format!("M{}-{:06}", self.seed, self.cycles).into();
        self.reading.last = Some(std::mem::take(&mut self.shot));
        if self.cycles.is_multiple_of(self.relations.material.batch_every_cycles) {
            self.load_batch();
        }
    }

    /// Another batch of material.
    fn load_batch(&mut self) {
        let material = &self.relations.material;
        self.batch = self.chance.factor(material.batch_scatter);
        self.batch_density = self.chance.factor(material.batch_density_scatter);
    }

    fn until_fault_s(&mut self) -> f64 {
        -self.relations.barrel.fault_every_s * (1.0 - self.chance.share()).ln()
    }

    fn read(&mut self) {
        let Relations { barrel, mold, part, .. } = self.relations;
        let chance = &mut self.chance;
        let noisy = |deg_c: f64, noise: f64, chance: &mut Chance| deg_c + noise * chance.normal();
        for (shown, deg_c) in self.reading.zones_deg_c.iter_mut().zip(self.zones_deg_c) {
            *shown = noisy(deg_c, barrel.sensor_noise_deg_c, chance);
        }
        let mold_deg_c = mold.commanded_deg_c + mold.wander_deg_c * self.mold.value;
        self.reading.mold_deg_c = noisy(mold_deg_c, mold.sensor_noise_deg_c, chance);
        (self.reading.phase, self.reading.cycles) = (self.phase, self.cycles);
        self.reading.verdict = self.reading.last.as_ref().map_or(0, |shot| {
            u8::from(shot.weight_g >= part.good_from_g) + u8::from(shot.weight_g >= part.good_to_g)
        });
    }
}

impl Physics for MoldingPhysics {
    fn step(&mut self, dt_s: f64) {
        let mut left_s = if dt_s > 0.0 { dt_s.min(86_400.0) } else { 0.0 };
        while left_s > 0.0 {
            // A phase may have less left than the clock resolves.
            let stretch_s = left_s.min(self.left_s.max(1e-6));
            self.advance(stretch_s);
            left_s -= stretch_s;
            if self.left_s <= 0.0 {
                self.next_phase();
            }
        }
        self.read();
    }

    fn time_s(&self) -> f64 {
        self.time_s
    }

    fn value(&self, channel: usize) -> Value {
        TABLE.get(channel).map_or(Value::Empty, |(_, read)| read(&self.reading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(path: &str) -> usize {
        TABLE.iter().position(|(channel, _)| channel.path() == path).unwrap()
    }

    #[test]
    fn the_same_seed_and_steps_give_the_same_parts() {
        let mut one = MoldingPhysics::new(3);
        let mut other = MoldingPhysics::new(3);
        for _ in 0..600 {
            one.step(0.5);
            other.step(0.5);
        }
        assert_eq!(one.last_weight_g(), other.last_weight_g());
        assert!(one.last_weight_g().is_some_and(|grams| (31.0..34.0).contains(&grams)));
        assert_eq!(one.value(TABLE.len()), Value::Empty);
    }

    #[test]
    fn before_the_first_part_nothing_is_said_of_one_and_cycles_are_as_long_as_stated() {
        let mut machine = MoldingPhysics::new(1);
        assert_eq!(machine.value(channel("Job.LastCycleTime")), Value::Empty);
        assert_eq!(machine.value(channel("Job.LastPartId")), Value::Empty);
        while machine.last_weight_g().is_none() {
            machine.step(0.1);
        }
        let Value::Float(cycle_s) = machine.value(channel("Job.LastCycleTime")) else { panic!() };
        assert!((cycle_s - 20.4).abs() < 0.3, "{cycle_s}");
        assert_eq!(machine.value(channel("Job.LastPartId")), Value::Text("M1-000001".into()));
    }

    #[test]
    fn hotter_melt_makes_lighter_parts_at_less_pressure() {
        let shot = |kelvin: f64| {
            let mut machine = MoldingPhysics::new(5);
            machine.zones_deg_c = machine.zones_deg_c.map(|deg_c| deg_c + kelvin);
            machine.inject();
            machine.shot
        };
        let (cold, hot) = (shot(0.0), shot(15.0));
        assert!(hot.weight_g < cold.weight_g - 0.1, "{} and {}", hot.weight_g, cold.weight_g);
        assert!(hot.pressure_bar < cold.pressure_bar - 50.0);
    }

    #[test]
    fn a_worn_valve_shows_in_the_cushion_and_is_exchanged() {
        let mut machine = MoldingPhysics::new(2);
        machine.valve_cycles = machine.relations.screw.valve_life_cycles - 1;
        machine.inject();
        assert!(machine.shot.cushion_cm3 < 3.0, "{}", machine.shot.cushion_cm3);
        let mut stood = false;
        for _ in 0..400 {
            machine.step(0.1);
            stood |= machine.reading.phase == Phase::Standing;
        }
        assert!(stood && machine.valve_cycles <= 1);
    }
}
