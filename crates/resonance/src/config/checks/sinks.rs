//! `[[sink]]`.

use super::sources::url;
use super::{Check, Diagnostic, Mistake, host_is_loopback};
use crate::config::document::Node;

/// What a topic may contain in braces.
const PLACEHOLDERS: [&str; 3] = ["asset", "deployment", "model"];

/// There is one kind so far, so a sink whose `type` is misspelt is checked as that one, too.
pub(super) fn check(check: &mut Check<'_, '_>, sink: &Node<'_>) {
    let host = url(check, sink, &["mqtt", "mqtts"]);
    check.user_and_password(sink);
    check.at_least_one(sink, &["in_flight_max", "backoff_ms_max"]);
    check.file_exists(sink, "ca_file");
    topic(check, sink);
    let plain = sink.text_at("url").is_some_and(|(url, _)| url.starts_with("mqtt://"));
    if plain
        && !host.is_none_or(host_is_loopback)
        && let Some(password) = sink.get("password")
    {
        let message = "the password crosses the network unprotected";
        check.warning(Mistake::WeakSecurity, &password.place, message, "use mqtts://");
    }
    if plain && let Some(ca) = sink.get("ca_file") {
        let message = "`ca_file` is for mqtts://";
        check.error(Mistake::Contradiction, &ca.place, message, "use mqtts://, or take it away");
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
