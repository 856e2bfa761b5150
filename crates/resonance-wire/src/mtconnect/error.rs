//! What is wrong with a document: always the sender's fault, with the place.

/// Longest text of the peer's that a message repeats, characters.
const PEER_TEXT_MAX: usize = 64;

/// A document that is refused. Offsets are in bytes from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Longer than allowed; nothing of the surplus was kept.
    #[error("at byte {offset}: a document of {} than the {limit} bytes allowed; raise document_bytes_max if the agent is that large", announced(*.size))]
    TooLarge {
        /// Where the document begins in its stream.
        offset: u64,
        /// What it announced, if it did.
        size: Option<u64>,
        /// What is allowed.
        limit: usize,
    },
    /// Not UTF-8, which every agent sends.
    #[error("byte {offset} is not UTF-8")]
    NotUtf8 {
        /// The first such byte.
        offset: usize,
    },
    /// Not well-formed XML 1.0.
    #[error("at byte {offset}: {problem}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What is wrong.
        problem: String,
    },
    /// It ends before it is complete.
    #[error("the document is cut off at byte {offset}, inside {element}")]
    Truncated {
        /// Its length.
        offset: usize,
        /// The innermost element that is open.
        element: String,
    },
    /// A document type declaration: entities and external subsets are not read.
    #[error(
        "at byte {offset}: a DOCTYPE; MTConnect documents have none, and entities are not read"
    )]
    Doctype {
        /// Where.
        offset: usize,
    },
    /// An entity that XML does not predefine.
    #[error("at byte {offset}: the entity &{name}; is not one of XML's own")]
    Entity {
        /// Where.
        offset: usize,
        /// Its name.
        name: String,
    },
    /// Elements within each other, too many.
    #[error("at byte {offset}: elements are nested deeper than {limit}")]
    TooDeep {
        /// Where.
        offset: usize,
        /// How deep they may be.
        limit: usize,
    },
    /// More of something than is kept.
    #[error("at byte {offset}: more than {limit} {what}")]
    TooMany {
        /// Where.
        offset: usize,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// Another kind of document.
    #[error(
        "<{found}> at byte {offset} where {expected} was expected; is the address that of an MTConnect agent?"
    )]
    Root {
        /// Where.
        offset: usize,
        /// Its root element.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A version whose documents are built differently.
    #[error(
        "the document's namespace is {namespace:?}; versions 1.x and 2.x of MTConnect are read (1.8 to 2.7 were tested)"
    )]
    Version {
        /// The namespace of the root element.
        namespace: String,
    },
    /// An attribute or element that the standard requires.
    #[error("at byte {offset}: <{element}> has no {missing}")]
    Missing {
        /// Where.
        offset: usize,
        /// In which element.
        element: String,
        /// What.
        missing: &'static str,
    },
    /// A value that means nothing.
    #[error("at byte {offset}: {attribute} of <{element}> is {value:?}; {expected}")]
    Value {
        /// Where the element begins.
        offset: usize,
        /// Which element.
        element: String,
        /// Which attribute.
        attribute: &'static str,
        /// Its value, cut.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// The frame around documents in a stream.
    #[error("at byte {offset} of the stream: {problem}")]
    Frame {
        /// Where.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
}

fn announced(size: Option<u64>) -> String {
    size.map_or_else(|| "more".into(), |size| format!("{size} bytes, more"))
}

/// A text of the peer's, short enough for a message.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(PEER_TEXT_MAX) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}
