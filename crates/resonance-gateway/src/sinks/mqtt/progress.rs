//! What is under way to the broker, and when to try what again. No IO; told time and randomness.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::sinks::backoff::Backoff;

/// A broker that acknowledges nothing for this long is left and connected anew.
pub(super) const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(30);

/// What became of a result that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The broker has it.
    Accepted,
    /// The broker will never take it; it was set aside.
    SetAside,
    /// The broker does not take it now.
    Refused,
}

/// Results under way, in order.
#[derive(Debug)]
pub(super) struct Progress {
    under_way: VecDeque<UnderWay>,
    /// The configured limit.
    configured: usize,
    /// What configuration and broker allow.
    allowed: usize,
    /// After a refusal one result goes first, to see whether the broker takes it again.
    probing: bool,
    /// A result was refused: nothing more is sent until all that is under way is answered.
    refused: bool,
    resume_at: Option<Instant>,
    /// Results that were accepted, with all before them answered, and not yet counted.
    accepted: u64,
    backoff: Backoff,
    within: Duration,
}

#[derive(Debug)]
struct UnderWay {
    sequence: u64,
    sent_at: Instant,
    outcome: Option<Outcome>,
}

impl Progress {
    /// Nothing under way; at most `limit` results at once, at most `wait_max` between attempts.
    pub(super) fn new(limit: u16, wait_max: Duration) -> Self {
        let configured = usize::from(limit.max(1));
        Self {
            under_way: VecDeque::with_capacity(configured),
            configured,
            allowed: configured,
            probing: false,
            refused: false,
            resume_at: None,
            accepted: 0,
            backoff: Backoff::new(wait_max),
            within: ACKNOWLEDGE_WITHIN,
        }
    }

    /// The same, with another time within which a result must be acknowledged.
    pub(super) fn answered_within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// The broker accepted the connection, and takes `receive_max` results at once
    /// (Receive Maximum; MQTT 5.0, 3.2.2.3.3).
    pub(super) fn connected(&mut self, receive_max: Option<u16>) {
        let broker = receive_max.map_or(usize::MAX, |max| usize::from(max.max(1)));
        self.allowed = self.configured.min(broker);
    }

    /// The connection ended, or none came about: nothing is under way any more. Returns how long
    /// to wait before the next attempt.
    pub(super) fn disconnected(&mut self, random: u64) -> Duration {
        self.under_way.clear();
        // Some brokers hang up when too much was refused.
        self.probing |= std::mem::take(&mut self.refused);
        self.resume_at = None;
        self.backoff.wait(random)
    }

    /// How many more results may be sent now.
    pub(super) fn room(&self, now: Instant) -> usize {
        let paused = self.resume_at.is_some_and(|at| now < at);
        if self.refused || paused {
            return 0;
        }
        let limit = if self.probing { 1 } else { self.allowed };
        limit.saturating_sub(self.under_way.len())
    }

    /// A result was sent.
    pub(super) fn sent(&mut self, sequence: u64, now: Instant) {
        self.under_way.push_back(UnderWay { sequence, sent_at: now, outcome: None });
    }

    /// A result was answered. Returns the sequence up to which everything is done, if it moved.
    pub(super) fn answered(
        &mut self,
        sequence: u64,
        outcome: Outcome,
        now: Instant,
        random: u64,
    ) -> Option<u64> {
        let found = self.under_way.iter_mut().find(|sent| sent.sequence == sequence)?;
        found.outcome = Some(outcome);
        if outcome == Outcome::Refused {
            if !std::mem::replace(&mut self.refused, true) {
                self.resume_at = Some(now + self.backoff.wait(random));
            }
        } else if !self.refused {
            // The broker takes results: the next trouble is a new one.
            self.probing = false;
            self.backoff.reset();
        }
        let mut done = None;
        while let Some(first) = self.under_way.front()
            && matches!(first.outcome, Some(Outcome::Accepted | Outcome::SetAside))
        {
            done = Some(first.sequence);
            self.accepted += u64::from(first.outcome == Some(Outcome::Accepted));
            self.under_way.pop_front();
        }
        done
    }

    /// How many more results are delivered. One that was accepted while an earlier one was not may
    /// be sent again with it, and counts once.
    pub(super) fn take_accepted(&mut self) -> u64 {
        std::mem::take(&mut self.accepted)
    }

    /// True once after a refusal, when all that was under way is answered: what is not done has
    /// to be read and sent again.
    pub(super) fn must_rewind(&mut self) -> bool {
        if !self.refused || self.under_way.iter().any(|sent| sent.outcome.is_none()) {
            return false;
        }
        self.under_way.clear();
        self.refused = false;
        self.probing = true;
        true
    }

    /// When something is to be done even if nobody answers: sending resumes, or the broker is
    /// given up as mute.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let resume = self.resume_at.filter(|at| *at > now);
        let mute = self.oldest().map(|sent| sent.sent_at + self.within);
        match (resume, mute) {
            (Some(resume), Some(mute)) => Some(resume.min(mute)),
            (resume, mute) => resume.or(mute),
        }
    }

    /// The first result about which there was silence for too long.
    pub(super) fn mute(&self, now: Instant) -> Option<u64> {
        let first = self.oldest().filter(|sent| now >= sent.sent_at + self.within);
        first.map(|sent| sent.sequence)
    }

    /// Whether everything before this result is done.
    pub(super) fn is_first(&self, sequence: u64) -> bool {
        self.under_way.front().is_some_and(|first| first.sequence == sequence)
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.iter().all(|sent| sent.outcome.is_some())
    }

    fn oldest(&self) -> Option<&UnderWay> {
        self.under_way.iter().find(|sent| sent.outcome.is_none())
    }
}
