//! The folder with a server's own certificate and key, and the client certificates it trusts.

use std::path::{Path, PathBuf};

use opcua::crypto::{CertificateStore, X509Data};

use super::ServerError;
use crate::trust::Folder;

/// How long a certificate made here is valid. It is replaced by hand: clients trust exactly it.
const VALID_DAYS: u32 = 5 * 365;

const KEY_BITS: u32 = 2_048;

/// The files of a server's own identity.
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Makes the folders, and the certificate and key where both are absent. Takes a second or so
/// the first time.
pub(crate) fn prepare(
    folder: &Path,
    application_name: &str,
    application_uri: &str,
    host: &str,
) -> Result<Identity, ServerError> {
    let failed = |problem: String| ServerError::Pki { folder: folder.to_owned(), problem };
    // The stack takes relative paths of certificate and key as relative to this folder.
    let folder = std::path::absolute(folder)
        .map_err(|error| failed(format!("no such folder can be: {error}")))?;
    Folder::at(&folder).make().map_err(|error| failed(error.to_string()))?;
    let private = folder.join("private");
    std::fs::create_dir_all(&private)
        .map_err(|error| failed(format!("cannot make {}: {error}", private.display())))?;
    let identity = Identity {
        certificate: folder.join("own").join("cert.der"),
        key: folder.join("private").join("private.pem"),
    };
    match (identity.certificate.exists(), identity.key.exists()) {
        (true, true) => check(&identity, application_uri).map_err(failed)?,
        (false, false) => {
            let hosts = vec![host.trim_matches(['[', ']']).to_owned()];
            let data = X509Data {
                key_size: KEY_BITS,
                common_name: application_name.to_owned(),
                organization: "Resonance".to_owned(),
                organizational_unit: String::new(),
                country: String::new(),
                state: String::new(),
                alt_host_names: X509Data::alt_host_names(
                    application_uri,
                    Some(hosts),
                    true,
                    true,
                    true,
                ),
                certificate_duration_days: VALID_DAYS,
            };
            CertificateStore::create_certificate_and_key(
                &data,
                false,
                &identity.certificate,
                &identity.key,
            )
            .map_err(|error| failed(format!("cannot make a certificate: {error}")))?;
            keep_private(&identity.key)
                .map_err(|error| failed(format!("cannot protect the key: {error}")))?;
        }
        (true, false) => {
            return Err(failed("own/cert.der has no private/private.pem beside it".to_owned()));
        }
        (false, true) => {
            return Err(failed("private/private.pem has no own/cert.der beside it".to_owned()));
        }
    }
    Ok(identity)
}

/// Clients refuse a certificate that names another application.
fn check(identity: &Identity, application_uri: &str) -> Result<(), String> {
    let certificate = CertificateStore::read_cert(&identity.certificate)?;
    CertificateStore::read_pkey(&identity.key)?;
    certificate.is_application_uri_valid(application_uri).map_err(|_| {
        format!(
            "own/cert.der was made for another application URI than {application_uri}; remove \
                 it and private/private.pem to have new ones made"
        )
    })
}

#[cfg(unix)]
fn keep_private(key: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_key: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_only_for_its_application() {
        let folder = tempfile::tempdir().unwrap();
        let first = prepare(folder.path(), "Gateway", "urn:test:gateway", "plant-7").unwrap();
        let made = std::fs::read(&first.certificate).unwrap();
        let again = prepare(folder.path(), "Gateway", "urn:test:gateway", "plant-7").unwrap();
        assert_eq!(std::fs::read(&again.certificate).unwrap(), made);
        let certificate = CertificateStore::read_cert(&first.certificate).unwrap();
        assert!(certificate.is_hostname_valid("plant-7").is_ok());

        let error = prepare(folder.path(), "Gateway", "urn:other", "plant-7").err().unwrap();
        assert!(error.to_string().contains("another application URI"), "{error}");
        std::fs::remove_file(&first.key).unwrap();
        let error = prepare(folder.path(), "Gateway", "urn:test:gateway", "h").err().unwrap();
        assert!(error.to_string().contains("no private/private.pem"), "{error}");
    }
}
