//! Results that a system takes, again and again, and never confirms.

/// How many attempts are enough where the plant file does not say.
pub(super) fn max_by_default() -> u16 {
    10
}

/// Counts attempts for the result that stands first: only it holds the others back.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    max: u16,
    sequence: u64,
    count: u16,
}

impl Unconfirmed {
    /// So many attempts, at least one, are enough.
    pub(super) fn new(max: u16) -> Self {
        Self { max: max.max(1), sequence: 0, count: 0 }
    }

    /// The first result was sent and not confirmed. Returns how often that happened if it is
    /// enough: it is given up, and the count begins anew.
    pub(super) fn again(&mut self, sequence: u64) -> Option<u16> {
        let before = if sequence == self.sequence { self.count } else { 0 };
        (self.sequence, self.count) = (sequence, before.saturating_add(1));
        let is_enough = self.count >= self.max;
        is_enough.then(|| std::mem::take(&mut self.count))
    }
}
