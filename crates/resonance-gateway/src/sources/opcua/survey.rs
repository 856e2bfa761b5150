//! What a machine says about itself: its variables, each with place, type, unit, range and
//! meaning (OPC 10000-8 for units and ranges, OPC 10000-19 for dictionary entries).
//!
//! The machine is only browsed and read; nothing is subscribed to or written.

mod browse;
mod details;

use opcua::types::{Error, NodeId, QualifiedName};

use super::config::OpcUaConfig;
use super::connect::connect_once;
use super::requests::Live;
use crate::sources::survey::{Name, Survey, SurveyError};

/// Nodes looked at, at most; a machine that has more is surveyed in part, and it is said.
pub const NODES_MAX: usize = 200_000;

/// How far below the Objects folder.
const DEPTH_MAX: usize = 32;

/// Asks a machine what it is. `progress` is told how many nodes were looked at so far.
///
/// # Errors
/// Where there is no session, or the machine stops answering.
pub async fn survey(
    config: &OpcUaConfig,
    mut progress: impl FnMut(usize),
) -> Result<Survey, SurveyError> {
    let (live, _) = connect_once(config).await?;
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
        warnings: Vec::new(),
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
