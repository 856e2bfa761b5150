//! What a kind of equipment and a kind of model mean: the data files under `classes/`.
//!
//! They are embedded into the program. Where a point's name was found in a companion
//! specification, `found_in` says where; a point without it carries an unverified name.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{DataType, EquipmentClass, ModelCategory, QuantityKind, SemanticId, Unit};

/// Said wherever a list of classes or categories is shown.
pub const OWN_READING: &str = "Resonance's own reading; the standard's text is not public";

/// A kind of equipment: which points an asset of it is expected to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassDefinition {
    /// The class.
    pub id: EquipmentClass,
    /// For people.
    pub title: String,
    /// Where its place in the list comes from.
    pub source: String,
    /// The companion specifications whose names were used, with versions.
    pub follows: Vec<String>,
    /// The expected points.
    #[serde(rename = "point")]
    pub points: Vec<ExpectedPoint>,
}

/// A point that an asset of a class is expected to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedPoint {
    /// What the point means; a plant file's point with this semantic id is it.
    pub semantic_id: SemanticId,
    /// For people.
    pub meaning: String,
    /// What its values are.
    pub kind: ValueForm,
    /// What it measures, where it is a quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<QuantityKind>,
    /// A usual unit; any other of the quantity is as good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Whether an asset without it lacks something.
    #[serde(default)]
    pub required: bool,
    /// The component that there may be several of, told apart by the qualifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Companion specification and path where the name was found; empty: unverified.
    #[serde(default)]
    pub found_in: Vec<String>,
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueForm {
    /// Numbers.
    Number,
    /// States, as numbers with labels, booleans or texts.
    State,
    /// Texts, such as names and identities.
    Text,
    /// One of the labels of an output.
    Label,
}

impl ValueForm {
    /// Whether values of this type can be it.
    pub fn admits(self, data_type: DataType) -> bool {
        match self {
            Self::Number => {
                data_type != DataType::Boolean
                    && (data_type.is_numeric() || data_type == DataType::Float64Array)
            }
            Self::Text => data_type == DataType::String,
            Self::State | Self::Label => data_type != DataType::Float64Array,
        }
    }
}

/// A kind of model: which outputs a model of it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryDefinition {
    /// The category.
    pub id: ModelCategory,
    /// For people.
    pub title: String,
    /// What its answers are about.
    pub meaning: String,
    /// Where its place in the list comes from.
    pub source: String,
    /// How a result is told to other systems.
    pub expressed_as: Expression,
    /// The outputs.
    #[serde(rename = "output")]
    pub outputs: Vec<CategoryOutput>,
}

/// An output of a category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryOutput {
    /// Its name within the category.
    pub name: String,
    /// For people.
    pub meaning: String,
    /// What its values are.
    pub kind: ValueForm,
    /// What it may measure; empty: anything.
    #[serde(default)]
    pub quantities: Vec<QuantityKind>,
    /// The least value, in the output's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<f64>,
    /// The greatest value, in the output's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greatest: Option<f64>,
    /// Whether a model without it is none of the category.
    #[serde(default)]
    pub required: bool,
}

/// How a result is told to other systems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// The element of B2MML 7.0 that carries it.
    pub isa95: String,
    /// The OPC UA variable type of its first output.
    pub opcua: String,
    /// The MTConnect category: Sample, Event or Condition.
    pub mtconnect: String,
}

impl EquipmentClass {
    /// What the class means.
    pub fn definition(self) -> &'static ClassDefinition {
        static ALL: LazyLock<Vec<ClassDefinition>> = LazyLock::new(|| {
            EquipmentClass::ALL.iter().map(|class| parsed(class.file())).collect()
        });
        // `ALL` is in the order of the variants.
        &ALL[self as usize]
    }
}

impl ModelCategory {
    /// What the category means.
    pub fn definition(self) -> &'static CategoryDefinition {
        static ALL: LazyLock<Vec<CategoryDefinition>> =
            LazyLock::new(|| ModelCategory::ALL.iter().map(|kind| parsed(kind.file())).collect());
        // `ALL` is in the order of the variants.
        &ALL[self as usize]
    }
}

fn parsed<T: serde::de::DeserializeOwned>(file: &'static str) -> T {
    // The files are part of the program, and the tests below read every one of them.
    toml::from_str(file).unwrap_or_else(|error| panic!("an embedded class file is wrong: {error}"))
}

#[cfg(test)]
mod tests;
