//! Sequence numbers of one agent: what is new, what came twice, what is missing.

use resonance_wire::mtconnect::Sequences;

/// Follows an agent's instance and sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The agent's instance and the number to go on with; `None`: nothing to go on with.
    known: Option<(u64, u64)>,
}

/// A document whose observations are counted against its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counting {
    from: u64,
    new: u64,
}

impl Sequence {
    /// Where an agent of this instance can be asked to go on.
    pub(super) fn resume(&self, instance_id: u64) -> Option<u64> {
        self.known.filter(|(instance, _)| *instance == instance_id).map(|(_, next)| next)
    }

    /// Whether this is not the instance that was read before: another one, or one whose numbers
    /// went back.
    pub(super) fn is_restart(&self, instance_id: u64, next: Option<u64>) -> bool {
        self.known.is_some_and(|(instance, known)| {
            instance != instance_id || next.is_some_and(|next| next < known)
        })
    }

    /// All before `next` was read.
    pub(super) fn begin(&mut self, instance_id: u64, next: u64) {
        self.known = Some((instance_id, next));
    }

    /// What was known is of no use any more.
    pub(super) fn forget(&mut self) {
        self.known = None;
    }

    /// Counts the next document of the stream.
    pub(super) fn counting(&self) -> Counting {
        Counting { from: self.known.map_or(0, |(_, next)| next), new: 0 }
    }
}

impl Counting {
    /// Counts an observation.
    #[inline]
    pub(super) fn count(&mut self, number: u64) {
        self.new += u64::from(self.is_new(number));
    }

    /// Whether an observation is new; it comes twice where not.
    #[inline]
    pub(super) fn is_new(&self, number: u64) -> bool {
        number >= self.from
    }

    /// How many observations between the document before and the end of this one did not come.
    /// `is_whole`: the documents are of all the agent's devices, so that every number must come;
    /// else only what the agent says to have dropped is known to be missing.
    pub(super) fn missing(&self, header: Sequences, is_whole: bool) -> u64 {
        match is_whole {
            true => header.next.saturating_sub(self.from).saturating_sub(self.new),
            false => header.first.min(header.next).saturating_sub(self.from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(first: u64, next: u64) -> Sequences {
        Sequences { first, last: next - 1, next }
    }

    #[test]
    fn documents_follow_one_another() {
        let mut sequence = Sequence::default();
        assert_eq!((sequence.resume(7), sequence.is_restart(7, Some(1))), (None, false));
        sequence.begin(7, 100);
        let mut counting = sequence.counting();
        (100..103).for_each(|number| counting.count(number));
        assert_eq!(counting.missing(header(1, 103), true), 0);
        sequence.begin(7, 103);
        assert_eq!(sequence.resume(7), Some(103));
        assert_eq!((sequence.resume(8), sequence.is_restart(8, None)), (None, true));
        assert!(!sequence.is_restart(7, Some(103)) && sequence.is_restart(7, Some(102)));
        sequence.forget();
        assert!(!sequence.is_restart(8, Some(1)));
    }

    #[test]
    fn what_comes_twice_is_told_from_what_is_missing() {
        let mut sequence = Sequence::default();
        sequence.begin(7, 100);
        let mut twice = sequence.counting();
        (98..100).for_each(|number| twice.count(number));
        assert!(!twice.is_new(99) && twice.is_new(100));
        assert_eq!(twice.missing(header(1, 100), true), 0);
        let mut jump = sequence.counting();
        (110..120).for_each(|number| jump.count(number));
        assert_eq!(
            (jump.missing(header(1, 120), true), jump.missing(header(1, 120), false)),
            (10, 0)
        );
        assert_eq!(sequence.counting().missing(header(105, 120), false), 5);
    }
}
