//! In which form results travel: the same choices for every sink.

use bytes::Bytes;
use resonance_wire::isa95::{self, Answer, Confirmation, Envelope, Object, RecordError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::spool::Spooled;

/// The form of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The result record as JSON (docs/specs/result-record.md).
    #[default]
    Result,
    /// B2MML 7.0 as XML: the ISA-95 object of the model's category.
    B2mmlXml,
    /// B2MML 7.0 as JSON.
    B2mmlJson,
}

/// When a result counts as delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledge {
    /// When the protocol says so: a 2xx answer, a PUBACK.
    #[default]
    Transport,
    /// When the application says so: a ConfirmBOD or Acknowledge message that accepts it.
    ConfirmBod,
}

/// A message with one result or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What goes over the wire.
    pub body: Bytes,
    /// How many results it has, from the first.
    pub results: usize,
    /// The same for every delivery of the same results: the id of the only one, or a hash of all.
    pub id: String,
}

/// How messages of a sink are made.
#[derive(Clone, Debug)]
pub struct Form {
    /// The form.
    pub format: Format,
    /// Whether an answer of the application is wanted.
    pub acknowledge: Acknowledge,
    /// Who sends, in B2MML.
    pub sender: String,
    /// Whether result records travel in an array, however many there are.
    pub in_array: bool,
}

impl Form {
    /// The media type of messages.
    pub const fn content_type(&self) -> &'static str {
        match self.format {
            Format::Result | Format::B2mmlJson => "application/json",
            Format::B2mmlXml => "application/xml",
        }
    }

    /// A message with the first of these results, and as many more as fit one message: in B2MML
    /// those that become the same object. There must be at least one.
    ///
    /// # Errors
    /// Where the first is no result record: it can never be sent in this form.
    pub fn message(&self, results: &[Spooled]) -> Result<Message, RecordError> {
        if self.format == Format::Result {
            let id = id(results);
            return Ok(Message { body: self.records(results), results: results.len(), id });
        }
        let mut answers = Vec::with_capacity(results.len());
        let mut object = Object::TestResult;
        for result in results {
            match Answer::read(&result.payload) {
                Ok(answer) if answers.is_empty() => {
                    object = Object::of(&answer);
                    answers.push(answer);
                }
                Ok(answer) if Object::of(&answer) == object => answers.push(answer),
                Err(error) if answers.is_empty() => return Err(error),
                Ok(_) | Err(_) => break,
            }
        }
        let id = id(&results[..answers.len()]);
        let confirmation = match self.acknowledge {
            Acknowledge::Transport => Confirmation::Never,
            Acknowledge::ConfirmBod => Confirmation::Always,
        };
        let envelope = Envelope { sender: &self.sender, id: &id, confirmation };
        let element = isa95::message(&envelope, object, &answers);
        let body = match self.format {
            Format::B2mmlXml => element.to_xml(),
            Format::Result | Format::B2mmlJson => element.to_json(),
        };
        Ok(Message { body: body.into(), results: answers.len(), id })
    }

    fn records(&self, results: &[Spooled]) -> Bytes {
        if let ([only], false) = (results, self.in_array) {
            return only.payload.clone();
        }
        let bytes: usize = results.iter().map(|result| result.payload.len() + 1).sum();
        let mut body = Vec::with_capacity(bytes + 1);
        for (at, result) in results.iter().enumerate() {
            body.push(if at == 0 { b'[' } else { b',' });
            body.extend_from_slice(&result.payload);
        }
        body.push(b']');
        body.into()
    }
}

/// The id of the only result; of several, the first 128 bits of SHA-256 over their ids.
fn id(results: &[Spooled]) -> String {
    if let [only] = results {
        return only.id.to_string();
    }
    let mut hash = sha2::Sha256::new();
    results.iter().for_each(|result| hash.update(result.id.0));
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    resonance_plant::ResultId(id).to_string()
}
