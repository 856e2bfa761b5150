//! Why a request is refused, or an answer cannot be given in the form asked for.

/// Longest text of the peer's that a message repeats, characters.
const PEER_TEXT_MAX: usize = 64;

/// A request that is refused: always the peer's fault, always with the particulars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The JSON part is not JSON (RFC 8259).
    #[error("the request is not valid JSON at byte {offset}: {problem}")]
    Json {
        /// Where.
        offset: usize,
        /// What was expected.
        problem: &'static str,
    },
    /// Arrays and objects within each other, too many.
    #[error("the request nests deeper than {limit} levels at byte {offset}")]
    TooDeep {
        /// Where.
        offset: usize,
        /// How deep it may be.
        limit: usize,
    },
    /// A field of the request itself.
    #[error("{field:?} at byte {offset}: {problem}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Where.
        offset: usize,
        /// What is wrong, and what is right.
        problem: String,
    },
    /// An input tensor.
    #[error("input {input:?}: {problem}")]
    Input {
        /// Which input.
        input: String,
        /// What is wrong, and what is right.
        problem: String,
    },
    /// An input that the model does not have.
    #[error("the model has no input {input:?}; it takes {known}")]
    UnknownInput {
        /// The name asked for.
        input: String,
        /// The inputs it has.
        known: String,
    },
    /// An input that the model needs.
    #[error("input {input:?} is missing; it must be {expected}")]
    MissingInput {
        /// Which input.
        input: String,
        /// Its element type and shape.
        expected: String,
    },
    /// An output that the model does not have.
    #[error("the model has no output {output:?}; it gives {known}")]
    UnknownOutput {
        /// The name asked for.
        output: String,
        /// The outputs it has.
        known: String,
    },
    /// An output asked for in a way that is not possible.
    #[error("output {output:?}: {problem}")]
    Output {
        /// Which output.
        output: String,
        /// What is wrong, and what is right.
        problem: String,
    },
    /// A parameter that would change what the request means, and is not supported.
    #[error("parameter {parameter:?}: {problem}")]
    Parameter {
        /// Which parameter.
        parameter: String,
        /// Why not, and what to do instead.
        problem: &'static str,
    },
    /// Lengths of the JSON and binary parts that do not fit the body.
    #[error("binary tensor data: {0}")]
    Binary(String),
}

/// An answer that cannot be given in the form asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "output {output:?}: JSON cannot carry {what}; ask for it with the parameter \"binary_data\": \
     true"
)]
pub struct ResponseError {
    /// Which output.
    pub output: String,
    /// What stands in the way.
    pub what: String,
}

/// Text of the peer's as messages repeat it: bounded.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(PEER_TEXT_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}
