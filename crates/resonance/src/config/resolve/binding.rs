//! Which point feeds which input of a model: by semantic id, component qualifier and unit.

use resonance_gateway::plan::Binding;
use resonance_inference::package::manifest::{FeatureSpec, Manifest};
use resonance_plant::tensor::Meaning;
use resonance_plant::unit::Conversion;
use resonance_plant::{DataType, PointIndex, QuantityKind};

use super::{Diagnostic, Mistake, Place, Resolver};
use crate::config::element::Deployment;

impl Resolver<'_, '_> {
    /// For every feature of every input, in order, the point that feeds it. `None` where one
    /// cannot be bound; why is among the diagnostics.
    pub(super) fn bind(&mut self, at: usize, manifest: &Manifest) -> Option<Vec<Binding>> {
        let deployment = &self.file.deployments[at];
        self.refuse_unused_overrides(at, manifest);
        let features = manifest.inputs.iter().flat_map(|input| &input.features);
        let mut told: Vec<&Meaning> = Vec::new();
        let mut bindings = Some(Vec::new());
        for feature in features {
            let meaning = &feature.meaning;
            let bound = self.point_for(at, deployment, feature, told.contains(&meaning));
            told.push(meaning);
            match (bound, &mut bindings) {
                (Some(binding), Some(bindings)) => bindings.push(binding),
                _ => bindings = None,
            }
        }
        bindings
    }

    /// The binding of one feature; `told` says that its trouble, if any, was told before.
    fn point_for(
        &mut self,
        at: usize,
        deployment: &Deployment,
        feature: &FeatureSpec,
        told: bool,
    ) -> Option<Binding> {
        let meaning = &feature.meaning;
        let stated = deployment
            .bindings
            .iter()
            .position(|b| b.feature == meaning.semantic_id && *b.qualifier == *meaning.qualifier.0);
        let (found, place) = match stated {
            Some(stated) => {
                let list = self.entry("deployment", at).list("binding");
                let place = list.get(stated).and_then(|entry| entry.get("point"));
                let place = place.map_or_else(Place::default, |node| node.place);
                let named = deployment.bindings.get(stated).map(|binding| binding.point.as_str());
                (self.find(deployment, named?, &place), place)
            }
            None => {
                let place = self.place("deployment", at, "model");
                (self.by_meaning(at, deployment, meaning, &place, told), place)
            }
        };
        let point = found?;
        let fits = self.is_of_form(point, feature).and_then(|()| self.convert(point, meaning));
        match fits {
            Ok(conversion) => {
                let max_age = self.max_age.get(&point).copied();
                Some(Binding { point, conversion, max_age })
            }
            Err(clash) => {
                if !told {
                    self.out.push(
                        Diagnostic::error(clash.mistake, &place, clash.message)
                            .candidates([self.describe(point)])
                            .remedy(clash.remedy),
                    );
                }
                None
            }
        }
    }

    /// The one point of the deployment's asset with this meaning.
    fn by_meaning(
        &mut self,
        at: usize,
        deployment: &Deployment,
        meaning: &Meaning,
        place: &Place,
        told: bool,
    ) -> Option<PointIndex> {
        let own = self.asset_named(&deployment.asset);
        let key = own.map(|own| (own, meaning.semantic_id.clone(), meaning.qualifier.clone()));
        let mut found = key.and_then(|key| self.by_meaning.get(&key).cloned()).unwrap_or_default();
        found.retain(|point| self.outputs.get(point) != Some(&at));
        if let [only] = found.as_slice() {
            return Some(*only);
        }
        if told {
            return None;
        }
        let wanted = wanted(meaning);
        let asset = &deployment.asset;
        if found.is_empty() {
            let candidates = self.near(at, own, meaning);
            let message = format!("the model needs {wanted}, and no point of {asset:?} has it");
            self.out.push(
                Diagnostic::error(Mistake::Unbound, place, message).candidates(candidates).remedy(
                    "give the right point this semantic_id and qualifier, or name it in \
                     [[deployment.binding]]",
                ),
            );
        } else {
            let candidates: Vec<String> = found.iter().map(|point| self.describe(*point)).collect();
            let message = format!(
                "the model needs {wanted}, and {} points of {asset:?} have it",
                candidates.len()
            );
            self.out.push(
                Diagnostic::error(Mistake::Ambiguous, place, message)
                    .candidates(candidates)
                    .remedy(
                        "tell the points apart by qualifier, or name one in [[deployment.binding]]",
                    ),
            );
        }
        None
    }

    /// Points that may have been meant: the same meaning for another component or asset, then
    /// semantic ids that are written alike.
    fn near(&self, at: usize, own: Option<usize>, meaning: &Meaning) -> Vec<String> {
        let mut ranked: Vec<(u8, PointIndex)> = Vec::new();
        for (index, point) in self.plant.indexed() {
            let Some(id) = &point.semantic_id else { continue };
            if self.outputs.get(&index) == Some(&at) {
                continue;
            }
            let (same_id, here) = (*id == meaning.semantic_id, Some(point.asset) == own);
            let alike = || strsim::osa_distance(id.as_str(), meaning.semantic_id.as_str()) <= 2;
            let rank = match (same_id, here) {
                (true, true) => 0,
                (true, false) if point.qualifier == meaning.qualifier => 1,
                (false, true) if alike() => 2,
                _ => continue,
            };
            ranked.push((rank, index));
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, index)| self.describe(index)).collect()
    }

    /// `asset.point: semantic id [qualifier], unit`, as candidates are shown.
    fn describe(&self, index: PointIndex) -> String {
        let mut text = self.plant.path(index);
        let Some(point) = self.plant.point(index) else { return text };
        if let Some(id) = &point.semantic_id {
            text += &format!(": {id}");
        }
        if !point.qualifier.is_none() {
            text += &format!(" [{}]", point.qualifier);
        }
        match (point.unit, point.quantity) {
            (Some(unit), Some(kind)) => text += &format!(", {kind} in {}", unit.code()),
            _ => text += &format!(", {} without a unit", point.data_type.name()),
        }
        text
    }

    /// Whether the point's values are single numbers, or profiles and images, as the feature is.
    fn is_of_form(&self, index: PointIndex, feature: &FeatureSpec) -> Result<(), Clash> {
        let Some(point) = self.plant.point(index) else { return Ok(()) };
        let has_elements = matches!(point.data_type, DataType::Float64Array | DataType::Bytes);
        let (wanted, kind) = (wanted(&feature.meaning), point.data_type.name());
        let (message, remedy) = match feature.elements {
            None if !point.data_type.is_numeric() => (
                format!("the model needs {wanted}, a number; {kind} values are none"),
                "bind a point of numbers or states",
            ),
            Some(elements) if !has_elements => (
                format!("the model needs {wanted}, {elements} numbers at once; {kind} is one"),
                "bind a profile (float64_array) or an image (bytes)",
            ),
            _ => return Ok(()),
        };
        Err(Clash { mistake: Mistake::WrongType, message, remedy: remedy.into() })
    }

    /// How the point's values become what the model expects.
    fn convert(&self, index: PointIndex, meaning: &Meaning) -> Result<Conversion, Clash> {
        let Some(point) = self.plant.point(index) else { return Ok(Conversion::IDENTITY) };
        let wanted = wanted(meaning);
        if let (Some(theirs), Some(ours)) = (meaning.quantity, point.quantity)
            && theirs != ours
        {
            return Err(clash(
                format!("the model needs {wanted}; the point measures {ours}, not {theirs}"),
                "correct `quantity` of the point, or bind another one",
            ));
        }
        match (point.unit, meaning.unit) {
            (None, None) => Ok(Conversion::IDENTITY),
            (Some(from), Some(to)) => {
                let kind = meaning.quantity.or(point.quantity).unwrap_or(to.quantity());
                from.conversion(to, kind).ok_or_else(|| {
                    clash(
                        format!(
                            "the model needs {wanted}; {} ({}) does not convert to {} ({})",
                            from.code(),
                            from.name(),
                            to.code(),
                            to.name()
                        ),
                        "correct `unit` of the point, or bind another one",
                    )
                })
            }
            // A pure number needs no unit to be one.
            (None, Some(to)) if to.quantity() == QuantityKind::Dimensionless => {
                Ok(Conversion::IDENTITY)
            }
            (Some(from), None) if from.quantity() == QuantityKind::Dimensionless => {
                Ok(Conversion::IDENTITY)
            }
            (None, Some(to)) => Err(clash(
                format!("the model needs {wanted}; the point has no unit"),
                &format!("add the point's unit, such as unit = \"{}\"", to.code()),
            )),
            (Some(from), None) => Err(clash(
                format!("the model does not say in which unit it needs {wanted}"),
                &format!("state the unit in model.toml; the point's is {}", from.code()),
            )),
        }
    }

    /// Refuses a binding for an input that the model does not have.
    fn refuse_unused_overrides(&mut self, at: usize, manifest: &Manifest) {
        let features: Vec<&Meaning> = manifest
            .inputs
            .iter()
            .flat_map(|input| input.features.iter().map(|feature| &feature.meaning))
            .collect();
        let entries = self.entry("deployment", at).list("binding");
        for (binding, entry) in self.file.deployments[at].bindings.iter().zip(entries) {
            let used = features.iter().any(|meaning| {
                meaning.semantic_id == binding.feature && *meaning.qualifier.0 == *binding.qualifier
            });
            if used {
                continue;
            }
            let ids = features.iter().map(|meaning| meaning.semantic_id.as_str());
            let nearest = self.out.nearest(binding.feature.as_str(), ids).map(str::to_owned);
            let place = entry.get("feature").map_or(entry.place, |node| node.place);
            let message = format!("the model {} has no such input", manifest.name);
            self.out.push(
                Diagnostic::error(Mistake::UnknownName, &place, message)
                    .nearest(nearest)
                    .candidates(features.iter().map(|meaning| wanted(meaning)))
                    .remedy("write the semantic id and the qualifier by which the model asks"),
            );
        }
    }
}

struct Clash {
    mistake: Mistake,
    message: String,
    remedy: String,
}

fn clash(message: String, remedy: &str) -> Clash {
    Clash { mistake: Mistake::UnitClash, message, remedy: remedy.into() }
}

/// `urn:x:load [X] in KWT`, as messages name an input.
fn wanted(meaning: &Meaning) -> String {
    let mut text = meaning.semantic_id.to_string();
    if !meaning.qualifier.is_none() {
        text += &format!(" [{}]", meaning.qualifier);
    }
    if let Some(unit) = meaning.unit {
        text += &format!(" in {}", unit.code());
    }
    text
}
