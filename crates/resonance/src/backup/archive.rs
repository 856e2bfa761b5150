//! Writes the archive.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::gather::{Content, Gathered};
use super::listing::{Entry, LISTING, Listing};

/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The file is there, or the system refuses.
    #[error("{}: {}", path.display(), refused(source))]
    File {
        /// The archive.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A path is too long for the archive.
    #[error(
        "{path}: the path is too long for an archive (100 bytes a name, 255 in all); \
             shorten it"
    )]
    LongPath {
        /// Which.
        path: String,
    },
}

fn refused(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AlreadyExists => "it is there already; name another file".into(),
        _ => error.to_string(),
    }
}

/// What was written.
#[derive(Debug)]
pub(crate) struct Written {
    /// What is in it.
    pub(crate) listing: Listing,
    /// The archive's SHA-256, hexadecimal.
    pub(crate) sha256: String,
    /// Its length.
    pub(crate) bytes: u64,
}

/// Writes a new archive that nobody else may read, or none.
///
/// # Errors
/// Where the file is there already or cannot be written, or a path does not fit.
pub(crate) fn write(gathered: Gathered, path: &Path) -> Result<Written, WriteError> {
    let failed = |source| WriteError::File { path: path.to_owned(), source };
    if path.exists() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    // Under its name it is whole, whatever happens meanwhile.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = tempfile::Builder::new()
        .prefix(".resonance-backup-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder.unwrap_or(Path::new(".")));
    let mut file = file.map_err(failed)?;
    let written = write_to(gathered, file.as_file_mut(), &failed)?;
    file.persist_noclobber(path).map_err(|refused| failed(refused.error))?;
    Ok(written)
}

fn write_to(
    gathered: Gathered,
    file: &mut File,
    failed: &dyn Fn(io::Error) -> WriteError,
) -> Result<Written, WriteError> {
    let mut listing = gathered.listing.clone();
    for (path, content) in &gathered.files {
        let (bytes, sha256) = digest(content).map_err(failed)?;
        listing.files.push(Entry { path: path.clone(), bytes, sha256 });
    }
    let hashing = Hashing { file, sha256: Sha256::new(), bytes: 0 };
    let mut archive = tar::Builder::new(GzEncoder::new(hashing, Compression::default()));
    let seconds = u64::try_from(listing.made_at.millis() / 1_000).unwrap_or(0);
    let text = serde_json::to_vec_pretty(&listing).map_err(|error| failed(error.into()))?;
    append(&mut archive, LISTING, text.len() as u64, seconds, &mut text.as_slice(), failed)?;
    for (entry, content) in listing.files.iter().zip(gathered.files.values()) {
        let mut from = content.open().map_err(failed)?;
        append(&mut archive, &entry.path, entry.bytes, seconds, &mut from, failed)?;
    }
    let finished = archive.into_inner().and_then(GzEncoder::finish).map_err(failed)?;
    finished.file.sync_all().map_err(failed)?;
    let sha256 = hex(&finished.sha256.finalize());
    Ok(Written { listing, sha256, bytes: finished.bytes })
}

/// In the plain form of the archive, without extensions: what is read is then what it seems.
fn append(
    archive: &mut tar::Builder<impl Write>,
    path: &str,
    bytes: u64,
    seconds: u64,
    from: &mut dyn Read,
    failed: &dyn Fn(io::Error) -> WriteError,
) -> Result<(), WriteError> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).map_err(|_| WriteError::LongPath { path: path.to_owned() })?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(seconds);
    header.set_cksum();
    archive.append(&header, from).map_err(failed)
}

impl Content {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(&bytes[..]),
            Self::File(path) => Box::new(File::open(path)?),
        })
    }
}

fn digest(content: &Content) -> io::Result<(u64, String)> {
    let mut hashing = Hashing { file: io::sink(), sha256: Sha256::new(), bytes: 0 };
    copy(&mut content.open()?, &mut hashing)?;
    Ok((hashing.bytes, hex(&hashing.sha256.finalize())))
}

/// Why a copy ended early.
pub(super) enum Broken {
    /// What was read.
    Read(io::Error),
    /// What was written.
    Written(io::Error),
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Read(error) | Broken::Written(error) => error,
        }
    }
}

/// Copies to the end.
pub(super) fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<(), Broken> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece).map_err(Broken::Read)? {
            0 => return Ok(()),
            read => to.write_all(&piece[..read]).map_err(Broken::Written)?,
        }
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Counts and digests what passes.
pub(super) struct Hashing<W> {
    pub(super) file: W,
    pub(super) sha256: Sha256,
    pub(super) bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
