//! This computer: the engine, file descriptors, disks.

use std::path::{Path, PathBuf};

use resonance_gateway::plan::Plan;
use resonance_inference::engines::OnnxRuntime;
use rustix::fs::{Access, access, statvfs};

use super::check::Check;

/// What to do where there is no engine.
const NO_ENGINE: &str = "install the package or archive anew, which has the library beside the \
                         program (from a clone: make onnxruntime), or set RESONANCE_ONNXRUNTIME";

/// Whether ONNX Runtime is there, which and where.
pub(super) fn engine(is_needed: bool) -> Check {
    match OnnxRuntime::find() {
        Ok(found) => {
            let said = format!("{} at {}", found.version(), found.library().display());
            Check::ok("engine", "onnxruntime", said)
        }
        Err(error) if is_needed => {
            Check::fail("engine", "onnxruntime", error.to_string()).remedy(NO_ENGINE)
        }
        Err(error) => {
            let said = format!("{error} (nothing here has a model that needs it)");
            Check::warn("engine", "onnxruntime", said)
                .remedy(&format!("needed as soon as there is a model: {NO_ENGINE}"))
        }
    }
}

/// What a process needs besides connections: libraries, the spool, its log, its threads' events.
const DESCRIPTORS_BASE: u64 = 128;

/// Sessions that the OPC UA server has at once, about.
const OPCUA_SESSIONS: u64 = 128;

/// A source's thread has its socket, its timer's and its runtime's descriptors.
const DESCRIPTORS_PER_PEER: u64 = 6;

/// File descriptors that a plan may come to need at once.
pub(super) fn descriptors_needed(plan: Option<&Plan>) -> u64 {
    let Some(plan) = plan else { return DESCRIPTORS_BASE };
    let of_http = [&plan.servers.http, &plan.servers.grpc];
    let requests: usize = of_http.into_iter().flatten().map(|server| server.requests_max).sum();
    let peers = DESCRIPTORS_PER_PEER * (plan.sources.len() + plan.sinks.len()) as u64;
    let sessions = if plan.servers.opcua.is_some() { OPCUA_SESSIONS } else { 0 };
    DESCRIPTORS_BASE + peers + requests as u64 + sessions
}

/// Whether the process may open that many.
pub(super) fn descriptors(needed: u64) -> Check {
    let (soft, hard) = match rlimit::Resource::NOFILE.get() {
        Ok(limits) => limits,
        Err(error) => {
            return Check::warn("files", "", format!("the limit cannot be read: {error}"))
                .remedy("look at it with ulimit -n");
        }
    };
    let said = format!("{soft} may be open at once, about {needed} are needed at most");
    let enough = needed.checked_next_power_of_two().unwrap_or(needed);
    let remedy =
        format!("ulimit -n {enough} (hard limit {hard}), or LimitNOFILE={enough} of the service");
    match () {
        () if soft >= needed => Check::ok("files", "", said),
        () if soft >= DESCRIPTORS_BASE => Check::warn("files", "", said).remedy(&remedy),
        () => Check::fail("files", "", said).remedy(&remedy),
    }
}

/// A file that grows, and how far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Growing {
    what: &'static str,
    file: PathBuf,
    bytes_max: u64,
}

/// Two files of events of at most 64 MB.
const EVENTS_BYTES_MAX: u64 = 128 << 20;

/// The files of a plan that grow.
pub(super) fn growing(plan: &Plan) -> Vec<Growing> {
    let spool =
        Growing { what: "spool", file: plan.spool.path.clone(), bytes_max: plan.spool.bytes_max };
    let events = plan.events_file.clone().map(|file| Growing {
        what: "events",
        file,
        bytes_max: EVENTS_BYTES_MAX,
    });
    std::iter::once(spool).chain(events).collect()
}

/// Whether each may be written and has room to grow.
pub(super) fn disks(files: &[Growing]) -> Vec<Check> {
    let device =
        |growing: &Growing| statvfs(nearest_folder(&growing.file)).ok().map(|on| on.f_fsid);
    let beside = |growing: &Growing| {
        let on = device(growing);
        let others = files.iter().filter(|other| *other != growing && device(other) == on);
        others.map(|other| other.bytes_max.saturating_sub(used(&other.file))).sum()
    };
    files.iter().map(|growing| disk(growing, beside(growing))).collect()
}

/// `beside`: what other files on the same disk may come to need.
fn disk(growing: &Growing, beside: u64) -> Check {
    let Growing { what, file, bytes_max } = growing;
    let folder = nearest_folder(file);
    let subject = format!("{what} {}", file.display());
    if let Err(error) = access(&folder, Access::WRITE_OK | Access::EXEC_OK) {
        let said = format!("{} cannot be written: {error}", folder.display());
        return Check::fail("disk", &subject, said)
            .remedy("give the gateway's user the folder, or name another in the plant file");
    }
    let free = match statvfs(&folder) {
        Ok(system) => system.f_bavail.saturating_mul(system.f_frsize),
        Err(error) => {
            return Check::warn("disk", &subject, format!("free space is unknown: {error}"))
                .remedy("look at it with df");
        }
    };
    let used = used(file);
    let grows = bytes_max.saturating_sub(used).saturating_add(beside);
    let said = format!("{} used of {}, {} free", shown(used), shown(*bytes_max), shown(free));
    match () {
        () if free < grows => Check::fail("disk", &subject, format!("{said}: too little to grow"))
            .remedy("free some space, or lower its bound in the plant file"),
        () if free < grows.saturating_mul(2) => {
            Check::warn("disk", &subject, said).remedy("the disk is nearly full; free some space")
        }
        () if *what == "spool" && used > bytes_max / 5 * 4 => Check::warn("disk", &subject, said)
            .remedy("a sink is behind: see resonance status; then the oldest results are dropped"),
        () => Check::ok("disk", &subject, said),
    }
}

/// What a file, and what lies beside it under its name, takes.
fn used(file: &Path) -> u64 {
    let size = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        std::fs::metadata(name).map_or(0, |data| data.len())
    };
    ["", "-wal", ".1"].into_iter().map(size).sum()
}

/// The folder a file is in, or is to be made in.
fn nearest_folder(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut folders = absolute.ancestors().skip(1);
    folders.find(|folder| folder.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

fn shown(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    #[test]
    fn a_disk_without_room_for_the_spool_fails() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("not/yet/spool.sqlite");
        let check = |bytes_max| disk(&Growing { what: "spool", file: file.clone(), bytes_max }, 0);
        assert_eq!(check(1_000).state, State::Ok, "{:?}", check(1_000));
        let full = check(u64::MAX / 4);
        assert_eq!(full.state, State::Fail);
        assert!(full.said.contains("too little") && !full.remedy.is_empty(), "{full:?}");

        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, vec![0; 900]).unwrap();
        let behind = check(1_000);
        assert_eq!(behind.state, State::Warn);
        assert!(behind.remedy.contains("behind"), "{behind:?}");
    }

    #[test]
    fn too_few_descriptors_are_told() {
        assert_eq!(descriptors(1).state, State::Ok);
        let few = descriptors(1 << 40);
        assert_eq!(few.state, State::Warn);
        assert!(few.remedy.contains("ulimit -n"), "{few:?}");
    }
}
