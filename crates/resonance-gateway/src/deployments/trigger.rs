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
    changed: bool,
    /// An observation asked, not a command, a gate or the clock.
    observed: bool,
    last: Option<Timestamp>,
}

impl Due {
    /// A trigger whose answers hold for `valid_for`.
    pub fn new(trigger: Trigger, valid_for: Duration) -> Self {
        Self { trigger, renewal: valid_for / 2, changed: false, observed: false, last: None }
    }

    /// An input was observed. Only triggers on change care.
    pub fn input_observed(&mut self) {
        if matches!(self.trigger, Trigger::Change { .. }) {
            (self.changed, self.observed) = (true, true);
        }
    }

    /// The point of an event changed its value. Only triggers on events care.
    pub fn event_observed(&mut self) {
        if matches!(self.trigger, Trigger::Event(_)) {
            (self.changed, self.observed) = (true, true);
        }
    }

    /// Something other than an input asks for a look: a command, a gate, a lost session.
    pub fn look_again(&mut self) {
        self.changed = true;
    }

    /// Whether the window ends at the present rather than at the newest observation.
    pub fn follows_clock(&self) -> bool {
        !self.changed || matches!(self.trigger, Trigger::Every(_))
    }

    /// Whether an observation asked: latency then counts from its receipt, else from now.
    pub fn was_observed(&self) -> bool {
        self.observed
    }

    /// Whether it is time.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next().is_some_and(|next| next <= now)
    }

    /// When it will be time, if nothing more is observed. `None`: not before something is.
    pub fn next(&self) -> Option<Timestamp> {
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

    /// It was time. Returns how many periods passed unused: a fixed period keeps its grid.
    pub fn fired(&mut self, now: Timestamp) -> u64 {
        (self.changed, self.observed) = (false, false);
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

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn on_change_waits_for_an_input_and_renews_in_time() {
        let every = Some(Duration::from_millis(50));
        let mut due = Due::new(Trigger::Change { at_most_every: every }, SECOND);
        assert!(!due.is_due(ms(0)));
        due.event_observed();
        assert!(!due.is_due(ms(0)));
        due.input_observed();
        assert!(due.is_due(ms(0)));
        due.fired(ms(0));
        due.input_observed();
        assert!(!due.is_due(ms(49)) && due.is_due(ms(50)));
        due.fired(ms(50));
        assert_eq!(due.next(), Some(ms(550)));
    }

    #[test]
    fn a_period_keeps_its_grid_and_counts_what_it_missed() {
        let mut due = Due::new(Trigger::Every(Duration::from_millis(100)), SECOND);
        assert!(due.is_due(ms(7)));
        assert_eq!(due.fired(ms(7)), 0);
        due.input_observed();
        assert!(!due.is_due(ms(106)) && due.is_due(ms(107)));
        assert_eq!(due.fired(ms(120)), 0);
        assert_eq!(due.next(), Some(ms(207)));
        assert_eq!(due.fired(ms(450)), 2);
        assert_eq!(due.next(), Some(ms(507)));
    }

    #[test]
    fn an_event_fires_once() {
        let point = resonance_plant::PointIndex(0);
        let mut due = Due::new(Trigger::Event(point), SECOND);
        due.input_observed();
        assert!(!due.is_due(ms(0)));
        due.event_observed();
        assert!(due.is_due(ms(0)));
        due.fired(ms(0));
        assert_eq!(due.next(), None);
    }
}
