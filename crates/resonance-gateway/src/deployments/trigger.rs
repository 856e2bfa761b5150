//! When a deployment infers.

use std::time::Duration;

use resonance_plant::Timestamp;

use crate::plan::Trigger;

/// Keeps the time of one deployment's trigger.
#[derive(Debug)]
pub struct Due {
    trigger: Trigger,
    /// An answer is renewed after this time even if no input changes, so that it never goes stale
    /// while its machine is there.
    renewal: Duration,
    /// What the trigger waits for was observed.
    changed: bool,
    /// Someone wants a look: a command, a gate, a lost or recovered machine.
    asked: bool,
    last: Option<Timestamp>,
}

/// Why a deployment is visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// An observation triggered it.
    Observed,
    /// Its time has come.
    Timed,
    /// Someone wants to know whether its last answer still stands.
    Asked,
}

impl Due {
    /// A trigger whose answers hold for `valid_for`.
    pub fn new(trigger: Trigger, valid_for: Duration) -> Self {
        Self { trigger, renewal: valid_for / 2, changed: false, asked: false, last: None }
    }

    /// Keeps the time that another trigger of the same kind kept, and what it saw.
    pub fn go_on_from(&mut self, before: &Self) {
        self.asked = true;
        if std::mem::discriminant(&self.trigger) == std::mem::discriminant(&before.trigger) {
            (self.changed, self.last) = (before.changed, before.last);
        }
    }

    /// An input was observed. Only triggers on change care.
    pub fn input_observed(&mut self) {
        self.changed |= matches!(self.trigger, Trigger::Change { .. });
    }

    /// The point of an event changed its value. Only triggers on events care.
    pub fn event_observed(&mut self) {
        self.changed |= matches!(self.trigger, Trigger::Event(_));
    }

    /// Something other than an input asks for a look: a command, a gate, a lost session.
    pub fn look_again(&mut self) {
        self.asked = true;
    }

    /// Why it is time now; `None` where it is not. A clock that was set back starts anew.
    pub fn occasion(&mut self, now: Timestamp) -> Option<Occasion> {
        self.last = self.last.map(|last| last.min(now));
        let scheduled = self.scheduled().is_some_and(|next| next <= now);
        match (scheduled, self.asked) {
            (true, _) if self.changed => Some(Occasion::Observed),
            (true, _) => Some(Occasion::Timed),
            (false, true) => Some(Occasion::Asked),
            (false, false) => None,
        }
    }

    /// Whether an answer may be given on request; a period and an event keep to theirs.
    pub fn answers_when_asked(&self) -> bool {
        matches!(self.trigger, Trigger::Change { .. })
    }

    /// When it will be time, if nothing more is observed. `None`: not before something is.
    pub fn next(&self) -> Option<Timestamp> {
        if self.asked { Some(Timestamp::from_nanos(i64::MIN)) } else { self.scheduled() }
    }

    fn scheduled(&self) -> Option<Timestamp> {
        let Some(last) = self.last else {
            return (self.changed || matches!(self.trigger, Trigger::Every(_)))
                .then_some(Timestamp::from_nanos(i64::MIN));
        };
        match self.trigger {
            Trigger::Every(period) => Some(last.plus(period)),
            Trigger::Change { at_most_every } if self.changed => {
                Some(last.plus(at_most_every.unwrap_or_default()))
            }
            Trigger::Event(_) if self.changed => Some(last),
            Trigger::Change { .. } => Some(last.plus(self.renewal)),
            Trigger::Event(_) => None,
        }
    }

    /// It was visited. Returns how many periods passed unused: a fixed period keeps its grid.
    pub fn fired(&mut self, occasion: Occasion, now: Timestamp) -> u64 {
        self.asked = false;
        if occasion == Occasion::Asked && !self.answers_when_asked() {
            return 0;
        }
        self.changed = false;
        let Trigger::Every(period) = self.trigger else {
            self.last = Some(now);
            return 0;
        };
        let period_ns = i64::try_from(period.as_nanos()).unwrap_or(i64::MAX).max(1);
        let Some(last) = self.last else {
            self.last = Some(now);
            return 0;
        };
        let periods = (now.since(last) / period_ns).max(1);
        self.last = Some(Timestamp::from_nanos(last.nanos() + periods * period_ns));
        periods.unsigned_abs() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(at: i64) -> Timestamp {
        Timestamp::from_millis(at)
    }

    fn due(trigger: Trigger) -> Due {
        Due::new(trigger, Duration::from_secs(1))
    }

    #[test]
    fn on_change_waits_for_an_input_and_renews_in_time() {
        let mut due = due(Trigger::Change { at_most_every: Some(Duration::from_millis(50)) });
        due.event_observed();
        assert_eq!(due.occasion(ms(0)), None);
        due.input_observed();
        assert_eq!(due.occasion(ms(0)), Some(Occasion::Observed));
        due.fired(Occasion::Observed, ms(0));
        due.input_observed();
        assert_eq!(due.occasion(ms(49)), None);
        assert_eq!(due.occasion(ms(50)), Some(Occasion::Observed));
        due.fired(Occasion::Observed, ms(50));
        assert_eq!(due.next(), Some(ms(550)));
        assert_eq!(due.occasion(ms(550)), Some(Occasion::Timed));
    }

    #[test]
    fn a_period_keeps_its_grid_and_counts_what_it_missed() {
        let mut due = due(Trigger::Every(Duration::from_millis(100)));
        assert_eq!(due.occasion(ms(7)), Some(Occasion::Timed));
        assert_eq!(due.fired(Occasion::Timed, ms(7)), 0);
        due.input_observed();
        assert_eq!(due.occasion(ms(106)), None);
        assert_eq!(due.occasion(ms(107)), Some(Occasion::Timed));
        assert_eq!(due.fired(Occasion::Timed, ms(120)), 0);
        due.look_again();
        assert_eq!(due.occasion(ms(130)), Some(Occasion::Asked));
        assert_eq!(due.fired(Occasion::Asked, ms(130)), 0);
        assert_eq!(due.next(), Some(ms(207)), "a look leaves the grid alone");
        assert_eq!(due.fired(Occasion::Timed, ms(450)), 2);
        assert_eq!(due.next(), Some(ms(507)));
    }

    #[test]
    fn an_event_fires_once() {
        let mut due = due(Trigger::Event(resonance_plant::PointIndex(0)));
        due.input_observed();
        assert_eq!(due.occasion(ms(0)), None);
        due.event_observed();
        assert_eq!(due.occasion(ms(0)), Some(Occasion::Observed));
        due.fired(Occasion::Observed, ms(0));
        assert_eq!(due.next(), None);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let mut due = due(Trigger::Change { at_most_every: None });
        due.input_observed();
        due.fired(Occasion::Observed, ms(1_000_000));
        due.input_observed();
        assert_eq!(due.occasion(ms(10)), Some(Occasion::Observed));
        let mut due = self::due(Trigger::Every(Duration::from_millis(100)));
        due.fired(Occasion::Timed, ms(1_000_000));
        assert_eq!(due.occasion(ms(10)), None);
        assert_eq!(due.occasion(ms(110)), Some(Occasion::Timed));
    }
}
