//! Sequence numbers of one subscription's notifications (OPC 10000-4, 5.14.1.4).

/// Jumps at the very start that are larger than this are a server that counts from elsewhere,
/// not messages lost within its first moments.
const FIRST_MAX: u32 = 1_000;

/// What a number means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The one that was due.
    InOrder,
    /// One that was seen before.
    Duplicate,
    /// Messages are missing before it.
    Missing {
        /// The first that is missing.
        first: u32,
        /// How many.
        count: u32,
    },
}

/// The numbers seen so far. They start at one and, after the largest `u32`, at one again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sequence {
    next: Option<u32>,
}

impl Sequence {
    /// Takes the number of a message that carries data.
    pub(super) fn data(&mut self, number: u32) -> Step {
        let step = self.judge(number);
        if step != Step::Duplicate {
            self.next = Some(after(number));
        }
        step
    }

    /// Takes the number of a keep-alive: that of the message to come, used up by it alone.
    pub(super) fn keep_alive(&mut self, upcoming: u32) -> Step {
        let step = self.judge(upcoming);
        if step != Step::Duplicate {
            self.next = Some(upcoming);
        }
        step
    }

    fn judge(&self, number: u32) -> Step {
        let due = self.next.unwrap_or(1);
        // Zero is no valid number; a server that sends it is taken to count from there.
        let ahead = if number == 0 { 0 } else { distance(due, number) };
        match ahead {
            0 => Step::InOrder,
            jump if self.next.is_none() && jump > FIRST_MAX => Step::InOrder,
            jump if jump < u32::MAX / 2 => Step::Missing { first: due, count: jump },
            _ => Step::Duplicate,
        }
    }
}

/// The number that follows.
pub(super) fn after(number: u32) -> u32 {
    number.checked_add(1).unwrap_or(1)
}

/// The number that follows so many steps later.
pub(super) fn ahead(number: u32, steps: u32) -> u32 {
    let along = (u64::from(number.max(1)) - 1 + u64::from(steps)) % u64::from(u32::MAX);
    // Below the largest `u32`, so one more is none above it.
    along as u32 + 1
}

/// Steps from one number to another, past the end of the range if need be.
fn distance(from: u32, to: u32) -> u32 {
    if to >= from { to - from } else { u32::MAX - from + to }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn jumps_repeats_and_keep_alives_are_told_apart() {
        let mut sequence = Sequence::default();
        assert_eq!(sequence.keep_alive(1), Step::InOrder);
        assert_eq!(sequence.data(1), Step::InOrder);
        assert_eq!(sequence.data(1), Step::Duplicate);
        assert_eq!(sequence.keep_alive(2), Step::InOrder);
        assert_eq!(sequence.data(4), Step::Missing { first: 2, count: 2 });
        assert_eq!(sequence.data(3), Step::Duplicate);
        assert_eq!(sequence.keep_alive(7), Step::Missing { first: 5, count: 2 });
        assert_eq!(sequence.data(7), Step::InOrder);
    }

    #[test]
    fn a_first_message_that_is_not_the_first_was_preceded_by_others() {
        assert_eq!(Sequence::default().data(3), Step::Missing { first: 1, count: 2 });
        assert_eq!(Sequence::default().data(500_000), Step::InOrder);
        assert_eq!(Sequence::default().data(0), Step::InOrder);
    }

    #[test]
    fn the_largest_number_is_followed_by_one() {
        let mut sequence = Sequence { next: Some(u32::MAX) };
        assert_eq!(sequence.data(u32::MAX), Step::InOrder);
        assert_eq!(sequence.data(1), Step::InOrder);
        let mut sequence = Sequence { next: Some(u32::MAX) };
        assert_eq!(sequence.data(2), Step::Missing { first: u32::MAX, count: 2 });
        assert_eq!((ahead(u32::MAX, 0), ahead(u32::MAX, 1), ahead(3, u32::MAX)), (u32::MAX, 1, 3));
        assert_eq!((ahead(7, 3), ahead(u32::MAX - 1, 5)), (10, 4));
    }

    proptest! {
        /// Whatever is dropped from a run of numbers, exactly that is reported missing.
        #[test]
        fn what_is_dropped_is_what_is_missing(
            start in prop_oneof![Just(1_u32), Just(u32::MAX - 40), 1..u32::MAX],
            kept in proptest::collection::vec(any::<bool>(), 1..100),
        ) {
            let mut sequence = Sequence { next: Some(start) };
            let (mut number, mut missing, mut dropped, mut tail) = (start, 0, 0, 0);
            for keep in kept {
                if keep {
                    match sequence.data(number) {
                        Step::Missing { count, .. } => missing += count,
                        step => prop_assert_eq!(step, Step::InOrder),
                    }
                    dropped += tail;
                    tail = 0;
                } else {
                    tail += 1;
                }
                number = after(number);
            }
            prop_assert_eq!(missing, dropped);
        }
    }
}
