//! Digests of files and of packages.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

/// `sha256:` and the digest of some bytes in lower-case hexadecimal.
pub fn file_digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Whether a text has the form of a digest.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// `sha256:` and the digest of a package of these files, the manifest among them.
///
/// It is the SHA-256 of one line `<digest>  <name>` for each file, in the byte order of names:
/// within the folder, `LC_ALL=C sha256sum FILES... | sha256sum` prints the same with FILES in
/// that order. So the digest depends on every byte and every name, and anyone can check it.
pub fn package_digest<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let files: BTreeMap<&str, &[u8]> = files.collect();
    let mut list = String::new();
    for (name, bytes) in files {
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{}  {name}", hex(&Sha256::digest(bytes)));
    }
    file_digest(list.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
