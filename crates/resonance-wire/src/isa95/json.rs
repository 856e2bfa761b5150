//! The B2MML-JSON form: members named as the elements, attributes with `@` before their name, text
//! as `$` where there are attributes, arrays where the XSD allows several. Simple values are
//! written as text, so that nothing loses digits.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::error::quoted;
use super::reply::{BYTES_MAX, DEPTH_MAX, ELEMENTS_MAX};
use super::{Content, Element, ReplyError};

impl Element {
    /// The element as the only member of an object.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 << 10);
        out.push(b'{');
        string(&self.name, &mut out);
        out.push(b':');
        value(self, &mut out);
        out.push(b'}');
        out
    }

    /// Reads an object of a peer with one member that is no attribute: bounded.
    ///
    /// # Errors
    /// See [`ReplyError`]; never panics, whatever the bytes.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReplyError> {
        if bytes.len() > BYTES_MAX {
            return Err(ReplyError::TooLarge { what: "bytes", limit: BYTES_MAX });
        }
        let left = Cell::new(ELEMENTS_MAX);
        let mut found = Vec::new();
        let seed = Child { name: String::new(), depth: 0, left: &left, into: &mut found };
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let malformed = |offset: usize, problem: &str| ReplyError::Malformed {
            form: "JSON",
            offset: offset as u64,
            problem: quoted(problem),
        };
        let read = seed.deserialize(&mut reader).and_then(|()| reader.end());
        read.map_err(|error| malformed(offset_of(bytes, &error), &error.to_string()))?;
        let mut members = match found.pop().map(|outer| outer.content) {
            Some(Content::Children(members)) => members,
            _ => Vec::new(),
        };
        match (members.pop(), members.is_empty()) {
            (Some(root), true) => Ok(root),
            _ => Err(malformed(0, "an object with exactly one message was expected")),
        }
    }
}

/// Lines and columns count from one.
fn offset_of(bytes: &[u8], error: &serde_json::Error) -> usize {
    let before = bytes.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    before.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1)
}

fn value(element: &Element, out: &mut Vec<u8>) {
    if let Content::Text(text) = &element.content
        && element.attributes.is_empty()
    {
        return string(text, out);
    }
    out.push(b'{');
    let mut first = true;
    let mut key = |name: &str, prefix: &str, out: &mut Vec<u8>| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        string(&format!("{prefix}{name}"), out);
        out.push(b':');
    };
    for (name, value) in &element.attributes {
        key(name, "@", out);
        string(value, out);
    }
    match &element.content {
        Content::Text(text) => {
            key("$", "", out);
            string(text, out);
        }
        Content::Children(children) => {
            // XSD sequences keep elements of one name side by side.
            for run in children.chunk_by(|a, b| a.name == b.name) {
                let Some(head) = run.first() else { continue };
                key(&head.name, "", out);
                if !head.repeats && run.len() == 1 {
                    value(head, out);
                    continue;
                }
                out.push(b'[');
                for (at, item) in run.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    value(item, out);
                }
                out.push(b']');
            }
        }
    }
    out.push(b'}');
}

fn string(text: &str, out: &mut Vec<u8>) {
    // Writing text to a Vec does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// One member: becomes one element, or several where it is an array.
struct Child<'a> {
    name: String,
    depth: usize,
    left: &'a Cell<usize>,
    into: &'a mut Vec<Element>,
}

impl<'de> DeserializeSeed<'de> for Child<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Child<'_> {
    fn take<E: Error>(&self) -> Result<(), E> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| E::custom(format!("more than {ELEMENTS_MAX} values")))?);
        if self.depth > DEPTH_MAX {
            return Err(E::custom(format!("deeper than {DEPTH_MAX} levels")));
        }
        Ok(())
    }

    fn leaf<E: Error>(self, text: String) -> Result<(), E> {
        self.take()?;
        self.into.push(Element::read(self.name, Content::of_text(text)));
        Ok(())
    }
}

impl<'de> Visitor<'de> for Child<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a B2MML-JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.leaf(String::new())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.leaf(value.to_string())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.leaf(value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.leaf(value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.leaf(value.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.leaf(text.to_owned())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.take()?;
        let from = self.into.len();
        let depth = self.depth + 1;
        while items
            .next_element_seed(Child {
                name: self.name.clone(),
                depth,
                left: self.left,
                into: &mut *self.into,
            })?
            .is_some()
        {}
        self.into.iter_mut().skip(from).for_each(|item| item.repeats = true);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.take()?;
        let mut element = Element::read(self.name, Content::Children(Vec::new()));
        let mut children = Vec::new();
        let mut text = None;
        while let Some(key) = members.next_key::<String>()? {
            let (name, is_child) = match key.strip_prefix('@') {
                Some(name) => (name.to_owned(), false),
                None => (key.clone(), key != "$"),
            };
            let mut found = Vec::new();
            let (depth, left) = (self.depth + 1, self.left);
            members.next_value_seed(Child { name, depth, left, into: &mut found })?;
            if is_child {
                children.append(&mut found);
                continue;
            }
            let Some(value) = found.pop() else { continue };
            if key == "$" {
                text = Some(value.text().to_owned());
            } else if !value.name.starts_with("xmlns") {
                element.attributes.push((value.name.clone(), value.text().to_owned()));
            }
        }
        element.content = match text {
            Some(text) if children.is_empty() => Content::of_text(text),
            _ => Content::Children(children),
        };
        self.into.push(element);
        Ok(())
    }
}
