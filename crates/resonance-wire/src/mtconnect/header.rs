//! The root element and the header that every document begins with.

use std::fmt;

use resonance_plant::Timestamp;

use super::error::{WireError, cut};
use super::xml::{Tag, Token, Xml};
use super::{Kind, Limits};

/// A version of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the dot.
    pub major: u16,
    /// After it.
    pub minor: u16,
}

impl Version {
    /// Whether documents of this version were tested: 1.8 to 2.7.
    pub fn is_tested(self) -> bool {
        (Self { major: 1, minor: 8 }..=Self { major: 2, minor: 7 }).contains(&self)
    }

    /// From `2.7`; further parts are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        Some(Self { major, minor: parts.next()?.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A document's header (Part 1, 6).
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The version of the standard, from the root element's namespace.
    pub version: Version,
    /// The agent's own version.
    pub agent_version: String,
    /// The agent's name.
    pub sender: String,
    /// Changes when the agent starts anew: sequence numbers begin again, what it had is gone.
    pub instance_id: u64,
    /// When the document was made, by the agent's clock; `None` where it is no time.
    pub creation_time: Option<Timestamp>,
    /// Observations the agent keeps.
    pub buffer_size: u64,
    /// Whether the agent says that its data is for tests.
    pub is_test: bool,
    /// Which observations there are; only of [`Kind::Streams`].
    pub sequences: Option<Sequences>,
}

/// Sequence numbers in an agent's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequences {
    /// Of the oldest observation.
    pub first: u64,
    /// Of the newest.
    pub last: u64,
    /// The one to ask for next.
    pub next: u64,
}

/// A root element.
pub(super) struct Root<'a> {
    pub(super) kind: Kind,
    pub(super) version: Version,
    pub(super) tag: Tag<'a>,
}

/// Reads a document's root.
pub(super) fn open(document: &[u8], limits: Limits) -> Result<(Xml<'_>, Root<'_>), WireError> {
    let mut xml = Xml::new(document, limits.document_bytes_max)?;
    let Some(Token::Open(tag)) = xml.next()? else {
        return Err(WireError::Truncated { offset: 0, element: "nothing".into() });
    };
    let kinds = [Kind::Devices, Kind::Streams, Kind::Assets, Kind::Error];
    let Some(kind) = kinds.into_iter().find(|kind| kind.root() == tag.name()) else {
        let expected = "an MTConnect document";
        return Err(WireError::Root { offset: tag.offset, found: cut(tag.name()), expected });
    };
    let (mut namespace, prefix) = (String::new(), tag.prefix());
    tag.attributes(|name, value| {
        let declared = match name.split_once(':') {
            None => name == "xmlns" && prefix.is_empty(),
            Some((xmlns, bound)) => xmlns == "xmlns" && bound == prefix,
        };
        if declared {
            namespace = value.into_owned();
        }
    })?;
    let version = namespace
        .strip_prefix("urn:mtconnect.org:")
        .and_then(|rest| rest.strip_prefix(kind.root()))
        .and_then(|rest| Version::parse(rest.strip_prefix(':')?))
        .filter(|version| matches!(version.major, 1 | 2));
    let Some(version) = version else {
        return Err(WireError::Version { namespace: cut(&namespace) });
    };
    Ok((xml, Root { kind, version, tag }))
}

/// Reads a document of this kind up to the end of its header.
pub(super) fn begin(
    document: &[u8],
    limits: Limits,
    kind: Kind,
) -> Result<(Xml<'_>, Header), WireError> {
    let (mut xml, root) = open(document, limits)?;
    if root.kind != kind {
        let (offset, found) = (root.tag.offset, root.kind.root().into());
        return Err(WireError::Root { offset, found, expected: kind.root() });
    }
    loop {
        match xml.expect()? {
            Token::Open(tag) if tag.name() == "Header" => {
                let header = read(tag, root.version, kind)?;
                xml.skip()?;
                return Ok((xml, header));
            }
            Token::Open(_) => xml.skip()?,
            Token::Close => return Err(root.tag.missing("Header")),
            Token::Text(_) | Token::Char(_) => {}
        }
    }
}

fn read(tag: Tag<'_>, version: Version, kind: Kind) -> Result<Header, WireError> {
    const NUMBER: &str = "it must be a whole number from 0 to 2^64 - 1";
    let mut header = Header {
        version,
        agent_version: String::new(),
        sender: String::new(),
        instance_id: 0,
        creation_time: None,
        buffer_size: 0,
        is_test: false,
        sequences: None,
    };
    let (mut instance, mut first, mut last, mut next) = (None, None, None, None);
    let mut wrong = None;
    tag.attributes(|name, value| {
        let mut number = |attribute| {
            let parsed = value.trim().parse::<u64>().ok();
            if parsed.is_none() {
                wrong = Some(tag.invalid(attribute, &value, NUMBER));
            }
            parsed
        };
        match name {
            "version" => header.agent_version = value.into_owned(),
            "sender" => header.sender = value.into_owned(),
            "creationTime" => header.creation_time = Timestamp::parse_rfc3339(&value),
            "testIndicator" => header.is_test = matches!(&*value, "true" | "1"),
            "instanceId" => instance = number("instanceId"),
            "bufferSize" => header.buffer_size = number("bufferSize").unwrap_or(0),
            "firstSequence" => first = number("firstSequence"),
            "lastSequence" => last = number("lastSequence"),
            "nextSequence" => next = number("nextSequence"),
            _ => {}
        }
    })?;
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    header.instance_id = instance.ok_or_else(|| tag.missing("instanceId"))?;
    if kind == Kind::Streams {
        header.sequences = Some(Sequences {
            first: first.ok_or_else(|| tag.missing("firstSequence"))?,
            last: last.ok_or_else(|| tag.missing("lastSequence"))?,
            next: next.ok_or_else(|| tag.missing("nextSequence"))?,
        });
    }
    Ok(header)
}
