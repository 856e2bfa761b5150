//! Whether a certificate is admitted, and why not (OPC 10000-4, 6.1.3).

use std::path::PathBuf;
use std::time::Duration;

use resonance_plant::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error as PathError, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::certificate::{Certificate, of_chain};

/// Certificates of a chain that are looked at; more than any plant's authorities have.
const CHAIN_MAX: usize = 8;

/// What a folder holds of certificates and revocation lists.
#[derive(Debug, Default)]
pub struct TrustList {
    /// Applications, and authorities whose applications are trusted.
    pub trusted: Vec<Certificate>,
    /// Authorities that only complete chains.
    pub issuers: Vec<Certificate>,
    /// What authorities have revoked (DER).
    pub revoked: Vec<Vec<u8>>,
    /// Files that hold neither, with what is wrong.
    pub unreadable: Vec<(PathBuf, String)>,
}

/// Whose certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A machine that we connect to.
    Server,
    /// A client that connects to us.
    Client,
}

/// What a certificate has to fit.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Whose it is.
    pub peer: Peer,
    /// The host that was asked for, where it is known.
    pub host: Option<&'a str>,
    /// What the application calls itself, where it is known.
    pub application_uri: Option<&'a str>,
    /// Admits applications of trusted authorities of which no valid revocation list is at hand.
    pub allow_unknown_revocation: bool,
}

/// Why a certificate is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Itself is trusted.
    Exact,
    /// An authority is, which signed it.
    Authority,
}

/// Why a certificate is not admitted, each with what to do. Named as OPC UA names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read, or a signature is wrong.
    #[error("BadCertificateInvalid: {0}; have a new certificate made")]
    Invalid(String),
    /// Nobody who is trusted knows it.
    #[error("BadCertificateUntrusted: it is not trusted, nor is an authority that signed it")]
    Untrusted,
    /// Its authority is not known.
    #[error(
        "BadCertificateChainIncomplete: its issuer \"{0}\" is not among the trusted authorities; \
         trust that authority's certificate, or this one"
    )]
    ChainIncomplete(String),
    /// It does not hold now.
    #[error("BadCertificateTimeInvalid: it holds from {0} to {1}; renew it, or correct the clock")]
    Time(Timestamp, Timestamp),
    /// Its authority's certificate does not hold now.
    #[error(
        "BadCertificateIssuerTimeInvalid: a certificate of its issuers is out of date; renew it"
    )]
    IssuerTime,
    /// Its authority took it back.
    #[error("BadCertificateRevoked: its authority revoked it; have a new certificate made")]
    Revoked,
    /// Whether it was taken back cannot be told.
    #[error(
        "BadCertificateRevocationUnknown: no valid revocation list of its issuer \"{0}\" is at hand; \
         add the present one with `resonance certificate add`, or set \
         allow_unknown_revocation = true"
    )]
    RevocationUnknown(String),
    /// It is for something else.
    #[error("BadCertificateUseNotAllowed: {0}; have one made for OPC UA applications")]
    Use(String),
    /// It is another machine's.
    #[error(
        "BadCertificateHostNameInvalid: it is for {known}, not for {asked}; use one of its names \
             in the url, or trust this very certificate"
    )]
    Host {
        /// Which host was asked for.
        asked: String,
        /// Which it is for.
        known: String,
    },
    /// It is another application's.
    #[error(
        "BadCertificateUriInvalid: it is of {known}, the application calls itself {told}; \
             correct the application's URI, or trust this very certificate"
    )]
    Uri {
        /// What the application calls itself.
        told: String,
        /// What the certificate says.
        known: String,
    },
}

impl TrustList {
    /// Whether to admit who shows this chain (DER, the own certificate first, issuers may follow).
    ///
    /// One that is trusted itself need not name host and application rightly, nor must its
    /// authority be known: somebody compared its fingerprint. What its authority revoked, what is
    /// out of date and what is for other uses is refused all the same.
    ///
    /// # Errors
    /// The first thing that is wrong, with its remedy.
    pub fn judge(
        &self,
        chain: &[u8],
        expected: Expected<'_>,
        now: Timestamp,
    ) -> Result<Trust, Refusal> {
        let shown = of_chain(chain, CHAIN_MAX);
        let own = shown.first().copied().unwrap_or(chain);
        let own = Certificate::from_der(own)
            .ok_or_else(|| Refusal::Invalid("it cannot be read".into()))?;
        let exact = self.trusted.iter().any(|trusted| trusted.der() == own.der());
        if now < own.not_before() || now > own.not_after() {
            // A stranger's age is of no interest.
            let known = exact || !own.is_self_issued();
            return Err(match known {
                true => Refusal::Time(own.not_before(), own.not_after()),
                false => Refusal::Untrusted,
            });
        }
        // Whatever becomes of the path: what a list of its authority names is not trusted.
        if self.revoked.iter().any(|list| own.is_named_by(list)) {
            return Err(Refusal::Revoked);
        }
        let others = shown.get(1..).unwrap_or_default();
        let path = self.path(&own, others, expected, now, exact);
        match path {
            Err(Refusal::Revoked) => return Err(Refusal::Revoked),
            Err(refusal) if !exact => return Err(refusal),
            _ => {}
        }
        if let Some(problem) = own.misused_as(expected.peer == Peer::Server) {
            return Err(Refusal::Use(problem.into()));
        }
        if exact {
            return Ok(Trust::Exact);
        }
        identity(&own, expected)?;
        Ok(Trust::Authority)
    }

    /// The path from a certificate to a trusted authority, nothing on it revoked. For one that is
    /// trusted itself, any known authority will do: only what it revoked is of interest.
    fn path(
        &self,
        own: &Certificate,
        shown: &[&[u8]],
        expected: Expected<'_>,
        now: Timestamp,
        exact: bool,
    ) -> Result<(), Refusal> {
        let holds = |it: &&Certificate| it.not_before() <= now && now <= it.not_after();
        let authorities = self.trusted.iter().filter(|it| it.is_authority());
        let also = self.issuers.iter().filter(|_| exact);
        let authorities: Vec<CertificateDer<'_>> =
            authorities.chain(also).filter(holds).map(|it| it.der().into()).collect();
        let anchors: Vec<TrustAnchor<'_>> = authorities
            .iter()
            .filter_map(|der| webpki::anchor_from_trusted_cert(der).ok())
            .collect();
        let between: Vec<CertificateDer<'_>> = self
            .issuers
            .iter()
            .map(Certificate::der)
            .chain(shown.iter().copied())
            .map(CertificateDer::from)
            .collect();
        let lists: Vec<CertRevocationList<'_>> = self
            .revoked
            .iter()
            .filter_map(|der| OwnedCertRevocationList::from_der(der).ok())
            .map(CertRevocationList::from)
            .collect();
        let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
        let lenient = expected.allow_unknown_revocation || exact;
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            let (status, expiration) = match lenient {
                true => (UnknownStatusPolicy::Allow, ExpirationPolicy::Ignore),
                false => (UnknownStatusPolicy::Deny, ExpirationPolicy::Enforce),
            };
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(status)
                .with_expiration_policy(expiration)
                .build()
        });
        let is_checked = revocation.is_some();
        let der = CertificateDer::from(own.der());
        let end = EndEntityCert::try_from(&der).map_err(|error| self.refusal(own, &error, now))?;
        let usage = match expected.peer {
            Peer::Server => KeyUsage::server_auth(),
            Peer::Client => KeyUsage::client_auth(),
        };
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let seconds = u64::try_from(now.nanos() / 1_000_000_000).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        end.verify_for_usage(algorithms, &anchors, &between, time, usage, revocation, None)
            .map_err(|error| self.refusal(own, &error, now))?;
        match is_checked || lenient {
            true => Ok(()),
            false => Err(Refusal::RevocationUnknown(own.issuer())),
        }
    }

    fn refusal(&self, own: &Certificate, error: &PathError, now: Timestamp) -> Refusal {
        match error {
            PathError::CertRevoked => Refusal::Revoked,
            PathError::UnknownRevocationStatus | PathError::CrlExpired { .. } => {
                Refusal::RevocationUnknown(own.issuer())
            }
            PathError::CertExpired { .. } | PathError::CertNotValidYet { .. } => {
                Refusal::IssuerTime
            }
            PathError::UnknownIssuer if own.is_self_issued() => Refusal::Untrusted,
            PathError::UnknownIssuer => {
                let out_of_date = |it: &Certificate| {
                    own.names_as_issuer(it) && !(it.not_before() <= now && now <= it.not_after())
                };
                match self.trusted.iter().any(out_of_date) {
                    true => Refusal::IssuerTime,
                    false => Refusal::ChainIncomplete(own.issuer()),
                }
            }
            PathError::CaUsedAsEndEntity if own.is_self_issued() => Refusal::Untrusted,
            PathError::CaUsedAsEndEntity => Refusal::Use("it is an authority's".into()),
            PathError::RequiredEkuNotFoundContext(_) | PathError::EmptyEkuExtension => {
                Refusal::Use("its extendedKeyUsage is for something else".into())
            }
            other => Refusal::Invalid(format!("{other:?}")),
        }
    }
}

/// An authority vouches for names, so they must be those of whom we speak with.
fn identity(own: &Certificate, expected: Expected<'_>) -> Result<(), Refusal> {
    let known = own.application_uri();
    let told = expected.application_uri;
    if known.is_none() || told.is_some_and(|told| known.as_deref() != Some(told)) {
        return Err(Refusal::Uri {
            told: told.unwrap_or("something").chars().filter(|c| !c.is_control()).collect(),
            known: known.unwrap_or_else(|| "no application".into()),
        });
    }
    match expected.host {
        Some(host) if !own.is_for_host(host) => {
            let known = own.hosts();
            let known = if known.is_empty() { "no host".into() } else { known.join(", ") };
            Err(Refusal::Host { asked: host.into(), known })
        }
        _ => Ok(()),
    }
}
