//! `[server.opcua]`, `[server.http]`, `[server.grpc]` and `[[user]]`.

use std::net::SocketAddr;

use super::{Check, Diagnostic, Mistake};
use crate::config::document::Node;

pub(super) fn check(check: &mut Check<'_, '_>, root: &Node<'_>) {
    let users = root.list("user");
    for user in &users {
        user_name(check, user);
    }
    let mut taken: Vec<SocketAddr> = Vec::new();
    for kind in ["opcua", "http", "grpc"] {
        let Some(server) = root.get("server").and_then(|server| server.get(kind)) else { continue };
        let address = address(check, &server, "listen");
        if let Some(address) = address
            && let Some((_, node)) = server.text_at("listen")
            && address.port() != 0
            && taken.contains(&address)
        {
            let message = format!("two servers listen on {address}");
            check.error(Mistake::Duplicate, &node.place, message, "give each its own port");
        }
        taken.extend(address);
        let clients = server.list("connect_to");
        let clients: Vec<_> = clients.iter().filter_map(|node| parsed(check, node)).collect();
        let remote = address.iter().chain(&clients).any(|address| !address.ip().is_loopback());
        match kind {
            "opcua" => opcua(check, &server, remote, users.is_empty()),
            _ => http(check, kind, &server, remote, users.is_empty()),
        }
    }
    for source in root.list("source") {
        if let Some((text, node)) = source.text_at("listen")
            && let Ok(address) = text.parse::<SocketAddr>()
        {
            if address.port() != 0 && taken.contains(&address) {
                let message = format!("another source or server listens on {address}");
                let remedy = "give each its own port";
                check.error(Mistake::Duplicate, &node.place, message, remedy);
            }
            taken.push(address);
        }
    }
}

fn user_name(check: &mut Check<'_, '_>, user: &Node<'_>) {
    let Some((name, node)) = user.text_at("name") else { return };
    if matches!(name, "system" | "anonymous") {
        let message = format!("the name {name:?} is the product's own");
        check.error(Mistake::Duplicate, &node.place, message, "choose another name");
    }
    // HTTP Basic authentication ends the name at the first colon (RFC 7617, 2).
    if name.is_empty() || name.chars().any(|c| c == ':' || c.is_control()) {
        let message = format!("{name:?} is not the name of a user");
        let remedy = "write at least one character, no colon and no control characters";
        check.error(Mistake::InvalidValue, &node.place, message, remedy);
    }
}

/// An address with its port, at this key.
pub(super) fn address(
    check: &mut Check<'_, '_>,
    table: &Node<'_>,
    key: &str,
) -> Option<SocketAddr> {
    parsed(check, &table.get(key)?)
}

fn parsed(check: &mut Check<'_, '_>, node: &Node<'_>) -> Option<SocketAddr> {
    let text = node.text()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let meant = match text.rsplit_once(':') {
        Some(("localhost", _)) => port.map(|port| format!("127.0.0.1:{port}")),
        Some(("" | "*", _)) => port.map(|port| format!("0.0.0.0:{port}")),
        None => text.parse::<u16>().ok().map(|port| format!("127.0.0.1:{port}")),
        _ => None,
    };
    let message = format!("{text:?} is not an address with a port");
    check.out.push(
        Diagnostic::error(Mistake::InvalidValue, &node.place, message)
            .nearest(meant)
            .remedy("write IP:PORT, such as 127.0.0.1:8080, or [::1]:8080"),
    );
    None
}

/// Refuses `key = true` on a server that the network reaches.
fn loopback_only(check: &mut Check<'_, '_>, server: &Node<'_>, key: &str, what: &str) {
    if let Some(node) = server.get(key)
        && node.truth() != Some(false)
    {
        let message = format!("{what}, and the server is reachable from the network");
        let remedy = format!("take `{key}` away, or keep to 127.0.0.1");
        check.error(Mistake::Exposed, &node.place, message, remedy);
    }
}

fn opcua(check: &mut Check<'_, '_>, server: &Node<'_>, remote: bool, no_users: bool) {
    if remote {
        loopback_only(check, server, "allow_anonymous", "anyone may read");
        loopback_only(check, server, "allow_none", "sessions need no protection");
    }
    let everywhere = server
        .text_at("listen")
        .filter(|(text, _)| text.parse().is_ok_and(|a: SocketAddr| a.ip().is_unspecified()));
    if let Some((_, listen)) = everywhere
        && !server.has("host")
    {
        let message = "clients need a name for this server, and this address is none";
        let remedy = "add `host`, the name or address by which clients reach this machine";
        check.error(Mistake::MissingKey, &listen.place, message, remedy);
    }
    let anonymous = server.get("allow_anonymous").and_then(|node| node.truth()) == Some(true);
    nobody(check, server, anonymous, no_users, "allow_anonymous = true");
}

fn http(check: &mut Check<'_, '_>, kind: &str, server: &Node<'_>, remote: bool, no_users: bool) {
    if remote {
        loopback_only(check, server, "anonymous", "requests need no user");
        if !server.has("tls") {
            let place = server.text_at("listen").map_or(server.place.clone(), |(_, n)| n.place);
            let message = "passwords would cross the network unprotected";
            let remedy =
                format!("add [server.{kind}.tls] with certificate and key, or listen on 127.0.0.1");
            check.error(Mistake::Exposed, &place, message, remedy);
        }
    }
    if let Some(tls) = server.get("tls") {
        check.file_exists(&tls, "certificate");
        check.file_exists(&tls, "key");
    }
    nobody(check, server, server.has("anonymous"), no_users, "anonymous = \"view\"");
}

fn nobody(
    check: &mut Check<'_, '_>,
    server: &Node<'_>,
    anonymous: bool,
    no_users: bool,
    key: &str,
) {
    if no_users && !anonymous {
        let message = "nobody may use this server: there is no user";
        let remedy = format!("add a [[user]], or `{key}` on loopback");
        check.warning(Mistake::Contradiction, &server.place, message, remedy);
    }
}
