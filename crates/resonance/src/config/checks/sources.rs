//! `[[source]]`.

use super::addresses::Url;
use super::{Check, Mistake, host_is_loopback};
use crate::config::document::{Node, userinfo};

pub(super) fn check(check: &mut Check<'_, '_>, source: &Node<'_>) {
    match kind_of(source) {
        "image" => image(check, source),
        "mtconnect" => mtconnect(check, source),
        "replay" => replay(check, source),
        _ => opcua(check, source),
    }
}

/// A source's type; of one whose type is missing or misspelt, which is told elsewhere, the type
/// that goes with its file or URL.
pub(super) fn kind_of<'d>(source: &Node<'d>) -> &'static str {
    let speaks_http = || source.text_at("url").is_some_and(|(url, _)| url.starts_with("http"));
    match source.text_at("type") {
        Some(("image", _)) => "image",
        Some(("mtconnect", _)) => "mtconnect",
        Some(("opcua", _)) => "opcua",
        Some(("replay", _)) => "replay",
        _ if source.has("file") => "replay",
        _ if source.has("folder") => "image",
        _ if speaks_http() => "mtconnect",
        _ => "opcua",
    }
}

fn mtconnect(check: &mut Check<'_, '_>, source: &Node<'_>) {
    let host = url(check, source, &["http", "https"]);
    check.user_and_password(source);
    check.file_exists(source, "ca_file");
    check.at_least_one(
        source,
        &[
            "interval_ms",
            "heartbeat_ms",
            "count_max",
            "document_bytes_max",
            "silence_ms_max",
            "backoff_ms_max",
            "request_timeout_ms",
        ],
    );
    let plain = source.text_at("url").is_some_and(|(url, _)| url.starts_with("http://"));
    if plain && let Some(ca) = source.get("ca_file") {
        let remedy = "use https://, or take it away";
        check.error(Mistake::Contradiction, &ca.place, "`ca_file` is for https://", remedy);
    }
    if plain
        && !host.is_none_or(host_is_loopback)
        && let Some(password) = source.get("password")
    {
        let message = "the password would cross the network unprotected";
        check.error(Mistake::WeakSecurity, &password.place, message, "use https://");
    }
    let milliseconds = |key: &str, default: i128| {
        source.get(key).and_then(|node| node.integer()).unwrap_or(default)
    };
    let speaks = milliseconds("heartbeat_ms", 5_000).max(milliseconds("interval_ms", 100));
    let silence = milliseconds("silence_ms_max", 15_000);
    if silence > 0 && silence <= speaks {
        let keys = ["silence_ms_max", "heartbeat_ms", "interval_ms"];
        let place = keys.iter().find_map(|key| source.get(key));
        let place = place.map_or_else(|| source.place.clone(), |node| node.place.clone());
        let message =
            format!("silence_ms_max is {silence}, but a quiet agent speaks only every {speaks} ms");
        let remedy = "write several times heartbeat_ms";
        check.error(Mistake::Contradiction, &place, message, remedy);
    }
}

fn image(check: &mut Check<'_, '_>, source: &Node<'_>) {
    if !source.has("folder") && !source.has("listen") {
        let message = "images come from nowhere";
        let remedy = "add `folder`, which is watched, or `listen`, where they are POSTed to";
        check.error(Mistake::MissingKey, &source.place, message, remedy);
    }
    if let Some((folder, node)) = source.text_at("folder")
        && !check.folder.join(folder).is_dir()
    {
        let message = format!("there is no folder {folder:?}");
        let remedy = "make it, or name one that is there, relative to the plant file's folder";
        check.error(Mistake::MissingFile, &node.place, message, remedy);
    }
    if let Some(address) = super::servers::address(check, source, "listen")
        && let Some(node) = source.get("listen")
        && !address.ip().to_canonical().is_loopback()
    {
        let message = "anyone on the network could send images";
        let remedy = "write a loopback address, and put a proxy with TLS and users before it";
        check.error(Mistake::WeakSecurity, &node.place, message, remedy);
    }
    let keys = ["width", "height", "bytes_max", "side_max", "interval_ms", "scan_ms"];
    check.at_least_one(source, &keys);
}

fn replay(check: &mut Check<'_, '_>, source: &Node<'_>) {
    if let Some((file, node)) = source.text_at("file")
        && !check.folder.join(file).is_file()
    {
        let message = format!("there is no file {file:?}");
        let remedy = "name a CSV file, relative to the plant file's folder";
        check.error(Mistake::MissingFile, &node.place, message, remedy);
    }
    check.at_least_one(source, &["period_ms"]);
    if let Some(speed) = source.get("speed")
        && speed.number().is_some_and(|speed| !(1e-3..=1e6).contains(&speed))
    {
        let remedy = "write 1 for the recorded pace, at most 1000000";
        check.error(Mistake::OutOfBounds, &speed.place, "`speed` is out of bounds", remedy);
    }
    let is_recorded = source.text_at("time").is_some_and(|(time, _)| time == "recorded");
    if is_recorded && !source.has("time_column") {
        let message = "the recorded time needs a column that tells it";
        check.error(Mistake::MissingKey, &source.place, message, "add `time_column`");
    }
}

fn opcua(check: &mut Check<'_, '_>, source: &Node<'_>) {
    let host = url(check, source, &["opc.tcp"]);
    security(check, source);
    check.user_and_password(source);
    user_certificate(check, source);
    check.at_least_one(
        source,
        &[
            "publishing_ms",
            "queue_size",
            "items_per_request",
            "items_per_subscription",
            "silence_ms_max",
            "backoff_ms_max",
            "request_timeout_ms",
        ],
    );
    if let Some((fingerprint, node)) = source.text_at("server_fingerprint") {
        let digits = fingerprint.bytes().filter(|b| b.is_ascii_hexdigit()).count();
        if digits != 64 || fingerprint.bytes().any(|b| !b.is_ascii_hexdigit() && b != b':') {
            let message = "the fingerprint is not a SHA-256 in hexadecimal";
            let remedy = "write the 64 digits that `openssl x509 -fingerprint -sha256` prints";
            check.error(Mistake::InvalidValue, &node.place, message, remedy);
        }
    }
    let listen = super::servers::address(check, source, "listen");
    let is_local = match listen {
        Some(address) => address.ip().to_canonical().is_loopback(),
        None => host.is_some_and(host_is_loopback),
    };
    if let Some(uri) = source.get("server_uri").filter(|_| !source.has("listen")) {
        let message = "`server_uri` is what a machine that connects must say";
        check.error(Mistake::Contradiction, &uri.place, message, "add `listen`, or take it away");
    }
    let is_proved = source.text_at("security_policy").is_none_or(|(policy, _)| policy != "none")
        && (source.has("server_fingerprint")
            || source.get("trust_any_certificate").and_then(|any| any.truth()) != Some(true));
    if let Some(password) = source.get("password").filter(|_| listen.is_some())
        && !is_local
        && !is_proved
    {
        let message = "whoever connects would be told the password";
        let remedy = "trust the machine's certificate, or pin it with `server_fingerprint`";
        check.error(Mistake::WeakSecurity, &password.place, message, remedy);
    } else if let Some(any) = source.get("trust_any_certificate")
        && any.truth() == Some(true)
        && !is_local
    {
        let message = "whoever answers at this address is taken for the machine";
        let remedy = "pin the machine with `server_fingerprint`";
        check.warning(Mistake::WeakSecurity, &any.place, message, remedy);
    }
    silence(check, source);
}

/// A user is known by name or by certificate, and a certificate needs its key.
fn user_certificate(check: &mut Check<'_, '_>, source: &Node<'_>) {
    let (certificate, key) = (source.get("user_certificate"), source.get("user_key"));
    let (node, message, remedy) = match (&certificate, &key, source.get("user")) {
        (Some(node), None, _) => {
            (node, "a certificate without its key", "add `user_key = \"file:PATH\"`")
        }
        (None, Some(node), _) => (node, "a key without its certificate", "add `user_certificate`"),
        (Some(node), _, Some(_)) => {
            (node, "a user is known by name or by certificate", "keep one of the two")
        }
        _ => return,
    };
    check.error(Mistake::Contradiction, &node.place, message, remedy);
}

/// Checks the URL under `url`; its host, where it is one.
pub(super) fn url<'n>(
    check: &mut Check<'_, '_>,
    table: &Node<'n>,
    schemes: &[&str],
) -> Option<&'n str> {
    let (text, node) = table.text_at("url")?;
    let forms: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://host:port")).collect();
    let remedy = format!("write {}", forms.join(" or "));
    if userinfo(text).is_some() {
        let message = "a URL in a plant file names no user and no password";
        let remedy = "use `user` and `password = \"env:NAME\"`";
        check.error(Mistake::InlineSecret, &node.place, message, remedy);
        return None;
    }
    match Url::parse(text) {
        Err(problem) => {
            let message = format!("{text:?} is not a URL: {problem}");
            check.error(Mistake::InvalidValue, &node.place, message, remedy);
            None
        }
        Ok(url) if !schemes.contains(&url.scheme) => {
            let message = format!("the scheme {:?} is not known here", url.scheme);
            check.error(Mistake::InvalidValue, &node.place, message, remedy);
            None
        }
        Ok(url) => Some(url.host),
    }
}

fn security(check: &mut Check<'_, '_>, source: &Node<'_>) {
    let allowed = source.get("allow_weak_security").and_then(|node| node.truth()) == Some(true);
    let policy = source.text_at("security_policy");
    let mode = source.text_at("security_mode");
    let weak = |name: &str| matches!(name, "none" | "basic128rsa15" | "basic256");
    if let Some((policy, node)) = policy.as_ref().filter(|(policy, _)| weak(policy) && !allowed) {
        let what = if *policy == "none" { "no protection at all" } else { "broken (SHA-1)" };
        let message = format!("security policy {policy} is {what}");
        let remedy = "use basic256sha256 or better, or add `allow_weak_security = true` knowingly";
        check.error(Mistake::WeakSecurity, &node.place, message, remedy);
    }
    let no_policy = policy.as_ref().is_some_and(|(policy, _)| *policy == "none");
    match mode {
        Some((mode, node)) if no_policy && mode != "none" => {
            let message = format!("security mode {mode} needs a security policy");
            let remedy = "write `security_mode = \"none\"`, or a security policy";
            check.error(Mistake::Contradiction, &node.place, message, remedy);
        }
        Some(("none", node)) if !no_policy => {
            let message = "security mode none goes only with security policy none";
            let remedy = "write sign or sign_and_encrypt";
            check.error(Mistake::Contradiction, &node.place, message, remedy);
        }
        None if no_policy => {
            if let Some((_, node)) = policy {
                let message = "security policy none needs `security_mode = \"none\"`";
                check.error(Mistake::Contradiction, &node.place, message, "add it");
            }
        }
        _ => {}
    }
}

/// A watchdog shorter than the silence between two messages would never let a session live.
fn silence(check: &mut Check<'_, '_>, source: &Node<'_>) {
    let Some(node) = source.get("silence_ms_max") else { return };
    let Some(silence) = node.integer() else { return };
    let publishing = source.get("publishing_ms").and_then(|n| n.integer()).unwrap_or(100);
    if silence > 0 && silence <= publishing {
        let message = format!(
            "silence_ms_max is {silence}, but the server speaks only every {publishing} ms"
        );
        let remedy = "write several times publishing_ms";
        check.error(Mistake::Contradiction, &node.place, message, remedy);
    }
}
