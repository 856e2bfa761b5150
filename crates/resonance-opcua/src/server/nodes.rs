//! The table of nodes: names, types, references and attributes, made up when asked for.
//!
//! A node in memory would cost several kilobytes; ten thousand variables are served from the
//! [`AddressSpace`] and the last-value columns alone.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use opcua::types::{
    Array, AttributeId, AxisInformation, AxisScaleEnumeration, DataTypeId, DataValue, DateTime,
    EUInformation, EnumValueType, ExpandedNodeId, ExtensionObject, Identifier, LocalizedText,
    NodeClass, NodeId, NumericRange, ObjectId, ObjectTypeId, QualifiedName, Range as UaRange,
    ReferenceTypeId, StatusCode, TimestampsToReturn, UAString, VariableTypeId, Variant,
    VariantScalarTypeId,
};
use resonance_plant::{Clock, LastValues, PointIndex, Unit};

use super::address_space::{
    AddressSpace, Axis, Child, NodeAt, ObjectAt, Property, Reading, Variable,
};
use super::encoding;
use crate::value::{timestamp_to_ua, ua_data_type, ua_value_rank, variant_from_value};

/// The namespace of UNECE units in EUInformation (OPC 10000-8, 5.6.3.3).
const UNECE_NAMESPACE: &str = "http://www.opcfoundation.org/UA/units/un/cefact";

/// The namespaces of dictionary entries whose id is an IRDI or a URI (OPC 10000-19, 5.3 and 5.4).
pub(crate) const DICTIONARIES: [&str; 2] =
    ["http://opcfoundation.org/UA/Dictionary/IRDI", "http://opcfoundation.org/UA/Dictionary/URI"];

/// The bit CurrentRead of access levels (OPC 10000-3, 8.57).
const CURRENT_READ: u8 = 1;

/// Everything a server knows of its nodes.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) space: AddressSpace,
    pub(crate) values: Arc<LastValues>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) namespace: u16,
    /// The namespaces of [`DICTIONARIES`].
    pub(crate) dictionaries: [u16; 2],
    /// The shortest sampling interval, milliseconds.
    pub(crate) sampling_ms: f64,
    pub(crate) started: DateTime,
    /// Requests answered: one for each service call, not for each node in it.
    pub(crate) requests: AtomicU64,
}

/// What a reference leads to.
pub(crate) enum Target {
    Ours(NodeAt),
    Standard(NodeId),
}

/// A reference of a node.
pub(crate) struct Reference {
    pub(crate) kind: ReferenceTypeId,
    pub(crate) is_forward: bool,
    pub(crate) target: Target,
}

/// Where a browse or a path starts.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// The standard Objects folder, which another node manager owns.
    ObjectsFolder,
    /// The standard folder of dictionaries, which another node manager owns.
    Dictionaries,
    Node(NodeAt),
}

impl Nodes {
    /// The node with this id, if it is one of ours.
    pub(crate) fn find(&self, id: &NodeId) -> Option<NodeAt> {
        let Identifier::String(text) = &id.identifier else { return None };
        if id.namespace == self.namespace {
            return self.space.find(text.as_ref());
        }
        let at = self.space.find_entry(text.as_ref())?;
        (self.dictionary(at) == id.namespace).then_some(NodeAt::Entry(at))
    }

    /// Whether nodes of this namespace are ours.
    pub(crate) fn owns(&self, namespace: u16) -> bool {
        namespace == self.namespace || self.dictionaries.contains(&namespace)
    }

    /// As [`Nodes::find`], and the standard folders we put nodes into besides.
    pub(crate) fn start(&self, id: &NodeId) -> Option<Start> {
        if *id == ObjectId::ObjectsFolder {
            return Some(Start::ObjectsFolder);
        }
        if *id == ObjectId::Dictionaries {
            return Some(Start::Dictionaries);
        }
        self.find(id).map(Start::Node)
    }

    pub(crate) fn node_id(&self, node: NodeAt) -> NodeId {
        let id = match node {
            NodeAt::Entry(at) => {
                let id = UAString::from(self.space.entry(at).id.as_str());
                return NodeId::new(self.dictionary(at), id);
            }
            NodeAt::Object(at) => UAString::from(&*self.space.object(at).id),
            NodeAt::Variable(at) => UAString::from(&*self.space.variable(at).spec.id),
            NodeAt::Property(at, property) => {
                UAString::from(format!("{}/{}", self.space.variable(at).spec.id, property.name()))
            }
        };
        NodeId::new(self.namespace, id)
    }

    pub(crate) fn browse_name(&self, node: NodeAt) -> QualifiedName {
        match node {
            NodeAt::Property(_, property) => QualifiedName::new(0, property.name()),
            NodeAt::Entry(at) => QualifiedName::new(self.dictionary(at), self.name(node)),
            _ => QualifiedName::new(self.namespace, self.name(node)),
        }
    }

    pub(crate) fn display_name(&self, node: NodeAt) -> LocalizedText {
        LocalizedText::from(self.name(node))
    }

    pub(crate) fn class(&self, node: NodeAt) -> NodeClass {
        match node {
            NodeAt::Object(_) | NodeAt::Entry(_) => NodeClass::Object,
            _ => NodeClass::Variable,
        }
    }

    pub(crate) fn type_definition(&self, node: NodeAt) -> NodeId {
        match node {
            NodeAt::Object(at) if self.space.object(at).is_folder => {
                ObjectTypeId::FolderType.into()
            }
            NodeAt::Object(_) => ObjectTypeId::BaseObjectType.into(),
            NodeAt::Entry(at) if self.space.entry(at).id.is_irdi() => {
                ObjectTypeId::IrdiDictionaryEntryType.into()
            }
            NodeAt::Entry(_) => ObjectTypeId::UriDictionaryEntryType.into(),
            NodeAt::Property(..) => VariableTypeId::PropertyType.into(),
            NodeAt::Variable(at) => variable_type(self.space.variable(at)).into(),
        }
    }

    /// The reference of a node at a place; `None` past the last. The order never changes, so a
    /// place is all that a continuation point has to keep.
    pub(crate) fn reference(&self, start: Start, place: usize) -> Option<Reference> {
        let node = match start {
            Start::ObjectsFolder => {
                let child = *self.space.roots.get(place)?;
                return Some(self.down(child, true));
            }
            Start::Dictionaries => {
                self.space.entries.get(place)?;
                return Some(Reference {
                    kind: ReferenceTypeId::HasComponent,
                    is_forward: true,
                    target: Target::Ours(NodeAt::Entry(place as u32)),
                });
            }
            Start::Node(node) => node,
        };
        match place {
            0 => Some(Reference {
                kind: ReferenceTypeId::HasTypeDefinition,
                is_forward: true,
                target: Target::Standard(self.type_definition(node)),
            }),
            1 => Some(self.up(node)),
            _ => match node {
                NodeAt::Object(at) => {
                    let object = self.space.object(at);
                    Some(self.down(*object.children.get(place - 2)?, object.is_folder))
                }
                NodeAt::Variable(at) => {
                    let variable = self.space.variable(at);
                    let described = variable.properties().map(|p| NodeAt::Property(at, p));
                    let more = variable.more.iter().map(|more| NodeAt::Variable(*more));
                    let properties =
                        described.chain(more).map(|at| (ReferenceTypeId::HasProperty, at));
                    let entry = variable
                        .entry
                        .map(|at| (ReferenceTypeId::HasDictionaryEntry, NodeAt::Entry(at)));
                    let (kind, target) = properties.chain(entry).nth(place - 2)?;
                    Some(Reference { kind, is_forward: true, target: Target::Ours(target) })
                }
                NodeAt::Entry(at) => {
                    let variable = *self.space.entry(at).variables.get(place - 2)?;
                    Some(Reference {
                        kind: ReferenceTypeId::HasDictionaryEntry,
                        is_forward: false,
                        target: Target::Ours(NodeAt::Variable(variable)),
                    })
                }
                NodeAt::Property(..) => None,
            },
        }
    }

    /// An attribute's value with times, as the Read service returns it.
    pub(crate) fn read(
        &self,
        node: NodeAt,
        attribute: AttributeId,
        range: &NumericRange,
        timestamps: TimestampsToReturn,
    ) -> DataValue {
        let mut value = match attribute {
            AttributeId::Value => self.value(node),
            _ => self.attribute(node, attribute).map(DataValue::value_only),
        }
        .unwrap_or_else(|status| DataValue { status: Some(status), ..DataValue::null() });
        if !range.is_none()
            && let Some(whole) = value.value.take()
        {
            match whole.range_of(range) {
                Ok(part) => value.value = Some(part),
                Err(status) => value.status = Some(status),
            }
        }
        keep_timestamps(&mut value, timestamps, || timestamp_to_ua(self.clock.now()));
        value
    }

    /// The columns and the place of a variable's value, where it is not fixed.
    pub(crate) fn column(&self, variable: &Variable) -> Option<(&LastValues, PointIndex)> {
        match variable.spec.reading {
            Reading::Point(point) => Some((&self.values, point)),
            Reading::Computed(point) => Some((self.space.computed.as_deref()?, point)),
            Reading::Fixed(_) => None,
        }
    }

    fn name(&self, node: NodeAt) -> &str {
        match node {
            NodeAt::Object(at) => &self.space.object(at).name,
            NodeAt::Variable(at) => &self.space.variable(at).spec.name,
            NodeAt::Property(_, property) => property.name(),
            NodeAt::Entry(at) => self.space.entry(at).id.as_str(),
        }
    }

    /// The namespace of an entry.
    fn dictionary(&self, entry: u32) -> u16 {
        let [irdi, uri] = self.dictionaries;
        if self.space.entry(entry).id.is_irdi() { irdi } else { uri }
    }

    fn down(&self, child: Child, organizes: bool) -> Reference {
        let kind = match child {
            Child::Variable(at) if self.space.variable(at).is_property => {
                ReferenceTypeId::HasProperty
            }
            _ if organizes => ReferenceTypeId::Organizes,
            _ => ReferenceTypeId::HasComponent,
        };
        Reference { kind, is_forward: true, target: Target::Ours(NodeAt::from(child)) }
    }

    fn up(&self, node: NodeAt) -> Reference {
        let (parent, is_property) = match node {
            NodeAt::Object(at) => {
                (self.space.object(at).parent.map(|ObjectAt(at)| Child::Object(at)), false)
            }
            NodeAt::Variable(at) => {
                let variable = self.space.variable(at);
                (variable.parent, variable.is_property)
            }
            NodeAt::Entry(_) => {
                return Reference {
                    kind: ReferenceTypeId::HasComponent,
                    is_forward: false,
                    target: Target::Standard(ObjectId::Dictionaries.into()),
                };
            }
            NodeAt::Property(at, _) => {
                return Reference {
                    kind: ReferenceTypeId::HasProperty,
                    is_forward: false,
                    target: Target::Ours(NodeAt::Variable(at)),
                };
            }
        };
        let (organizes, target) = match parent {
            None => (true, Target::Standard(ObjectId::ObjectsFolder.into())),
            Some(Child::Object(at)) => {
                (self.space.object(at).is_folder, Target::Ours(NodeAt::Object(at)))
            }
            Some(Child::Variable(at)) => (false, Target::Ours(NodeAt::Variable(at))),
        };
        let kind = match (is_property, organizes) {
            (true, _) => ReferenceTypeId::HasProperty,
            (false, true) => ReferenceTypeId::Organizes,
            (false, false) => ReferenceTypeId::HasComponent,
        };
        Reference { kind, is_forward: false, target }
    }

    fn attribute(&self, node: NodeAt, attribute: AttributeId) -> Result<Variant, StatusCode> {
        match attribute {
            AttributeId::NodeId => return Ok(self.node_id(node).into()),
            AttributeId::NodeClass => return Ok(Variant::Int32(self.class(node) as i32)),
            AttributeId::BrowseName => return Ok(self.browse_name(node).into()),
            AttributeId::DisplayName => return Ok(self.display_name(node).into()),
            AttributeId::Description => {
                return Ok(LocalizedText::from(self.description(node)).into());
            }
            AttributeId::WriteMask | AttributeId::UserWriteMask => return Ok(Variant::UInt32(0)),
            _ => {}
        }
        let at = match node {
            NodeAt::Object(_) | NodeAt::Entry(_) if attribute == AttributeId::EventNotifier => {
                return Ok(Variant::Byte(0));
            }
            NodeAt::Object(_) | NodeAt::Entry(_) => return Err(StatusCode::BadAttributeIdInvalid),
            NodeAt::Variable(at) => (at, None),
            NodeAt::Property(at, property) => (at, Some(property)),
        };
        let spec = &self.space.variable(at.0).spec;
        let (data_type, rank) = match at.1 {
            None => (ua_data_type(spec.data_type), ua_value_rank(spec.data_type)),
            Some(Property::EngineeringUnits) => (DataTypeId::EUInformation, -1),
            Some(Property::EuRange) => (DataTypeId::Range, -1),
            Some(Property::EnumValues) => (DataTypeId::EnumValueType, 1),
            Some(Property::ValueAsText) => (DataTypeId::LocalizedText, -1),
            Some(Property::SemanticId | Property::Qualifier) => (DataTypeId::String, -1),
            Some(Property::Title) => (DataTypeId::LocalizedText, -1),
            Some(Property::AxisScaleType) => (DataTypeId::AxisScaleEnumeration, -1),
            Some(Property::XAxisDefinition) => (DataTypeId::AxisInformation, -1),
        };
        let changes = at.1.is_none() && !matches!(spec.reading, Reading::Fixed(_));
        match attribute {
            AttributeId::DataType => Ok(NodeId::from(data_type).into()),
            AttributeId::ValueRank => Ok(Variant::Int32(rank)),
            AttributeId::ArrayDimensions if rank == 1 => Ok(Variant::from(vec![0_u32])),
            AttributeId::ArrayDimensions => Ok(Variant::Empty),
            AttributeId::AccessLevel | AttributeId::UserAccessLevel => {
                Ok(Variant::Byte(CURRENT_READ))
            }
            AttributeId::MinimumSamplingInterval => {
                Ok(Variant::Double(if changes { self.sampling_ms } else { 0.0 }))
            }
            AttributeId::Historizing => Ok(Variant::Boolean(false)),
            _ => Err(StatusCode::BadAttributeIdInvalid),
        }
    }

    fn description(&self, node: NodeAt) -> &str {
        match node {
            NodeAt::Object(at) => &self.space.object(at).description,
            NodeAt::Variable(at) => &self.space.variable(at).spec.description,
            NodeAt::Property(..) | NodeAt::Entry(_) => "",
        }
    }

    fn value(&self, node: NodeAt) -> Result<DataValue, StatusCode> {
        let (at, property) = match node {
            NodeAt::Object(_) | NodeAt::Entry(_) => {
                return Err(StatusCode::BadAttributeIdInvalid);
            }
            NodeAt::Variable(at) => (at, None),
            NodeAt::Property(at, property) => (at, Some(property)),
        };
        let variable = self.space.variable(at);
        match property {
            None => Ok(self.variable_value(variable)),
            Some(Property::ValueAsText) => Ok(self.value_as_text(variable)),
            Some(property) => Ok(self.fixed(property_value(variable, property))),
        }
    }

    fn variable_value(&self, variable: &Variable) -> DataValue {
        if let Reading::Fixed(value) = &variable.spec.reading {
            let value = variant_from_value(value, variable.spec.data_type);
            return self.fixed(value.unwrap_or_default());
        }
        self.column(variable)
            .and_then(|(columns, point)| {
                let slot = columns.slot(point)?;
                Some(encoding::slot_value(columns, point, &slot, variable.spec.data_type))
            })
            .unwrap_or_else(|| DataValue {
                status: Some(StatusCode::BadConfigurationError),
                ..DataValue::null()
            })
    }

    /// The label of the present state with the times and the status of the value.
    fn value_as_text(&self, variable: &Variable) -> DataValue {
        let mut value = self.variable_value(variable);
        let state = self.column(variable).and_then(|(columns, point)| columns.slot(point));
        let label = state.and_then(|slot| {
            (slot.value >= 0.0).then(|| variable.spec.labels.get(slot.value as usize))?
        });
        value.value = Some(match label {
            Some(label) => LocalizedText::from(&**label).into(),
            None => LocalizedText::null().into(),
        });
        value
    }

    fn fixed(&self, value: Variant) -> DataValue {
        DataValue {
            value: Some(value),
            status: Some(StatusCode::Good),
            source_timestamp: Some(self.started),
            server_timestamp: Some(self.started),
            ..DataValue::null()
        }
    }
}

/// Drops the times nobody asked for. A server time that is asked for and absent is now.
pub(crate) fn keep_timestamps(
    value: &mut DataValue,
    timestamps: TimestampsToReturn,
    now: impl FnOnce() -> DateTime,
) {
    let (source, server) = match timestamps {
        TimestampsToReturn::Source => (true, false),
        TimestampsToReturn::Server => (false, true),
        TimestampsToReturn::Both => (true, true),
        TimestampsToReturn::Neither | TimestampsToReturn::Invalid => (false, false),
    };
    if !source {
        value.source_timestamp = None;
    }
    if !server {
        value.server_timestamp = None;
    } else if value.server_timestamp.is_none() {
        value.server_timestamp = Some(now());
    }
}

/// An id as references carry it.
pub(crate) fn expanded(id: NodeId) -> ExpandedNodeId {
    ExpandedNodeId::from(id)
}

fn variable_type(variable: &Variable) -> VariableTypeId {
    let spec = &variable.spec;
    if variable.is_property {
        VariableTypeId::PropertyType
    } else if variable.is_multi_state() {
        VariableTypeId::MultiStateValueDiscreteType
    } else if spec.axis.is_some() {
        VariableTypeId::YArrayItemType
    } else if !spec.data_type.is_numeric() {
        VariableTypeId::BaseDataVariableType
    } else {
        match (spec.range, spec.unit) {
            (Some(_), Some(_)) => VariableTypeId::AnalogUnitRangeType,
            (Some(_), None) => VariableTypeId::AnalogItemType,
            (None, Some(_)) => VariableTypeId::AnalogUnitType,
            (None, None) => VariableTypeId::BaseDataVariableType,
        }
    }
}

/// The value of a property that follows from the variable's description.
fn property_value(variable: &Variable, property: Property) -> Variant {
    let spec = &variable.spec;
    match property {
        Property::EngineeringUnits => spec.unit.map_or(Variant::Empty, |unit| {
            Variant::ExtensionObject(ExtensionObject::from_message(unit_information(unit)))
        }),
        Property::EuRange => spec.range.map_or(Variant::Empty, |range| {
            let range = UaRange { low: range.low, high: range.high };
            Variant::ExtensionObject(ExtensionObject::from_message(range))
        }),
        Property::EnumValues => {
            let states = spec.labels.iter().zip(0_i64..).map(|(label, value)| {
                Variant::ExtensionObject(ExtensionObject::from_message(EnumValueType {
                    value,
                    display_name: LocalizedText::from(&**label),
                    description: LocalizedText::null(),
                }))
            });
            Variant::Array(Box::new(Array {
                value_type: VariantScalarTypeId::ExtensionObject,
                values: states.collect(),
                dimensions: None,
            }))
        }
        Property::SemanticId => spec
            .semantic_id
            .as_ref()
            .map_or(Variant::Empty, |id| Variant::String(UAString::from(id.as_str()))),
        Property::Qualifier => Variant::String(UAString::from(&*spec.qualifier.0)),
        Property::ValueAsText => Variant::Empty,
        Property::Title => spec
            .axis
            .as_ref()
            .map_or(Variant::Empty, |axis| LocalizedText::from(&*axis.title).into()),
        Property::AxisScaleType => Variant::Int32(AxisScaleEnumeration::Linear as i32),
        Property::XAxisDefinition => spec.axis.as_ref().map_or(Variant::Empty, |axis| {
            Variant::ExtensionObject(ExtensionObject::from_message(axis_information(axis)))
        }),
    }
}

fn axis_information(axis: &Axis) -> AxisInformation {
    let (low, high) = (axis.steps.first().copied(), axis.steps.last().copied());
    AxisInformation {
        engineering_units: axis.axis_unit.map(unit_information).unwrap_or_default(),
        eu_range: UaRange { low: low.unwrap_or(0.0), high: high.unwrap_or(0.0) },
        title: LocalizedText::from(&*axis.axis_title),
        axis_scale_type: AxisScaleEnumeration::Linear,
        axis_steps: Some(axis.steps.to_vec()),
    }
}

fn unit_information(unit: Unit) -> EUInformation {
    EUInformation {
        namespace_uri: UNECE_NAMESPACE.into(),
        unit_id: unit.ua_unit_id(),
        display_name: LocalizedText::from(unit.symbol()),
        description: LocalizedText::from(unit.name()),
    }
}
