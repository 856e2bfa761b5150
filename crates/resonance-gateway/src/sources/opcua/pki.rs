//! Certificates: our own, and which machines' we trust.
//!
//! A [`Folder`], one for the whole gateway unless a source names another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use opcua::core::comms::url::hostname_port_from_url;
use opcua::crypto::{CertificateStore, PrivateKey, X509Data};
use opcua::sync::RwLock;
use parking_lot::Mutex;
use resonance_opcua::trust::{Certificate, Expected, Folder, Peer, Refusal, own_of_chain};
use resonance_plant::Timestamp;

use super::config::OpcUaConfig;
use super::failure::Failure;

/// Names this application in its certificate and its sessions.
pub(super) const APPLICATION_URI: &str = "urn:resonance:gateway";

/// Where the folder is unless configured.
const FOLDER_VARIABLE: &str = "RESONANCE_PKI";

/// Our certificate, in the folder.
const OWN: &str = "own/cert.der";

/// Our key is this long and our certificate valid this long.
const KEY_BITS: u32 = 2048;
const VALID_DAYS: u32 = 20 * 365;

/// One at a time makes the certificate that all sources share.
static MAKING: Mutex<()> = Mutex::new(());

/// The folder and what it holds of our own.
#[derive(Clone)]
pub(super) struct Pki {
    folder: Folder,
    /// For the OPC UA stack, which wants to check the machine's certificate once more.
    pub(super) store: Arc<RwLock<CertificateStore>>,
    /// Our private key.
    pub(super) key: PrivateKey,
}

/// The folder a source uses: its own, or `RESONANCE_PKI`, or `resonance/pki` in the user's data
/// folder, or `pki` in the working directory.
pub(super) fn folder(config: &OpcUaConfig) -> PathBuf {
    let under = |variable: &str, rest: &str| {
        std::env::var_os(variable).filter(|v| !v.is_empty()).map(|v| PathBuf::from(v).join(rest))
    };
    config
        .pki
        .clone()
        .or_else(|| under(FOLDER_VARIABLE, ""))
        .or_else(|| under("XDG_DATA_HOME", "resonance/pki"))
        .or_else(|| under("HOME", ".local/share/resonance/pki"))
        .unwrap_or_else(|| PathBuf::from("pki"))
}

impl Pki {
    /// Opens the folder; makes it, and our certificate, where there is none yet. Slow the first
    /// time: a key is made.
    ///
    /// # Errors
    /// What the file system or the key says.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Failure::Refused(format!(
                "the certificate folder {}: {what}: {error}; make it writable or set pki",
                folder.display()
            ))
        };
        let folder = std::path::absolute(folder).map_err(|e| failed("no such place", &e))?;
        let certificate = folder.join(OWN);
        let key = folder.join("private/private.pem");
        let _making = MAKING.lock();
        let this = Folder::at(&folder);
        this.make().map_err(|e| failed("not usable", &e))?;
        for name in ["shown/trusted", "shown/rejected"] {
            std::fs::create_dir_all(folder.join(name)).map_err(|e| failed(name, &e))?;
        }
        if !(certificate.exists() && key.exists()) {
            make_private_folder(&folder.join("private")).map_err(|e| failed("private", &e))?;
            CertificateStore::create_certificate_and_key(&description(), true, &certificate, &key)
                .map_err(|e| failed("cannot make our certificate", &e))?;
        }
        // The stack looks for machines' certificates in a folder of its own: what is trusted was
        // decided before, and it copies there whatever it is shown.
        let (mut store, _, own_key) = CertificateStore::new_with_x509_data::<X509Data>(
            &folder.join("shown"),
            false,
            Some(&certificate),
            Some(&key),
            None,
        );
        store.set_skip_verify_certs(true);
        store.set_trust_unknown_certs(true);
        let key = own_key.ok_or_else(|| failed("own", &"the certificate or key is unreadable"))?;
        Ok(Self { folder: this, store: Arc::new(RwLock::new(store)), key })
    }

    /// Whether to trust a machine that shows these certificates (DER, its own first).
    ///
    /// # Errors
    /// [`Failure::Untrusted`] with the fingerprint, the reason and what to do.
    pub(super) fn check(
        &self,
        config: &OpcUaConfig,
        shown: &[u8],
        application_uri: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let url = &config.url;
        // A chain is the machine's own certificate first, then its issuers'.
        let certificate = Certificate::from_der(own_of_chain(shown))
            .ok_or_else(|| Failure::Untrusted(format!("{url} shows no readable certificate")))?;
        let print = certificate.fingerprint();
        let named = certificate.application_uri();
        if let Some(uri) = config.server_uri.as_ref().filter(|uri| named.as_ref() != Some(*uri)) {
            let named = named.as_deref().unwrap_or("no application");
            return Err(Failure::Untrusted(format!(
                "{url} shows a certificate of {named}, server_uri says {uri}"
            )));
        }
        if let Some(pinned) = &config.server_fingerprint {
            return if normal(pinned) == print {
                Ok(())
            } else {
                Err(Failure::Untrusted(format!(
                    "{url} shows a certificate with fingerprint {print}, server_fingerprint says \
                     {pinned}; if the machine's certificate was renewed, change it"
                )))
            };
        }
        if config.trust_any_certificate {
            return Ok(());
        }
        let host = hostname_port_from_url(url, 0).map(|(host, _)| host).ok();
        let expected = Expected {
            peer: Peer::Server,
            host: host.as_deref(),
            application_uri: Some(application_uri),
            allow_unknown_revocation: config.allow_unknown_revocation,
        };
        let judged = self.folder.trust_list().judge(shown, expected, now);
        judged.map(|_| ()).map_err(|refusal| self.untrusted(url, &print, &certificate, &refusal))
    }

    fn untrusted(
        &self,
        url: &str,
        print: &str,
        certificate: &Certificate,
        refusal: &Refusal,
    ) -> Failure {
        let kept = self.folder.keep_rejected(certificate);
        if *refusal != Refusal::Untrusted {
            return Failure::Untrusted(format!(
                "{url} shows a certificate (fingerprint {print}) that is refused: {refusal}"
            ));
        }
        let hint = kept.map_or_else(
            |_| String::new(),
            |file| {
                format!(
                    "trust it with `resonance certificate trust --pki {} --thumbprint {}` (it is \
                     kept as {}), or ",
                    self.folder.path().display(),
                    print.get(..16).unwrap_or(print),
                    file.display()
                )
            },
        );
        Failure::Untrusted(format!(
            "{url} shows a certificate that is not trusted; compare its fingerprint {print} with \
             the machine's, then {hint}set server_fingerprint"
        ))
    }

    /// Ours.
    pub(super) fn own(&self) -> Option<Certificate> {
        let bytes = std::fs::read(self.folder.path().join(OWN)).ok()?;
        Certificate::from_file(&bytes)
    }
}

/// As people write fingerprints: with colons or spaces, in capitals.
fn normal(fingerprint: &str) -> String {
    let hex = fingerprint.trim().trim_start_matches("sha256:");
    hex.chars().filter(char::is_ascii_hexdigit).map(|c| c.to_ascii_lowercase()).collect()
}

fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn description() -> X509Data {
    X509Data {
        key_size: KEY_BITS,
        common_name: "Resonance gateway".into(),
        organization: "Resonance".into(),
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names(APPLICATION_URI, None, true, true, false),
        certificate_duration_days: VALID_DAYS,
    }
}

#[cfg(test)]
mod tests {
    use resonance_plant::{Clock, SystemClock};

    use super::*;

    fn config(more: &str) -> OpcUaConfig {
        toml::from_str(&format!("url = \"opc.tcp://mill:4840\"\n{more}")).unwrap()
    }

    #[test]
    fn a_certificate_is_made_once_and_trust_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::open(folder.path()).unwrap();
        let own = std::fs::read(folder.path().join("own/cert.der")).unwrap();
        let again = Pki::open(folder.path()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("own/cert.der")).unwrap(), own);

        // Our own certificate plays the machine's.
        let now = SystemClock.now();
        let check = |pki: &Pki, more: &str, shown: &[u8]| {
            pki.check(&config(more), shown, APPLICATION_URI, now)
        };
        let refused = check(&again, "", &own).unwrap_err().to_string();
        let print = Certificate::from_der(&own).unwrap().fingerprint();
        assert!(refused.contains(&print) && refused.contains("rejected"), "{refused}");
        assert_eq!(check(&pki, "trust_any_certificate = true", &own), Ok(()));
        let pinned = format!("server_fingerprint = \"SHA256:{}\"", print.to_uppercase());
        assert_eq!(check(&pki, &pinned.replace("SHA256:", ""), &own), Ok(()));
        let other = check(&pki, "server_fingerprint = \"00ff\"", &own).unwrap_err();
        assert!(other.to_string().contains("server_fingerprint says 00ff"), "{other}");

        let rejected = folder.path().join("rejected").join(format!("{print}.der"));
        std::fs::rename(rejected, folder.path().join("trusted/mill.der")).unwrap();
        assert_eq!(check(&pki, "", &own), Ok(()));
        let mut chain = own.clone();
        chain.extend_from_slice(&own);
        assert_eq!(check(&pki, "", &chain), Ok(()), "issuers may follow");
        assert!(matches!(check(&pki, "", b"junk"), Err(Failure::Untrusted(_))));
    }

    #[test]
    fn a_machine_that_connects_shows_the_application_that_is_awaited() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::open(folder.path()).unwrap();
        let own = std::fs::read(folder.path().join("own/cert.der")).unwrap();
        let print = Certificate::from_der(&own).unwrap().fingerprint();
        // Whatever else is trusted: a ReverseHello claims, the certificate proves.
        for trusted in
            ["trust_any_certificate = true", &format!("server_fingerprint = \"{print}\"")]
        {
            let check = |uri: &str| {
                let of =
                    config(&format!("listen = \"[::1]:0\"\nserver_uri = \"{uri}\"\n{trusted}"));
                // What its endpoints say of the application does not count.
                pki.check(&of, &own, uri, SystemClock.now())
            };
            assert_eq!(check(APPLICATION_URI), Ok(()));
            let refused = check("urn:acme:mill").unwrap_err();
            let said = format!("certificate of {APPLICATION_URI}, server_uri says urn:acme:mill");
            assert!(
                matches!(&refused, Failure::Untrusted(reason) if reason.contains(&said)),
                "{refused}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_the_private_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        Pki::open(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join("private")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
