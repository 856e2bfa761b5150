//! Why a result cannot be written or an answer not be read.

/// A result that the spool holds and that is none: our fault, or that of who wrote the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the result's JSON is not a result record: {0}")]
pub struct RecordError(pub(super) String);

/// An answer that says nothing about delivery: the peer's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// There is none.
    #[error("the answer is empty; it must be a ConfirmBOD or an Acknowledge message")]
    Empty,
    /// More than an answer can sensibly need.
    #[error("the answer is larger than {limit} {what}")]
    TooLarge {
        /// Of what there is too much: `bytes`, `elements`, `levels`, `attributes`.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A document type, or an entity that XML does not have by itself.
    #[error("the answer has a document type or entities of its own, which are never expanded")]
    Entities,
    /// Neither well-formed XML nor JSON of the form expected.
    #[error("the answer is not well-formed {form} at byte {offset}: {problem}")]
    Malformed {
        /// `XML` or `JSON`.
        form: &'static str,
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// Well-formed, and something else.
    #[error("the answer is <{0}>, not a ConfirmBOD or an Acknowledge message")]
    Other(String),
    /// A part that must be there is missing.
    #[error("the answer <{message}> lacks {part}")]
    Missing {
        /// Which message.
        message: String,
        /// What it lacks.
        part: &'static str,
    },
    /// The answer does not say whether the message was taken.
    #[error("the answer says {0:?}, which is neither Accepted, Modified nor Rejected")]
    Unclear(String),
}

/// Longest text of the peer's that a message repeats, characters.
const PEER_TEXT_MAX: usize = 200;

/// The peer's text, short and without control characters.
pub(super) fn quoted(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(PEER_TEXT_MAX).collect()
}
