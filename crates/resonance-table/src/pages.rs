//! What the pages of a column announce, held against what they can hold, before the library makes room
//! for it: a refused allocation would end the process.
//!
//! A page's header is a structure in Thrift's compact protocol (Apache Parquet, `parquet.thrift`,
//! PageHeader).

use std::fs::File;
use std::os::unix::fs::FileExt;

use parquet::basic::{Compression, Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;

/// Bytes of a page, unpacked, that are taken; of one with a dictionary.
const PAGE_BYTES_MAX: u64 = 512 << 20;
const DICTIONARY_BYTES_MAX: u64 = 64 << 20;

/// Snappy makes no more of a byte, but for a few (format description, 2.2).
const UNPACKED_MAX: u64 = 32;
const SLACK: u64 = 1 << 10;

/// How much of a file is read for one header: the next where it is not whole in the one before.
const WINDOWS: [usize; 3] = [256, 64 << 10, 4 << 20];

/// Structures within structures of a header.
const DEPTH_MAX: u32 = 8;

/// Looks at every page of a column.
///
/// # Errors
/// Where one lies outside of the file, announces more than it can hold, or cannot be read.
pub(crate) fn check(
    file: &File,
    column: &ColumnChunkMetaData,
    (first, bytes): (u64, u64),
    file_bytes: u64,
) -> Result<(), ParquetError> {
    let wrong = |what: String| {
        ParquetError::General(format!("a page of its column {} {what}", column.column_path()))
    };
    let mut at = first;
    while at < first.saturating_add(bytes) {
        let page = read(file, at).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let page = page.ok_or_else(|| wrong("has no header".into()))?;
        page.check(column.compression(), column.column_type()).map_err(wrong)?;
        at = at.saturating_add(page.header as u64).saturating_add(page.packed);
        if at > file_bytes {
            return Err(wrong("lies outside".into()));
        }
    }
    Ok(())
}

/// What a header says.
#[derive(Debug, PartialEq)]
struct Page {
    /// Bytes of the header itself.
    header: usize,
    unpacked: u64,
    packed: u64,
    /// Entries, where it is a dictionary.
    entries: Option<u64>,
}

impl Page {
    fn check(&self, codec: Compression, of: Type) -> Result<(), String> {
        let Self { unpacked, packed, .. } = *self;
        let can_be = match codec {
            Compression::UNCOMPRESSED => packed,
            _ => packed.saturating_mul(UNPACKED_MAX).saturating_add(SLACK),
        };
        let most = if self.entries.is_some() { DICTIONARY_BYTES_MAX } else { PAGE_BYTES_MAX };
        if unpacked > can_be.min(most) {
            return Err(format!("announces {unpacked} bytes and has {packed}"));
        }
        // A text has its length before it, all others are a byte at least.
        let each = if of == Type::BYTE_ARRAY { 4 } else { 1 };
        match self.entries {
            Some(entries) if entries > unpacked / each => {
                Err(format!("announces {entries} entries and has {unpacked} bytes"))
            }
            _ => Ok(()),
        }
    }
}

fn read(file: &File, at: u64) -> std::io::Result<Option<Page>> {
    for window in WINDOWS {
        let mut bytes = vec![0; window];
        let mut read = 0;
        while read < window {
            match file.read_at(&mut bytes[read..], at + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        let page = header(&bytes[..read]);
        if page.is_some() || read < window {
            return Ok(page);
        }
    }
    Ok(None)
}

/// `None`: it is not whole, or none.
fn header(bytes: &[u8]) -> Option<Page> {
    let mut from = Compact { bytes, at: 0 };
    let (mut unpacked, mut packed, mut entries) = (None, None, None);
    let mut id = 0;
    while let Some(kind) = from.field(&mut id)? {
        match (id, kind) {
            (2, INT) => unpacked = Some(from.int()?),
            (3, INT) => packed = Some(from.int()?),
            (7, STRUCTURE) => {
                let mut id = 0;
                while let Some(kind) = from.field(&mut id)? {
                    match (id, kind) {
                        (1, INT) => entries = Some(from.int()?),
                        _ => from.skip(kind, DEPTH_MAX)?,
                    }
                }
            }
            _ => from.skip(kind, DEPTH_MAX)?,
        }
    }
    let size = |said: Option<i64>| said.and_then(|said| u64::try_from(said).ok());
    let entries = match entries {
        None => None,
        said => Some(size(said)?),
    };
    Some(Page { header: from.at, unpacked: size(unpacked)?, packed: size(packed)?, entries })
}

/// Types of Thrift's compact protocol that matter here.
const INT: u8 = 5;
const STRUCTURE: u8 = 12;

struct Compact<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Compact<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// ZigZag: the sign is the last bit.
    fn int(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// The type of the next field, whose number becomes `id`; within, `None` at the structure's end.
    fn field(&mut self, id: &mut i64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        *id = match byte >> 4 {
            0 => self.int()?,
            delta => id.checked_add(i64::from(delta))?,
        };
        Some(Some(byte & 0x0f))
    }

    fn skip_bytes(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(count).ok()?)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // In a field the truth is in the type.
            1 | 2 => Some(()),
            3 => self.skip_bytes(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.varint()?,
                    count => u64::from(count),
                };
                self.skip_each(head & 0x0f, count, depth)
            }
            STRUCTURE => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth)?;
                }
                Some(())
            }
            // Headers have no maps.
            _ => None,
        }
    }

    fn skip_each(&mut self, kind: u8, count: u64, depth: u32) -> Option<()> {
        // In a list a truth is a byte.
        let kind = if matches!(kind, 1 | 2) { 3 } else { kind };
        (0..count).try_for_each(|_| self.skip(kind, depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data page of 1,000 bytes out of 100, with statistics; a dictionary of 5 entries.
    const DATA: &[u8] = &[
        0x15, 0x00, 0x15, 0xd0, 0x0f, 0x15, 0xc8, 0x01, 0x2c, 0x15, 0x0a, 0x15, 0x00, 0x15, 0x06,
        0x15, 0x06, 0x1c, 0x18, 0x02, b'a', b'b', 0x11, 0x00, 0x00, 0x00,
    ];
    const DICTIONARY: &[u8] =
        &[0x15, 0x04, 0x15, 0x28, 0x15, 0x28, 0x4c, 0x15, 0x0a, 0x15, 0x00, 0x00, 0x00];

    #[test]
    fn headers_are_read_and_what_is_cut_is_none() {
        let data = Page { header: DATA.len(), unpacked: 1_000, packed: 100, entries: None };
        assert_eq!(header(DATA), Some(data));
        let length = DICTIONARY.len();
        let dictionary = Page { header: length, unpacked: 20, packed: 20, entries: Some(5) };
        assert_eq!(header(DICTIONARY), Some(dictionary));
        for whole in [DATA, DICTIONARY] {
            for cut in 0..whole.len() {
                assert_eq!(header(&whole[..cut]), None, "{cut} of {whole:?}");
            }
        }
    }

    #[test]
    fn nothing_is_announced_that_cannot_be() {
        let page = |unpacked, packed, entries| Page { header: 9, unpacked, packed, entries };
        let text = |page: Page| page.check(Compression::SNAPPY, Type::BYTE_ARRAY);
        assert_eq!(text(page(3_000, 100, None)), Ok(()));
        assert_eq!(text(page(20, 20, Some(5))), Ok(()));
        let told = text(page(2_147_483_647, 100, None)).unwrap_err();
        assert_eq!(told, "announces 2147483647 bytes and has 100");
        let told = text(page(20, 20, Some(2_147_483_647))).unwrap_err();
        assert_eq!(told, "announces 2147483647 entries and has 20 bytes");
        assert!(text(page(128 << 20, 128 << 20, Some(1))).is_err());
        let plain = page(101, 100, None).check(Compression::UNCOMPRESSED, Type::INT32);
        assert!(plain.is_err());
    }

    #[test]
    fn deep_structures_and_long_lists_end() {
        let deep = [0x1c; 100];
        assert_eq!(header(&deep), None);
        let list = [0x19, 0xf3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(header(&list), None);
    }
}
