//! The folder of certificates, and what is done with it.
//!
//! `own/` (ours; give it to peers), `private/`, `trusted/` (applications, and authorities whose
//! applications are trusted), `issuers/` (authorities that only complete chains), `crls/` (what
//! authorities revoked), `rejected/` (what was shown and not admitted). Files are `.der` or `.pem`
//! under any name, lists `.crl`; what is done to them takes effect while a gateway runs.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use webpki::{BorrowedCertRevocationList, OwnedCertRevocationList};
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;

use super::certificate::Certificate;
use super::judge::TrustList;

/// Files of one place that are looked at, and the largest, bytes.
const FILES_MAX: usize = 1_000;
const BYTES_MAX: u64 = 16 << 20;

/// Refused certificates that are kept; anyone can make new ones.
const REJECTED_MAX: usize = 64;

/// Where in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Ours.
    Own,
    /// Whom we trust.
    Trusted,
    /// Authorities that complete chains.
    Issuers,
    /// Revocation lists.
    Crls,
    /// Shown, and not admitted.
    Rejected,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 5] =
        [Self::Own, Self::Trusted, Self::Issuers, Self::Crls, Self::Rejected];

    /// The folder's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Trusted => "trusted",
            Self::Issuers => "issuers",
            Self::Crls => "crls",
            Self::Rejected => "rejected",
        }
    }
}

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Item {
    /// A certificate.
    Certificate(Box<Certificate>),
    /// A revocation list (DER).
    Crl(Vec<u8>),
    /// Neither, and why.
    Unreadable(String),
}

/// A file of a folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where.
    pub place: Place,
    /// Which file.
    pub file: PathBuf,
    /// What is in it.
    pub item: Item,
}

/// Why a folder did not do as it was told.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}{}", path.display(), hint(error))]
pub struct FolderError {
    path: PathBuf,
    error: std::io::Error,
}

/// What to do where the file system refuses.
fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::Other => "",
        _ => "; check that it exists and may be written",
    }
}

/// A folder of certificates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at a path, there or not.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the places that are absent, but not what is ours.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make(&self) -> Result<(), FolderError> {
        for place in Place::ALL {
            let path = self.place(place);
            std::fs::create_dir_all(&path).map_err(|error| FolderError { path, error })?;
        }
        Ok(())
    }

    fn place(&self, place: Place) -> PathBuf {
        self.0.join(place.name())
    }

    /// Every file, place by place, by name. A place that is absent is empty.
    pub fn entries(&self) -> Vec<Entry> {
        Place::ALL.into_iter().flat_map(|place| self.entries_of(place)).collect()
    }

    fn entries_of(&self, place: Place) -> Vec<Entry> {
        files(&self.place(place))
            .into_iter()
            .map(|file| Entry { place, item: read(&file), file })
            .collect()
    }

    /// What certificates are judged by.
    pub fn trust_list(&self) -> TrustList {
        let mut list = TrustList::default();
        for place in [Place::Trusted, Place::Issuers, Place::Crls] {
            for entry in self.entries_of(place) {
                match (entry.item, place) {
                    (Item::Certificate(it), Place::Trusted) => list.trusted.push(*it),
                    (Item::Certificate(it), Place::Issuers) => list.issuers.push(*it),
                    // Some keep the lists beside the authorities.
                    (Item::Crl(der), _) => list.revoked.push(der),
                    (Item::Certificate(_), _) => {
                        list.unreadable.push((entry.file, "it is no revocation list".into()));
                    }
                    (Item::Unreadable(problem), _) => list.unreadable.push((entry.file, problem)),
                }
            }
        }
        // Of several lists of one authority the first that is found counts.
        list.revoked.sort_by_key(|der| std::cmp::Reverse(issued_at(der)));
        list
    }

    /// Trusts a certificate from now on; it is no longer among the rejected.
    ///
    /// # Errors
    /// What the file system says.
    pub fn trust(&self, certificate: &Certificate) -> Result<PathBuf, FolderError> {
        let file = self.put(Place::Trusted, &named(certificate), certificate.der())?;
        self.take_away(Place::Rejected, certificate)?;
        Ok(file)
    }

    /// Keeps a certificate among the rejected, and nowhere else.
    ///
    /// # Errors
    /// What the file system says; or that a trusted authority vouches for it, which only a
    /// revocation list can change.
    pub fn reject(&self, certificate: &Certificate) -> Result<PathBuf, FolderError> {
        let file = self.keep_rejected(certificate)?;
        self.take_away(Place::Trusted, certificate)?;
        self.take_away(Place::Issuers, certificate)?;
        let authorities = self.trust_list().trusted;
        match authorities.iter().find(|it| it.is_authority() && certificate.names_as_issuer(it)) {
            Some(authority) => {
                let text = format!(
                    "its authority {} is trusted and vouches for it: add a revocation list of that \
                     authority that names it",
                    authority.subject()
                );
                Err(FolderError { path: file, error: std::io::Error::other(text) })
            }
            None => Ok(file),
        }
    }

    /// Keeps a certificate that was shown and not admitted; the oldest of too many give way.
    ///
    /// # Errors
    /// What the file system says.
    pub fn keep_rejected(&self, certificate: &Certificate) -> Result<PathBuf, FolderError> {
        let name = named(certificate);
        let file = self.place(Place::Rejected).join(&name);
        if !file.exists() {
            self.make_room()?;
            self.put(Place::Rejected, &name, certificate.der())?;
        }
        Ok(file)
    }

    /// Adds an authority that completes chains, without trusting it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn add_issuer(&self, certificate: &Certificate) -> Result<PathBuf, FolderError> {
        self.put(Place::Issuers, &named(certificate), certificate.der())
    }

    /// Adds a revocation list (DER); it replaces an earlier one of the same authority.
    ///
    /// # Errors
    /// What the file system says; or that a newer list is there.
    pub fn add_crl(&self, der: &[u8]) -> Result<PathBuf, FolderError> {
        let issuer = crl_issuer(der).unwrap_or_default();
        for entry in self.entries() {
            if let Item::Crl(other) = &entry.item
                && crl_issuer(other).is_some_and(|it| it == issuer)
                && issued_at(other) > issued_at(der)
            {
                let error = std::io::Error::other("this list of the same authority is newer");
                return Err(FolderError { path: entry.file, error });
            }
        }
        let added = self.put(Place::Crls, &format!("{}.crl", hex(&Sha256::digest(der))), der)?;
        for entry in self.entries_of(Place::Crls) {
            if let Item::Crl(other) = &entry.item
                && entry.file != added
                && crl_issuer(other).is_some_and(|it| it == issuer)
            {
                remove(&entry.file)?;
            }
        }
        Ok(added)
    }

    /// Removes a certificate from a place, under whatever name it is there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn take_away(&self, place: Place, certificate: &Certificate) -> Result<(), FolderError> {
        for entry in self.entries_of(place) {
            if matches!(&entry.item, Item::Certificate(it) if it.der() == certificate.der()) {
                remove(&entry.file)?;
            }
        }
        Ok(())
    }

    /// Writes a file whole or not at all.
    fn put(&self, place: Place, name: &str, bytes: &[u8]) -> Result<PathBuf, FolderError> {
        self.make()?;
        let path = self.place(place).join(name);
        let half = self.0.join(format!(".{name}"));
        let written = std::fs::write(&half, bytes).and_then(|()| std::fs::rename(&half, &path));
        written.map_err(|error| FolderError { path: path.clone(), error })?;
        Ok(path)
    }

    fn make_room(&self) -> Result<(), FolderError> {
        let mut files: Vec<_> = files(&self.place(Place::Rejected))
            .into_iter()
            .map(|file| (file.metadata().and_then(|data| data.modified()).ok(), file))
            .collect();
        files.sort();
        let excess = (files.len() + 1).saturating_sub(REJECTED_MAX);
        files.iter().take(excess).try_for_each(|(_, file)| remove(file))
    }
}

/// What is in a file.
pub(crate) fn read(file: &Path) -> Item {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|it| it.take(BYTES_MAX).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Item::Unreadable(error.to_string());
    }
    Item::of_file(&bytes)
}

impl Item {
    /// What a file's bytes are, DER or PEM.
    pub fn of_file(bytes: &[u8]) -> Self {
        if let Some(certificate) = Certificate::from_file(bytes) {
            return Self::Certificate(Box::new(certificate));
        }
        let list = CertificateRevocationListDer::from_pem_slice(bytes);
        let list = list.map_or_else(|_| bytes.to_vec(), |der| der.to_vec());
        match OwnedCertRevocationList::from_der(&list) {
            Ok(_) => Self::Crl(list),
            Err(_) => Self::Unreadable("it is neither a certificate nor a revocation list".into()),
        }
    }
}

/// The issuer of a list, as its DER says it.
fn crl_issuer(der: &[u8]) -> Option<Vec<u8>> {
    let list = BorrowedCertRevocationList::from_der(der).ok()?;
    Some(webpki::CertRevocationList::from(list).issuer().to_vec())
}

/// When a list was issued, since the Unix epoch.
fn issued_at(der: &[u8]) -> Option<Duration> {
    Some(CertificateList::from_der(der).ok()?.tbs_cert_list.this_update.to_unix_duration())
}

fn remove(file: &Path) -> Result<(), FolderError> {
    std::fs::remove_file(file).map_err(|error| FolderError { path: file.into(), error })
}

fn named(certificate: &Certificate) -> String {
    format!("{}.der", certificate.fingerprint())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of a place, by name.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_hidden = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| !is_hidden(path) && path.is_file())
        .take(FILES_MAX)
        .collect();
    files.sort();
    files
}
