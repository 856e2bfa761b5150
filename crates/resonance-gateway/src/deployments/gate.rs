//! The operating gate: no result and no alarm while a machine warms up or stands.

use std::time::Duration;

use resonance_plant::last_values::Slot;
use resonance_plant::{LastValues, Point, PointIndex, Timestamp, Value};

use crate::plan::{Gate, GateCondition};

/// Watches a gate's condition.
#[derive(Debug)]
pub struct GateWatch {
    point: PointIndex,
    settle: Duration,
    condition: Condition,
    holds_since: Option<Timestamp>,
}

/// A [`GateCondition`] made ready: no text is compared where the value is a number.
#[derive(Debug)]
enum Condition {
    Within(f64, f64),
    OneOf { numbers: Vec<f64>, texts: Vec<std::sync::Arc<str>> },
}

/// How a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateState {
    /// The condition does not hold.
    Shut,
    /// It holds, but not for long enough.
    Settling,
    /// It holds.
    Open,
}

impl GateWatch {
    /// Watches a gate on `point`.
    pub fn new(gate: &Gate, point: &Point) -> Self {
        let condition = match &gate.condition {
            GateCondition::Within(low, high) => Condition::Within(*low, *high),
            GateCondition::OneOf(names) => {
                let state = |name: &str| point.labels.iter().position(|label| **label == *name);
                let number = |name: &str| {
                    let truth = match name {
                        "true" => Some(1.0),
                        "false" => Some(0.0),
                        _ => None,
                    };
                    state(name).map(|at| at as f64).or_else(|| name.parse().ok()).or(truth)
                };
                let numbers = names.iter().filter_map(|name| number(name)).collect();
                Condition::OneOf { numbers, texts: names.clone() }
            }
        };
        Self { point: gate.point, settle: gate.settle, condition, holds_since: None }
    }

    /// The same gate under an earlier plan was held since then.
    pub fn go_on_from(&mut self, before: &Self) {
        self.holds_since = before.holds_since;
    }

    /// The point whose value decides.
    pub fn point(&self) -> PointIndex {
        self.point
    }

    /// How the gate stands now. A bad value shuts it.
    pub fn look(&mut self, values: &LastValues, now: Timestamp) -> GateState {
        let slot = values.slot(self.point);
        let holds = slot.is_some_and(|slot| !slot.status.is_bad() && self.holds(slot, values));
        if !holds {
            self.holds_since = None;
            return GateState::Shut;
        }
        let since = self.holds_since.unwrap_or(now).min(now);
        self.holds_since = Some(since);
        if now >= since.plus(self.settle) { GateState::Open } else { GateState::Settling }
    }

    /// When a settling gate opens.
    pub fn opens_at(&self) -> Option<Timestamp> {
        self.holds_since.map(|since| since.plus(self.settle))
    }

    fn holds(&self, slot: Slot, values: &LastValues) -> bool {
        use resonance_plant::ValueKind as K;
        match (&self.condition, slot.kind) {
            (_, K::Empty) => false,
            (Condition::Within(low, high), K::Boolean | K::Integer | K::Float) => {
                (*low..=*high).contains(&slot.value)
            }
            (Condition::OneOf { numbers, .. }, K::Boolean | K::Integer | K::Float) => {
                numbers.contains(&slot.value)
            }
            (Condition::OneOf { texts, .. }, K::Side) => {
                let exact = values.observation(self.point).map(|observation| observation.value);
                matches!(exact, Some(Value::Text(text)) if texts.contains(&text))
            }
            (Condition::Within(..), K::Side) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use resonance_plant::{DataType, Interpolation, Qualifier, Status};

    use super::*;

    fn ms(at: i64) -> Timestamp {
        Timestamp::from_millis(at)
    }

    fn watch(condition: GateCondition, labels: &[&str]) -> GateWatch {
        let point = Point {
            asset: 0,
            name: "state".into(),
            data_type: DataType::Int32,
            quantity: None,
            unit: None,
            range: None,
            interpolation: Interpolation::Category,
            semantic_id: None,
            qualifier: Qualifier::default(),
            labels: labels.iter().map(|label| Arc::from(*label)).collect(),
            description: "".into(),
        };
        let settle = Duration::from_millis(100);
        GateWatch::new(&Gate { point: PointIndex(0), condition, settle }, &point)
    }

    fn write(values: &LastValues, value: Value, status: Status) {
        values.write_value(PointIndex(0), &value, ms(0), ms(0), status);
    }

    #[test]
    fn it_opens_after_settling_and_a_bad_value_shuts_it() {
        let values = LastValues::new(1);
        let mut gate = watch(GateCondition::Within(100.0, 9e9), &[]);
        assert_eq!(gate.look(&values, ms(0)), GateState::Shut, "no value yet");
        write(&values, Value::Float(100.0), Status::GOOD);
        assert_eq!(gate.look(&values, ms(10)), GateState::Settling);
        assert_eq!(gate.opens_at(), Some(ms(110)));
        assert_eq!(gate.look(&values, ms(110)), GateState::Open);
        write(&values, Value::Float(100.0), Status::BAD);
        assert_eq!(gate.look(&values, ms(120)), GateState::Shut);
        write(&values, Value::Float(100.0), Status::GOOD);
        assert_eq!(gate.look(&values, ms(130)), GateState::Settling, "it settles anew");
    }

    #[test]
    fn states_are_known_by_label_number_or_text() {
        let values = LastValues::new(1);
        let mut gate = watch(GateCondition::OneOf(vec!["cutting".into()]), &["idle", "cutting"]);
        write(&values, Value::Int(0), Status::GOOD);
        assert_eq!(gate.look(&values, ms(0)), GateState::Shut);
        write(&values, Value::Int(1), Status::GOOD);
        assert_eq!(gate.look(&values, ms(0)), GateState::Settling);
        write(&values, Value::Text("cutting".into()), Status::GOOD);
        assert_eq!(gate.look(&values, ms(100)), GateState::Open);
        write(&values, Value::Text("idle".into()), Status::GOOD);
        assert_eq!(gate.look(&values, ms(200)), GateState::Shut);
    }
}
