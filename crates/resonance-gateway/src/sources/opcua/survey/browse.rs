//! Follows references, breadth first, in batches the machine takes.

use std::collections::{HashMap, HashSet};

use opcua::types::{
    BrowseDescription, BrowseDirection, Error, NodeClass, NodeId, ObjectId, QualifiedName,
    ReferenceDescription, ReferenceTypeId, StatusCode, VariableId, Variant,
};

use super::{DEPTH_MAX, NODES_MAX};
use crate::sources::opcua::requests::Live;

/// Nodes asked about at once, where the machine sets no lower limit.
const BATCH: u32 = 500;

/// A node below the Objects folder.
#[derive(Debug)]
pub(super) struct Place {
    /// What it was found below; `None`: the Objects folder.
    pub(super) parent: Option<usize>,
    pub(super) node: NodeId,
    pub(super) name: QualifiedName,
    pub(super) class: NodeClass,
    /// Its type.
    pub(super) is_a: NodeId,
    /// A variable's properties: units, ranges and so on.
    pub(super) properties: Vec<(String, NodeId)>,
    depth: usize,
}

/// What was found below the Objects folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Parents before children.
    pub(super) places: Vec<Place>,
    pub(super) is_partial: bool,
}

/// How many nodes the machine takes at once, for Browse and for Read (OPC 10000-5, 6.3.11).
pub(super) async fn batch(live: &Live) -> Result<usize, Error> {
    let nodes = [
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
        VariableId::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ];
    let nodes = nodes.into_iter().map(NodeId::from).collect();
    let values = live.read(nodes, opcua::types::AttributeId::Value).await?;
    let told = values.into_iter().filter_map(|value| match value.value {
        Some(Variant::UInt32(most)) if most > 0 => Some(most),
        _ => None,
    });
    Ok(told.fold(BATCH, u32::min) as usize)
}

/// Objects and variables, without the server's own (namespace 0).
pub(super) async fn below_objects(
    live: &Live,
    batch: usize,
    progress: &mut impl FnMut(usize),
) -> Result<Found, Error> {
    let objects = NodeId::from(ObjectId::ObjectsFolder);
    let mut found = Found::default();
    let mut seen = HashSet::from([objects.clone()]);
    let mut frontier: Vec<(Option<usize>, NodeId)> = vec![(None, objects)];
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for part in frontier.chunks(batch) {
            let asked = part.iter().map(|(_, node)| down(node.clone())).collect();
            for ((parent, _), references) in part.iter().zip(references(live, asked).await?) {
                for reference in references {
                    found.add(*parent, reference, &mut seen, &mut next);
                }
            }
            progress(found.places.len());
        }
        frontier = next;
    }
    Ok(found)
}

fn down(node_id: NodeId) -> BrowseDescription {
    let classes = NodeClass::Object as u32 | NodeClass::Variable as u32;
    asked(node_id, BrowseDirection::Forward, ReferenceTypeId::HierarchicalReferences, classes)
}

fn asked(
    node_id: NodeId,
    browse_direction: BrowseDirection,
    reference: ReferenceTypeId,
    node_class_mask: u32,
) -> BrowseDescription {
    BrowseDescription {
        node_id,
        browse_direction,
        reference_type_id: reference.into(),
        include_subtypes: true,
        node_class_mask,
        // Everything a reference tells.
        result_mask: 0x3F,
    }
}

impl Found {
    fn add(
        &mut self,
        parent: Option<usize>,
        reference: ReferenceDescription,
        seen: &mut HashSet<NodeId>,
        next: &mut Vec<(Option<usize>, NodeId)>,
    ) {
        let node = reference.node_id.node_id;
        let is_elsewhere = reference.node_id.server_index != 0;
        let of = parent.map(|parent| &mut self.places[parent]);
        if let Some(variable) = of
            && variable.class == NodeClass::Variable
            && reference.reference_type_id == ReferenceTypeId::HasProperty
        {
            variable.properties.push((reference.browse_name.name.as_ref().to_owned(), node));
            return;
        }
        if is_elsewhere || node.namespace == 0 || !seen.insert(node.clone()) {
            return;
        }
        let depth = parent.map_or(0, |parent| self.places[parent].depth + 1);
        if self.places.len() == NODES_MAX || depth == DEPTH_MAX {
            self.is_partial = true;
            return;
        }
        next.push((Some(self.places.len()), node.clone()));
        self.places.push(Place {
            parent,
            node,
            name: reference.browse_name,
            class: reference.node_class,
            is_a: reference.type_definition.node_id,
            properties: Vec::new(),
            depth,
        });
    }
}

/// The references of each node that was asked about, however many pieces they come in. A node
/// that may not be browsed has none.
async fn references(
    live: &Live,
    asked: Vec<BrowseDescription>,
) -> Result<Vec<Vec<ReferenceDescription>>, Error> {
    let results = live.browse(asked).await?;
    let mut all = Vec::with_capacity(results.len());
    for result in results {
        let mut references = result.references.unwrap_or_default();
        let mut rest = result.continuation_point;
        while !rest.is_null_or_empty() {
            let more = live.browse_next(rest).await?;
            if more.status_code == StatusCode::BadContinuationPointInvalid {
                let text = "the machine forgot where it was while it was browsed";
                return Err(Error::new(more.status_code, text));
            }
            references.extend(more.references.unwrap_or_default());
            rest = more.continuation_point;
            if references.len() > NODES_MAX {
                return Err(Error::new(StatusCode::BadTooManyOperations, "references without end"));
            }
        }
        all.push(references);
    }
    Ok(all)
}

/// Nodes that each node refers to with one type of reference, with their browse names.
pub(super) async fn referred(
    live: &Live,
    batch: usize,
    nodes: &[NodeId],
    reference: ReferenceTypeId,
) -> Result<Vec<Vec<(QualifiedName, NodeId)>>, Error> {
    let mut all = Vec::with_capacity(nodes.len());
    for part in nodes.chunks(batch) {
        let asked =
            part.iter().map(|node| asked(node.clone(), BrowseDirection::Forward, reference, 0));
        let found = references(live, asked.collect()).await?;
        all.extend(found.into_iter().map(|references| {
            references.into_iter().map(|one| (one.browse_name, one.node_id.node_id)).collect()
        }));
    }
    Ok(all)
}

/// What each type is derived from, up to the root, itself first.
pub(super) async fn lineages(
    live: &Live,
    batch: usize,
    types: impl Iterator<Item = NodeId>,
) -> Result<HashMap<NodeId, Vec<NodeId>>, Error> {
    let all: HashSet<NodeId> = types.filter(|node| !node.is_null()).collect();
    let mut parents: HashMap<NodeId, Option<NodeId>> = HashMap::new();
    let mut open: Vec<NodeId> = all.iter().cloned().collect();
    while !open.is_empty() {
        let mut above = HashSet::new();
        for part in open.chunks(batch) {
            let up = part.iter().map(|node| {
                asked(node.clone(), BrowseDirection::Inverse, ReferenceTypeId::HasSubtype, 0)
            });
            for (node, found) in part.iter().zip(references(live, up.collect()).await?) {
                let parent = found.into_iter().next().map(|one| one.node_id.node_id);
                above.extend(parent.clone());
                parents.insert(node.clone(), parent);
            }
        }
        open = above.into_iter().filter(|node| !parents.contains_key(node)).collect();
    }
    let lineage = |node: &NodeId| {
        let mut line = vec![node.clone()];
        // A machine whose types go round in a circle does not hold us up.
        while let Some(Some(parent)) = line.last().and_then(|last| parents.get(last)) {
            if line.contains(parent) {
                break;
            }
            line.push(parent.clone());
        }
        line
    };
    Ok(all.iter().map(|node| (node.clone(), lineage(node))).collect())
}
