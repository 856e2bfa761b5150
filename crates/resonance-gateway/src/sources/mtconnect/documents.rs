//! What is asked of an agent, and why an answer is not what was asked for.

use resonance_wire::mtconnect::{Limits, Refusal, WireError};

use super::config::MtconnectConfig;
use crate::sources::failure::Failure;

/// What a document may take.
pub(super) fn limits(config: &MtconnectConfig) -> Limits {
    Limits { document_bytes_max: config.document_bytes_max as usize, ..Limits::default() }
}

/// The path of a request, of the one device where one is named.
pub(super) fn target(config: &MtconnectConfig, what: &str) -> String {
    match &config.device {
        None => format!("/{what}"),
        Some(device) => format!("/{}/{what}", encoded(device)),
    }
}

/// What the agent says, or what is wrong with its document.
pub(super) fn refusal(
    config: &MtconnectConfig,
    target: &str,
    document: &[u8],
    error: &WireError,
) -> Failure {
    let Ok(refusal) = Refusal::parse(document, limits(config)) else {
        return broken(config, target, error);
    };
    let said: Vec<String> =
        refusal.errors.iter().map(|e| format!("{}: {}", e.code, e.message)).collect();
    let remedy = match refusal.has("NO_DEVICE") {
        true => "; set device to the name or uuid of a device in its /probe",
        false => "",
    };
    Failure::Refused(format!("{}{target}: {}{remedy}", config.url, said.join("; ")))
}

/// A document that is none.
pub(super) fn broken(config: &MtconnectConfig, target: &str, error: &WireError) -> Failure {
    Failure::Lost(format!("{}{target}: {error}", config.url))
}

/// Percent encoding of all but letters, digits and `-._~` (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
        path
    })
}
