//! Whether the ports of servers, and of sources that await their machines, are free, or who has them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use resonance_gateway::plan::{Plan, SourceKind};

use super::check::Check;

/// Who is to listen, and where.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    name: String,
    /// Of the plant file.
    table: String,
    address: SocketAddr,
}

pub(super) fn listeners(plan: &Plan) -> Vec<Listener> {
    let servers = &plan.servers;
    let opcua = servers.opcua.as_ref().map(|server| ("opcua", server.listen));
    let http = servers.http.as_ref().map(|server| ("http", server.listen));
    let grpc = servers.grpc.as_ref().map(|server| ("grpc", server.listen));
    let servers = [opcua, http, grpc].into_iter().flatten().map(|(kind, address)| Listener {
        name: kind.into(),
        table: format!("[server.{kind}]"),
        address,
    });
    let sources = plan.sources.iter().filter_map(|source| match &source.kind {
        SourceKind::Opcua(config) => Some(Listener {
            name: source.id.to_string(),
            table: format!("the source {}", source.id),
            address: config.listen?,
        }),
        _ => None,
    });
    servers.chain(sources).collect()
}

pub(super) fn check(listener: &Listener) -> Check {
    let subject = format!("{} {}", listener.name, listener.address);
    let Err(error) = TcpListener::bind(listener.address) else {
        return Check::ok("port", &subject, "free");
    };
    let change = format!("change listen of {}", listener.table);
    match error.kind() {
        ErrorKind::AddrInUse => {
            let users = users(listener.address.port());
            if users.iter().any(|user| user.is_ours) {
                return Check::ok("port", &subject, format!("in use by {}", named(&users)));
            }
            if users.is_empty() {
                let said = "in use by a program of another user, perhaps the gateway itself";
                return Check::warn("port", &subject, said)
                    .remedy("look as root, or at systemctl status resonance");
            }
            Check::fail("port", &subject, format!("taken by {}", named(&users)))
                .remedy(&format!("end that program, or {change}"))
        }
        ErrorKind::AddrNotAvailable => {
            Check::fail("port", &subject, "no network interface has this address")
                .remedy(&format!("{change}; ip address lists those there are"))
        }
        ErrorKind::PermissionDenied => Check::fail("port", &subject, error.to_string())
            .remedy(&format!("{change} to a port from 1024 on, or allow CAP_NET_BIND_SERVICE")),
        _ => Check::fail("port", &subject, error.to_string()).remedy(&change),
    }
}

/// A program that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    pid: u32,
    name: String,
    /// It is a gateway of this product.
    is_ours: bool,
}

fn named(users: &[User]) -> String {
    let one = |user: &User| {
        let gateway = if user.is_ours { "a running gateway, " } else { "" };
        format!("{gateway}{} (pid {})", user.name, user.pid)
    };
    users.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Who listens on a port, as far as this user may know (Linux: proc(5)).
fn users(port: u16) -> Vec<User> {
    let mut sockets = BTreeSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        sockets.extend(text.lines().skip(1).filter_map(|line| listening(line, port)));
    }
    if sockets.is_empty() {
        return Vec::new();
    }
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    processes.flatten().filter_map(|process| user(&process, &sockets)).collect()
}

/// The process of a folder in `/proc`, where it has one of the sockets open.
fn user(process: &std::fs::DirEntry, sockets: &BTreeSet<String>) -> Option<User> {
    let pid: u32 = process.file_name().to_str()?.parse().ok()?;
    let opened = std::fs::read_dir(process.path().join("fd")).ok()?;
    let has = opened.flatten().any(|file| {
        let target = std::fs::read_link(file.path()).unwrap_or_default();
        sockets.contains(target.to_string_lossy().as_ref())
    });
    if !has {
        return None;
    }
    let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
    let name = name.trim().to_owned();
    // A simulated machine has the same name, and is in the way.
    let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
    let does = command.split(|byte| *byte == 0).nth(1).unwrap_or_default();
    let is_ours = name == env!("CARGO_PKG_NAME") && [b"run".as_slice(), b"record"].contains(&does);
    Some(User { pid, name, is_ours })
}

/// The socket of a line of `/proc/net/tcp` that listens on a port, as `/proc/PID/fd` names it.
fn listening(line: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let at = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (*state == LISTEN && at == port).then(|| format!("socket:[{inode}]"))
}

#[cfg(test)]
mod tests {
    use super::super::check::State;
    use super::*;

    fn on(address: SocketAddr) -> Listener {
        Listener { name: "http".to_owned(), table: "[server.http]".to_owned(), address }
    }

    #[test]
    fn a_port_that_is_taken_is_told_with_who_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let listener = on(address);
        let found = check(&listener);
        assert_eq!(found.state, State::Fail);
        assert!(found.remedy.contains("[server.http]"), "{found:?}");
        #[cfg(target_os = "linux")]
        assert!(found.said.contains(&format!("(pid {})", std::process::id())), "{found:?}");
        drop(taken);
        assert_eq!(check(&listener).state, State::Ok);
    }

    #[test]
    fn an_address_of_nobody_is_told() {
        // TEST-NET-1 (RFC 5737): no computer has it.
        let address = "192.0.2.1:4840".parse().unwrap();
        let found = check(&on(address));
        assert_eq!(found.state, State::Fail);
        assert!(found.said.contains("no network interface"), "{found:?}");
    }
}
