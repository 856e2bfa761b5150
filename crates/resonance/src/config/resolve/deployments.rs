//! `[[deployment]]`: trigger, gate, fallback, and references to points.

use std::sync::Arc;
use std::time::Duration;

use resonance_gateway::plan::{DeploymentPlan, Fallback, Gate, GateCondition, Trigger};
use resonance_inference::package::VerifiedModel;
use resonance_inference::package::manifest::{Manifest, OutputSpec};
use resonance_plant::PointIndex;
use resonance_plant::tensor::Meaning;

use super::packages::{Packages, fallback_place};
use super::{Diagnostic, Mistake, Place, Resolver};
use crate::config::element::{self, Deployment, TriggerOn};

impl Resolver<'_, '_> {
    /// The plan of every deployment; `None` where one cannot run.
    pub(super) fn deployments(&mut self, packages: &Packages) -> Vec<Option<DeploymentPlan>> {
        (0..self.file.deployments.len())
            .map(|at| {
                let model = packages.of_deployment(at)?;
                self.deployment(at, model, packages)
            })
            .collect()
    }

    fn deployment(
        &mut self,
        at: usize,
        model: &Arc<VerifiedModel>,
        packages: &Packages,
    ) -> Option<DeploymentPlan> {
        let deployment = &self.file.deployments[at];
        // Everything is looked at before anything is given up: all mistakes at once.
        let bindings = self.bind(at, &model.manifest);
        let trigger = self.trigger(at, deployment);
        let gate = match &deployment.gate {
            Some(gate) => self.gate(at, deployment, gate).map(Some),
            None => Some(None),
        };
        let part = match &deployment.part {
            Some(point) => {
                let place = self.place("deployment", at, "part");
                self.find(deployment, point, &place).map(Some)
            }
            None => Some(None),
        };
        let fallback = self.fallback(at, deployment, model, packages);
        let remote = self.remote(at, deployment);
        let outputs = self.outputs.iter().filter(|(_, owner)| **owner == at);
        Some(DeploymentPlan {
            id: deployment.id.as_str().into(),
            asset: self.asset_named(&deployment.asset)?,
            model: Arc::clone(model),
            remote,
            outputs: outputs.map(|(index, _)| *index).collect(),
            bindings: bindings?,
            trigger: trigger?,
            max_age: deployment.max_age_ms.map(millis),
            fallback: fallback?,
            gate: gate?,
            part: part?,
        })
    }

    /// The point that `text` names: one of the deployment's asset, or `asset.point`.
    pub(super) fn find(
        &mut self,
        deployment: &Deployment,
        text: &str,
        place: &Place,
    ) -> Option<PointIndex> {
        let asset = self.asset_named(&deployment.asset)?;
        let own = self.by_path.get(&(asset, text.into())).copied();
        let path = self.plant.find(text);
        match (own, path) {
            (Some(own), Some(other)) if own != other => {
                let message = format!("{text:?} is a point of {:?} and a path", deployment.asset);
                let full = self.plant.path(own);
                let paths = [self.plant.path(own), self.plant.path(other)];
                self.out.push(
                    Diagnostic::error(Mistake::Ambiguous, place, message)
                        .candidates(paths)
                        .remedy(format!("write {full:?}, or rename the point")),
                );
                None
            }
            (Some(point), _) | (None, Some(point)) => Some(point),
            (None, None) => {
                let names: Vec<String> = self
                    .plant
                    .points
                    .iter()
                    .filter(|point| point.asset == asset)
                    .map(|point| point.name.to_string())
                    .collect();
                let nearest = self.out.nearest(text, names.iter().map(String::as_str));
                let nearest = nearest.map(str::to_owned);
                let message = format!("there is no point {text:?}");
                self.out.push(
                    Diagnostic::error(Mistake::UnknownName, place, message)
                        .nearest(nearest)
                        .candidates(names)
                        .remedy("write a point of the deployment's asset, or asset.point"),
                );
                None
            }
        }
    }

    fn trigger(&mut self, at: usize, deployment: &Deployment) -> Option<Trigger> {
        let trigger = &deployment.trigger;
        match (trigger.on, trigger.every_ms, &trigger.point) {
            (Some(TriggerOn::Event), _, Some(point)) => {
                let place = self.place_in(at, "trigger", "point");
                self.find(deployment, point, &place).map(Trigger::Event)
            }
            (None, Some(period), _) => Some(Trigger::Every(millis(period))),
            _ => Some(Trigger::Change { at_most_every: trigger.at_most_every_ms.map(millis) }),
        }
    }

    fn gate(&mut self, at: usize, deployment: &Deployment, gate: &element::Gate) -> Option<Gate> {
        let place = self.place_in(at, "gate", "point");
        let index = self.find(deployment, &gate.point, &place)?;
        let point = self.plant.point(index)?.clone();
        let condition = match (gate.within, &gate.one_of) {
            (Some([low, high]), _) => {
                if !point.data_type.is_numeric() {
                    let message = format!(
                        "`within` compares numbers; {:?} is a {}",
                        gate.point,
                        point.data_type.name()
                    );
                    let wrong = Diagnostic::error(Mistake::Contradiction, &place, message);
                    self.out.push(wrong.remedy("use `one_of`"));
                    return None;
                }
                GateCondition::Within(low, high)
            }
            (None, Some(states)) => {
                self.states_exist(at, states, &point)?;
                let states = states.iter().map(|state| state.0.as_str().into());
                GateCondition::OneOf(states.collect())
            }
            // The checks have refused a gate without a condition.
            (None, None) => return None,
        };
        Some(Gate { point: index, condition, settle: millis(gate.settle_ms) })
    }

    /// Refuses states that the gate's point cannot have.
    fn states_exist(
        &mut self,
        at: usize,
        states: &[element::State],
        point: &resonance_plant::Point,
    ) -> Option<()> {
        if !point.data_type.is_numeric() {
            return Some(());
        }
        let gate = self.entry("deployment", at).get("gate");
        let items = gate.map(|gate| gate.list("one_of")).unwrap_or_default();
        let mut all = Some(());
        for (state, item) in states.iter().zip(items) {
            let text = state.0.as_str();
            let known = point.labels.iter().any(|label| **label == *text)
                || text.parse::<f64>().is_ok()
                || matches!(text, "true" | "false");
            if !known {
                let labels: Vec<&str> = point.labels.iter().map(|label| &**label).collect();
                let nearest = self.out.nearest(text, labels.iter().copied());
                let message = format!("the point {:?} has no state {text:?}", point.name);
                self.out.push(
                    Diagnostic::error(Mistake::UnknownName, &item.place, message)
                        .nearest(nearest)
                        .candidates(labels)
                        .remedy("write one of the point's `labels`, or a number"),
                );
                all = None;
            }
        }
        all
    }

    fn fallback(
        &mut self,
        at: usize,
        deployment: &Deployment,
        model: &VerifiedModel,
        packages: &Packages,
    ) -> Option<Fallback> {
        match &deployment.fallback {
            element::Fallback::Fail => Some(Fallback::Fail),
            element::Fallback::HoldLast => Some(Fallback::HoldLast),
            element::Fallback::FallBackTo { .. } => {
                let other = packages.fallback_of(at)?;
                if let Some(difference) = difference(&model.manifest, &other.manifest) {
                    let place = fallback_place(self, at);
                    let message = format!(
                        "the model {} cannot stand in for {}: {difference}",
                        other.manifest.name, model.manifest.name
                    );
                    let wrong = Diagnostic::error(Mistake::Contradiction, &place, message);
                    self.out.push(
                        wrong.remedy("name a model with the same window, inputs and outputs"),
                    );
                    return None;
                }
                Some(Fallback::FallBackTo(Arc::clone(other)))
            }
        }
    }

    pub(super) fn place_in(&self, at: usize, table: &str, key: &str) -> Place {
        let entry = self.entry("deployment", at);
        let found = entry.get(table).and_then(|table| table.get(key));
        found.map_or(entry.place, |node| node.place)
    }
}

/// Why a model cannot be fed and read like another. `None` where it can.
fn difference(model: &Manifest, other: &Manifest) -> Option<String> {
    if model.window != other.window {
        return Some("its window differs".into());
    }
    let inputs = |manifest: &Manifest| -> Vec<Vec<Meaning>> {
        let of_one = |features: &[resonance_inference::package::manifest::FeatureSpec]| {
            features.iter().map(|feature| feature.meaning.clone()).collect()
        };
        manifest.inputs.iter().map(|input| of_one(&input.features)).collect()
    };
    if inputs(model) != inputs(other) {
        return Some("its inputs need other points, or in another order or unit".into());
    }
    let outputs = |manifest: &Manifest| manifest.outputs.len();
    let value = |output: &OutputSpec| -> Vec<_> {
        let part = |v: &resonance_inference::package::manifest::OutputElement| {
            (v.name.clone(), v.element, v.meaning.clone(), v.labels.clone())
        };
        output.values.iter().map(part).collect()
    };
    let same = outputs(model) == outputs(other)
        && model
            .outputs
            .iter()
            .zip(&other.outputs)
            .all(|(a, b)| a.element == b.element && value(a) == value(b));
    (!same).then(|| "its outputs differ".into())
}

fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
