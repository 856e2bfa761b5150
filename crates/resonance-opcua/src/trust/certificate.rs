//! What a certificate says (RFC 5280; OPC 10000-6, 6.2).

use opcua::crypto::X509;
use resonance_plant::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const ANY_USE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// One certificate, with its bytes.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
}

impl Certificate {
    /// Of its DER form; `None`: this is no certificate.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let parsed = x509_cert::Certificate::from_der(der).ok()?;
        Some(Self { der: der.to_vec(), parsed })
    }

    /// Of a file's bytes, DER or PEM; the first one where a PEM file has several.
    pub fn from_file(bytes: &[u8]) -> Option<Self> {
        match CertificateDer::from_pem_slice(bytes) {
            Ok(der) => Self::from_der(&der),
            Err(_) => Self::from_der(bytes),
        }
    }

    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 in lower-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(&self.der))
    }

    /// SHA-1 in lower-case hexadecimal: what OPC UA calls the thumbprint. A name, no proof.
    pub fn thumbprint(&self) -> String {
        X509::from_der(&self.der)
            .map_or_else(|_| String::new(), |it| it.thumbprint().as_hex_string())
    }

    /// Whose it is, as RFC 4514 writes names, without control characters.
    pub fn subject(&self) -> String {
        shown(&self.parsed.tbs_certificate.subject.to_string())
    }

    /// Who signed it.
    pub fn issuer(&self) -> String {
        shown(&self.parsed.tbs_certificate.issuer.to_string())
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.parsed.tbs_certificate.subject == self.parsed.tbs_certificate.issuer
    }

    /// Whether `authority` has the name of its issuer. The signature is another matter.
    pub fn names_as_issuer(&self, authority: &Self) -> bool {
        self.parsed.tbs_certificate.issuer == authority.parsed.tbs_certificate.subject
    }

    /// Whether a revocation list (DER) under the name of its issuer has its number.
    pub(super) fn is_named_by(&self, list: &[u8]) -> bool {
        let own = &self.parsed.tbs_certificate;
        let Ok(list) = CertificateList::from_der(list) else { return false };
        let mut named = list.tbs_cert_list.revoked_certificates.iter().flatten();
        list.tbs_cert_list.issuer == own.issuer
            && named.any(|revoked| revoked.serial_number == own.serial_number)
    }

    /// Whether it may sign others (RFC 5280, 4.2.1.3 and 4.2.1.9).
    pub fn is_authority(&self) -> bool {
        let tbs = &self.parsed.tbs_certificate;
        let may_sign =
            tbs.get::<KeyUsage>().is_ok_and(|it| it.is_none_or(|(_, it)| it.key_cert_sign()));
        may_sign && matches!(tbs.get::<BasicConstraints>(), Ok(Some((_, it))) if it.ca)
    }

    /// The application's URI, where it has one.
    pub fn application_uri(&self) -> Option<String> {
        self.names().into_iter().find_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(shown(uri.as_str())),
            _ => None,
        })
    }

    /// Host names and addresses that it is for.
    pub fn hosts(&self) -> Vec<String> {
        let host = |name| match name {
            GeneralName::DnsName(host) => Some(shown(host.as_str())),
            GeneralName::IpAddress(bytes) => match bytes.as_bytes() {
                [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
                other => {
                    let bytes: [u8; 16] = other.try_into().ok()?;
                    Some(std::net::Ipv6Addr::from(bytes).to_string())
                }
            },
            _ => None,
        };
        self.names().into_iter().filter_map(host).collect()
    }

    /// Whether it is for this host: a name, whatever its case, or an address.
    pub fn is_for_host(&self, host: &str) -> bool {
        let host = host.trim_matches(['[', ']']);
        let address: Option<std::net::IpAddr> = host.parse().ok();
        self.hosts().iter().any(|known| match address {
            Some(address) => known.parse() == Ok(address),
            None => known.eq_ignore_ascii_case(host),
        })
    }

    /// From when it holds.
    pub fn not_before(&self) -> Timestamp {
        time(&self.parsed.tbs_certificate.validity.not_before)
    }

    /// Until when it holds.
    pub fn not_after(&self) -> Timestamp {
        time(&self.parsed.tbs_certificate.validity.not_after)
    }

    /// Why it is none for a server, or a client, to prove itself with and to be sent secrets
    /// under (OPC 10000-6, 6.2.2). What it does not restrict it allows.
    pub(super) fn misused_as(&self, is_server: bool) -> Option<&'static str> {
        let tbs = &self.parsed.tbs_certificate;
        if let Ok(Some((_, usage))) = tbs.get::<KeyUsage>() {
            if !usage.digital_signature() {
                return Some("its keyUsage lacks digitalSignature");
            }
            if !usage.key_encipherment() && !usage.data_encipherment() {
                return Some("its keyUsage lacks keyEncipherment and dataEncipherment");
            }
        }
        let (needed, lack) = match is_server {
            true => (SERVER_AUTH, "its extendedKeyUsage lacks serverAuth"),
            false => (CLIENT_AUTH, "its extendedKeyUsage lacks clientAuth"),
        };
        match tbs.get::<ExtendedKeyUsage>() {
            Ok(Some((_, usage))) if !usage.0.iter().any(|it| *it == needed || *it == ANY_USE) => {
                Some(lack)
            }
            _ => None,
        }
    }

    fn names(&self) -> Vec<GeneralName> {
        match self.parsed.tbs_certificate.get::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0,
            _ => Vec::new(),
        }
    }
}

fn time(time: &x509_cert::time::Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000))
}

/// A stranger's text, for a terminal and a log.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first certificate of a chain of DER sequences; all of it where that cannot be told.
pub fn own_of_chain(chain: &[u8]) -> &[u8] {
    first(chain).map_or(chain, |(own, _)| own)
}

/// The certificates of a chain (OPC 10000-6, 6.2.3), the own first, not more than `most`.
pub(super) fn of_chain(mut chain: &[u8], most: usize) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((own, rest)) = first(chain).filter(|_| found.len() < most) {
        found.push(own);
        chain = rest;
    }
    found
}

fn first(chain: &[u8]) -> Option<(&[u8], &[u8])> {
    match chain {
        [0x30, 0x82, high, low, ..] => {
            chain.split_at_checked(4 + usize::from(u16::from_be_bytes([*high, *low])))
        }
        _ => None,
    }
}
