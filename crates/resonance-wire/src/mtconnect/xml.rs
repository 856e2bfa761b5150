//! XML as far as MTConnect needs it: elements, attributes and text, borrowed from the document.
//! No document types, no entities but XML's own, a bound on depth.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::{EscapeError, resolve_predefined_entity, unescape};
use quick_xml::events::Event;
use quick_xml::events::attributes::Attributes;

use super::error::{WireError, cut};

/// Elements within each other. Real device models have fewer than 20.
const DEPTH_MAX: usize = 64;

/// Reads a document from its beginning to its end.
pub(super) struct Xml<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    depth: usize,
    ended: bool,
}

/// What comes next in a document.
pub(super) enum Token<'a> {
    /// An element begins. Empty elements have an [`Token::Close`] too.
    Open(Tag<'a>),
    /// The innermost element ends.
    Close,
    /// Text, without references.
    Text(Cow<'a, str>),
    /// A character that was written as a reference.
    Char(char),
}

/// An element's opening tag.
#[derive(Clone, Copy)]
pub(super) struct Tag<'a> {
    /// Between `<` and `>`.
    content: &'a str,
    name_length: usize,
    /// Where it begins.
    pub(super) offset: usize,
}

impl<'a> Xml<'a> {
    pub(super) fn new(document: &'a [u8], bytes_max: usize) -> Result<Self, WireError> {
        if document.len() > bytes_max {
            let size = Some(document.len() as u64);
            return Err(WireError::TooLarge { offset: 0, size, limit: bytes_max });
        }
        let text = std::str::from_utf8(document)
            .map_err(|error| WireError::NotUtf8 { offset: error.valid_up_to() })?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self { text, reader, depth: 0, ended: false })
    }

    /// The next token; `None` at the end of a complete document.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Token<'a>>, WireError> {
        loop {
            let offset = self.offset();
            let event = match self.reader.read_event() {
                Ok(event) => event,
                Err(error) => return Err(self.malformed(&error)),
            };
            return Ok(Some(match event {
                Event::Start(start) => Token::Open(self.tag(&start, offset)?),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    self.ended = self.depth == 0;
                    Token::Close
                }
                Event::Text(text) if self.depth > 0 => Token::Text(text.into_inner()),
                Event::Text(text) if text.trim().is_empty() => continue,
                Event::Text(_) | Event::CData(_) if self.depth == 0 => {
                    let problem = "text outside the root element".into();
                    return Err(WireError::Malformed { offset, problem });
                }
                Event::CData(text) => Token::Text(text.into_inner()),
                Event::GeneralRef(name) => Token::Char(self.character(&name, offset)?),
                Event::DocType(_) => return Err(WireError::Doctype { offset }),
                Event::Eof if self.depth > 0 || !self.ended => return Err(self.truncated()),
                Event::Eof => return Ok(None),
                _ => continue,
            }));
        }
    }

    /// Reads on to the end of the element whose opening tag was just read.
    pub(super) fn skip(&mut self) -> Result<(), WireError> {
        let inside = self.depth;
        while self.depth >= inside {
            self.expect()?;
        }
        Ok(())
    }

    /// Reads the text of the element whose opening tag was just read, to its end. Elements in it
    /// are skipped.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, WireError> {
        let mut all = Cow::Borrowed("");
        loop {
            match self.expect()? {
                Token::Close => return Ok(all),
                Token::Open(_) => self.skip()?,
                token => append(&mut all, token),
            }
        }
    }

    /// The next token of a document that must not end here.
    #[inline]
    pub(super) fn expect(&mut self) -> Result<Token<'a>, WireError> {
        self.next()?.ok_or_else(|| self.truncated())
    }

    /// Elements that are open.
    #[inline]
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Bytes read.
    #[inline]
    pub(super) fn offset(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    #[inline]
    fn tag(
        &mut self,
        start: &quick_xml::events::BytesStart<'_>,
        offset: usize,
    ) -> Result<Tag<'a>, WireError> {
        if self.ended {
            let problem = "a second root element".into();
            return Err(WireError::Malformed { offset, problem });
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(WireError::TooDeep { offset, limit: DEPTH_MAX });
        }
        // The event borrows from itself; the same bytes stand in the document, where it says.
        let raw: &str = start;
        let from = (raw.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        let content = self.text.get(from..from.saturating_add(raw.len()));
        let Some(content) = content else {
            let problem = "a tag that cannot be read".into();
            return Err(WireError::Malformed { offset, problem });
        };
        Ok(Tag { content, name_length: start.name().into_inner().len(), offset })
    }

    fn character(
        &self,
        reference: &quick_xml::events::BytesRef<'_>,
        offset: usize,
    ) -> Result<char, WireError> {
        let unknown = || WireError::Entity { offset, name: cut(reference) };
        if let Ok(Some(character)) = reference.resolve_char_ref() {
            return Ok(character);
        }
        let resolved = resolve_predefined_entity(reference);
        resolved.and_then(|text| text.chars().next()).ok_or_else(unknown)
    }

    #[cold]
    fn malformed(&self, error: &quick_xml::Error) -> WireError {
        let offset = usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX);
        // What is cut in the middle of a tag is first of all cut.
        if matches!(error, quick_xml::Error::Syntax(_)) && self.offset() >= self.text.len() {
            return self.truncated();
        }
        WireError::Malformed { offset, problem: error.to_string() }
    }

    #[cold]
    fn truncated(&self) -> WireError {
        let element = match self.depth {
            0 => "nothing".into(),
            depth => format!("{depth} open elements"),
        };
        WireError::Truncated { offset: self.text.len(), element }
    }
}

/// Adds a token of text to what was read before; borrows as long as there is one piece.
#[inline]
pub(super) fn append<'a>(all: &mut Cow<'a, str>, token: Token<'a>) {
    match token {
        Token::Text(text) if all.is_empty() => *all = text,
        Token::Text(text) => all.to_mut().push_str(&text),
        Token::Char(character) => all.to_mut().push(character),
        Token::Open(_) | Token::Close => {}
    }
}

impl<'a> Tag<'a> {
    /// The name without a prefix.
    #[inline]
    pub(super) fn name(&self) -> &'a str {
        let name = self.content.get(..self.name_length).unwrap_or_default();
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// The name's prefix; empty: none.
    pub(super) fn prefix(&self) -> &'a str {
        let name = self.content.get(..self.name_length).unwrap_or_default();
        name.split_once(':').map_or("", |(prefix, _)| prefix)
    }

    /// Calls `take` with each attribute's name and value.
    #[inline]
    pub(super) fn attributes(
        &self,
        mut take: impl FnMut(&'a str, Cow<'a, str>),
    ) -> Result<(), WireError> {
        let mut attributes = Attributes::new(self.content, self.name_length);
        // Of two attributes with one name the last counts; looking for that costs more than
        // the rest.
        for attribute in attributes.with_checks(false) {
            let attribute = attribute.map_err(|error| WireError::Malformed {
                offset: self.offset,
                problem: error.to_string(),
            })?;
            let raw = match attribute.value {
                Cow::Borrowed(raw) => raw,
                // Attributes of a borrowed text are borrowed.
                Cow::Owned(_) => continue,
            };
            let value =
                if raw.as_bytes().contains(&b'&') { self.unescaped(raw)? } else { raw.into() };
            take(attribute.key.into_inner(), value);
        }
        Ok(())
    }

    #[cold]
    fn unescaped(&self, raw: &'a str) -> Result<Cow<'a, str>, WireError> {
        unescape(raw).map_err(|error| match error {
            EscapeError::UnrecognizedEntity(at, name) => {
                WireError::Entity { offset: self.offset.saturating_add(at.start), name: cut(&name) }
            }
            other => WireError::Malformed { offset: self.offset, problem: other.to_string() },
        })
    }

    pub(super) fn missing(&self, missing: &'static str) -> WireError {
        WireError::Missing { offset: self.offset, element: self.name().into(), missing }
    }

    pub(super) fn invalid(
        &self,
        attribute: &'static str,
        value: &str,
        expected: &'static str,
    ) -> WireError {
        WireError::Value {
            offset: self.offset,
            element: self.name().into(),
            attribute,
            value: cut(value),
            expected,
        }
    }
}
