//! `[traces]`.

use super::sources::url;
use super::{Check, Mistake, host_is_loopback};
use crate::config::document::Node;

pub(super) fn check(check: &mut Check<'_, '_>, traces: &Node<'_>) {
    let host = url(check, traces, &["http", "https"]);
    check.file_exists(traces, "ca_file");
    check.at_least_one(traces, &["every_ms", "timeout_ms"]);
    let scheme = traces.text_at("url").and_then(|(url, _)| url.split_once("://")).map(|at| at.0);
    if scheme != Some("http") {
        return;
    }
    if !host.is_none_or(host_is_loopback)
        && let Some(token) = traces.get("token")
    {
        let message = "the secret crosses the network unprotected";
        check.warning(Mistake::WeakSecurity, &token.place, message, "use https://");
    }
    if let Some(ca) = traces.get("ca_file") {
        let remedy = "use https://, or take it away";
        check.error(Mistake::Contradiction, &ca.place, "`ca_file` is for https://", remedy);
    }
}
