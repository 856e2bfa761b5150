//! Results as B2MML 7.0 messages (ISA-95 parts 2, 4 and 5), and what a MES answers.
//!
//! One [`Element`] tree a message, in the order of the XSDs, written as XML or as B2MML-JSON: both
//! forms say the same. Which object a result becomes is in [`Object::of`]; docs/specs holds the
//! mapping of every field. What comes from a peer is read with bounds on bytes, depth and number
//! of elements; document types and entities of its own are refused.

mod bod;
mod element;
mod error;
mod json;
mod object;
mod properties;
mod record;
mod reply;
mod test_result;
#[cfg(test)]
mod tests;
mod work_alert;
mod work_schedule;
mod xml;

pub use bod::{Confirmation, Envelope, message};
pub use element::{Content, Element};
pub use error::{RecordError, ReplyError};
pub use object::Object;
pub use record::{Answer, Output};
pub use reply::{Reply, Verdict, confirm_bod, read_reply};

/// The namespace of B2MML, the same in every version.
pub const NAMESPACE: &str = "http://www.mesa.org/xml/B2MML";
/// The version of B2MML that is written.
pub const RELEASE: &str = "7.0";
