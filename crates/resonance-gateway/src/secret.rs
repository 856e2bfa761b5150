//! Secrets are named in the plant file and read where they are used.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest secret read from a file, bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// Where a secret is: `env:NAME` or `file:PATH`. Secrets themselves are never in a plant file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SecretRef(#[schemars(regex(pattern = r"^(env|file):.+$"))] pub String);

/// Why a secret cannot be had. Never shows the secret itself.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or not UTF-8.
    #[error("the environment variable {0} holds no text; set it before the gateway starts")]
    Variable(String),
    /// The file cannot be read.
    #[error("{}: the secret cannot be read: {source}; check path and permissions", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Neither `env:` nor `file:`.
    #[error("a secret is named as env:NAME or file:PATH, and never written out")]
    Form,
}

/// The secret: an environment variable, or a file's text without the line end after it.
///
/// # Errors
/// Where it is not there or the reference has another form.
pub fn read(reference: &SecretRef) -> Result<String, SecretError> {
    if let Some(name) = reference.0.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| SecretError::Variable(name.into()));
    }
    let path = PathBuf::from(reference.0.strip_prefix("file:").ok_or(SecretError::Form)?);
    let read = || {
        use std::io::Read;
        let mut text = String::new();
        std::fs::File::open(&path)?.take(BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let text: String = read().map_err(|source| SecretError::File { path: path.clone(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lose_their_line_end_and_errors_name_the_thing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "geheim \r\n").unwrap();
        let reference = |text: String| SecretRef(text);
        let file = reference(format!("file:{}", path.display()));
        assert_eq!(read(&file).unwrap(), "geheim ");
        let absent = read(&reference("file:/nowhere/password".into())).unwrap_err();
        assert!(absent.to_string().starts_with("/nowhere/password: "), "{absent}");
        let unset = read(&reference("env:RESONANCE_NOT_SET_ANYWHERE".into())).unwrap_err();
        assert!(unset.to_string().contains("RESONANCE_NOT_SET_ANYWHERE"), "{unset}");
        assert!(matches!(read(&reference("hunter2".into())), Err(SecretError::Form)));
    }
}
