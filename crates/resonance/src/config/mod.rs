//! The plant file: reading it, telling every mistake in it at once, and turning it into a plan.
//!
//! A file passes three stages. [`structure`] holds the parsed text against the JSON Schema;
//! `checks` looks at what a schema cannot say, on the parsed text too, so that it works on what
//! is right in a file that is elsewhere wrong; only a file without errors is deserialized and
//! resolved, together with its model packages, into a `Plan`.

mod checks;
mod diagnostic;
mod document;
pub(crate) mod element;
pub(crate) mod nearest;
mod paths;
mod report;
mod resolve;
pub(crate) mod schema;
mod structure;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use diagnostic::{Diagnostic, Diagnostics, Mistake, Place};
use document::Document;
pub(crate) use document::userinfo;
use element::PlantFile;
pub(crate) use nearest::nearest;
pub(crate) use paths::{NamedPath, PathRole};
pub(crate) use report::Report;
pub(crate) use resolve::Purpose;
use resonance_gateway::plan::Plan;

/// The largest plant file, bytes: more than 10,000 points need.
pub(crate) const PLANT_BYTES_MAX: u64 = 32 << 20;

/// A commented plant file that passes every check but for the model package it names.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// The same for a machine behind an MTConnect agent.
pub(crate) const EXAMPLE_MTCONNECT: &str = include_str!("example-mtconnect.toml");

/// A plant file's text.
#[derive(Clone, Debug)]
pub(crate) struct PlantText {
    path: PathBuf,
    text: String,
}

/// Why a plant file cannot even be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It cannot be read.
    #[error("{}: {}", path.display(), unreadable(error))]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// It is larger than any plant file.
    #[error(
        "{}: larger than the {PLANT_BYTES_MAX} bytes a plant file may have; is it a plant file?",
        path.display()
    )]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// It does not say where the spool is.
    #[error("{}: {problem}; `resonance plant check` tells more", path.display())]
    NoSpool {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It is no text.
    #[error("{}: byte {at} is not UTF-8; save the file as UTF-8", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
        /// The first byte that is not.
        at: usize,
    },
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file; `resonance plant example > plant.toml` \
                                writes one to begin with"
            .into(),
        ErrorKind::IsADirectory => "this is a folder; name the plant file in it".into(),
        _ => error.to_string(),
    }
}

impl PlantText {
    /// Reads a plant file.
    ///
    /// # Errors
    /// Where it cannot be read, is too large or no text.
    pub(crate) fn read(path: &Path) -> Result<Self, ReadError> {
        let refuse = |error| ReadError::File { path: path.to_owned(), error };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(refuse)?;
        file.take(PLANT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(refuse)?;
        if bytes.len() as u64 > PLANT_BYTES_MAX {
            return Err(ReadError::TooLarge { path: path.to_owned() });
        }
        let text = String::from_utf8(bytes).map_err(|error| ReadError::NotText {
            path: path.to_owned(),
            at: error.utf8_error().valid_up_to(),
        })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// A plant file that is in memory; paths in it are relative to the folder of `path`.
    pub(crate) fn from_memory(path: &Path, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), text: text.into() }
    }

    /// Where the file says the spool is; nothing else in the file has to be right.
    ///
    /// # Errors
    /// Where the text is no TOML, or what it says about the spool makes no sense.
    pub(crate) fn spool(&self) -> Result<PathBuf, ReadError> {
        #[derive(serde::Deserialize)]
        struct OnlySpool {
            #[serde(default)]
            spool: element::Spool,
        }
        let only: OnlySpool = toml::from_str(&self.text).map_err(|error| ReadError::NoSpool {
            path: self.path.clone(),
            problem: error.message().to_owned(),
        })?;
        Ok(self.folder().join(only.spool.path))
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Secrets that stand in the text, though they should not.
    pub(crate) fn secrets_inside(&self) -> Vec<String> {
        Document::parse(&self.text, &mut Diagnostics::default()).secrets_as_texts()
    }

    /// Every `env:NAME` and `file:PATH` in the text.
    pub(crate) fn secret_references(&self) -> Vec<String> {
        Document::parse(&self.text, &mut Diagnostics::default()).secret_references()
    }

    /// The text with nothing in the place of secrets; `None` where it is not TOML.
    pub(crate) fn without_secrets(&self) -> Option<String> {
        let mut found = Diagnostics::default();
        let mut secrets = Document::parse(&self.text, &mut found).secrets();
        if found.errors() > 0 {
            return None;
        }
        secrets.sort_by_key(|span| std::cmp::Reverse(span.start));
        let mut text = self.text.clone();
        for span in secrets {
            text.replace_range(span, "\"***\"");
        }
        Some(text)
    }

    /// The folder that paths in the file are relative to.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Checks the file and the model packages it names, and turns them into a plan; without a
    /// plan, the report says why. Reads packages and secrets, opens no socket, writes nothing.
    pub(crate) fn plan(&self, purpose: Purpose) -> (Option<Plan>, Report) {
        let mut found = Diagnostics::default();
        let document = Document::parse(&self.text, &mut found);
        let folder = self.folder();
        let plan = understand(&document, folder, &mut found)
            .and_then(|file| resolve::resolve(file, &document.root(), folder, purpose, &mut found));
        let file = self.path.display().to_string();
        let report = Report::new(file, self.text.clone(), document.secrets(), found);
        (plan, report)
    }
}
/// The plant file that a document is; `None` where it has errors.
fn understand(document: &Document<'_>, folder: &Path, out: &mut Diagnostics) -> Option<PlantFile> {
    if out.errors() > 0 {
        structure::check_fragments(&schema::plant_file(), &document.root(), out);
        return None;
    }
    structure::check(&schema::plant_file(), &document.root(), out);
    checks::check(&document.root(), folder, out);
    if out.errors() > 0 {
        return None;
    }
    match deserialize(document) {
        Ok(file) => Some(file),
        Err(error) => {
            let place = Place { span: error.span().unwrap_or(0..0), path: String::new() };
            let unexpected = Diagnostic::error(Mistake::Unexpected, &place, error.message());
            out.push(unexpected.remedy("please report this: the checks should have said it"));
            None
        }
    }
}

fn deserialize(document: &Document<'_>) -> Result<PlantFile, toml::de::Error> {
    use serde::Deserialize;
    use toml::de::ValueDeserializer;
    let rest = document.to_root_without("asset");
    let mut file = PlantFile::deserialize(ValueDeserializer::from(rest))?;
    // One after the other: a copy of all points would be the most that a gateway ever holds.
    for asset in document.root().list("asset") {
        let asset = ValueDeserializer::from(asset.value.clone());
        file.assets.push(element::Asset::deserialize(asset)?);
    }
    Ok(file)
}
