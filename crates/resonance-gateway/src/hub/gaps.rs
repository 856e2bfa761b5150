//! The spans of a point's past in which samples are missing.

use resonance_plant::Timestamp;

/// Spans remembered apart. One more merges the two oldest: what lies between them then counts as
/// missing too, which errs on the safe side.
const GAPS_MAX: usize = 8;

/// A few spans, oldest first, none touching another.
#[derive(Clone, Copy, Debug)]
pub struct Gaps {
    spans: [(i64, i64); GAPS_MAX],
    count: usize,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { spans: [(0, 0); GAPS_MAX], count: 0 }
    }
}

impl Gaps {
    /// Adds a span, merged with those that it touches. An empty one changes nothing.
    pub fn add(&mut self, from: Timestamp, to: Timestamp) {
        let (mut from, mut to) = (from.nanos(), to.nanos());
        if to <= from {
            return;
        }
        // One place more than there is room for; the two oldest are merged at the end.
        let mut spans = [(0, 0); GAPS_MAX + 1];
        let mut count = 0;
        let mut place = 0;
        for span in &self.spans[..self.count] {
            if span.1 >= from && span.0 <= to {
                (from, to) = (from.min(span.0), to.max(span.1));
                continue;
            }
            if span.1 < from {
                place = count + 1;
            }
            spans[count] = *span;
            count += 1;
        }
        spans.copy_within(place..count, place + 1);
        spans[place] = (from, to);
        count += 1;
        let first = usize::from(count > GAPS_MAX);
        if first == 1 {
            spans[1].0 = spans[0].0;
        }
        self.count = count - first;
        self.spans[..self.count].copy_from_slice(&spans[first..count]);
    }

    /// Nothing is missing from this moment on, after all.
    pub fn end_at(&mut self, moment: Timestamp) {
        let moment = moment.nanos();
        while let Some(last) = self.count.checked_sub(1).and_then(|at| self.spans.get_mut(at)) {
            if last.1 <= moment {
                return;
            }
            if last.0 < moment {
                last.1 = moment;
                return;
            }
            self.count -= 1;
        }
    }

    /// Whether something is missing between two moments, their own instants excepted.
    #[inline]
    pub fn any_within(&self, from: Timestamp, to: Timestamp) -> bool {
        let (from, to) = (from.nanos(), to.nanos());
        self.spans[..self.count].iter().any(|span| span.0 < to && span.1 > from)
    }

    /// The end of the newest span, nanoseconds; `i64::MIN` where nothing is missing.
    pub fn end(&self) -> i64 {
        self.count.checked_sub(1).and_then(|at| self.spans.get(at)).map_or(i64::MIN, |last| last.1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ns(at: i64) -> Timestamp {
        Timestamp::from_nanos(at)
    }

    #[test]
    fn a_second_gap_leaves_the_first() {
        let mut gaps = Gaps::default();
        gaps.add(ns(10), ns(20));
        gaps.add(ns(40), ns(50));
        for (from, to, expect) in
            [(0, 10, false), (0, 11, true), (20, 40, false), (45, 60, true), (50, 60, false)]
        {
            assert_eq!(gaps.any_within(ns(from), ns(to)), expect, "{from}..{to}");
        }
    }

    #[test]
    fn what_ends_early_ends_there() {
        let mut gaps = Gaps::default();
        gaps.add(ns(10), ns(20));
        gaps.add(ns(40), ns(50));
        gaps.end_at(ns(45));
        assert_eq!(gaps.end(), 45);
        gaps.end_at(ns(40));
        assert_eq!(gaps.end(), 20);
        gaps.end_at(ns(0));
        assert_eq!(gaps.end(), i64::MIN);
    }

    proptest! {
        /// Whatever is added is found again; nothing is found before the first or after the last.
        #[test]
        fn no_gap_is_ever_forgotten(
            added in prop::collection::vec((0_i64..1_000, 1_i64..50), 1..40),
        ) {
            let mut gaps = Gaps::default();
            for (from, length) in &added {
                gaps.add(ns(*from), ns(from + length));
            }
            for (from, length) in &added {
                for at in *from..from + length {
                    prop_assert!(gaps.any_within(ns(at), ns(at + 1)), "{at}");
                }
            }
            let first = added.iter().map(|(from, _)| *from).min().unwrap_or(0);
            let last = added.iter().map(|(from, length)| from + length).max().unwrap_or(0);
            prop_assert!(!gaps.any_within(ns(i64::MIN), ns(first)));
            prop_assert!(!gaps.any_within(ns(last), ns(i64::MAX)));
            prop_assert_eq!(gaps.end(), last);
            let ordered = gaps.spans[..gaps.count].windows(2).all(|pair| pair[0].1 < pair[1].0);
            prop_assert!(ordered, "{:?}", gaps);
        }

        /// As long as there is room, only what was added counts.
        #[test]
        fn with_room_nothing_else_is_missing(
            added in prop::collection::vec((0_i64..1_000, 1_i64..50), 1..=GAPS_MAX),
        ) {
            let mut gaps = Gaps::default();
            for (from, length) in &added {
                gaps.add(ns(*from), ns(from + length));
            }
            for at in 0..1_050 {
                let expect = added.iter().any(|(from, length)| (*from..from + length).contains(&at));
                prop_assert_eq!(gaps.any_within(ns(at), ns(at + 1)), expect, "{}", at);
            }
        }
    }
}
