//! What a model answered, complete enough to stand alone.

use std::fmt;
use std::sync::Arc;

use crate::{
    ModelCategory, PointIndex, Qualifier, QuantityKind, SemanticId, Status, Timestamp, Unit, Value,
};

/// A stable name of a result: the same for every delivery and every replay of the same input.
///
/// The first 128 bits of SHA-256 over deployment, model digest, window end and sequence, written
/// as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResultId(pub [u8; 16]);

impl ResultId {
    /// The id of the result that `deployment` gave with the model of `digest` for the window that
    /// ended at `window_end`, as its `sequence`-th.
    pub fn derive(deployment: &str, digest: &str, window_end: Timestamp, sequence: u64) -> Self {
        use sha2::Digest;
        let mut hash = sha2::Sha256::new();
        for part in [deployment.as_bytes(), digest.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(window_end.nanos().to_le_bytes());
        hash.update(sequence.to_le_bytes());
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

impl fmt::Display for ResultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text that is no result id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a result id has 32 hexadecimal digits")]
pub struct NotAResultId;

impl std::str::FromStr for ResultId {
    type Err = NotAResultId;

    fn from_str(text: &str) -> Result<Self, NotAResultId> {
        let digits = text.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NotAResultId);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| NotAResultId)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl fmt::Debug for ResultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for ResultId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Exactly which model gave an answer, and by what means.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ModelUsed {
    /// The package's name.
    pub name: Arc<str>,
    /// The package's version.
    pub version: Arc<str>,
    /// `sha256:` and the digest of the package.
    pub digest: Arc<str>,
    /// The engine that ran it, such as `onnxruntime 1.31.1`.
    pub engine: Arc<str>,
    /// Where its training data came from, in the card's words, such as `recorded` or
    /// `simulated`; a result never hides that its model knows only a simulation.
    pub trained_on: Arc<str>,
    /// Set where this is not the model the deployment asks for first.
    pub fallback: Option<FallbackUsed>,
}

/// How an answer came about when the deployment's own model could not give it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FallbackUsed {
    /// The last answer, held; its status is UncertainLastUsableValue.
    HoldLast,
    /// Another model of the deployment answered.
    FallBackTo,
}

/// The part of a plant's history that one inference saw.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct WindowRef {
    /// Source time of the oldest sample.
    pub from: Timestamp,
    /// Source time of the newest sample.
    pub to: Timestamp,
    /// Samples per point.
    pub samples: u32,
    /// Paths of the points, `asset.point`, in binding order.
    pub points: Arc<[Arc<str>]>,
    /// The worst status among the samples.
    pub worst_status: Status,
}

/// How wide the truth may lie around a value.
#[derive(Clone, Copy, PartialEq, Debug, serde::Serialize)]
pub struct Uncertainty {
    /// Lower end of the interval, in the value's unit.
    pub low: f64,
    /// Upper end of the interval, in the value's unit.
    pub high: f64,
    /// The share of cases in which the interval covers the truth, 0 to 1.
    pub coverage: f64,
}

/// One value of an answer.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct OutputValue {
    /// The output's name in the package.
    pub name: Arc<str>,
    /// The point that carries it, for other models and for servers.
    #[serde(skip)]
    pub point: Option<PointIndex>,
    /// The value; a class number where `label` is set.
    pub value: Value,
    /// The name of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// What is measured; `None` for states and texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<QuantityKind>,
    /// In which unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// What it means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semantic_id: Option<SemanticId>,
    /// Which component of the asset it is about.
    #[serde(skip_serializing_if = "Qualifier::is_none")]
    pub qualifier: Qualifier,
    /// How sure the model is of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<Uncertainty>,
    /// How good this value is; the record's status is the worst of its values' and inputs'.
    pub status: Status,
}

/// How long an answer took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct Latency {
    /// In the engine, for the batch this answer was part of.
    pub inference_us: u32,
    /// From the receipt of the observation that triggered it to the finished record.
    pub total_us: u32,
    /// What the package allows for inference; zero: no budget.
    pub budget_us: u32,
}

/// One answer of a model.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct ResultRecord {
    /// The same for every delivery.
    pub id: ResultId,
    /// Which deployment gave it.
    pub deployment: Arc<str>,
    /// Which asset it is about.
    pub asset: Arc<str>,
    /// The role that asset has at its place: enterprise / site / area / work center / work unit.
    pub equipment_id: Arc<str>,
    /// The machine that filled the role; a swap ends what was learned on the old one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical_asset_id: Option<Arc<str>>,
    /// The part that was judged, where the plant file says which point names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_id: Option<Arc<str>>,
    /// What kind of model: fixes the meaning of the outputs.
    pub category: ModelCategory,
    /// Exactly which model.
    pub model: Arc<ModelUsed>,
    /// Counts the deployment's results from one; survives restarts only with the spool.
    pub sequence: u64,
    /// The answer.
    pub outputs: Vec<OutputValue>,
    /// What it was computed from.
    pub window: WindowRef,
    /// The end of the window: the moment the answer is about.
    pub source_time: Timestamp,
    /// When it was computed.
    pub computed_at: Timestamp,
    /// When it turns stale.
    pub valid_until: Timestamp,
    /// How long it took.
    pub latency: Latency,
    /// The worst of its inputs, or worse.
    pub status: Status,
    /// Computed from history after an outage: it never alarms and never commands.
    pub backfilled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_and_depend_on_every_part() {
        let end = Timestamp::from_millis(1_000);
        let id = ResultId::derive("wear", "sha256:ab", end, 1);
        assert_eq!(id, ResultId::derive("wear", "sha256:ab", end, 1));
        for other in [
            ResultId::derive("wears", "ha256:ab", end, 1),
            ResultId::derive("wear", "sha256:ac", end, 1),
            ResultId::derive("wear", "sha256:ab", Timestamp::EPOCH, 1),
            ResultId::derive("wear", "sha256:ab", end, 2),
        ] {
            assert_ne!(id, other);
        }
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse(), Ok(id));
        for none in ["", "+2345678901234567890123456789012", "1234", "zz"] {
            assert_eq!(none.parse::<ResultId>(), Err(NotAResultId), "{none}");
        }
    }
}
