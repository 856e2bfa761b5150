//! What a value means, independent of what a vendor calls it.

use std::fmt;
use std::sync::Arc;

/// A URI or IRDI that says what a point or a tensor element means (IEC 61360, ISO/IEC 11179-6).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct SemanticId(Arc<str>);

impl SemanticId {
    /// Reads a URI (with a scheme) or an IRDI such as `0173-1#02-AAH996#003`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, NotSemantic> {
        if text.is_empty() {
            return Err(NotSemantic::Empty);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(NotSemantic::Blank);
        }
        if is_irdi(text) || is_uri(text) {
            return Ok(Self(text.into()));
        }
        Err(NotSemantic::Neither)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an IRDI; else it is a URI.
    pub fn is_irdi(&self) -> bool {
        is_irdi(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for SemanticId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for SemanticId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SemanticId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.0)
    }
}

/// Why a text is not a semantic id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSemantic {
    /// Nothing there.
    #[error("a semantic id may not be empty")]
    Empty,
    /// White space or control characters.
    #[error("a semantic id has no spaces or control characters")]
    Blank,
    /// No scheme and no IRDI form.
    #[error("neither a URI (scheme:...) nor an IRDI (0173-1#02-AAH996#003)")]
    Neither,
}

/// Which component of an asset: `X`, `zone-3`. Empty where the asset has only one.
#[derive(
    Clone,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    Debug,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Qualifier(pub Arc<str>);

impl Qualifier {
    /// Whether no component is named.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Qualifier {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            && !rest.is_empty()
    })
}

/// ISO/IEC 11179-6 as ECLASS and IEC CDD write it: registration authority # code space-item # version.
fn is_irdi(text: &str) -> bool {
    let parts: Vec<&str> = text.split('#').collect();
    let [authority, item, version] = parts.as_slice() else { return false };
    authority.starts_with(|c: char| c.is_ascii_digit())
        && authority.chars().all(|c| c.is_ascii_alphanumeric() || "-/_".contains(c))
        && item.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !item.is_empty()
        && !version.is_empty()
        && version.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_and_irdis_are_told_from_tags() {
        for good in [
            "urn:resonance:spindle:load",
            "https://x.example/a#b",
            "0173-1#02-AAH996#003",
            "0112/2///61360_4#AAE530#001",
        ] {
            let parsed = SemanticId::parse(good);
            assert!(parsed.is_ok(), "{good}");
        }
        assert_eq!(SemanticId::parse(""), Err(NotSemantic::Empty));
        assert_eq!(SemanticId::parse("urn:a b"), Err(NotSemantic::Blank));
        assert_eq!(SemanticId::parse("DB17.X4"), Err(NotSemantic::Neither));
    }
}
