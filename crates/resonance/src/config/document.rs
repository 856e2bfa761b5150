//! A plant file as text and as a tree in which everything knows where it stands.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Diagnostics, Mistake, Place};
use super::nearest::nearest;

/// A parsed plant file. What could be understood of it is there even where the rest is not TOML.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    root: Spanned<DeValue<'t>>,
}

impl<'t> Document<'t> {
    /// Parses the text; every syntax error becomes a diagnostic.
    pub(crate) fn parse(text: &'t str, out: &mut Diagnostics) -> Self {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let place = Place { span: within(text, span), path: String::new() };
            let message = error.message().replace('\n', "; ");
            out.push(Diagnostic::error(Mistake::Syntax, &place, message).remedy(
                "see https://toml.io for the syntax; strings are in quotes, tables in brackets",
            ));
        }
        let span = root.span();
        Self { root: Spanned::new(span, DeValue::Table(root.into_inner())) }
    }

    /// The whole file.
    pub(crate) fn root(&self) -> Node<'_> {
        Node { value: &self.root, place: Place::default() }
    }

    /// A copy of the tree, to be deserialized, without what stands under a key.
    pub(crate) fn to_root_without(&self, left_out: &str) -> Spanned<DeValue<'t>> {
        let all = self.root.as_ref().as_table().into_iter().flatten();
        let rest = all.filter(|(key, _)| key.as_ref() != left_out);
        let rest = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
        Spanned::new(self.root.span(), DeValue::Table(rest))
    }

    /// Where secrets stand in the text, though they should not: never to be shown.
    pub(crate) fn secrets(&self) -> Vec<Range<usize>> {
        self.texts().filter(|(key, text, _)| is_secret(key, text)).map(|(.., at)| at).collect()
    }

    /// The secrets that stand in the text, as they are meant.
    pub(crate) fn secrets_as_texts(&self) -> Vec<String> {
        let secrets = self.texts().filter(|(key, text, _)| is_secret(key, text));
        secrets.map(|(_, text, _)| text.to_owned()).collect()
    }

    /// Every text that says where a secret is.
    pub(crate) fn secret_references(&self) -> Vec<String> {
        let references = self.texts().filter(|(_, text, _)| is_reference(text));
        references.map(|(_, text, _)| text.to_owned()).collect()
    }

    /// Every text and number with the nearest key above it and its place.
    fn texts(&self) -> impl Iterator<Item = (&str, &str, Range<usize>)> {
        let mut found = Vec::new();
        collect_texts(&self.root, "", &mut found);
        found.into_iter()
    }
}

/// A range of bytes that lies within the text and on characters.
fn within(text: &str, span: Range<usize>) -> Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

fn collect_texts<'d>(
    value: &'d Spanned<DeValue<'_>>,
    key: &'d str,
    found: &mut Vec<(&'d str, &'d str, Range<usize>)>,
) {
    match value.as_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                collect_texts(value, key.as_ref(), found);
            }
        }
        DeValue::Array(items) => {
            for item in items {
                collect_texts(item, key, found);
            }
        }
        DeValue::String(text) => found.push((key, text, value.span())),
        // A PIN without quotes is refused, and a secret all the same.
        DeValue::Integer(number) => found.push((key, number.as_str(), value.span())),
        DeValue::Float(number) => found.push((key, number.as_str(), value.span())),
        DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

fn is_secret(key: &str, text: &str) -> bool {
    let in_url = userinfo(text).is_some_and(|user| user.contains(':'));
    in_url || is_in_query(text) || (is_named_secret(key) && !is_reference(text))
}

fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// Whether a key says, perhaps misspelt, that its value is a secret.
fn is_named_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let parts = ["pass", "pwd", "secret", "token", "api_key", "api-key", "apikey", "authorization"];
    parts.iter().any(|part| key.contains(part))
        || nearest(&key, ["password", "password_hash"]).is_some()
}

/// Whether a parameter of a URL is named like a secret.
fn is_in_query(url: &str) -> bool {
    let query = url.split_once("://").and_then(|(_, rest)| rest.split_once('?'));
    let mut names = query.into_iter().flat_map(|(_, query)| query.split('&'));
    names.any(|parameter| is_named_secret(parameter.split('=').next().unwrap_or_default()))
}

/// The part before `@` in the authority of a URL.
pub(crate) fn userinfo(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(user, _)| user)
}

/// A value in a document.
#[derive(Clone, Debug)]
pub(crate) struct Node<'d> {
    pub(crate) value: &'d Spanned<DeValue<'d>>,
    /// Where it stands.
    pub(crate) place: Place,
}

impl<'d> Node<'d> {
    /// What stands under a key, if this is a table and has it.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.as_ref().as_table()?.get(key)?;
        Some(Self { value, place: Place { span: value.span(), path: self.path_of(key) } })
    }

    /// Every key of a table with its place and value.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'d str, Place, Self)> {
        self.value.as_ref().as_table().into_iter().flatten().map(|(key, value)| {
            let path = self.path_of(key.as_ref());
            let at_key = Place { span: key.span(), path: path.clone() };
            (
                key.as_ref().as_ref(),
                at_key,
                Self { value, place: Place { span: value.span(), path } },
            )
        })
    }

    /// The items of an array.
    pub(crate) fn items(&self) -> impl Iterator<Item = Self> {
        self.value.as_ref().as_array().into_iter().flatten().enumerate().map(|(at, value)| Self {
            value,
            place: Place { span: value.span(), path: format!("{}[{at}]", self.place.path) },
        })
    }

    /// The items of the array under a key; none where there is no such array. A table in place of
    /// an array counts as its only item: `[asset]` is refused, but what it defines is known.
    pub(crate) fn list(&self, key: &str) -> Vec<Self> {
        match self.get(key) {
            Some(table) if table.value.as_ref().is_table() => vec![table],
            Some(array) => array.items().collect(),
            None => Vec::new(),
        }
    }

    /// The text, if this is one.
    pub(crate) fn text(&self) -> Option<&'d str> {
        self.value.as_ref().as_str()
    }

    /// The truth, if this is one.
    pub(crate) fn truth(&self) -> Option<bool> {
        self.value.as_ref().as_bool()
    }

    /// The number, if this is one; whole numbers count as numbers.
    pub(crate) fn number(&self) -> Option<f64> {
        match self.value.as_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => self.integer().map(|number| number as f64),
        }
    }

    /// The whole number, if this is one and no larger than 128 bits.
    pub(crate) fn integer(&self) -> Option<i128> {
        let number = self.value.as_ref().as_integer()?;
        i128::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// The text under a key together with its node.
    pub(crate) fn text_at(&self, key: &str) -> Option<(&'d str, Self)> {
        let node = self.get(key)?;
        Some((node.text()?, node))
    }

    /// Whether this is a table and has the key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.value.as_ref().as_table().is_some_and(|table| table.contains_key(key))
    }

    fn path_of(&self, key: &str) -> String {
        match self.place.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }
}
