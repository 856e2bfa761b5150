//! Which results a sink is given: every one, or those that say something new.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use resonance_plant::Timestamp;
use resonance_wire::isa95::{Answer, Output};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Spooled;

/// Which results a sink sends; a result must meet all that is said. Every other one is counted
/// and left out, for this sink alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// Of those that meet the rest: each, or the first and then each change.
    #[serde(default)]
    pub on: On,
    /// Of one deployment at most one in this time, milliseconds, by the results' source times.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub at_most_every_ms: Option<u32>,
    /// Only results of these deployments.
    #[serde(default)]
    pub deployments: Option<Vec<String>>,
    /// Only results with one of these labels.
    #[serde(default)]
    pub labels: Option<Vec<String>>,
    /// With `within`: the output whose value decides.
    #[serde(default)]
    pub output: Option<String>,
    /// With `output`: only results whose value is between these two, both included.
    #[serde(default)]
    pub within: Option<[f64; 2]>,
}

/// Which of a deployment's results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// Each.
    #[default]
    Each,
    /// The first, and each that differs from the one sent before in its part, in a label, in a
    /// value that is true or false, a whole number or text, in being bad, or in being a fallback's.
    /// Results computed from history change nothing.
    Change,
}

/// Chooses for one sink. What was decided stays so, however often results are read again.
#[derive(Debug)]
pub(super) struct Chooser {
    when: When,
    /// By deployment.
    tracks: HashMap<String, Track>,
    /// Results up to this one were decided on.
    decided_to: u64,
    /// Of those, the ones chosen that are not acknowledged.
    chosen: BTreeSet<u64>,
}

/// What a deployment said last.
#[derive(Debug, Default)]
struct Track {
    sent_at: Option<Timestamp>,
    /// Of the result sent last; `None` where a later one did not meet the condition.
    said: Option<Said>,
}

/// What makes two results the same to a reader who acts on them.
#[derive(Debug, PartialEq)]
struct Said {
    part_id: Option<String>,
    words: Vec<Option<String>>,
    is_bad: bool,
    is_fallback: bool,
}

impl Chooser {
    pub(super) fn new(when: When) -> Self {
        Self { when, tracks: HashMap::new(), decided_to: 0, chosen: BTreeSet::new() }
    }

    /// Of these, which are new since `acknowledged`, leaves those that are chosen; returns how
    /// many were left out for the first time.
    pub(super) fn choose(&mut self, rows: &mut Vec<Spooled>, acknowledged: u64) -> u64 {
        self.chosen = self.chosen.split_off(&(acknowledged + 1));
        let mut left_out = 0;
        rows.retain(|row| {
            // Whoever replays a dead letter wants it sent.
            if row.is_replay {
                return true;
            }
            if row.sequence <= self.decided_to {
                return self.chosen.contains(&row.sequence);
            }
            self.decided_to = row.sequence;
            let is_chosen = self.decide(row);
            if is_chosen {
                self.chosen.insert(row.sequence);
            } else {
                left_out += 1;
            }
            is_chosen
        });
        left_out
    }

    fn decide(&mut self, row: &Spooled) -> bool {
        let when = &self.when;
        if when.deployments.as_ref().is_some_and(|only| !only.contains(&row.deployment)) {
            return false;
        }
        // What is no result is the sink's to report.
        let Ok(answer) = Answer::read(&row.payload) else { return true };
        if !self.tracks.contains_key(&row.deployment) {
            self.tracks.insert(row.deployment.clone(), Track::default());
        }
        let Some(track) = self.tracks.get_mut(&row.deployment) else { return true };
        let on_change = when.on == On::Change;
        if on_change && answer.backfilled {
            return false;
        }
        if !when.is_met(&answer) {
            track.said = None;
            return false;
        }
        let said = Said::by(&answer);
        if on_change && track.said.as_ref() == Some(&said) {
            return false;
        }
        let at = Timestamp::parse_rfc3339(&answer.source_time);
        if let (Some(least), Some(at), Some(before)) = (when.at_most_every_ms, at, track.sent_at)
            && Duration::from_nanos(at.since(before).unsigned_abs())
                < Duration::from_millis(least.into())
        {
            return false;
        }
        *track = Track { sent_at: at, said: Some(said) };
        true
    }
}

impl When {
    fn is_met(&self, answer: &Answer<'_>) -> bool {
        let is_asked_for = |output: &Output<'_>, labels: &[String]| {
            output.label.as_deref().is_some_and(|label| labels.iter().any(|of| of == label))
        };
        let has_label =
            |labels: &Vec<String>| answer.outputs.iter().any(|output| is_asked_for(output, labels));
        let is_within = |[low, high]: [f64; 2]| {
            let named = |output: &&Output<'_>| Some(&*output.name) == self.output.as_deref();
            let value = answer.outputs.iter().find(named).and_then(|of| of.value.as_f64());
            value.is_some_and(|value| (low..=high).contains(&value))
        };
        self.labels.as_ref().is_none_or(has_label) && self.within.is_none_or(is_within)
    }
}

impl Said {
    fn by(answer: &Answer<'_>) -> Self {
        let word = |output: &Output<'_>| match (&output.label, &output.value) {
            (Some(label), _) => Some(label.clone().into_owned()),
            (None, Value::Bool(_) | Value::String(_)) => Some(output.value.to_string()),
            (None, Value::Number(number)) if !number.is_f64() => Some(number.to_string()),
            _ => None,
        };
        Self {
            part_id: answer.part_id.as_deref().map(str::to_owned),
            words: answer.outputs.iter().map(word).collect(),
            is_bad: answer.status.is_bad(),
            is_fallback: answer.model.fallback.is_some(),
        }
    }
}
