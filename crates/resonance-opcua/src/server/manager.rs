//! The services of the OPC UA server for our nodes: Browse, Read, TranslateBrowsePaths and
//! monitored items.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use opcua::nodes::{DefaultTypeTree, ReferenceDirection, TypeTree};
use opcua::server::CreateMonitoredItem;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::{
    AddReferenceResult, BrowseNode, BrowsePathItem, ExternalReference, ExternalReferenceRequest,
    MonitoredItemRef, MonitoredItemUpdateRef, NodeManager, NodeMetadata, ReadNode, RequestContext,
    ServerContext, WriteNode,
};
use opcua::types::{
    AttributeId, MonitoringMode, NodeId, NumericRange, QualifiedName, StatusCode,
    TimestampsToReturn,
};

use super::address_space::{NodeAt, Property, Reading};
use super::nodes::{DICTIONARIES, Nodes, Start, Target, expanded};
use super::passage::{STACK_INTERVAL_MS, Terms};
use super::sampling::{Sampled, Sampler};

/// Serves [`Nodes`].
#[derive(Debug)]
pub(crate) struct PlantNodes {
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) namespace_uri: String,
    pub(crate) sampler: Arc<Sampler>,
}

/// How far a browse came: the place of the next reference.
struct Continued(usize);

impl PlantNodes {
    fn count(&self) {
        self.nodes.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn metadata(&self, node: NodeAt) -> NodeMetadata {
        NodeMetadata {
            node_id: expanded(self.nodes.node_id(node)),
            type_definition: expanded(self.nodes.type_definition(node)),
            browse_name: self.nodes.browse_name(node),
            display_name: self.nodes.display_name(node),
            node_class: self.nodes.class(node),
        }
    }

    fn browse_node(&self, types: &DefaultTypeTree, request: &mut BrowseNode) {
        let Some(start) = self.nodes.start(request.node_id()) else { return };
        if matches!(start, Start::Node(_)) {
            request.set_status(StatusCode::Good);
        }
        let from = request.take_continuation_point::<Continued>().map_or(0, |point| point.0);
        for place in from.. {
            let Some(reference) = self.nodes.reference(start, place) else { return };
            let kind = NodeId::from(reference.kind);
            let wanted = if reference.is_forward {
                request.allows_forward()
            } else {
                request.allows_inverse()
            };
            if !wanted || !request.allows_reference_type(&kind, types) {
                continue;
            }
            match reference.target {
                Target::Standard(id) => {
                    let direction = if reference.is_forward {
                        ReferenceDirection::Forward
                    } else {
                        ReferenceDirection::Inverse
                    };
                    let external = ExternalReference::new(expanded(id), kind, direction);
                    request.push_external_reference(external);
                }
                Target::Ours(node) => {
                    let found = self.metadata(node).into_ref_desc(reference.is_forward, kind);
                    if let AddReferenceResult::Full(_) = request.add(types, found) {
                        request.set_next_continuation_point(Box::new(Continued(place)));
                        return;
                    }
                }
            }
        }
    }

    /// Follows one path as far as it leads through our nodes. Where it leaves them, the standard
    /// nodes it might go on with are left to their own manager.
    fn follow(&self, context: &RequestContext, types: &DefaultTypeTree, item: &mut BrowsePathItem) {
        let Some(start) = self.nodes.start(item.node_id()) else { return };
        if let Some(name) = item.unmatched_browse_name() {
            let Start::Node(node) = start else { return };
            if self.nodes.browse_name(node) != *name {
                return;
            }
            item.set_browse_name_matched(context.current_node_manager_index);
        }
        let mut reached = vec![start];
        for (depth, element) in item.path().iter().enumerate() {
            let mut next = Vec::new();
            for start in reached {
                for reference in (0..).map_while(|place| self.nodes.reference(start, place)) {
                    let kind = NodeId::from(reference.kind);
                    let wanted = reference.is_forward != element.is_inverse
                        && (element.reference_type_id.is_null()
                            || element.reference_type_id == kind
                            || element.include_subtypes
                                && types.is_subtype_of(&kind, &element.reference_type_id));
                    if !wanted {
                        continue;
                    }
                    match reference.target {
                        Target::Ours(node) => {
                            if self.nodes.browse_name(node) == element.target_name {
                                next.push(Start::Node(node));
                                item.add_element(self.nodes.node_id(node), depth + 1, None);
                            }
                        }
                        Target::Standard(id) => {
                            let name: QualifiedName = element.target_name.clone();
                            item.add_element(id, depth + 1, Some(name));
                        }
                    }
                }
            }
            reached = next;
        }
    }

    fn monitor(&self, context: &RequestContext, request: &mut CreateMonitoredItem) {
        let asked = request.item_to_monitor();
        let Some(node) = self.nodes.find(&asked.node_id) else {
            request.set_status(StatusCode::BadNodeIdUnknown);
            return;
        };
        let (attribute, range) = (asked.attribute_id, NumericRange::None);
        let both = TimestampsToReturn::Both;
        let present = self.nodes.read(node, attribute, &range, both);
        let refused = [StatusCode::BadAttributeIdInvalid, StatusCode::BadConfigurationError];
        if let Some(status) = present.status.filter(|status| refused.contains(status)) {
            request.set_status(status);
            return;
        }
        if let Some(sampled) = self.sampled(node, attribute) {
            let requested = request.sampling_interval();
            let interval_ms = if requested < 0.0 {
                publishing_interval_ms(context, request.handle().subscription_id)
            } else {
                requested
            };
            let is_enabled = request.monitoring_mode() != MonitoringMode::Disabled;
            let is_plain = request.item_to_monitor().index_range.is_none() && !has_filter(request);
            // The sampler keeps the interval; the stack, which would change source times to
            // keep it, is left none. A publishing interval it does not let go.
            request.revise_sampling_interval(STACK_INTERVAL_MS);
            let interval = request.sampling_interval();
            let terms = Terms { interval_ms: interval, is_plain, queue_size: request.queue_size() };
            self.sampler.add(request.handle(), sampled, interval_ms, is_enabled, terms);
        }
        // Read after the sampler noted the version: a change in between is seen twice, and
        // filtered, rather than never.
        let initial = self.nodes.read(node, attribute, &range, both);
        request.set_initial_value(self.sampler.begin(request.handle(), initial));
        request.set_status(StatusCode::Good);
    }

    /// What of a node changes with time: the values of columns and the labels that follow them.
    fn sampled(&self, node: NodeAt, attribute: AttributeId) -> Option<Sampled> {
        if attribute != AttributeId::Value {
            return None;
        }
        let (at, as_text) = match node {
            NodeAt::Variable(at) => (at, false),
            NodeAt::Property(at, Property::ValueAsText) => (at, true),
            NodeAt::Property(..) | NodeAt::Object(_) | NodeAt::Entry(_) => return None,
        };
        match self.nodes.space.variable(at).spec.reading {
            Reading::Fixed(_) => None,
            Reading::Point(_) | Reading::Computed(_) => Some(Sampled { variable: at, as_text }),
        }
    }
}

/// Whether the client gave a filter. The stack's type cannot be named outside of it, only shown;
/// should it once be shown otherwise, every item counts as filtered, which is safe.
fn has_filter(request: &CreateMonitoredItem) -> bool {
    format!("{:?}", request.filter()) != "None"
}

/// What sampling interval -1 stands for (OPC 10000-4, 7.21).
fn publishing_interval_ms(context: &RequestContext, subscription: u32) -> f64 {
    context
        .subscriptions
        .get_session_subscriptions(context.session_id)
        .and_then(|session| {
            let session = session.lock();
            session.get(subscription).map(|found| found.publishing_interval())
        })
        .map_or(0.0, |interval| interval.as_secs_f64() * 1e3)
}

#[async_trait]
impl NodeManager for PlantNodes {
    fn owns_node(&self, id: &NodeId) -> bool {
        self.nodes.owns(id.namespace)
    }

    fn name(&self) -> &str {
        "plant"
    }

    fn namespaces_for_user(&self, _context: &RequestContext) -> Vec<NamespaceMetadata> {
        let known = |uri: &str, index, is_subset| NamespaceMetadata {
            namespace_uri: uri.to_owned(),
            namespace_index: index,
            is_namespace_subset: Some(is_subset),
            ..NamespaceMetadata::default()
        };
        // Of a dictionary only what the plant uses is here.
        let dictionaries = DICTIONARIES.into_iter().zip(self.nodes.dictionaries);
        std::iter::once(known(&self.namespace_uri, self.nodes.namespace, false))
            .chain(dictionaries.map(|(uri, index)| known(uri, index, true)))
            .collect()
    }

    async fn init(&self, _type_tree: &mut DefaultTypeTree, _context: ServerContext) {}

    async fn resolve_external_references(
        &self,
        _context: &RequestContext,
        items: &mut [&mut ExternalReferenceRequest],
    ) {
        for item in items {
            if let Some(node) = self.nodes.find(item.node_id()) {
                item.set(self.metadata(node));
            }
        }
    }

    async fn read(
        &self,
        _context: &RequestContext,
        _max_age: f64,
        timestamps: TimestampsToReturn,
        requests: &mut [&mut ReadNode],
    ) -> Result<(), StatusCode> {
        self.count();
        for request in requests {
            let asked = request.node();
            match self.nodes.find(&asked.node_id) {
                Some(node) => {
                    let value =
                        self.nodes.read(node, asked.attribute_id, &asked.index_range, timestamps);
                    request.set_result(value);
                }
                None => request.set_error(StatusCode::BadNodeIdUnknown),
            }
        }
        Ok(())
    }

    async fn write(
        &self,
        _context: &RequestContext,
        requests: &mut [&mut WriteNode],
    ) -> Result<(), StatusCode> {
        self.count();
        for request in requests {
            let known = self.nodes.find(&request.value().node_id).is_some();
            request.set_status(if known {
                StatusCode::BadNotWritable
            } else {
                StatusCode::BadNodeIdUnknown
            });
        }
        Ok(())
    }

    async fn browse(
        &self,
        context: &RequestContext,
        requests: &mut [BrowseNode],
    ) -> Result<(), StatusCode> {
        self.count();
        let types = context.type_tree.read();
        for request in requests.iter_mut().filter(|request| request.remaining() > 0) {
            self.browse_node(&types, request);
        }
        Ok(())
    }

    async fn translate_browse_paths_to_node_ids(
        &self,
        context: &RequestContext,
        items: &mut [&mut BrowsePathItem],
    ) -> Result<(), StatusCode> {
        self.count();
        let types = context.type_tree.read();
        for item in items {
            self.follow(context, &types, item);
        }
        Ok(())
    }

    async fn create_monitored_items(
        &self,
        context: &RequestContext,
        items: &mut [&mut CreateMonitoredItem],
    ) -> Result<(), StatusCode> {
        self.count();
        for item in items {
            self.monitor(context, item);
        }
        Ok(())
    }

    async fn modify_monitored_items(
        &self,
        context: &RequestContext,
        items: &[&MonitoredItemUpdateRef],
    ) {
        for item in items {
            let revised = item.update().revised_sampling_interval;
            let interval_ms = if revised < 0.0 {
                publishing_interval_ms(context, item.handle().subscription_id)
            } else {
                revised
            };
            let queue_size = item.update().revised_queue_size as usize;
            self.sampler.modify(item.handle(), interval_ms, revised, queue_size);
        }
    }

    async fn set_monitoring_mode(
        &self,
        _context: &RequestContext,
        mode: MonitoringMode,
        items: &[&MonitoredItemRef],
    ) {
        for item in items {
            self.sampler.set_enabled(item.handle(), mode != MonitoringMode::Disabled);
        }
    }

    async fn delete_monitored_items(&self, _context: &RequestContext, items: &[&MonitoredItemRef]) {
        for item in items {
            self.sampler.remove(item.handle());
        }
    }
}
