//! What a machine says about itself: its variables, each with place, type, unit, range and
//! meaning (OPC 10000-8 for units and ranges, OPC 10000-19 for dictionary entries).
//!
//! The machine is only browsed and read; nothing is subscribed to or written.

mod browse;
mod details;

use std::sync::Arc;

use opcua::types::{Error, NodeId, QualifiedName};
use resonance_plant::{DataType, Range, Status, Value};
use serde::Serialize;

use super::config::OpcUaConfig;
use super::connect::connect;
use super::failure::Failure;
use super::requests::Live;

/// Nodes looked at, at most; a machine that has more is surveyed in part, and it is said.
pub const NODES_MAX: usize = 200_000;

/// How far below the Objects folder.
const DEPTH_MAX: usize = 32;

/// What a machine says about itself.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// The address that was asked.
    pub url: String,
    /// Its variables, parents before children.
    pub variables: Vec<Variable>,
    /// Nodes looked at.
    pub nodes: usize,
    /// There are more than [`NODES_MAX`], or deeper ones than were followed.
    pub is_partial: bool,
}

/// One variable.
#[derive(Clone, Debug, Serialize)]
pub struct Variable {
    /// Its node id, with its namespace's URI: `nsu=http://maker.example/;s=Load`.
    pub address: String,
    /// Its node id with the number the namespace has at the moment: `ns=2;s=Load`.
    pub node: String,
    /// From below the Objects folder to the variable itself.
    pub path: Vec<Arc<Step>>,
    /// For people.
    pub description: String,
    /// The point type that carries its values. `None`: no point can.
    pub data_type: Option<DataType>,
    /// The machine's name for the type of its values.
    pub delivers: String,
    /// EngineeringUnits.
    pub unit: Option<EngineeringUnit>,
    /// EURange.
    pub range: Option<Range>,
    /// The names of its states 0, 1, 2, ...; empty where it has none, or others.
    pub labels: Vec<String>,
    /// Dictionary entries, and a `SemanticId` property.
    pub meanings: Vec<String>,
    /// A `Qualifier` property: which of several components.
    pub qualifier: Option<String>,
    /// Its value at the moment, where a point could carry it.
    pub value: Option<Value>,
    /// The value's status.
    pub status: Status,
}

/// A node on the way to a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its browse name.
    pub name: Name,
    /// Its type, and what that is derived from, the nearest first.
    pub types: Vec<Name>,
}

/// A name in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Name {
    /// The namespace's URI.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// A unit as OPC UA tells it (EUInformation, OPC 10000-8, 5.6.3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineeringUnit {
    /// The list that `id` is of.
    pub namespace: String,
    /// The unit's number in the list.
    pub id: i32,
    /// The symbol shown to people.
    pub symbol: String,
}

/// Why there is no survey.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SurveyError(String);

impl From<Failure> for SurveyError {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}

/// Asks a machine what it is. `progress` is told how many nodes were looked at so far.
///
/// # Errors
/// Where there is no session, or the machine stops answering.
pub async fn survey(
    config: &OpcUaConfig,
    mut progress: impl FnMut(usize),
) -> Result<Survey, SurveyError> {
    let (live, _) = connect(config).await?;
    let found = taken(&live, config, &mut progress).await;
    live.close().await;
    found.map_err(|error| SurveyError(format!("{}: the survey failed: {error}", config.url)))
}

async fn taken(
    live: &Live,
    config: &OpcUaConfig,
    progress: &mut impl FnMut(usize),
) -> Result<Survey, Error> {
    let namespaces = namespaces(live).await?;
    let batch = browse::batch(live).await?;
    let found = browse::below_objects(live, batch, progress).await?;
    let variables = details::variables(live, batch, &namespaces, &found).await?;
    Ok(Survey {
        url: config.url.clone(),
        variables,
        nodes: found.places.len(),
        is_partial: found.is_partial,
    })
}

/// The machine's namespaces by number.
struct Namespaces(Vec<String>);

async fn namespaces(live: &Live) -> Result<Namespaces, Error> {
    use opcua::types::{AttributeId, VariableId, Variant};
    let node = NodeId::from(VariableId::Server_NamespaceArray);
    let values = live.read(vec![node], AttributeId::Value).await?;
    let uris = match values.into_iter().next().and_then(|value| value.value) {
        Some(Variant::Array(array)) => array.values.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    Ok(Namespaces(uris))
}

impl Namespaces {
    fn uri(&self, number: u16) -> String {
        self.0.get(usize::from(number)).cloned().unwrap_or_default()
    }

    fn name(&self, name: &QualifiedName) -> Name {
        Name { namespace: self.uri(name.namespace_index), name: name.name.as_ref().to_owned() }
    }

    /// A node id that survives a machine that numbers its namespaces anew.
    fn address(&self, node: &NodeId) -> String {
        match self.0.get(usize::from(node.namespace)) {
            Some(uri) if node.namespace != 0 => format!("nsu={uri};{}", node.identifier),
            _ => node.to_string(),
        }
    }
}
