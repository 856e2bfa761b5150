//! What a machine says about itself, whichever protocol it speaks: its variables, each with place,
//! type, unit, range and meaning.

use std::sync::Arc;

use resonance_plant::{DataType, Interpolation, Range, Status, Unit, Value};
use serde::Serialize;

use super::failure::Failure;

/// What a machine says about itself.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// The address that was asked.
    pub url: String,
    /// Its variables, parents before children.
    pub variables: Vec<Variable>,
    /// Nodes looked at.
    pub nodes: usize,
    /// There are more nodes than are looked at, or deeper ones than are followed.
    pub is_partial: bool,
    /// What contradicts itself in what the machine says, for people.
    pub warnings: Vec<String>,
}

impl Survey {
    /// Of a machine that was not asked.
    pub fn empty(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            variables: Vec::new(),
            nodes: 0,
            is_partial: false,
            warnings: Vec::new(),
        }
    }
}

/// One variable.
#[derive(Clone, Debug, Serialize)]
pub struct Variable {
    /// The address of a point that reads it: a node id with its namespace's URI
    /// (`nsu=http://maker.example/;s=Load`), the id of a data item.
    pub address: String,
    /// Another address for the same: a node id with the number that the namespace has at the
    /// moment (`ns=2;s=Load`).
    pub node: String,
    /// From below the Objects folder, or from the device, to the variable itself.
    pub path: Vec<Arc<Step>>,
    /// For people.
    pub description: String,
    /// The point type that carries its values.
    ///
    /// # Errors
    /// Why no point can.
    pub data_type: Result<DataType, String>,
    /// The unit it says its values are in.
    pub unit: Option<UnitTold>,
    /// Where its values are expected.
    pub range: Option<Range>,
    /// How it holds between two values, where that is known.
    pub interpolation: Option<Interpolation>,
    /// The names of its states 0, 1, 2, ...; empty where it has none, or others.
    pub labels: Vec<String>,
    /// What may be semantic ids: dictionary entries, a `SemanticId` property, a definition.
    pub meanings: Vec<String>,
    /// Which of several components.
    pub qualifier: Option<String>,
    /// Its value at the moment, where a point could carry it.
    pub value: Option<Value>,
    /// The value's status.
    pub status: Status,
}

/// A node on the way to a variable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Step {
    /// Its browse name, or the name of a component or data item.
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

/// A unit as a machine tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnitTold {
    /// The unit, where it is known.
    pub unit: Option<Unit>,
    /// The machine's own words; empty: none.
    pub told: String,
}

/// Why there is no survey.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SurveyError(pub(super) String);

impl From<Failure> for SurveyError {
    fn from(failure: Failure) -> Self {
        Self(failure.to_string())
    }
}
