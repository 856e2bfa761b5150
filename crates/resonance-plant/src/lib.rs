//! The vocabulary of a plant: what every other crate agrees on. No IO.
//!
//! A [`Point`] is one variable of an [`Asset`]; an [`Observation`] is its value at a source time
//! with a [`Status`]; a [`ResultRecord`] is one answer of a model; an [`Event`] is something that
//! happened and is worth keeping. Everything numeric about time is a [`Timestamp`] in UTC.

pub mod asset;
pub mod class;
pub mod clock;
pub mod definition;
pub mod event;
pub mod last_values;
pub mod observation;
pub mod result;
mod schema;
pub mod semantic;
pub mod status;
pub mod tensor;
pub mod time;
pub mod unit;
pub mod value;

pub use asset::{Asset, AssetId, Interpolation, Plant, Point, PointIndex, Range};
pub use class::{EquipmentClass, ModelCategory};
pub use clock::{Clock, ManualClock, SystemClock};
pub use definition::{CategoryDefinition, ClassDefinition};
pub use event::{Code, Event, EventSink, Principal, Role, Severity};
pub use last_values::LastValues;
pub use observation::{BLOCK_CAPACITY, Block, Observation};
pub use result::{Latency, ModelUsed, OutputValue, ResultId, ResultRecord, WindowRef};
pub use semantic::{Qualifier, SemanticId};
pub use status::Status;
pub use tensor::{Dim, ElementType, Signature, Tensor, TensorBuf, TensorSpec};
pub use time::Timestamp;
pub use unit::{QuantityKind, Unit};
pub use value::{DataType, Value, ValueKind};
