//! A list laid over a proposal: its points and no others, as it says or else as the machine does.

use std::collections::{HashMap, HashSet};

use resonance_gateway::sources::survey::Survey;
use resonance_plant::{
    DataType, EquipmentClass, Interpolation, QuantityKind, Range, SemanticId, Unit,
};

use super::columns::{Column, split};
use super::{MISTAKES_MAX, Tag, TagError, TagList};
use crate::config::nearest;
use crate::connect::{Asset, LeftOut, Point, Proposal};

/// Where points are that no asset is named for.
const ASSET: &str = "machine";

/// A cell with this takes away what the machine says.
const NOTHING: &str = "-";

/// Lays the list over what is proposed for a machine.
///
/// # Errors
/// Every cell that cannot be used, up to a number; the proposal is then of no use.
pub(crate) fn fold(
    list: &TagList,
    proposal: &mut Proposal,
    survey: &Survey,
) -> Result<(), TagError> {
    let machine = Machine::take(proposal, survey);
    let mut folding =
        Folding { list, machine, mistakes: Vec::new(), wrong: 0, warnings: Vec::new() };
    let mut assets: Vec<Asset> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    let mut rows: HashMap<(usize, String), usize> = HashMap::new();
    let mut addresses: HashMap<String, usize> = HashMap::new();
    for tag in &list.tags {
        let Some((asset, point)) = folding.point(tag) else { continue };
        let at = *by_id.entry(asset.clone()).or_insert_with(|| {
            assets.push(folding.machine.asset(&asset));
            assets.len() - 1
        });
        folding.class(tag, &mut assets[at]);
        if let Some(first) = rows.insert((at, point.name.clone()), tag.row) {
            let text = format!("{asset} has a point {} in row {first} already", point.name);
            folding.wrong(tag, Column::Point, &text, "rename one of them");
        }
        if let Some(first) = addresses.insert(point.address.clone(), tag.row) {
            folding.warn(tag, Column::Address, &format!("as in row {first}"));
        }
        assets[at].points.push(point);
    }
    let Folding { machine, mut mistakes, wrong, warnings, .. } = folding;
    if wrong > mistakes.len() {
        mistakes.push(format!("and {} more", wrong - mistakes.len()));
    }
    if !mistakes.is_empty() {
        return Err(TagError::Cells(mistakes));
    }
    proposal.left_out.extend(machine.left(&addresses));
    proposal.warnings.extend(list.warnings.iter().cloned().chain(warnings));
    proposal.assets = assets;
    Ok(())
}

/// What the machine says of its points.
struct Machine {
    assets: HashMap<String, Asset>,
    /// By address: the asset's id and the point.
    points: HashMap<String, (String, Point)>,
    /// Addresses in the machine's order.
    order: Vec<String>,
    /// Other addresses for the same.
    aliases: HashMap<String, String>,
    was_asked: bool,
}

impl Machine {
    fn take(proposal: &mut Proposal, survey: &Survey) -> Self {
        let mut machine = Self {
            assets: HashMap::new(),
            points: HashMap::new(),
            order: Vec::new(),
            aliases: HashMap::new(),
            was_asked: survey.nodes > 0,
        };
        for mut asset in std::mem::take(&mut proposal.assets) {
            for point in std::mem::take(&mut asset.points) {
                machine.order.push(point.address.clone());
                machine.points.insert(point.address.clone(), (asset.id.clone(), point));
            }
            machine.assets.insert(asset.id.clone(), asset);
        }
        let aliases = survey.variables.iter().filter(|variable| variable.node != variable.address);
        machine.aliases =
            aliases.map(|variable| (variable.node.clone(), variable.address.clone())).collect();
        machine
    }

    fn point(&self, address: &str) -> Option<&(String, Point)> {
        let alias = || self.points.get(self.aliases.get(address)?);
        self.points.get(address).or_else(alias)
    }

    /// An asset without points.
    fn asset(&self, id: &str) -> Asset {
        let known = self.assets.get(id);
        Asset {
            id: id.to_owned(),
            description: known.map_or_else(|| id.to_owned(), |asset| asset.description.clone()),
            class: known.and_then(|asset| asset.class),
            class_reason: known.map_or_else(
                || "the tag list names none".to_owned(),
                |asset| asset.class_reason.clone(),
            ),
            points: Vec::new(),
        }
    }

    /// The points that the list has not.
    fn left<'m>(
        &'m self,
        listed: &'m HashMap<String, usize>,
    ) -> impl Iterator<Item = LeftOut> + 'm {
        let listed: HashSet<&String> =
            listed.keys().map(|address| self.aliases.get(address).unwrap_or(address)).collect();
        let left = self.order.iter().filter(move |address| !listed.contains(address));
        left.filter_map(|address| {
            let (_, point) = self.points.get(address)?;
            Some(LeftOut {
                address: address.clone(),
                browse_path: point.browse_path.clone(),
                why: "it is not in the tag list".into(),
            })
        })
    }
}

struct Folding<'l> {
    list: &'l TagList,
    machine: Machine,
    mistakes: Vec<String>,
    /// Mistakes, told or not.
    wrong: usize,
    warnings: Vec<String>,
}

impl Folding<'_> {
    fn wrong(&mut self, tag: &Tag, column: Column, problem: &str, remedy: &str) {
        self.wrong += 1;
        if self.mistakes.len() < MISTAKES_MAX {
            let place = self.list.place(tag.row, column);
            self.mistakes.push(format!("{place}: {problem}; {remedy}"));
        }
    }

    fn warn(&mut self, tag: &Tag, column: Column, text: &str) {
        let place = self.list.place(tag.row, column);
        self.warnings.push(format!("{place}: {text}"));
    }

    /// The asset's id and the point of a row. `None`: there is a mistake in it.
    fn point(&mut self, tag: &Tag) -> Option<(String, Point)> {
        let Some(address) = tag.cells.get(&Column::Address) else {
            self.wrong(
                tag,
                Column::Address,
                "it is empty",
                "write where the machine has the value",
            );
            return None;
        };
        let before = self.wrong;
        let known =
            self.machine.point(address).map(|(asset, point)| (asset.clone(), point.clone()));
        let data_type = self.data_type(tag, known.as_ref().map(|(_, point)| point.data_type));
        let (asset, mut point) = match (known, data_type) {
            (Some((asset, point)), _) => (asset, point),
            (None, Some(data_type)) => {
                if self.machine.was_asked {
                    self.warn(tag, Column::Address, "the machine has no such address");
                }
                (ASSET.to_owned(), bare(data_type))
            }
            (None, None) if tag.cells.contains_key(&Column::Type) => return None,
            (None, None) => {
                let problem = "it is empty, and the machine does not tell";
                self.wrong(
                    tag,
                    Column::Type,
                    problem,
                    "write float64, int32, boolean, string, ...",
                );
                return None;
            }
        };
        let asset = match tag.cells.get(&Column::Asset) {
            Some(id) => self.name(tag, Column::Asset, id, "-_"),
            None => asset,
        };
        let own = point.name.clone();
        point.name = match tag.cells.get(&Column::Point) {
            Some(name) => self.name(tag, Column::Point, name, "-_."),
            None if own.is_empty() => self.name(tag, Column::Point, address, "-_."),
            None => own,
        };
        point.address.clone_from(address);
        self.describe(tag, &mut point, data_type);
        (self.wrong == before).then_some((asset, point))
    }

    fn data_type(&mut self, tag: &Tag, machine: Option<DataType>) -> Option<DataType> {
        let Some(text) = tag.cells.get(&Column::Type) else { return machine };
        let Some(found) = type_of(text) else {
            let names = DataType::ALL.map(DataType::name);
            let near = near(text, names);
            let problem = format!("{text:?} is no type{near}");
            self.wrong(tag, Column::Type, &problem, &format!("write one of {}", names.join(", ")));
            return None;
        };
        if let Some(machine) = machine.filter(|machine| *machine != found) {
            let text = format!("{} in the list, {} in the machine", found.name(), machine.name());
            self.warn(tag, Column::Type, &text);
        }
        Some(found)
    }

    /// All but type, names and address.
    fn describe(&mut self, tag: &Tag, point: &mut Point, data_type: Option<DataType>) {
        let cell = |column| tag.cells.get(&column).map(String::as_str);
        if let Some(text) = cell(Column::Labels) {
            point.labels = if text == NOTHING { Vec::new() } else { split(text) };
            if point.labels.iter().any(String::is_empty) {
                self.wrong(tag, Column::Labels, "a label is empty", "write them as off|on");
            }
        }
        if let Some(data_type) = data_type
            && (data_type != point.data_type || cell(Column::Labels).is_some())
        {
            point.data_type = data_type;
            point.interpolation = interpolation(data_type, !point.labels.is_empty());
        }
        if let Some(text) = cell(Column::Interpolation) {
            match serde_json::from_value(text.to_lowercase().into()) {
                Ok(read) => point.interpolation = read,
                Err(_) => self.wrong(
                    tag,
                    Column::Interpolation,
                    &format!("{text:?} is none"),
                    "write step, linear, angle, counter or category",
                ),
            }
        }
        self.unit(tag, point);
        self.range(tag, point);
        match cell(Column::SemanticId) {
            Some(NOTHING) => point.semantic_id = None,
            Some(text) => match SemanticId::parse(text) {
                Ok(id) if point.semantic_id.as_ref() == Some(&id) => {}
                Ok(id) => {
                    point.semantic_id = Some(id);
                    point.reason = "the tag list says so".into();
                    point.candidates.clear();
                }
                Err(error) => {
                    let problem = format!("{text:?} is none: {error}");
                    let remedy = "write a URI such as urn:example:load, or an IRDI";
                    self.wrong(tag, Column::SemanticId, &problem, remedy);
                }
            },
            None => {}
        }
        for (column, target) in [
            (Column::Qualifier, &mut point.qualifier),
            (Column::Description, &mut point.description),
        ] {
            if let Some(text) = cell(column) {
                *target = if text == NOTHING { String::new() } else { text.to_owned() };
            }
        }
    }

    fn unit(&mut self, tag: &Tag, point: &mut Point) {
        let told = point.unit;
        match tag.cells.get(&Column::Unit).map(String::as_str) {
            None => {}
            Some(NOTHING) => (point.unit, point.quantity) = (None, None),
            Some(text) => match unit_of(text) {
                Some(unit) => {
                    if let Some(told) = told.filter(|told| *told != unit) {
                        let text =
                            format!("{} in the list, {} in the machine", unit.code(), told.code());
                        self.warn(tag, Column::Unit, &text);
                    }
                    let fits = point.quantity.is_some_and(|quantity| unit.measures(quantity));
                    if !fits {
                        point.quantity = Some(unit.quantity());
                    }
                    point.unit = Some(unit);
                }
                None => {
                    let near = near(text, Unit::all().map(Unit::code));
                    let problem = format!("{text:?} is no unit that is known{near}");
                    let remedy = "write a UNECE code such as MMT, CEL, RPM, or - for none";
                    self.wrong(tag, Column::Unit, &problem, remedy);
                }
            },
        }
        let Some(text) = tag.cells.get(&Column::Quantity) else { return };
        if text == NOTHING {
            point.quantity = None;
            return;
        }
        match QuantityKind::from_name(text) {
            Some(quantity) => point.quantity = Some(quantity),
            None => {
                let near = near(text, QuantityKind::ALL.iter().map(|kind| kind.name()));
                let problem = format!("{text:?} is no quantity kind{near}");
                self.wrong(
                    tag,
                    Column::Quantity,
                    &problem,
                    "write temperature, power, torque, ...",
                );
            }
        }
    }

    fn range(&mut self, tag: &Tag, point: &mut Point) {
        let cell = |column| tag.cells.get(&column).map(String::as_str);
        let (low, high) = match (cell(Column::Low), cell(Column::High)) {
            (None, None) => return,
            (Some(NOTHING), _) | (_, Some(NOTHING)) => return point.range = None,
            (low, high) => (low, high),
        };
        let mut bound = |column, text: Option<&str>, told: Option<f64>| match text {
            None => told,
            Some(text) => {
                // 1,500 is 1500 to some and 1.5 to others.
                let is_unclear = text.split_once(',').is_some_and(|(before, after)| {
                    let before = before.trim_start_matches('-');
                    after.len() == 3 && before.len() <= 3 && !before.starts_with('0')
                });
                let number = text.replace(',', ".").parse().ok().filter(|n: &f64| n.is_finite());
                if is_unclear {
                    let problem = format!("{text:?} may be thousands or a fraction");
                    self.wrong(tag, column, &problem, "write 1500 or 1.5");
                } else if number.is_none() {
                    let problem = format!("{text:?} is no number");
                    self.wrong(tag, column, &problem, "write a number, or - for no range");
                }
                number.filter(|_| !is_unclear)
            }
        };
        let low = bound(Column::Low, low, point.range.map(|range| range.low));
        let high = bound(Column::High, high, point.range.map(|range| range.high));
        match (low, high) {
            (Some(low), Some(high)) if low < high => point.range = Some(Range { low, high }),
            (Some(low), Some(high)) => {
                let problem = format!("the range from {low} to {high} is empty");
                self.wrong(tag, Column::Low, &problem, "write the least value as low");
            }
            _ if cell(Column::Low).is_none() || cell(Column::High).is_none() => {
                let problem = "a range needs low and high";
                self.wrong(tag, Column::Low, problem, "write both, or neither");
            }
            // Told already.
            _ => {}
        }
    }

    fn class(&mut self, tag: &Tag, asset: &mut Asset) {
        let Some(text) = tag.cells.get(&Column::Class) else { return };
        if text == NOTHING {
            asset.class = None;
            return;
        }
        match EquipmentClass::from_name(text) {
            Some(class) if asset.class == Some(class) => {}
            Some(class) => {
                asset.class = Some(class);
                asset.class_reason = "the tag list says so".into();
            }
            None => {
                let near = near(text, EquipmentClass::ALL.iter().map(|class| class.name()));
                let problem = format!("{text:?} is no equipment class{near}");
                let remedy = "`resonance plant classes` lists them";
                self.wrong(tag, Column::Class, &problem, remedy);
            }
        }
    }

    /// A name as plant files allow it; what is not allowed becomes `_`, and it is told.
    fn name(&mut self, tag: &Tag, column: Column, text: &str, besides: &str) -> String {
        let is_allowed = |c: char| c.is_alphanumeric() || besides.contains(c);
        let begun = text.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let name: String = begun.chars().map(|c| if is_allowed(c) { c } else { '_' }).collect();
        if name.is_empty() {
            let problem = format!("{text:?} has no letter or digit");
            self.wrong(tag, column, &problem, "give it a name");
        } else if name != text && tag.cells.contains_key(&column) {
            self.warn(tag, column, &format!("{text:?} is called {name} in the plant file"));
        }
        name
    }
}

fn bare(data_type: DataType) -> Point {
    Point {
        name: String::new(),
        data_type,
        quantity: None,
        unit: None,
        range: None,
        interpolation: interpolation(data_type, false),
        semantic_id: None,
        qualifier: String::new(),
        labels: Vec::new(),
        description: String::new(),
        address: String::new(),
        browse_path: String::new(),
        reason: String::new(),
        candidates: Vec::new(),
        component: None,
        value: None,
    }
}

fn interpolation(data_type: DataType, has_labels: bool) -> Interpolation {
    match data_type {
        _ if has_labels => Interpolation::Category,
        DataType::Float32 | DataType::Float64 => Interpolation::Linear,
        _ => Interpolation::Step,
    }
}

/// A type by its name here, or in the languages of controllers (IEC 61131-3).
fn type_of(text: &str) -> Option<DataType> {
    let lower = text.to_lowercase();
    DataType::from_name(&lower).or(match lower.as_str() {
        "bool" => Some(DataType::Boolean),
        "sint" | "sbyte" => Some(DataType::Int8),
        "usint" | "byte" => Some(DataType::Uint8),
        "int" => Some(DataType::Int16),
        "uint" | "word" => Some(DataType::Uint16),
        "dint" => Some(DataType::Int32),
        "udint" | "dword" => Some(DataType::Uint32),
        "lint" => Some(DataType::Int64),
        "ulint" | "lword" => Some(DataType::Uint64),
        "real" | "float" => Some(DataType::Float32),
        "lreal" | "double" => Some(DataType::Float64),
        "wstring" => Some(DataType::String),
        "date_and_time" | "dt" => Some(DataType::Datetime),
        _ => None,
    })
}

/// A unit by its code, or by a symbol or name that it alone has.
fn unit_of(text: &str) -> Option<Unit> {
    let mut named = Unit::all().filter(|unit| unit.symbol() == text || unit.name() == text);
    Unit::from_code(text).or_else(|| {
        let first = named.next()?;
        named.next().is_none().then_some(first)
    })
}

fn near<'n>(text: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let near = nearest::nearest(text, names);
    near.map(|near| format!(", did you mean {near}?")).unwrap_or_default()
}
