//! The support bundle: what somebody elsewhere needs to help, and no secret.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use resonance_gateway::plan::Plan;
use resonance_inference::engines::OnnxRuntime;
use serde_json::{Value, json};

use super::Findings;
use super::redact::{Redactor, without_comments};
use crate::cli::http::Gateway;
use crate::config::{PlantText, Purpose};

/// The folder in the archive.
const FOLDER: &str = "resonance-support";

/// Of the file of events, the last this many bytes.
const EVENTS_BYTES_MAX: u64 = 1 << 20;

/// What is given away, file by file.
#[derive(Debug)]
pub(crate) struct Bundle {
    files: Vec<(&'static str, String)>,
}

impl Bundle {
    /// Gathers what there is. `user` is who asks a running gateway for its status.
    pub(crate) async fn gather(
        plant: Option<&PlantText>,
        findings: &Findings,
        user: Option<(String, String)>,
    ) -> Self {
        let mut redactor = plant.map(Redactor::of).unwrap_or_default();
        if let Some((_, password)) = &user {
            redactor.add(password);
        }
        let mut files = vec![("doctor.json", pretty(&json!(findings)))];
        files.push(("versions.json", pretty(&versions())));
        if let Some(plant) = plant {
            let (plan, report) = plant.plan(Purpose::Check);
            files.push(("plant.toml", plant_file(plant)));
            files.push(("plant-check.json", pretty(&report.to_json())));
            if !redactor.unread().is_empty() {
                files.push(("left-out.txt", left_out(redactor.unread())));
            } else if let Some(plan) = &plan {
                files.push(("status.json", pretty(&status(plan, user).await)));
                let tail = plan.events_file.as_deref().and_then(tail);
                files.extend(tail.map(|tail| ("events.jsonl", tail)));
            }
        }
        let clean = |(name, text): (&'static str, String)| (name, redactor.clean(&text));
        Self { files: files.into_iter().map(clean).collect() }
    }

    /// The names of the files in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|(name, _)| *name)
    }

    /// Writes it as a `.tar.gz` that nobody else may read.
    ///
    /// # Errors
    /// Where the file is there already or cannot be written. A file begun is taken away again.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        let written = self.write_to(file);
        if written.is_err() {
            let _ = std::fs::remove_file(path);
        }
        written
    }

    fn write_to(&self, file: File) -> io::Result<()> {
        let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        for (name, text) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(now.as_ref().map_or(0, std::time::Duration::as_secs));
            let path: PathBuf = [FOLDER, name].iter().collect();
            archive.append_data(&mut header, path, text.as_bytes())?;
        }
        archive.into_inner()?.finish()?.sync_all()
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The plant file without comments and without secrets that stand in it; where it is not TOML,
/// nobody can tell what in it is a secret.
fn plant_file(plant: &PlantText) -> String {
    match plant.without_secrets() {
        Some(text) => without_comments(&text),
        None => "# The plant file is not TOML throughout, so it is left out.\n".to_owned(),
    }
}

/// Why nothing that the gateway said is in the bundle.
fn left_out(unread: &[String]) -> String {
    format!(
        "status.json and events.jsonl are left out: the gateway that wrote them may know secrets \
         that could not be read here, so nobody could take them out.\nnot read: {}\nGive the \
         command what the gateway has: its environment, its user.\n",
        unread.join(", ")
    )
}

fn versions() -> Value {
    let first_line = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let variables: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| name.starts_with("RESONANCE_"))
        .collect();
    json!({
        "resonance": env!("CARGO_PKG_VERSION"),
        "program": std::env::current_exe().ok(),
        "onnxruntime": match OnnxRuntime::find() {
            Ok(engine) => json!({ "version": engine.version(), "library": engine.library() }),
            Err(error) => json!({ "problem": error.to_string() }),
        },
        "architecture": std::env::consts::ARCH,
        "system": system.map(|name| name.trim_matches('"')),
        "kernel": first_line("/proc/version"),
        "memory": first_line("/proc/meminfo"),
        "processors": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "variables_set": variables,
    })
}

/// What a running gateway says of itself, or why it does not.
async fn status(plan: &Plan, user: Option<(String, String)>) -> Value {
    let Some(server) = &plan.servers.http else {
        return json!({ "problem": "the plant file has no [server.http] to ask" });
    };
    let mut address = server.listen;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let scheme = if server.tls.is_some() { "https" } else { "http" };
    let ca = server.tls.as_ref().map(|tls| tls.certificate.clone());
    let gateway = Gateway { url: format!("{scheme}://{address}"), user, ca };
    match gateway.get("/api/v1/status").await {
        Ok(status) => status,
        Err(error) => json!({ "problem": error.to_string() }),
    }
}

/// The last whole lines of a file.
fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let from = file.metadata().ok()?.len().saturating_sub(EVENTS_BYTES_MAX);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.take(EVENTS_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Some(match text.split_once('\n') {
        Some((_, whole)) if from > 0 => whole.to_owned(),
        _ => text,
    })
}
