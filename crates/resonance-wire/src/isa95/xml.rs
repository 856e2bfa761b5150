//! The XML form.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesEnd, BytesRef, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer, XmlVersion};

use super::error::quoted;
use super::reply::{BYTES_MAX, DEPTH_MAX, ELEMENTS_MAX};
use super::{Content, Element, NAMESPACE, ReplyError};

/// Attributes of one element of a peer.
const ATTRIBUTES_MAX: usize = 32;

impl Element {
    /// The element as the root of a document in UTF-8, in B2MML's namespace.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut writer = Writer::new(Vec::with_capacity(8 << 10));
        let declaration = Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None));
        // Writing to a Vec does not fail.
        let _ = writer.write_event(declaration).and_then(|()| write(&mut writer, self, true));
        writer.into_inner()
    }

    /// Reads a document of a peer: UTF-8, bounded, prefixes and namespaces left aside.
    ///
    /// # Errors
    /// See [`ReplyError`]; never panics, whatever the bytes.
    pub fn from_xml(bytes: &[u8]) -> Result<Self, ReplyError> {
        if bytes.len() > BYTES_MAX {
            return Err(ReplyError::TooLarge { what: "bytes", limit: BYTES_MAX });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| ReplyError::Malformed {
            form: "XML",
            offset: error.valid_up_to() as u64,
            problem: "no UTF-8".into(),
        })?;
        let mut reader = Reader::from_str(text.strip_prefix('\u{FEFF}').unwrap_or(text));
        reader.config_mut().expand_empty_elements = true;
        Tree::default().read(&mut reader)
    }
}

/// Whether this is a name without a prefix (Namespaces in XML 1.0, NCName), of letters and digits
/// of any language and few signs: what the parser lets through besides would read differently once
/// it is written.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '\u{B7}'))
}

fn write(writer: &mut Writer<Vec<u8>>, element: &Element, is_root: bool) -> std::io::Result<()> {
    let mut start = BytesStart::new(&*element.name);
    if is_root {
        start.push_attribute(("xmlns", NAMESPACE));
    }
    for (name, value) in &element.attributes {
        start.push_attribute((&**name, value.as_str()));
    }
    match &element.content {
        Content::Children(children) if children.is_empty() => {
            return writer.write_event(Event::Empty(start));
        }
        Content::Children(children) => {
            writer.write_event(Event::Start(start))?;
            children.iter().try_for_each(|child| write(writer, child, false))?;
        }
        Content::Text(text) => {
            writer.write_event(Event::Start(start))?;
            // A reader makes a line feed of a carriage return that is not escaped (XML 1.0, 2.11).
            for (at, line) in text.split('\r').enumerate() {
                if at > 0 {
                    writer.write_event(Event::GeneralRef(BytesRef::new("#13")))?;
                }
                writer.write_event(Event::Text(BytesText::new(line)))?;
            }
        }
    }
    writer.write_event(Event::End(BytesEnd::new(&*element.name)))
}

/// Elements that are open, outermost first, and what was read of each.
#[derive(Default)]
struct Tree {
    open: Vec<(Element, String)>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn read(mut self, reader: &mut Reader<&[u8]>) -> Result<Element, ReplyError> {
        loop {
            let event = reader.read_event();
            let at = reader.buffer_position();
            let malformed =
                |problem: String| ReplyError::Malformed { form: "XML", offset: at, problem };
            match event.map_err(|error| malformed(quoted(&error.to_string())))? {
                Event::Start(start) => self.start(&start, malformed)?,
                Event::End(_) => self.end(malformed)?,
                Event::Text(text) => self.text(&text.xml10_content(), malformed)?,
                Event::CData(text) => self.text(&text.xml10_content(), malformed)?,
                Event::GeneralRef(name) => {
                    let character = name.resolve_char_ref().ok().flatten().map(String::from);
                    let text = match &character {
                        Some(text) => text,
                        None => resolve_predefined_entity(&name).ok_or(ReplyError::Entities)?,
                    };
                    self.text(text, malformed)?;
                }
                Event::DocType(_) => return Err(ReplyError::Entities),
                Event::Eof => {
                    let root = self.root.filter(|_| self.open.is_empty());
                    return root.ok_or_else(|| malformed("the document ends too early".into()));
                }
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    fn start(
        &mut self,
        start: &BytesStart<'_>,
        malformed: impl Fn(String) -> ReplyError,
    ) -> Result<(), ReplyError> {
        self.elements += 1;
        if self.root.is_some() {
            return Err(malformed("something follows the end of the document".into()));
        }
        if self.elements > ELEMENTS_MAX {
            return Err(ReplyError::TooLarge { what: "elements", limit: ELEMENTS_MAX });
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(ReplyError::TooLarge { what: "levels", limit: DEPTH_MAX });
        }
        let name = start.local_name().as_ref().to_owned();
        if !is_name(&name) {
            return Err(malformed(quoted(&format!("{name:?} is no element's name"))));
        }
        let mut element = Element::read(name, Content::Children(Vec::new()));
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| malformed(error.to_string()))?;
            let key = attribute.key.as_ref();
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            if element.attributes.len() >= ATTRIBUTES_MAX {
                return Err(ReplyError::TooLarge { what: "attributes", limit: ATTRIBUTES_MAX });
            }
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|_| ReplyError::Entities)?;
            let key = attribute.key.local_name().as_ref().to_owned();
            if !is_name(&key) {
                return Err(malformed(quoted(&format!("{key:?} is no attribute's name"))));
            }
            element.attributes.push((key.into(), value.into_owned()));
        }
        self.open.push((element, String::new()));
        Ok(())
    }

    fn end(&mut self, malformed: impl Fn(String) -> ReplyError) -> Result<(), ReplyError> {
        let (mut element, text) =
            self.open.pop().ok_or_else(|| malformed("an end without a start".into()))?;
        // Text between children is layout.
        if element.children().is_empty() {
            element.content = Content::of_text(text);
        }
        match self.open.last_mut() {
            Some((Element { content: Content::Children(children), .. }, _)) => {
                children.push(element);
            }
            _ => self.root = Some(element),
        }
        Ok(())
    }

    fn text(
        &mut self,
        text: &str,
        malformed: impl Fn(String) -> ReplyError,
    ) -> Result<(), ReplyError> {
        match self.open.last_mut() {
            Some((_, so_far)) => so_far.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(malformed("text outside of the document".into())),
        }
        Ok(())
    }
}
