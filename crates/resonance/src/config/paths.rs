//! The paths that a plant file names, and what is at them.

use std::ops::Range;

use super::PlantText;
use super::diagnostic::Diagnostics;
use super::document::{Document, Node};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathRole {
    /// A model package.
    Package,
    /// A folder of certificates.
    Trust,
    /// Certificates.
    Certificate,
    /// A private key.
    Key,
    /// What a source plays.
    Recording,
    /// The result spool.
    Spool,
    /// What is served, kept.
    Recorded,
    /// The file of events.
    Log,
}

impl PathRole {
    /// Why it is in no backup, if it is not.
    pub(crate) fn left_out(self) -> Option<&'static str> {
        match self {
            Self::Key => Some("a private key"),
            Self::Recording => Some("data that a source reads"),
            Self::Recorded => Some("what was served: data, not what the plant is"),
            Self::Log => Some("the file of events: what happened, not what the plant is"),
            Self::Package | Self::Trust | Self::Certificate | Self::Spool => None,
        }
    }
}

/// A path in a plant file.
#[derive(Clone, Debug)]
pub(crate) struct NamedPath {
    /// The key, from the root.
    pub(crate) key: String,
    /// As it is written.
    pub(crate) text: String,
    /// Where it stands in the text, quotes included.
    pub(crate) span: Range<usize>,
    /// What is there.
    pub(crate) role: PathRole,
}

/// In lists of tables: the list, the keys down to the path, and what it is.
const IN_LISTS: [(&str, &[&str], PathRole); 11] = [
    ("deployment", &["model"], PathRole::Package),
    ("deployment", &["fallback", "model"], PathRole::Package),
    ("deployment", &["remote", "ca_file"], PathRole::Certificate),
    ("model", &["folder"], PathRole::Package),
    ("source", &["pki"], PathRole::Trust),
    ("source", &["user_certificate"], PathRole::Certificate),
    ("source", &["ca_file"], PathRole::Certificate),
    ("source", &["file"], PathRole::Recording),
    ("source", &["folder"], PathRole::Recording),
    ("sink", &["ca_file"], PathRole::Certificate),
    ("user", &["certificate"], PathRole::Certificate),
];

/// Elsewhere.
const SINGLE: [(&[&str], PathRole); 9] = [
    (&["server", "opcua", "pki"], PathRole::Trust),
    (&["server", "http", "tls", "certificate"], PathRole::Certificate),
    (&["server", "http", "tls", "key"], PathRole::Key),
    (&["server", "grpc", "tls", "certificate"], PathRole::Certificate),
    (&["server", "grpc", "tls", "key"], PathRole::Key),
    (&["traces", "ca_file"], PathRole::Certificate),
    (&["spool", "path"], PathRole::Spool),
    (&["record", "folder"], PathRole::Recorded),
    (&["events_file"], PathRole::Log),
];

impl PlantText {
    /// Every path in the text that is known as one.
    pub(crate) fn named_paths(&self) -> Vec<NamedPath> {
        let document = Document::parse(&self.text, &mut Diagnostics::default());
        let root = document.root();
        let mut found = Vec::new();
        for (list, keys, role) in IN_LISTS {
            root.list(list).iter().for_each(|entry| found.extend(below(entry, keys, role)));
        }
        for (keys, role) in SINGLE {
            found.extend(below(&root, keys, role));
        }
        found
    }

    /// The text with other texts in some places.
    pub(crate) fn with_replaced(&self, mut replaced: Vec<(Range<usize>, String)>) -> String {
        replaced.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut text = self.text.clone();
        for (span, new) in replaced {
            text.replace_range(span, &toml::Value::from(new).to_string());
        }
        text
    }
}

fn below(node: &Node<'_>, keys: &[&str], role: PathRole) -> Option<NamedPath> {
    let mut at = node.clone();
    for key in keys {
        at = at.get(key)?;
    }
    let text = at.text()?.to_owned();
    Some(NamedPath { key: at.place.path, text, span: at.place.span, role })
}
