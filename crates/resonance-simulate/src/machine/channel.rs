//! What a machine shows: its channels, and the address space made of them.

use std::collections::HashMap;
use std::sync::Arc;

pub use resonance_opcua::server::Axis;
use resonance_opcua::server::{
    AddressSpace, AddressSpaceError, ObjectAt, ObjectSpec, Reading, VariableSpec,
};
use resonance_plant::{
    DataType, Interpolation, PointIndex, Qualifier, QuantityKind, Range, SemanticId, Unit, Value,
};

/// The namespace of every simulated machine's node ids.
pub const NAMESPACE_URI: &str = "urn:resonance:simulate";

/// One variable of a simulated machine.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The component it belongs to; levels are separated by dots. Empty: the machine itself.
    pub component: Arc<str>,
    /// The name within the component.
    pub name: Arc<str>,
    /// What its values are.
    pub data_type: DataType,
    /// What is measured; `None` for states and texts.
    pub quantity: Option<QuantityKind>,
    /// In which unit.
    pub unit: Option<Unit>,
    /// Where its values are expected, in the unit.
    pub range: Option<Range>,
    /// How it holds between observations.
    pub interpolation: Interpolation,
    /// What it means.
    pub semantic_id: Option<SemanticId>,
    /// Which of several like components.
    pub qualifier: Qualifier,
    /// The names of its states 0, 1, 2, ... where values are state numbers.
    pub labels: Arc<[Arc<str>]>,
    /// What its numbers lie along, where it is a profile.
    pub axis: Option<Axis>,
    /// For people.
    pub description: Arc<str>,
}

impl Channel {
    /// A channel of which only place and type are known.
    pub fn plain(component: &str, name: &str, data_type: DataType) -> Self {
        Self {
            component: component.into(),
            name: name.into(),
            data_type,
            quantity: None,
            unit: None,
            range: None,
            interpolation: Interpolation::default(),
            semantic_id: None,
            qualifier: Qualifier::default(),
            labels: Arc::from([]),
            axis: None,
            description: "".into(),
        }
    }

    /// A real number that moves steadily between observations.
    pub fn number(component: &str, name: &str) -> Self {
        let plain = Self::plain(component, name, DataType::Float64);
        Self { interpolation: Interpolation::Linear, ..plain }
    }

    /// What it measures, in which unit, and where values are expected.
    #[must_use]
    pub fn measuring(self, quantity: QuantityKind, unit_code: &str, range: (f64, f64)) -> Self {
        let (unit, range) = (Unit::from_code(unit_code), Range { low: range.0, high: range.1 });
        Self { quantity: Some(quantity), unit, range: Some(range), ..self }
    }

    /// A number that only grows.
    #[must_use]
    pub fn counting(self, quantity: QuantityKind, unit_code: &str) -> Self {
        let (quantity, unit) = (Some(quantity), Unit::from_code(unit_code));
        Self { quantity, unit, interpolation: Interpolation::Counter, ..self }
    }

    /// What it means.
    #[must_use]
    pub fn meaning(self, semantic_id: &str) -> Self {
        Self { semantic_id: SemanticId::parse(semantic_id).ok(), ..self }
    }

    /// Which of several like components it belongs to.
    #[must_use]
    pub fn of(self, qualifier: &str) -> Self {
        Self { qualifier: qualifier.into(), ..self }
    }

    /// How it holds between observations.
    #[must_use]
    pub fn holding(self, interpolation: Interpolation) -> Self {
        Self { interpolation, ..self }
    }

    /// The names of its states.
    #[must_use]
    pub fn labelled(self, labels: &[&str]) -> Self {
        let labels = labels.iter().map(|label| (*label).into()).collect();
        Self { labels, interpolation: Interpolation::Category, ..self }
    }

    /// What the numbers of a profile lie along.
    #[must_use]
    pub fn along(self, axis: Axis) -> Self {
        Self { axis: Some(axis), ..self }
    }

    /// What it is, for people.
    #[must_use]
    pub fn says(self, description: &str) -> Self {
        Self { description: description.into(), ..self }
    }

    /// `component.name`, or `name` alone.
    pub fn path(&self) -> String {
        if self.component.is_empty() {
            self.name.to_string()
        } else {
            format!("{}.{}", self.component, self.name)
        }
    }
}

/// A machine as it is to be served.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// The name of its object and the first part of every node id.
    pub name: Arc<str>,
    /// For people. Says that the machine is simulated or replayed.
    pub description: Arc<str>,
    /// What it says it is: the properties of `Identification`.
    pub identification: Vec<(&'static str, String)>,
    /// Its channels; a feed writes them by their place here.
    pub channels: Vec<Channel>,
}

/// Why a machine cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A name that cannot be part of a node id.
    #[error(
        "{0:?} cannot be the name of a machine: it may have neither dots nor slashes nor control \
         characters and may not be empty"
    )]
    MachineName(Arc<str>),
    /// Two channels with one path, or a path that cannot be a node id.
    #[error("channel {path:?}: {problem}")]
    Channel {
        /// Which channel.
        path: String,
        /// What is wrong with it.
        problem: AddressSpaceError,
    },
    /// There is nothing to serve.
    #[error("a machine needs at least one channel")]
    Empty,
}

impl MachineSpec {
    /// The string identifier of a channel's node id.
    pub fn node_id(&self, channel: &Channel) -> String {
        format!("{}.{}", self.name, channel.path())
    }

    /// The place of the channel with this `component.name`.
    pub fn position(&self, path: &str) -> Option<usize> {
        self.channels.iter().position(|channel| channel.path() == path)
    }

    /// The nodes; channel `i` reads column `i`.
    ///
    /// # Errors
    /// Where two channels would have the same node id, or an id is malformed.
    pub fn address_space(&self) -> Result<AddressSpace, SpecError> {
        let name = &self.name;
        if name.is_empty() || name.contains(['.', '/']) || name.chars().any(char::is_control) {
            return Err(SpecError::MachineName(Arc::clone(name)));
        }
        if self.channels.is_empty() {
            return Err(SpecError::Empty);
        }
        let refused = |path: &str| {
            let path = path.to_owned();
            move |problem| SpecError::Channel { path, problem }
        };
        let mut space = AddressSpace::new();
        let machine = space
            .add_object(
                None,
                ObjectSpec {
                    id: Arc::clone(name),
                    name: Arc::clone(name),
                    description: Arc::clone(&self.description),
                    is_folder: false,
                },
            )
            .map_err(refused(""))?;
        self.identify(&mut space, machine).map_err(refused("Identification"))?;
        let mut components = HashMap::from([(String::new(), machine)]);
        for (at, channel) in self.channels.iter().enumerate() {
            let path = channel.path();
            let parent = self
                .component(&mut space, &mut components, &channel.component)
                .map_err(refused(&path))?;
            space
                .add_variable(Some(parent), self.variable(channel, PointIndex(at as u32)))
                .map_err(refused(&path))?;
        }
        Ok(space)
    }

    fn identify(
        &self,
        space: &mut AddressSpace,
        machine: ObjectAt,
    ) -> Result<(), AddressSpaceError> {
        let folder = format!("{}.Identification", self.name);
        let at = space.add_object(
            Some(machine),
            ObjectSpec {
                id: folder.as_str().into(),
                name: "Identification".into(),
                description: "".into(),
                is_folder: false,
            },
        )?;
        for (property, text) in &self.identification {
            let value = Reading::Fixed(Value::Text(text.as_str().into()));
            let id = format!("{folder}.{property}");
            let spec = VariableSpec::plain(&id, property, DataType::String, value);
            space.add_property(at, spec)?;
        }
        Ok(())
    }

    /// The object of a component, with those above it.
    fn component(
        &self,
        space: &mut AddressSpace,
        known: &mut HashMap<String, ObjectAt>,
        component: &str,
    ) -> Result<ObjectAt, AddressSpaceError> {
        if let Some(at) = known.get(component) {
            return Ok(*at);
        }
        let (above, name) = component.rsplit_once('.').unwrap_or(("", component));
        let parent = self.component(space, known, above)?;
        let at = space.add_object(
            Some(parent),
            ObjectSpec {
                id: format!("{}.{component}", self.name).into(),
                name: name.into(),
                description: "".into(),
                is_folder: false,
            },
        )?;
        known.insert(component.to_owned(), at);
        Ok(at)
    }

    fn variable(&self, channel: &Channel, at: PointIndex) -> VariableSpec {
        VariableSpec {
            id: self.node_id(channel).into(),
            name: Arc::clone(&channel.name),
            description: Arc::clone(&channel.description),
            reading: Reading::Point(at),
            data_type: channel.data_type,
            unit: channel.unit,
            range: channel.range,
            labels: Arc::clone(&channel.labels),
            axis: channel.axis.clone(),
            semantic_id: channel.semantic_id.clone(),
            qualifier: channel.qualifier.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str, paths: &[(&str, &str)]) -> MachineSpec {
        MachineSpec {
            name: name.into(),
            description: "simulated".into(),
            identification: vec![("SerialNumber", "1".into())],
            channels: paths
                .iter()
                .map(|(component, name)| Channel::plain(component, name, DataType::Float64))
                .collect(),
        }
    }

    #[test]
    fn components_are_made_once_and_at_every_level() {
        let spec = machine("M", &[("Axes.X", "Load"), ("Axes.X", "Position"), ("", "Mode")]);
        assert_eq!(spec.node_id(&spec.channels[0]), "M.Axes.X.Load");
        assert_eq!(spec.position("Mode"), Some(2));
        // Three channels and one property; a component made twice would be refused.
        assert_eq!(spec.address_space().unwrap().variable_count(), 4);
    }

    #[test]
    fn clashes_and_bad_names_are_refused_by_name() {
        let twice = machine("M", &[("A", "x"), ("A", "x")]).address_space().unwrap_err();
        assert!(twice.to_string().starts_with("channel \"A.x\""), "{twice}");
        assert!(matches!(
            machine("a.b", &[("A", "x")]).address_space(),
            Err(SpecError::MachineName(_))
        ));
        assert!(matches!(machine("M", &[]).address_space(), Err(SpecError::Empty)));
    }
}
