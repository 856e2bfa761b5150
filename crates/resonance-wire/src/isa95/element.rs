//! A message as a tree: what XML and JSON have in common.

use std::borrow::Cow;

/// An element with its attributes and either text or children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The local name.
    pub name: Cow<'static, str>,
    /// Names and values of attributes, in order.
    pub attributes: Vec<(Cow<'static, str>, String)>,
    /// What is inside.
    pub content: Content,
    /// Whether the XSD allows several of them side by side: an array in JSON, even if there is
    /// one. XML does not say, so it is false in what was read from XML.
    pub repeats: bool,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text; only characters that XML 1.0 has.
    Text(String),
    /// Elements, in order. None at all: an empty element.
    Children(Vec<Element>),
}

impl Element {
    /// An element with these children.
    pub fn parent(name: &'static str, children: Vec<Element>) -> Self {
        Self::new(name, Content::Children(children))
    }

    /// An element with text. Characters that XML 1.0 (2.2) lacks become U+FFFD; text of
    /// nothing becomes an empty element.
    pub fn leaf(name: &'static str, text: impl Into<String>) -> Self {
        Self::new(name, Content::of_text(clean(text.into())))
    }

    fn new(name: impl Into<Cow<'static, str>>, content: Content) -> Self {
        Self { name: name.into(), attributes: Vec::new(), content, repeats: false }
    }

    /// An element read from a peer.
    pub(super) fn read(name: String, content: Content) -> Self {
        Self::new(name, content)
    }

    /// The element as one of possibly several.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// The element with one more attribute.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), clean(value.into())));
        self
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Its children; none where it holds text.
    pub fn children(&self) -> &[Element] {
        match &self.content {
            Content::Children(children) => children,
            Content::Text(_) => &[],
        }
    }

    /// Its children with a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children().iter().filter(move |child| child.name == name)
    }

    /// The first child with a name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children().iter().find(|child| child.name == name)
    }

    /// Its text; empty where it has children.
    pub fn text(&self) -> &str {
        match &self.content {
            Content::Text(text) => text,
            Content::Children(_) => "",
        }
    }
}

impl Content {
    pub(super) fn of_text(text: String) -> Self {
        if text.is_empty() { Self::Children(Vec::new()) } else { Self::Text(text) }
    }
}

/// XML 1.0, 2.2: Char.
pub(super) const fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}'
        | '\u{10000}'..='\u{10FFFF}')
}

fn clean(text: String) -> String {
    if text.chars().all(is_xml) {
        return text;
    }
    text.chars().map(|c| if is_xml(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}
