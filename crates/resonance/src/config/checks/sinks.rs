//! `[[sink]]`.

use super::sources::url;
use super::{Check, Diagnostic, Mistake, host_is_loopback};
use crate::config::document::Node;

/// What a topic may contain in braces.
const PLACEHOLDERS: [&str; 3] = ["asset", "deployment", "model"];

/// A sink whose `type` is misspelt is checked as what its URL says.
pub(super) fn check(check: &mut Check<'_, '_>, sink: &Node<'_>) {
    let kind = sink.text_at("type").map(|(kind, _)| kind);
    let scheme = sink.text_at("url").and_then(|(url, _)| url.split_once("://")).map(|at| at.0);
    let is_http = match kind {
        Some("http") => true,
        Some("mqtt") => false,
        _ => matches!(scheme, Some("http" | "https")),
    };
    let (plain, encrypted) = if is_http { ("http", "https") } else { ("mqtt", "mqtts") };
    let host = url(check, sink, &[plain, encrypted]);
    check.file_exists(sink, "ca_file");
    if is_http {
        check.at_least_one(sink, &["batch_max", "timeout_ms"]);
        token(check, sink);
    } else {
        check.at_least_one(sink, &["in_flight_max", "confirm_ms_max"]);
        topic(check, sink);
    }
    check.at_least_one(sink, &["backoff_ms_max", "unconfirmed_max"]);
    check.user_and_password(sink);
    confirmation(check, sink);
    if let Some(when) = sink.get("when") {
        self::when(check, &when);
    }
    if scheme != Some(plain) {
        return;
    }
    if !host.is_none_or(host_is_loopback)
        && let Some(secret) = sink.get("password").or(sink.get("token"))
    {
        let message = "the secret crosses the network unprotected";
        let remedy = format!("use {encrypted}://");
        check.warning(Mistake::WeakSecurity, &secret.place, message, remedy);
    }
    if let Some(ca) = sink.get("ca_file") {
        let message = format!("`ca_file` is for {encrypted}://");
        let remedy = format!("use {encrypted}://, or take it away");
        check.error(Mistake::Contradiction, &ca.place, message, remedy);
    }
}

/// A bearer token stands for itself.
fn token(check: &mut Check<'_, '_>, sink: &Node<'_>) {
    if let Some(token) = sink.get("token")
        && (sink.has("user") || sink.has("password"))
    {
        let message = "a token besides a user";
        check.error(Mistake::Contradiction, &token.place, message, "keep one of them");
    }
}

/// Only B2MML is confirmed by a ConfirmBOD.
fn confirmation(check: &mut Check<'_, '_>, sink: &Node<'_>) {
    let format = sink.text_at("format").map_or("result", |(format, _)| format);
    if let Some(("confirm_bod", acknowledge)) = sink.text_at("acknowledge")
        && format == "result"
    {
        let message = "`confirm_bod` is how B2MML messages are confirmed, not result records";
        let remedy = "set format = \"b2mml-xml\" or \"b2mml-json\", or acknowledge = \"transport\"";
        check.error(Mistake::Contradiction, &acknowledge.place, message, remedy);
    }
}

/// A condition that no result can meet keeps everything back.
fn when(check: &mut Check<'_, '_>, when: &Node<'_>) {
    check.least_first(when, "within");
    for (one, other) in [("output", "within"), ("within", "output")] {
        if let Some(node) = when.get(one)
            && !when.has(other)
        {
            let message = format!("`{one}` has a meaning only with `{other}`");
            let remedy = "write { output = \"NAME\", within = [least, greatest] }";
            check.error(Mistake::Contradiction, &node.place, message, remedy);
        }
    }
    for key in ["deployments", "labels"] {
        if let Some(list) = when.get(key)
            && list.items().next().is_none()
        {
            let message = format!("no result is ever sent: `{key}` is empty");
            check.error(Mistake::OutOfBounds, &list.place, message, "leave the key out for all");
        }
    }
    let Some(deployments) = when.get("deployments") else { return };
    for node in deployments.items() {
        let Some(id) = node.text() else { continue };
        if check.names.deployments.contains_key(id) {
            continue;
        }
        let known: Vec<String> =
            check.names.deployments.keys().map(|known| (*known).to_owned()).collect();
        let nearest = check.out.nearest(id, known.iter().map(String::as_str)).map(str::to_owned);
        check.out.push(
            Diagnostic::error(Mistake::UnknownName, &node.place, format!("no deployment {id:?}"))
                .nearest(nearest)
                .candidates(known)
                .remedy("write the id of a deployment"),
        );
    }
}

/// MQTT 5, 4.7: names of topics have no wildcards and are not empty.
fn topic(check: &mut Check<'_, '_>, sink: &Node<'_>) {
    let Some((topic, node)) = sink.text_at("topic") else { return };
    if topic.is_empty() || topic.len() > 1_024 || topic.contains(['+', '#', '\0']) {
        let message = format!("{topic:?} is not the name of an MQTT topic");
        let remedy = "write 1 to 1024 bytes without `+` and `#`";
        check.error(Mistake::InvalidValue, &node.place, message, remedy);
    }
    let valid = "placeholders: {asset}, {deployment}, {model}";
    for opened in topic.split('{').skip(1) {
        let Some((name, _)) = opened.split_once('}') else {
            let message = "a `{` in the topic is not closed";
            check.error(Mistake::InvalidValue, &node.place, message, valid);
            continue;
        };
        if !PLACEHOLDERS.contains(&name) {
            let nearest = check.out.nearest(name, PLACEHOLDERS).map(|near| format!("{{{near}}}"));
            let message = format!("the topic's placeholder {{{name}}} is not known");
            check.out.push(
                Diagnostic::error(Mistake::UnknownName, &node.place, message)
                    .nearest(nearest)
                    .remedy(valid),
            );
        }
    }
}
