//! What a server shows: objects, and variables that name the column their value is in.

use std::collections::HashMap;
use std::sync::Arc;

use resonance_plant::{
    DataType, LastValues, PointIndex, Qualifier, Range, SemanticId, Unit, Value,
};

/// The tree of objects and variables below the Objects folder. Node ids are string identifiers
/// in the server's namespace; properties of a variable have its id, `/` and their name.
#[derive(Debug, Default)]
pub struct AddressSpace {
    pub(crate) objects: Vec<Object>,
    pub(crate) variables: Vec<Variable>,
    /// What lies directly below the Objects folder.
    pub(crate) roots: Vec<Child>,
    ids: HashMap<Arc<str>, Child>,
    /// What variables mean: one entry for each semantic id.
    pub(crate) entries: Vec<Entry>,
    entry_places: HashMap<SemanticId, u32>,
    pub(crate) computed: Option<Arc<LastValues>>,
}

/// An object of an [`AddressSpace`], to put things below it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ObjectAt(pub(crate) u32);

/// A variable of an [`AddressSpace`], to give it properties.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VariableAt(pub(crate) u32);

/// An object or folder to add.
#[derive(Clone, Debug)]
pub struct ObjectSpec {
    /// The string identifier of its node id; unique in the server.
    pub id: Arc<str>,
    /// Its browse name and display name.
    pub name: Arc<str>,
    /// For people; empty: none.
    pub description: Arc<str>,
    /// Whether it only groups others (FolderType) or is a thing (BaseObjectType).
    pub is_folder: bool,
}

/// A variable to add. Its type follows from what is known of it: with an axis it is a
/// YArrayItemType, with labels a MultiStateValueDiscreteType, with a range an AnalogUnitRangeType, with only a unit an
/// AnalogUnitType, and else a BaseDataVariableType (OPC 10000-8, 5.3).
#[derive(Clone, Debug)]
pub struct VariableSpec {
    /// The string identifier of its node id; unique in the server.
    pub id: Arc<str>,
    /// Its browse name and display name.
    pub name: Arc<str>,
    /// For people; empty: none.
    pub description: Arc<str>,
    /// Where its value is.
    pub reading: Reading,
    /// The type its values have.
    pub data_type: DataType,
    /// In which unit.
    pub unit: Option<Unit>,
    /// Where values are expected.
    pub range: Option<Range>,
    /// The names of its states 0, 1, 2, ...; only for numeric types.
    pub labels: Arc<[Arc<str>]>,
    /// What its numbers lie along, where it is a profile; only for arrays.
    pub axis: Option<Axis>,
    /// What it means.
    pub semantic_id: Option<SemanticId>,
    /// Which component it belongs to.
    pub qualifier: Qualifier,
}

impl VariableSpec {
    /// A variable of which nothing but name, type and place are known.
    pub fn plain(id: &str, name: &str, data_type: DataType, reading: Reading) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            description: "".into(),
            reading,
            data_type,
            unit: None,
            range: None,
            labels: Arc::from([]),
            axis: None,
            semantic_id: None,
            qualifier: Qualifier::default(),
        }
    }
}

/// What the numbers of a profile lie along (XAxisDefinition of OPC 10000-8, 5.3.4.4); the axis is
/// linear.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What the profile is called.
    pub title: Arc<str>,
    /// What the axis is called.
    pub axis_title: Arc<str>,
    /// The axis' unit; `None`: it has none.
    pub axis_unit: Option<Unit>,
    /// Where on the axis each number lies, ascending.
    pub steps: Arc<[f64]>,
}

/// Where a variable's value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// In the columns the server was started with.
    Point(PointIndex),
    /// In the columns given by [`AddressSpace::set_computed`]: what is no point of a plant, such
    /// as the state of a deployment.
    Computed(PointIndex),
    /// It never changes.
    Fixed(Value),
}

/// Why something cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressSpaceError {
    /// Two nodes would have the same id.
    #[error("two nodes have the id {0:?}; rename one of them")]
    Duplicate(Arc<str>),
    /// The id would be taken for a property of another variable.
    #[error("the node id {0:?} ends like a property of a variable; rename the node")]
    Reserved(Arc<str>),
    /// The id is empty, longer than 4,096 bytes (OPC 10000-3, 8.2.4) or has control characters.
    #[error("{0:?} cannot be a node id: it must have 1 to 4,096 bytes and no control characters")]
    Malformed(Arc<str>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Child {
    Object(u32),
    Variable(u32),
}

#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) description: Arc<str>,
    pub(crate) is_folder: bool,
    pub(crate) parent: Option<ObjectAt>,
    pub(crate) children: Vec<Child>,
}

#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) spec: VariableSpec,
    /// `None`: the Objects folder.
    pub(crate) parent: Option<Child>,
    /// Whether its owner has it as a property rather than a component.
    pub(crate) is_property: bool,
    /// Its properties beyond those that follow from its description.
    pub(crate) more: Vec<u32>,
    /// What it means.
    pub(crate) entry: Option<u32>,
}

/// An entry of an external dictionary (OPC 10000-19): a semantic id, and what has that meaning.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: SemanticId,
    pub(crate) variables: Vec<u32>,
}

/// The properties a variable may have by what is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Property {
    EngineeringUnits,
    EuRange,
    EnumValues,
    ValueAsText,
    SemanticId,
    Qualifier,
    Title,
    AxisScaleType,
    XAxisDefinition,
}

impl Property {
    pub(crate) const ALL: [Self; 9] = [
        Self::EngineeringUnits,
        Self::EuRange,
        Self::EnumValues,
        Self::ValueAsText,
        Self::SemanticId,
        Self::Qualifier,
        Self::Title,
        Self::AxisScaleType,
        Self::XAxisDefinition,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::EngineeringUnits => "EngineeringUnits",
            Self::EuRange => "EURange",
            Self::EnumValues => "EnumValues",
            Self::ValueAsText => "ValueAsText",
            Self::SemanticId => "SemanticId",
            Self::Qualifier => "Qualifier",
            Self::Title => "Title",
            Self::AxisScaleType => "AxisScaleType",
            Self::XAxisDefinition => "XAxisDefinition",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|property| property.name() == name)
    }
}

impl Variable {
    pub(crate) fn has(&self, property: Property) -> bool {
        let spec = &self.spec;
        match property {
            Property::EngineeringUnits => spec.unit.is_some(),
            Property::EuRange => spec.range.is_some(),
            Property::EnumValues | Property::ValueAsText => self.is_multi_state(),
            Property::SemanticId => spec.semantic_id.is_some(),
            Property::Qualifier => !spec.qualifier.is_none(),
            Property::Title | Property::AxisScaleType | Property::XAxisDefinition => {
                spec.axis.is_some()
            }
        }
    }

    pub(crate) fn is_multi_state(&self) -> bool {
        !self.spec.labels.is_empty() && self.spec.data_type.is_numeric()
    }

    pub(crate) fn properties(&self) -> impl Iterator<Item = Property> + '_ {
        Property::ALL.into_iter().filter(|property| self.has(*property))
    }
}

/// A node as the server knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum NodeAt {
    Object(u32),
    Variable(u32),
    Property(u32, Property),
    Entry(u32),
}

impl From<Child> for NodeAt {
    fn from(child: Child) -> Self {
        match child {
            Child::Object(at) => Self::Object(at),
            Child::Variable(at) => Self::Variable(at),
        }
    }
}

impl AddressSpace {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object below `parent`, or directly below the Objects folder.
    ///
    /// # Errors
    /// Where the id is taken or cannot be one.
    pub fn add_object(
        &mut self,
        parent: Option<ObjectAt>,
        spec: ObjectSpec,
    ) -> Result<ObjectAt, AddressSpaceError> {
        let at = self.objects.len() as u32;
        self.claim(&spec.id, Child::Object(at))?;
        let ObjectSpec { id, name, description, is_folder } = spec;
        let children = Vec::new();
        self.objects.push(Object { id, name, description, is_folder, parent, children });
        self.put_below(parent, Child::Object(at));
        Ok(ObjectAt(at))
    }

    /// Adds a variable below `parent`, or directly below the Objects folder.
    ///
    /// # Errors
    /// Where the id is taken or cannot be one.
    pub fn add_variable(
        &mut self,
        parent: Option<ObjectAt>,
        spec: VariableSpec,
    ) -> Result<VariableAt, AddressSpaceError> {
        let at = self.add(parent.map(|ObjectAt(at)| Child::Object(at)), spec, false)?;
        self.put_below(parent, Child::Variable(at));
        Ok(VariableAt(at))
    }

    /// Adds a variable as a property of an object.
    ///
    /// # Errors
    /// Where the id is taken or cannot be one.
    pub fn add_property(
        &mut self,
        owner: ObjectAt,
        spec: VariableSpec,
    ) -> Result<(), AddressSpaceError> {
        let at = self.add(Some(Child::Object(owner.0)), spec, true)?;
        self.put_below(Some(owner), Child::Variable(at));
        Ok(())
    }

    /// Adds a variable as a property of a variable.
    ///
    /// # Errors
    /// Where the id is taken or cannot be one.
    pub fn add_property_of(
        &mut self,
        owner: VariableAt,
        spec: VariableSpec,
    ) -> Result<(), AddressSpaceError> {
        let at = self.add(Some(Child::Variable(owner.0)), spec, true)?;
        if let Some(owner) = self.variables.get_mut(owner.0 as usize) {
            owner.more.push(at);
        }
        Ok(())
    }

    /// Names the columns that [`Reading::Computed`] refers to.
    pub fn set_computed(&mut self, columns: Arc<LastValues>) {
        self.computed = Some(columns);
    }

    /// Number of variables, properties of objects included.
    pub fn variable_count(&self) -> usize {
        self.variables.len()
    }

    pub(crate) fn find(&self, id: &str) -> Option<NodeAt> {
        if let Some(child) = self.ids.get(id) {
            return Some(NodeAt::from(*child));
        }
        let (owner, name) = id.rsplit_once('/')?;
        let property = Property::from_name(name)?;
        let Some(Child::Variable(at)) = self.ids.get(owner) else { return None };
        self.variable(*at).has(property).then_some(NodeAt::Property(*at, property))
    }

    pub(crate) fn find_entry(&self, id: &str) -> Option<u32> {
        self.entry_places.get(&SemanticId::parse(id).ok()?).copied()
    }

    /// The entry at a place that came out of [`AddressSpace::find_entry`] or a variable.
    pub(crate) fn entry(&self, at: u32) -> &Entry {
        &self.entries[at as usize]
    }

    /// The object at a place that came out of [`AddressSpace::find`] or a child list.
    pub(crate) fn object(&self, at: u32) -> &Object {
        &self.objects[at as usize]
    }

    /// The variable at a place that came out of [`AddressSpace::find`] or a child list.
    pub(crate) fn variable(&self, at: u32) -> &Variable {
        &self.variables[at as usize]
    }

    fn add(
        &mut self,
        parent: Option<Child>,
        spec: VariableSpec,
        is_property: bool,
    ) -> Result<u32, AddressSpaceError> {
        let at = self.variables.len() as u32;
        self.claim(&spec.id, Child::Variable(at))?;
        let entry = spec.semantic_id.clone().map(|id| self.mean(id, at));
        self.variables.push(Variable { spec, parent, is_property, more: Vec::new(), entry });
        Ok(at)
    }

    /// Notes that a variable has a meaning.
    fn mean(&mut self, id: SemanticId, variable: u32) -> u32 {
        let next = self.entries.len() as u32;
        let at = *self.entry_places.entry(id.clone()).or_insert(next);
        match self.entries.get_mut(at as usize) {
            Some(entry) => entry.variables.push(variable),
            None => self.entries.push(Entry { id, variables: vec![variable] }),
        }
        at
    }

    fn claim(&mut self, id: &Arc<str>, child: Child) -> Result<(), AddressSpaceError> {
        if id.is_empty() || id.len() > 4_096 || id.chars().any(char::is_control) {
            return Err(AddressSpaceError::Malformed(Arc::clone(id)));
        }
        if id.rsplit_once('/').is_some_and(|(_, name)| Property::from_name(name).is_some()) {
            return Err(AddressSpaceError::Reserved(Arc::clone(id)));
        }
        if self.ids.contains_key(id) {
            return Err(AddressSpaceError::Duplicate(Arc::clone(id)));
        }
        self.ids.insert(Arc::clone(id), child);
        Ok(())
    }

    fn put_below(&mut self, parent: Option<ObjectAt>, child: Child) {
        match parent.and_then(|parent| self.objects.get_mut(parent.0 as usize)) {
            Some(object) => object.children.push(child),
            None => self.roots.push(child),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_never_look_like_properties() {
        let mut space = AddressSpace::new();
        let plain = |id: &str| {
            VariableSpec::plain(id, "x", DataType::Float64, Reading::Point(PointIndex(0)))
        };
        space.add_variable(None, plain("a.b")).unwrap();
        assert_eq!(
            space.add_variable(None, plain("a.b")),
            Err(AddressSpaceError::Duplicate("a.b".into()))
        );
        assert_eq!(
            space.add_variable(None, plain("a.b/EURange")),
            Err(AddressSpaceError::Reserved("a.b/EURange".into()))
        );
        assert_eq!(
            space.add_variable(None, plain("")),
            Err(AddressSpaceError::Malformed("".into()))
        );
        assert_eq!(space.find("a.b"), Some(NodeAt::Variable(0)));
        assert_eq!(space.find("a.b/EURange"), None, "it has no range");
    }

    #[test]
    fn properties_are_found_by_the_id_of_their_variable() {
        let mut space = AddressSpace::new();
        let mut spec =
            VariableSpec::plain("a/b", "x", DataType::Float64, Reading::Point(PointIndex(0)));
        spec.range = Some(Range { low: 0.0, high: 1.0 });
        space.add_variable(None, spec).unwrap();
        assert_eq!(space.find("a/b/EURange"), Some(NodeAt::Property(0, Property::EuRange)));
        assert_eq!(space.find("a/b/EngineeringUnits"), None);
        assert_eq!(space.find("a/c/EURange"), None);
    }
}
