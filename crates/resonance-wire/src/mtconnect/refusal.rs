//! Error documents: why an agent refuses a request (Part 1, 8).

use super::error::WireError;
use super::header::{Header, begin};
use super::xml::{Tag, Token, Xml};
use super::{Kind, Limits, Representation, element_name};

/// An error document.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Its header.
    pub header: Header,
    /// Its errors; at least one.
    pub errors: Vec<AgentError>,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentError {
    /// The code, such as `OUT_OF_RANGE`. Since 2.6 errors are elements; their names are put into
    /// this form too.
    pub code: String,
    /// What the agent says about it.
    pub message: String,
}

/// Errors that are kept of a document.
const ERRORS_MAX: usize = 100;

impl Refusal {
    /// Reads an error document.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(document: &[u8], limits: Limits) -> Result<Self, WireError> {
        let (mut xml, header) = begin(document, limits, Kind::Error)?;
        let mut errors = Vec::new();
        while let Some(token) = xml.next()? {
            let Token::Open(tag) = token else { continue };
            if tag.name() == "Errors" {
                continue;
            }
            if errors.len() >= ERRORS_MAX {
                let (offset, limit) = (tag.offset, ERRORS_MAX);
                return Err(WireError::TooMany { offset, what: "errors", limit });
            }
            errors.push(error(&mut xml, tag)?);
        }
        Ok(Self { header, errors })
    }

    /// Whether one of the errors has this code.
    pub fn has(&self, code: &str) -> bool {
        self.errors.iter().any(|error| error.code == code)
    }
}

/// `<Error errorCode="OUT_OF_RANGE">text</Error>`, or since 2.6
/// `<OutOfRange><ErrorMessage>text</ErrorMessage>...</OutOfRange>`.
fn error(xml: &mut Xml<'_>, tag: Tag<'_>) -> Result<AgentError, WireError> {
    let mut code = None;
    tag.attributes(|name, value| {
        if name == "errorCode" {
            code = Some(value.into_owned());
        }
    })?;
    if let Some(code) = code {
        return Ok(AgentError { code, message: xml.text()?.trim().to_owned() });
    }
    let code = as_code(tag.name());
    let mut message = String::new();
    loop {
        match xml.expect()? {
            Token::Open(inner) if inner.name() == "ErrorMessage" => {
                message = xml.text()?.trim().to_owned();
            }
            Token::Open(_) => xml.skip()?,
            Token::Close => return Ok(AgentError { code, message }),
            Token::Text(_) | Token::Char(_) => {}
        }
    }
}

/// `OUT_OF_RANGE` as `OutOfRange`, the element's name since 2.6.
pub(super) fn element(code: &str) -> String {
    match code {
        "INVALID_URI" => "InvalidURI".into(),
        "INVALID_XPATH" => "InvalidXPath".into(),
        _ => element_name(code, Representation::Value),
    }
}

/// `OutOfRange` as `OUT_OF_RANGE`.
fn as_code(name: &str) -> String {
    let mut code = String::with_capacity(name.len() + 4);
    let mut before = 'A';
    for character in name.chars() {
        if character.is_ascii_uppercase() && before.is_ascii_lowercase() {
            code.push('_');
        }
        code.push(character.to_ascii_uppercase());
        before = character;
    }
    code
}
