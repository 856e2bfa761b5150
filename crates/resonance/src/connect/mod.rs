//! From what a machine says about itself to a plant file: assets, points, units and semantic ids,
//! each with the reason for it.
//!
//! Nothing is guessed into the file: a semantic id is taken from the machine's own dictionary
//! entries or from the companion specification it follows. What only looks alike is written as a
//! comment, for a person to decide.

mod assets;
mod changes;
mod meaning;
mod names;
mod plant_file;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use resonance_gateway::sources::survey::{Survey, Variable};
use resonance_inference::Manifest;
use resonance_plant::{
    DataType, EquipmentClass, Interpolation, QuantityKind, Range, SemanticId, Unit, Value,
};
use serde::Serialize;

pub(crate) use changes::{Changes, changes};
pub(crate) use plant_file::{Connection, Way, plant_file};
pub(crate) use tags::{TagError, TagList, write as write_tags};

/// What is proposed for a machine.
#[derive(Debug, Serialize)]
pub(crate) struct Proposal {
    /// The assets with their points.
    pub(crate) assets: Vec<Asset>,
    /// Models that find their inputs at an asset.
    pub(crate) deployments: Vec<Deployment>,
    /// Variables that become no point.
    pub(crate) left_out: Vec<LeftOut>,
    /// What a person should look at.
    pub(crate) warnings: Vec<String>,
}

/// An asset.
#[derive(Debug, Serialize)]
pub(crate) struct Asset {
    pub(crate) id: String,
    pub(crate) description: String,
    pub(crate) class: Option<EquipmentClass>,
    /// Why this class.
    pub(crate) class_reason: String,
    pub(crate) points: Vec<Point>,
}

/// A point.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
    pub(crate) quantity: Option<QuantityKind>,
    pub(crate) unit: Option<Unit>,
    pub(crate) range: Option<Range>,
    pub(crate) interpolation: Interpolation,
    pub(crate) semantic_id: Option<SemanticId>,
    pub(crate) qualifier: String,
    pub(crate) labels: Vec<String>,
    pub(crate) description: String,
    pub(crate) address: String,
    /// Where the machine has it: `CNC/Spindle/SpindleTorque`.
    pub(crate) browse_path: String,
    /// Where the semantic id comes from; empty without one.
    pub(crate) reason: String,
    /// What it may mean by its name and unit; for a person to decide.
    pub(crate) candidates: Vec<SemanticId>,
    /// The component that the qualifier names, where it was taken from the point's place.
    #[serde(skip)]
    component: Option<String>,
    #[serde(skip)]
    value: Option<Value>,
}

/// A model that could judge an asset.
#[derive(Debug, Serialize)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) asset: String,
    /// The package's folder.
    pub(crate) model: String,
}

/// A variable that becomes no point.
#[derive(Debug, Serialize)]
pub(crate) struct LeftOut {
    pub(crate) address: String,
    pub(crate) browse_path: String,
    pub(crate) why: String,
}

/// A model package that may fit.
pub(crate) struct Candidate<'m> {
    pub(crate) folder: String,
    pub(crate) manifest: &'m Manifest,
}

/// Proposes a plant for a machine; with a tag list, for its points alone.
///
/// # Errors
/// Cells of the list that cannot be used.
pub(crate) fn propose(
    survey: &Survey,
    tags: Option<&TagList>,
    models: &[Candidate<'_>],
) -> Result<Proposal, TagError> {
    let mut proposal = Proposal {
        assets: Vec::new(),
        deployments: Vec::new(),
        left_out: Vec::new(),
        warnings: survey.warnings.clone(),
    };
    if survey.is_partial {
        proposal.warnings.push(format!(
            "the machine has more nodes than the {} that were looked at",
            survey.nodes
        ));
    }
    // In the order in which the machine names them.
    let mut groups: Vec<assets::Group<'_>> = Vec::new();
    let mut by_place = HashMap::new();
    for variable in &survey.variables {
        let place = assets::place(variable);
        let at = *by_place.entry(place).or_insert_with(|| {
            groups.push(assets::Group { path: place, variables: Vec::new() });
            groups.len() - 1
        });
        groups[at].variables.push(variable);
    }
    let mut ids = names::Taken::default();
    for group in groups {
        proposal.add(&group, &mut ids);
    }
    if let Some(tags) = tags {
        tags::fold(tags, &mut proposal, survey)?;
    }
    for asset in &proposal.assets {
        asset.contradictions(&mut proposal.warnings);
    }
    for model in models {
        proposal.deploy(model);
    }
    Ok(proposal)
}

impl Proposal {
    fn add(&mut self, group: &assets::Group<'_>, ids: &mut names::Taken) {
        let mut points = Vec::new();
        for variable in &group.variables {
            match self.point(variable) {
                Ok(point) => points.push((point, *variable)),
                Err(why) => self.left_out.push(LeftOut {
                    address: variable.address.clone(),
                    browse_path: browse_path(variable),
                    why,
                }),
            }
        }
        if points.is_empty() {
            return;
        }
        let (class, class_reason) = meaning::class_of(&group.variables);
        let path: Vec<&str> = group.path.iter().map(|step| step.name.name.as_str()).collect();
        let id = ids.id(path.last().copied().unwrap_or("machine"));
        names::points(points.iter_mut().map(|(point, variable)| {
            let below = variable.path.iter().skip(group.path.len().min(variable.path.len() - 1));
            (&mut point.name, below.map(|step| step.name.name.as_str()).collect())
        }));
        let mut points: Vec<Point> = points
            .into_iter()
            .map(|(mut point, variable)| {
                meaning::give(&mut point, variable, class);
                point
            })
            .collect();
        meaning::of_the_only_one(&mut points);
        meaning::tell_apart(&mut points, &mut self.warnings);
        let description = path.join(" / ");
        self.assets.push(Asset { id, description, class, class_reason, points });
    }

    /// A point without a name yet.
    ///
    /// # Errors
    /// Why the variable cannot be one.
    fn point(&mut self, variable: &Variable) -> Result<Point, String> {
        let data_type = variable.data_type.clone()?;
        let browse_path = browse_path(variable);
        let is_number = data_type != DataType::Boolean
            && (data_type.is_numeric() || data_type == DataType::Float64Array);
        let unit = variable.unit.as_ref().filter(|_| is_number).and_then(|told| {
            if told.unit.is_none() && !told.told.is_empty() {
                self.warnings.push(format!(
                    "{browse_path}: the unit {} is not among the UNECE codes that are known; the \
                     point has none",
                    told.told
                ));
            }
            told.unit
        });
        let is_float = matches!(data_type, DataType::Float32 | DataType::Float64);
        let has_states = !variable.labels.is_empty() && data_type.is_numeric() && !is_float;
        Ok(Point {
            name: String::new(),
            data_type,
            quantity: unit.map(Unit::quantity),
            unit,
            range: variable.range.filter(|_| is_number && !has_states),
            interpolation: variable.interpolation.unwrap_or(match (is_float, has_states) {
                (true, _) => Interpolation::Linear,
                (_, true) => Interpolation::Category,
                _ => Interpolation::Step,
            }),
            semantic_id: None,
            qualifier: variable.qualifier.clone().unwrap_or_default(),
            labels: if has_states { variable.labels.clone() } else { Vec::new() },
            description: variable.description.clone(),
            address: variable.address.clone(),
            browse_path,
            reason: String::new(),
            candidates: Vec::new(),
            component: None,
            value: variable.value.clone().filter(|_| !variable.status.is_bad()),
        })
    }

    /// Deploys a model at each asset that has all its inputs.
    fn deploy(&mut self, model: &Candidate<'_>) {
        let features: Vec<_> =
            model.manifest.inputs.iter().flat_map(|input| &input.features).collect();
        let mut fits = Vec::new();
        let mut nearest: Option<(usize, String)> = None;
        for asset in &self.assets {
            let missing: Vec<String> = features
                .iter()
                .filter(|feature| {
                    !asset.points.iter().any(|point| {
                        point.semantic_id.as_ref() == Some(&feature.meaning.semantic_id)
                            && *point.qualifier == *feature.meaning.qualifier.0
                    })
                })
                .map(|feature| feature.meaning.semantic_id.to_string())
                .collect();
            if missing.is_empty() {
                fits.push(asset.id.clone());
            } else if nearest.as_ref().is_none_or(|(least, _)| missing.len() < *least) {
                let text = format!("asset {:?} lacks {}", asset.id, missing.join(", "));
                nearest = Some((missing.len(), text));
            }
        }
        if fits.is_empty() {
            let why = nearest.map_or_else(|| "there is no asset".to_owned(), |(_, text)| text);
            let name = &model.manifest.name;
            self.warnings.push(format!(
                "model {name} finds no asset with all its inputs: {why}; give these points their \
                 semantic ids, or bind them by name (`[[deployment.binding]]`)"
            ));
        }
        for asset in fits {
            self.deployments.push(Deployment {
                id: format!("{asset}-{}", names::slug(&model.manifest.name)),
                asset,
                model: model.folder.clone(),
            });
        }
    }
}

impl Asset {
    /// Live values that contradict what the machine says about them.
    fn contradictions(&self, warnings: &mut Vec<String>) {
        for point in &self.points {
            let number = match &point.value {
                Some(Value::Float(number)) => *number,
                Some(Value::Int(number)) => *number as f64,
                Some(Value::Uint(number)) => *number as f64,
                _ => continue,
            };
            let (id, name) = (&self.id, &point.name);
            if let Some(unit) = point.unit
                && point.quantity == Some(QuantityKind::Temperature)
                && let Some(kelvin) = Unit::from_code("KEL")
                && let Some(into) = unit.conversion(kelvin, QuantityKind::Temperature)
                && into.apply(number) < 0.0
            {
                let symbol = unit.symbol();
                warnings.push(format!(
                    "{id}.{name} is {number} {symbol} now, colder than anything can be: check the \
                     unit"
                ));
            }
            if let Some(Range { low, high }) = point.range
                && !(low..=high).contains(&number)
            {
                warnings.push(format!(
                    "{id}.{name} is {number} now, outside its range {low} to {high}: check range \
                     and unit"
                ));
            }
            let has_label =
                number >= 0.0 && number.fract() == 0.0 && (number as usize) < point.labels.len();
            if !point.labels.is_empty() && !has_label {
                warnings.push(format!("{id}.{name} is {number} now, which has no label"));
            }
        }
    }
}

fn browse_path(variable: &Variable) -> String {
    let names: Vec<&str> = variable.path.iter().map(|step| step.name.name.as_str()).collect();
    names.join("/")
}
