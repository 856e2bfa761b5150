//! What the machine does for a stretch of time: its state, where it moves, how fast.

/// What the machine is doing. The numbers are those of the `Execution` channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Execution {
    /// Waits for a part; the door is open.
    #[default]
    Idle = 0,
    /// Turns the spindle without cutting.
    WarmUp = 1,
    /// Moves at rapid traverse or waits for the spindle.
    Positioning = 2,
    /// Removes material.
    Cutting = 3,
    /// Exchanges the tool.
    ToolChange = 4,
    /// An operator stopped it.
    Stopped = 5,
}

impl Execution {
    /// The names of the states, by number.
    pub const LABELS: &[&str] =
        &["idle", "warm_up", "positioning", "cutting", "tool_change", "stopped"];
}

/// A stretch of time in which the machine does one thing.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub(super) execution: Execution,
    /// Place in the program, where the phase belongs to a block.
    pub(super) block: Option<usize>,
    pub(super) duration_s: f64,
    pub(super) done_s: f64,
    pub(super) from_mm: [f64; 3],
    pub(super) to_mm: [f64; 3],
    pub(super) spindle_rpm: f64,
    pub(super) feed_mm_per_min: f64,
}

impl Phase {
    pub(super) fn wait(
        execution: Execution,
        at_mm: [f64; 3],
        duration_s: f64,
        spindle_rpm: f64,
    ) -> Self {
        Self {
            execution,
            block: None,
            duration_s,
            done_s: 0.0,
            from_mm: at_mm,
            to_mm: at_mm,
            spindle_rpm,
            feed_mm_per_min: 0.0,
        }
    }

    /// Unit vector of the motion; zero where there is none.
    pub(super) fn direction(&self) -> [f64; 3] {
        let length = distance(self.from_mm, self.to_mm);
        if length == 0.0 {
            return [0.0; 3];
        }
        std::array::from_fn(|axis| (self.to_mm[axis] - self.from_mm[axis]) / length)
    }

    pub(super) fn position(&self) -> [f64; 3] {
        let share = (self.done_s / self.duration_s).clamp(0.0, 1.0);
        std::array::from_fn(|axis| {
            self.from_mm[axis] + share * (self.to_mm[axis] - self.from_mm[axis])
        })
    }
}

pub(super) fn distance(from: [f64; 3], to: [f64; 3]) -> f64 {
    from.iter().zip(to).map(|(a, b)| (b - a).powi(2)).sum::<f64>().sqrt()
}
