//! Seeded chance: the same seed gives the same machine, on every platform.

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, good enough for sensor noise.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly between 0 (included) and 1 (excluded).
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    /// A factor around 1 whose logarithm has this standard deviation.
    pub(crate) fn factor(&mut self, scatter: f64) -> f64 {
        (scatter * self.normal()).exp()
    }

    /// One of these; `otherwise` where there is none.
    pub(crate) fn one_of(&mut self, choices: &[f64], otherwise: f64) -> f64 {
        let at = (self.share() * choices.len() as f64) as usize;
        choices.get(at).copied().unwrap_or(otherwise)
    }
}

/// A wandering number with mean 0, deviation 1 and a correlation time (Ornstein-Uhlenbeck), exact
/// for any time step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wander {
    pub(crate) value: f64,
}

impl Wander {
    pub(crate) fn step(&mut self, dt_s: f64, time_s: f64, chance: &mut Chance) {
        let keep = (-dt_s / time_s).exp();
        self.value = self.value * keep + (1.0 - keep * keep).sqrt() * chance.normal();
    }
}
