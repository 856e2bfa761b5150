//! OPC UA chunks in a byte stream (OPC 10000-6, 6.7.2), as far as needed to single out Publish
//! responses. Works only where messages are not encrypted.

use std::collections::HashSet;

/// Message type, chunk type, size.
const HEADER: usize = 8;
/// Header, secure channel id, token id, sequence number, request id.
const BODY_AT: usize = 24;
const SEQUENCE_AT: usize = 16;
const REQUEST_ID_AT: usize = 20;
/// NodeId of PublishResponse's binary encoding: four-byte form, namespace 0, i=829.
const PUBLISH_RESPONSE: [u8; 4] = [0x01, 0x00, 0x3D, 0x03];
/// A peer that announces larger chunks is not speaking OPC UA; its bytes then pass unread.
const CHUNK_MAX: usize = 16 << 20;

/// Collects bytes until they make whole chunks.
#[derive(Debug, Default)]
pub(super) struct ChunkReader {
    pending: Vec<u8>,
    dropping: HashSet<u32>,
    /// Chunks that vanished: those after them are renumbered, for a jump in the channel's own
    /// sequence numbers would end the channel (OPC 10000-6, 6.7.2.4).
    vanished: u32,
    opaque: bool,
}

impl ChunkReader {
    /// Takes bytes as they came; appends to `out` those of whole chunks that may pass. `drop_one`
    /// is asked once for each Publish response whether that one shall vanish.
    pub(super) fn filter(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        mut drop_one: impl FnMut() -> bool,
    ) {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while !self.opaque {
            let rest = self.pending.get(at..).unwrap_or_default();
            let Some(size) = chunk_size(rest) else { break };
            if !(HEADER..=CHUNK_MAX).contains(&size) {
                self.opaque = true;
                break;
            }
            let Some(chunk) = rest.get(..size) else { break };
            if vanishes(chunk, &mut self.dropping, &mut drop_one) {
                self.vanished = self.vanished.wrapping_add(1);
            } else {
                let start = out.len();
                out.extend_from_slice(chunk);
                renumber(&mut out[start..], self.vanished);
            }
            at += size;
        }
        self.pending.drain(..at);
        if self.opaque {
            out.append(&mut self.pending);
        }
    }
}

fn chunk_size(bytes: &[u8]) -> Option<usize> {
    let size = bytes.get(4..HEADER)?;
    Some(u32::from_le_bytes(size.try_into().ok()?) as usize)
}

/// Only messages: their header has a fixed length.
fn renumber(chunk: &mut [u8], vanished: u32) {
    if chunk.starts_with(b"MSG")
        && let Some(field) = chunk.get_mut(SEQUENCE_AT..REQUEST_ID_AT)
        && let Ok(number) = <[u8; 4]>::try_from(&*field)
    {
        let number = u32::from_le_bytes(number).wrapping_sub(vanished);
        field.copy_from_slice(&number.to_le_bytes());
    }
}

fn vanishes(
    chunk: &[u8],
    dropping: &mut HashSet<u32>,
    drop_one: &mut impl FnMut() -> bool,
) -> bool {
    if !chunk.starts_with(b"MSG") {
        return false;
    }
    let Some(request) =
        chunk.get(REQUEST_ID_AT..BODY_AT).and_then(|id| id.try_into().ok()).map(u32::from_le_bytes)
    else {
        return false;
    };
    let is_last = chunk.get(3) != Some(&b'C');
    let follows = dropping.contains(&request);
    let begins = chunk.get(BODY_AT..).is_some_and(|body| body.starts_with(&PUBLISH_RESPONSE));
    let drop = follows || (begins && drop_one());
    if drop && is_last {
        dropping.remove(&request);
    } else if drop {
        dropping.insert(request);
    }
    drop
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8; 4], request: u32, body: &[u8]) -> Vec<u8> {
        let size = (BODY_AT + body.len()) as u32;
        let mut bytes = kind.to_vec();
        for word in [size, 7, 1, 9, request] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(body);
        bytes
    }

    fn filtered(stream: &[u8], piece: usize, drops: &mut u32) -> Vec<u8> {
        let (mut reader, mut out) = (ChunkReader::default(), Vec::new());
        for bytes in stream.chunks(piece) {
            reader.filter(bytes, &mut out, || {
                let more = *drops > 0;
                *drops = drops.saturating_sub(1);
                more
            });
        }
        out
    }

    #[test]
    fn only_publish_responses_vanish_whole_and_in_any_fragmentation() {
        let read_response = chunk(b"MSGF", 1, &[0x01, 0x00, 0x7A, 0x02, 1, 2]);
        let publish_begin = chunk(b"MSGC", 2, &PUBLISH_RESPONSE);
        let publish_end = chunk(b"MSGF", 2, b"rest");
        let publish = chunk(b"MSGF", 3, &PUBLISH_RESPONSE);
        let all = [&read_response[..], &publish_begin, &publish_end, &publish].concat();
        for piece in [1, 5, 1000] {
            assert_eq!(filtered(&all, piece, &mut 0), all);
            let mut renumbered = publish.clone();
            renumber(&mut renumbered, 2);
            assert_eq!(renumbered[SEQUENCE_AT], 7);
            assert_eq!(filtered(&all, piece, &mut 1), [&read_response[..], &renumbered].concat());
            assert_eq!(filtered(&all, piece, &mut 9), read_response);
        }
    }

    #[test]
    fn bytes_that_are_not_opc_ua_pass_unread() {
        let bytes = b"HTTP/1.1 400 Bad Request\r\n";
        assert_eq!(filtered(bytes, 3, &mut 9), bytes);
    }
}
