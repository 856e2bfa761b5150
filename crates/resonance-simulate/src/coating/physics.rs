//! The simulated coating line's physics: virtual time in, values of its channels out.

use resonance_plant::Value;

use super::channels::TABLE;
use super::relations::Relations;
use crate::machine::Physics;
use crate::noise::{Chance, Wander};

/// What is wrong with the line; its place in [`Fault::LABELS`] is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// The nozzle clogs.
    Clog,
    /// The pump pulsates.
    Pulsation,
    /// Solvent is lost.
    Solvent,
    /// The material's heater fails.
    Heater,
    /// The air cap is worn.
    AirCap,
}

impl Fault {
    pub(super) const LABELS: &'static [&'static str] =
        &["none", "clogged nozzle", "pulsating pump", "solvent loss", "heater", "worn air cap"];
    const KINDS: [Self; 5] =
        [Self::Clog, Self::Pulsation, Self::Solvent, Self::Heater, Self::AirCap];
}

/// What the line reports at the end of a step.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub viscosity_mpa_s: f64,
    pub material_deg_c: f64,
    pub pressure_bar: f64,
    pub flow_l_per_min: f64,
    pub booth_deg_c: f64,
    pub humidity_percent: f64,
    pub speed_m_per_min: f64,
    pub thickness_um: f64,
    pub fault: Fault,
}

/// The simulated line.
#[derive(Clone, Debug)]
pub struct CoatingPhysics {
    relations: &'static Relations,
    chance: Chance,
    time_s: f64,
    material_deg_c: f64,
    heater: Wander,
    solids: Wander,
    pressure: Wander,
    speed: Wander,
    booth: Wander,
    humidity: Wander,
    fault: Fault,
    /// How long the fault has lasted, seconds.
    since_s: f64,
    /// Seconds until the next fault, or until the present one is mended.
    change_in_s: f64,
    reading: Reading,
}

impl CoatingPhysics {
    /// A line in production. Faults come by themselves, as the relations say.
    pub fn new(seed: u64) -> Self {
        let relations = Relations::stated();
        let mut chance = Chance::new(seed);
        let mut wander = || Wander { value: chance.normal() };
        let mut line = Self {
            relations,
            time_s: 0.0,
            material_deg_c: relations.material.commanded_deg_c,
            heater: wander(),
            solids: wander(),
            pressure: wander(),
            speed: wander(),
            booth: wander(),
            humidity: wander(),
            fault: Fault::None,
            since_s: 0.0,
            change_in_s: 0.0,
            reading: Reading::default(),
            chance,
        };
        line.change_in_s = line.until_fault_s();
        line.read();
        line
    }

    /// What is wrong at the moment.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Breaks the line this way now, until it is mended as any fault is.
    pub fn break_down(&mut self, fault: Fault) {
        (self.fault, self.since_s, self.change_in_s) = (fault, 0.0, self.relations.fault.lasts_s);
    }

    /// How far the fault has grown, 0 to 1, if it is this one.
    fn share_of(&self, fault: Fault) -> f64 {
        let grown = (self.since_s / self.relations.fault.grows_s).min(1.0);
        if self.fault == fault { grown } else { 0.0 }
    }

    fn until_fault_s(&mut self) -> f64 {
        -self.relations.fault.every_s * (1.0 - self.chance.share()).ln()
    }

    fn advance(&mut self, dt_s: f64) {
        let Relations { material, spray, line, booth, fault, .. } = self.relations;
        self.time_s += dt_s;
        self.since_s += dt_s;
        self.change_in_s -= dt_s;
        if self.change_in_s <= 0.0 {
            if self.fault == Fault::None {
                let kind = (self.chance.share() * Fault::KINDS.len() as f64) as usize;
                self.break_down(Fault::KINDS[kind.min(Fault::KINDS.len() - 1)]);
            } else {
                (self.fault, self.change_in_s) = (Fault::None, self.until_fault_s());
            }
        }
        let chance = &mut self.chance;
        self.heater.step(dt_s, material.wander_time_s, chance);
        self.solids.step(dt_s, material.solids_time_s, chance);
        self.pressure.step(dt_s, spray.wander_time_s, chance);
        self.speed.step(dt_s, line.wander_time_s, chance);
        self.booth.step(dt_s, booth.wander_time_s, chance);
        self.humidity.step(dt_s, booth.humidity_time_s, chance);
        let lost_k = if self.fault == Fault::Heater { fault.heater_k } else { 0.0 };
        let target = material.commanded_deg_c + material.wander_k * self.heater.value - lost_k;
        let keep = (-dt_s / material.time_constant_s).exp();
        self.material_deg_c = target + (self.material_deg_c - target) * keep;
    }

    /// What the sensors show.
    fn read(&mut self) {
        let Relations { material, spray, line, booth, noise, fault } = self.relations;
        let (clog, pulsation) = (self.share_of(Fault::Clog), self.share_of(Fault::Pulsation));
        let (solvent, air_cap) = (self.share_of(Fault::Solvent), self.share_of(Fault::AirCap));
        let chance = &mut self.chance;
        // As a share of the reference.
        let solids = (1.0 + material.solids_scatter * self.solids.value)
            * (1.0 + fault.solvent_share * solvent);
        let above_k = self.material_deg_c - material.commanded_deg_c;
        let viscosity = (-material.temperature_exponent_per_k * above_k).exp()
            * solids.powf(material.solids_exponent);
        let ripple_bar = spray.ripple_bar * (1.0 + (fault.pulsation - 1.0) * pulsation);
        let pressure_bar = spray.pressure_bar
            + spray.wander_bar * self.pressure.value
            + ripple_bar * chance.normal();
        let flow = spray.flow_l_per_min
            * (pressure_bar / spray.pressure_bar).max(0.0).sqrt()
            * viscosity.powf(-spray.viscosity_exponent)
            * (1.0 - fault.clog_share * clog);
        let booth_k = booth.wander_k * self.booth.value;
        let transfer = (spray.transfer
            - spray.transfer_loss_per_bar * (pressure_bar - spray.pressure_bar)
            - booth.flash_loss_per_k * booth_k)
            * (1.0 - fault.air_cap_share * air_cap);
        let speed = line.speed_m_per_min + line.wander_m_per_min * self.speed.value;
        // Litres of solids on square metres: millimetres.
        let thickness_um =
            1e3 * flow * material.solids * solids * transfer / (speed * line.width_m);
        let mut noisy = |value: f64, noise: f64| value + noise * chance.normal();
        self.reading = Reading {
            viscosity_mpa_s: noisy(material.viscosity_mpa_s * viscosity, noise.viscosity_mpa_s),
            material_deg_c: noisy(self.material_deg_c, noise.temperature_k),
            pressure_bar: noisy(pressure_bar, noise.pressure_bar),
            flow_l_per_min: noisy(flow, noise.flow_l_per_min),
            booth_deg_c: noisy(booth.commanded_deg_c + booth_k, noise.temperature_k),
            humidity_percent: noisy(
                booth.humidity_percent + booth.humidity_wander_percent * self.humidity.value,
                noise.humidity_percent,
            ),
            speed_m_per_min: noisy(speed, noise.speed_m_per_min),
            thickness_um: noisy(thickness_um, noise.thickness_um),
            fault: self.fault,
        };
    }
}

impl Physics for CoatingPhysics {
    fn step(&mut self, dt_s: f64) {
        let mut left_s = if dt_s > 0.0 { dt_s.min(86_400.0) } else { 0.0 };
        while left_s > 0.0 {
            let stretch_s = left_s.min(self.change_in_s.max(1e-6));
            self.advance(stretch_s);
            left_s -= stretch_s;
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

    /// Means of the readings over ten minutes, twenty minutes into what was done to the line.
    fn means(fault: Fault) -> [f64; 4] {
        let mut line = CoatingPhysics::new(4);
        line.change_in_s = f64::INFINITY;
        if fault != Fault::None {
            line.break_down(fault);
            line.change_in_s = f64::INFINITY;
        }
        for _ in 0..1200 {
            line.step(1.0);
        }
        let mut sums = [0.0; 4];
        for _ in 0..600 {
            line.step(1.0);
            let reading = &line.reading;
            let values = [
                reading.viscosity_mpa_s,
                reading.flow_l_per_min,
                reading.thickness_um,
                reading.material_deg_c,
            ];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / 600.0);
        }
        sums
    }

    #[test]
    fn each_fault_shows_where_the_relations_say() {
        // The same seed: the same wandering, so differences are the fault's.
        let [viscosity, flow, thickness, deg_c] = means(Fault::None);
        let clogged = means(Fault::Clog);
        assert!((clogged[1] / flow - 0.9).abs() < 0.02, "{clogged:?}");
        assert!((clogged[0] / viscosity - 1.0).abs() < 0.01, "{clogged:?}");
        let dried = means(Fault::Solvent);
        assert!(dried[0] > 1.1 * viscosity && dried[1] < flow, "{dried:?}");
        let cooled = means(Fault::Heater);
        assert!((cooled[3] - deg_c + 3.5).abs() < 0.3 && cooled[0] > viscosity, "{cooled:?}");
        let worn = means(Fault::AirCap);
        assert!(worn[2] < 0.96 * thickness && (worn[1] / flow - 1.0).abs() < 0.01, "{worn:?}");
    }

    #[test]
    fn faults_come_and_are_mended() {
        let mut line = CoatingPhysics::new(1);
        let mut seen = std::collections::BTreeSet::new();
        let mut well = 0;
        for _ in 0..20 * 3600 {
            line.step(10.0);
            seen.insert(line.fault() as u8);
            well += u32::from(line.fault() == Fault::None);
        }
        assert_eq!(seen.len(), Fault::LABELS.len(), "{seen:?}");
        assert!((0.8..0.92).contains(&(f64::from(well) / 72_000.0)), "{well}");
    }
}
