//! Certificates on disk, ours and those we trust: whether they hold, and for how long.

use std::path::{Path, PathBuf};

use opcua::crypto::X509;
use resonance_gateway::plan::{Plan, SinkKind, SourceKind, TlsPlan};
use resonance_gateway::servers::http::check_pair;
use resonance_gateway::sources::opcua::pki_folder;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::check::Check;

/// Told ahead of its end, days.
const DAYS_WARNED: i64 = 30;

/// Files of one folder that are looked at; a folder with more is no folder of trusted peers.
const FILES_MAX: usize = 1_000;

/// The largest certificate file, bytes.
const BYTES_MAX: u64 = 1 << 20;

/// Something with certificates in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kept {
    /// A server's certificate and key, PEM.
    Pair {
        /// `http` or `grpc`.
        server: &'static str,
        /// The two files.
        tls: TlsPlan,
    },
    /// Authorities that are trusted, PEM.
    Authorities {
        /// What trusts them.
        user: String,
        /// The file.
        file: PathBuf,
    },
    /// A folder with certificates of OPC UA: `own` and `trusted`.
    Pki(PathBuf),
}

/// Everything that a plan names.
pub(super) fn kept(plan: &Plan) -> Vec<Kept> {
    let mut kept = Vec::new();
    for (server, plan) in [("http", &plan.servers.http), ("grpc", &plan.servers.grpc)] {
        if let Some(tls) = plan.as_ref().and_then(|plan| plan.tls.clone()) {
            kept.push(Kept::Pair { server, tls });
        }
    }
    for sink in &plan.sinks {
        let file = match &sink.kind {
            SinkKind::Http(config) => &config.ca_file,
            SinkKind::Mqtt(config) => &config.ca_file,
        };
        if let Some(file) = file {
            kept.push(Kept::Authorities { user: format!("sink {}", sink.id), file: file.into() });
        }
    }
    for source in &plan.sources {
        if let SourceKind::Mtconnect(config) = &source.kind
            && let Some(file) = &config.ca_file
        {
            let user = format!("source {}", source.id);
            kept.push(Kept::Authorities { user, file: file.into() });
        }
    }
    for deployment in &plan.deployments {
        if let Some(file) = deployment.remote.as_ref().and_then(|remote| remote.ca_file.as_ref()) {
            let user = format!("deployment {}", deployment.id);
            kept.push(Kept::Authorities { user, file: file.into() });
        }
    }
    if let Some(file) = plan.traces.as_ref().and_then(|traces| traces.collector.ca_file.as_ref()) {
        kept.push(Kept::Authorities { user: "traces".into(), file: file.into() });
    }
    let of_source = |kind: &SourceKind| match kind {
        SourceKind::Image(_) | SourceKind::Mtconnect(_) | SourceKind::Replay(_) => None,
        SourceKind::Opcua(config) => Some(pki_folder(config)),
    };
    let of_server = plan.servers.opcua.as_ref().map(|server| server.pki.clone());
    let folders = plan.sources.iter().filter_map(|source| of_source(&source.kind));
    for folder in folders.chain(of_server) {
        let folder = Kept::Pki(folder);
        if !kept.contains(&folder) {
            kept.push(folder);
        }
    }
    kept
}

pub(super) fn check_all(kept: &[Kept]) -> Vec<Check> {
    let mut checks = Vec::new();
    for kept in kept {
        match kept {
            Kept::Pair { server, tls } => pair(server, tls, &mut checks),
            Kept::Authorities { user, file } => authorities(user, file, &mut checks),
            Kept::Pki(folder) => pki(folder, &mut checks),
        }
    }
    checks
}

/// How long a certificate (DER) holds.
pub(super) fn of(subject: &str, der: &[u8], remedy: &str) -> Check {
    let fail = |said: String| Check::fail("certificate", subject, said).remedy(remedy);
    let Ok(certificate) = X509::from_der(der) else {
        return fail("this is no certificate".into());
    };
    let name = certificate.common_name().unwrap_or_else(|_| "no name".into());
    let name = name.trim_start_matches("CN=");
    let (Ok(from), Ok(to)) = (certificate.not_before(), certificate.not_after()) else {
        return fail("it does not say how long it holds".into());
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let days = (to.timestamp() - now).div_euclid(24 * 3_600);
    let left = format!("{name}: {days} days left");
    match () {
        () if from.timestamp() > now => {
            let said = format!("{name}: not valid before {from}");
            Check::fail("certificate", subject, said).remedy("check this computer's clock")
        }
        () if to.timestamp() <= now => fail(format!("{name}: expired on {to}")),
        () if days < DAYS_WARNED => Check::warn("certificate", subject, left).remedy(remedy),
        () => Check::ok("certificate", subject, left),
    }
}

/// The certificates in a PEM file, each as DER.
fn pem(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let unreadable = |problem: String| format!("{}: {problem}", file.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .map_err(|error| unreadable(error.to_string()))?
        .map(|found| found.map(|certificate| certificate.to_vec()))
        .collect();
    match found {
        Ok(found) if found.is_empty() => Err(unreadable("it holds no certificate in PEM".into())),
        Ok(found) => Ok(found),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

fn authorities(user: &str, file: &Path, checks: &mut Vec<Check>) {
    let subject = format!("{user}: {}", file.display());
    let remedy = "put the authority's present certificate into the file that ca_file names";
    match pem(file) {
        Ok(found) => checks.extend(found.iter().map(|der| of(&subject, der, remedy))),
        Err(problem) => checks.push(Check::fail("certificate", &subject, problem).remedy(remedy)),
    }
}

fn pair(server: &str, tls: &TlsPlan, checks: &mut Vec<Check>) {
    let subject = format!("{server} server: {}", tls.certificate.display());
    let remedy = format!("renew it, then restart the gateway ([server.{server}.tls])");
    match pem(&tls.certificate) {
        Ok(found) => checks.extend(found.iter().map(|der| of(&subject, der, &remedy))),
        Err(problem) => {
            checks.push(Check::fail("certificate", &subject, problem).remedy(&remedy));
            return;
        }
    }
    let subject = format!("{server} server: {}", tls.key.display());
    checks.push(match check_pair(tls) {
        Err(problem) => Check::fail("key", &subject, problem)
            .remedy("name the key that the certificate was made for"),
        Ok(()) if is_open(&tls.key) => Check::warn("key", &subject, "others may read it")
            .remedy(&format!("chmod 600 {}", tls.key.display())),
        Ok(()) => Check::ok("key", &subject, "belongs to the certificate"),
    });
}

fn is_open(key: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(key).is_ok_and(|data| data.permissions().mode() & 0o004 != 0)
}

fn pki(folder: &Path, checks: &mut Vec<Check>) {
    let own = "delete it and its key; the gateway makes a new one, which its peers must trust anew";
    let trusted = "get the peer's new certificate, compare its fingerprint, put it in its place";
    for (place, remedy) in [("own", own), ("trusted", trusted), ("issuers", trusted)] {
        let Ok(files) = std::fs::read_dir(folder.join(place)) else { continue };
        let mut files: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.is_file()).take(FILES_MAX) {
            let subject = format!("opcua: {}", file.display());
            checks.push(match read(file) {
                Ok(der) => of(&subject, &der, remedy),
                Err(error) => {
                    Check::fail("certificate", &subject, error.to_string()).remedy(remedy)
                }
            });
        }
    }
}

/// A certificate's DER, from a file of either form.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(CertificateDer::from_pem_slice(&bytes).map_or(bytes, |certificate| certificate.to_vec()))
}
