//! What is read of each variable that was found.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use opcua::types::{
    Array, AttributeId, DataTypeId, DataValue, EUInformation, EnumValueType, Error, Identifier,
    LocalizedText, NodeClass, NodeId, QualifiedName, Range as UaRange, ReferenceTypeId, StatusCode,
    Variant, VariantTypeId,
};
use resonance_opcua::value::{data_type_from_ua, status_from_ua, value_from_variant};
use resonance_plant::{DataType, Range, Unit};

use super::Namespaces;
use super::browse::{Found, Place, lineages, referred};
use crate::sources::opcua::requests::Live;
use crate::sources::survey::{Step, UnitTold, Variable};

/// The list of units that OPC UA names by number (OPC 10000-8, 5.6.3.3).
const UNECE_UNITS: &str = "http://www.opcfoundation.org/UA/units/un/cefact";

/// Properties that are read, where a variable has them.
const PROPERTIES: [&str; 8] = [
    "EngineeringUnits",
    "EURange",
    "EnumStrings",
    "EnumValues",
    "TrueState",
    "FalseState",
    "SemanticId",
    "Qualifier",
];

pub(super) async fn variables(
    live: &Live,
    batch: usize,
    namespaces: &Namespaces,
    found: &Found,
) -> Result<Vec<Variable>, Error> {
    let places: Vec<usize> = (0..found.places.len())
        .filter(|at| found.places[*at].class == NodeClass::Variable)
        .collect();
    let nodes: Vec<NodeId> = places.iter().map(|at| found.places[*at].node.clone()).collect();
    let values = read(live, batch, &nodes, AttributeId::Value).await?;
    let types = read(live, batch, &nodes, AttributeId::DataType).await?;
    let descriptions = read(live, batch, &nodes, AttributeId::Description).await?;
    let meanings = referred(live, batch, &nodes, ReferenceTypeId::HasDictionaryEntry).await?;
    let types: Vec<NodeId> = types.into_iter().map(node_of).collect();
    let type_lines = lineages(live, batch, types.iter().cloned()).await?;
    let enums = enumerations(live, batch, &types).await?;
    let mut properties = properties(live, batch, found, &places).await?;
    let steps = steps(live, batch, namespaces, found).await?;
    let mut all = Vec::with_capacity(places.len());
    for (number, at) in places.iter().enumerate() {
        let (value, own) = (&values[number], properties.remove(at).unwrap_or_default());
        let line = type_lines.get(&types[number]).map_or(&[][..], Vec::as_slice);
        let (data_type, delivers) = carrier(value.value.as_ref(), line);
        let unfit = || format!("it delivers {delivers}, which no point can carry");
        let enumeration = || enums.get(&types[number]).cloned().unwrap_or_default();
        let labels = own.labels().unwrap_or_else(enumeration);
        let dictionary = meanings[number].iter().map(|(name, _)| name.name.as_ref().to_owned());
        all.push(Variable {
            address: namespaces.address(&nodes[number]),
            node: nodes[number].to_string(),
            path: path(found, *at, &steps),
            description: text_of(descriptions[number].value.as_ref()).unwrap_or_default(),
            data_type: data_type.ok_or_else(unfit),
            unit: own.unit(),
            range: own.range(),
            interpolation: None,
            labels,
            meanings: own.text("SemanticId").into_iter().chain(dictionary).collect(),
            qualifier: own.text("Qualifier"),
            value: value.value.as_ref().and_then(|value| value_from_variant(value).ok()),
            status: status_from_ua(value.status.unwrap_or(StatusCode::Good)),
        });
    }
    Ok(all)
}

async fn read(
    live: &Live,
    batch: usize,
    nodes: &[NodeId],
    attribute: AttributeId,
) -> Result<Vec<DataValue>, Error> {
    let mut all = Vec::with_capacity(nodes.len());
    for part in nodes.chunks(batch) {
        all.extend(live.read(part.to_vec(), attribute).await?);
    }
    Ok(all)
}

fn node_of(value: DataValue) -> NodeId {
    match value.value {
        Some(Variant::NodeId(node)) => *node,
        _ => NodeId::null(),
    }
}

fn text_of(value: Option<&Variant>) -> Option<String> {
    let text = match value? {
        Variant::String(text) => text.as_ref().to_owned(),
        Variant::LocalizedText(text) => text.text.as_ref().to_owned(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The point type for a variable: that of its value, or else of its data type or the first type
/// it is derived from that a point can carry.
fn carrier(value: Option<&Variant>, line: &[NodeId]) -> (Option<DataType>, String) {
    let built_in = |node: &NodeId| match (&node.identifier, node.namespace) {
        (Identifier::Numeric(number), 0) => DataTypeId::try_from(*number).ok(),
        _ => None,
    };
    let named = |id: DataTypeId, is_array: bool| {
        let name = format!("{id:?}{}", if is_array { "[]" } else { "" });
        (data_type_from_ua(id, is_array), name)
    };
    let delivered = value.and_then(|value| {
        let is_array = matches!(value.type_id(), VariantTypeId::Array(..));
        Some(named(built_in(&value.data_type()?.node_id)?, is_array))
    });
    let mut declared = line.iter().filter_map(built_in).map(|id| named(id, false));
    let declared = || {
        let first = declared.next()?;
        // The first that a point can carry, or else what the machine says itself.
        let carried = |found: &(Option<DataType>, String)| found.0.is_some();
        Some(if carried(&first) { first } else { declared.find(carried).unwrap_or(first) })
    };
    delivered.or_else(declared).unwrap_or_else(|| (None, "an unknown type".to_owned()))
}

/// The values of a variable's properties.
#[derive(Debug, Default)]
struct Own(HashMap<String, Variant>);

async fn properties(
    live: &Live,
    batch: usize,
    found: &Found,
    places: &[usize],
) -> Result<HashMap<usize, Own>, Error> {
    let wanted: Vec<(usize, &str, &NodeId)> = places
        .iter()
        .flat_map(|at| {
            let all = found.places[*at].properties.iter();
            all.map(move |(name, node)| (*at, name.as_str(), node))
        })
        .filter(|(_, name, _)| PROPERTIES.contains(name))
        .collect();
    let nodes: Vec<NodeId> = wanted.iter().map(|(_, _, node)| (*node).clone()).collect();
    let values = read(live, batch, &nodes, AttributeId::Value).await?;
    let mut all: HashMap<usize, Own> = HashMap::new();
    for ((at, name, _), value) in wanted.into_iter().zip(values) {
        if let Some(value) = value.value {
            all.entry(at).or_default().0.insert(name.to_owned(), value);
        }
    }
    Ok(all)
}

impl Own {
    fn text(&self, name: &str) -> Option<String> {
        text_of(self.0.get(name))
    }

    fn unit(&self) -> Option<UnitTold> {
        let Variant::ExtensionObject(object) = self.0.get("EngineeringUnits")? else { return None };
        let told = object.inner_as::<EUInformation>()?;
        let (list, symbol) = (told.namespace_uri.as_ref(), told.display_name.text.as_ref());
        let unit = unit_of(list, told.unit_id, symbol);
        let told = match symbol {
            "" => String::new(),
            _ => format!("{symbol:?} ({} of {list})", told.unit_id),
        };
        Some(UnitTold { unit, told })
    }

    /// A range that says something: finite and not empty.
    fn range(&self) -> Option<Range> {
        let Variant::ExtensionObject(object) = self.0.get("EURange")? else { return None };
        let UaRange { low, high } = *object.inner_as::<UaRange>()?;
        (low.is_finite() && high.is_finite() && low < high).then_some(Range { low, high })
    }

    /// The names of states. `None`: the variable itself names none.
    fn labels(&self) -> Option<Vec<String>> {
        if let (Some(no), Some(yes)) = (self.text("FalseState"), self.text("TrueState")) {
            return Some(vec![no, yes]);
        }
        ["EnumStrings", "EnumValues"].into_iter().find_map(|name| labels_of(self.0.get(name)?))
    }
}

/// By number where the machine uses the list of UNECE codes, else by a symbol that one unit only
/// has.
fn unit_of(list: &str, id: i32, symbol: &str) -> Option<Unit> {
    if list == UNECE_UNITS
        && let Some(unit) = Unit::from_ua_unit_id(id)
    {
        return Some(unit);
    }
    let mut same = Unit::all().filter(|unit| unit.symbol() == symbol);
    let first = same.next()?;
    same.next().is_none().then_some(first)
}

/// Names from EnumStrings, or from EnumValues where these count 0, 1, 2, ...
fn labels_of(value: &Variant) -> Option<Vec<String>> {
    let Variant::Array(array) = value else { return None };
    let Array { values, .. } = &**array;
    let labels: Option<Vec<String>> = values
        .iter()
        .zip(0_i64..)
        .map(|(value, number)| match value {
            Variant::LocalizedText(text) => Some(shown(text)),
            Variant::ExtensionObject(object) => {
                let value = object.inner_as::<EnumValueType>()?;
                (value.value == number).then(|| shown(&value.display_name))
            }
            _ => None,
        })
        .collect();
    labels.filter(|labels| !labels.is_empty() && labels.iter().all(|label| !label.is_empty()))
}

fn shown(text: &LocalizedText) -> String {
    text.text.as_ref().to_owned()
}

/// The states of enumerations that the machine defines itself.
async fn enumerations(
    live: &Live,
    batch: usize,
    types: &[NodeId],
) -> Result<HashMap<NodeId, Vec<String>>, Error> {
    let own: HashSet<&NodeId> = types.iter().filter(|node| node.namespace != 0).collect();
    let own: Vec<NodeId> = own.into_iter().cloned().collect();
    let found = referred(live, batch, &own, ReferenceTypeId::HasProperty).await?;
    let named: Vec<(NodeId, NodeId)> = own
        .into_iter()
        .zip(found)
        .filter_map(|(of, properties)| {
            let names = ["EnumStrings", "EnumValues"];
            let is_named =
                |(name, _): &(QualifiedName, NodeId)| names.contains(&name.name.as_ref());
            Some((of, properties.into_iter().find(is_named)?.1))
        })
        .collect();
    let nodes: Vec<NodeId> = named.iter().map(|(_, node)| node.clone()).collect();
    let values = read(live, batch, &nodes, AttributeId::Value).await?;
    let labelled = named.into_iter().zip(values);
    Ok(labelled
        .filter_map(|((of, _), value)| Some((of, labels_of(value.value.as_ref()?)?)))
        .collect())
}

/// Every place as a step, with the names of its types.
async fn steps(
    live: &Live,
    batch: usize,
    namespaces: &Namespaces,
    found: &Found,
) -> Result<Vec<Arc<Step>>, Error> {
    let lines = lineages(live, batch, found.places.iter().map(|place| place.is_a.clone())).await?;
    let types: HashSet<&NodeId> = lines.values().flatten().collect();
    let types: Vec<NodeId> = types.into_iter().cloned().collect();
    let names = read(live, batch, &types, AttributeId::BrowseName).await?;
    let names: HashMap<NodeId, QualifiedName> = types
        .into_iter()
        .zip(names)
        .filter_map(|(node, value)| match value.value {
            Some(Variant::QualifiedName(name)) => Some((node, *name)),
            _ => None,
        })
        .collect();
    let step = |place: &Place| {
        let line = lines.get(&place.is_a).map_or(&[][..], Vec::as_slice);
        let types = line.iter().filter_map(|node| Some(namespaces.name(names.get(node)?)));
        Arc::new(Step { name: namespaces.name(&place.name), types: types.collect() })
    };
    Ok(found.places.iter().map(step).collect())
}

fn path(found: &Found, at: usize, steps: &[Arc<Step>]) -> Vec<Arc<Step>> {
    let mut path = vec![Arc::clone(&steps[at])];
    let mut above = found.places[at].parent;
    while let Some(parent) = above {
        path.push(Arc::clone(&steps[parent]));
        above = found.places[parent].parent;
    }
    path.reverse();
    path
}
