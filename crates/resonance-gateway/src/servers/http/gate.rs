//! What every request passes first: who asks, whether they may, and whether there is room.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use resonance_plant::{Code, Principal, Role};

use super::refusal::Refusal;
use super::shared::Shared;

/// Longest Authorization header that is looked at, bytes.
const CREDENTIALS_BYTES_MAX: usize = 4_096;

/// Reading takes `view`; inference and commands to deployments take `operate`; commands to models
/// and another plan take `engineer`. Every gRPC call is a POST: there its name tells.
pub(in crate::servers) fn role_needed(method: &Method, path: &str) -> Role {
    if let Some(call) = grpc_call(path) {
        return match call {
            "ModelInfer" => Role::Operate,
            "RepositoryModelLoad" | "RepositoryModelUnload" => Role::Engineer,
            _ => Role::View,
        };
    }
    if path.starts_with("/v2/repository/models/") || path == "/api/v1/plant/reload" {
        return Role::Engineer;
    }
    if method.is_safe() || path == "/v2/repository/index" { Role::View } else { Role::Operate }
}

/// Probes and streams take no place among the requests that are bounded: a probe must answer
/// under load, and streams have their own bound.
pub(in crate::servers) fn is_bounded(path: &str) -> bool {
    match grpc_call(path) {
        Some(call) => !matches!(call, "ServerLive" | "ServerReady" | "ModelReady"),
        None => {
            !(path.starts_with("/v2/health/")
                || path.ends_with("/ready")
                || path.ends_with("/stream"))
        }
    }
}

fn grpc_call(path: &str) -> Option<&str> {
    path.strip_prefix("/inference.GRPCInferenceService/")
}

/// Who asks, if they may.
pub(in crate::servers) async fn admit(
    shared: &Shared,
    peer: SocketAddr,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Principal, Refusal> {
    same_origin(method, headers)?;
    let principal = match headers.get(AUTHORIZATION) {
        Some(credentials) => basic(shared, peer, credentials.as_bytes()).await?,
        None => anonymous(shared, peer, uri, headers)?,
    };
    let needs = role_needed(method, uri.path());
    if principal.role >= needs {
        return Ok(principal);
    }
    let action = format!("{method} {}", uri.path());
    shared.context.access.report_denied(shared.surface.name(), &principal, &action, needs);
    let detail = format!(
        "user {:?} has role {}, {action} needs {}",
        principal.name,
        principal.role.name(),
        needs.name()
    );
    Err(Refusal::new(StatusCode::FORBIDDEN, Code::AccessDenied, detail))
}

/// HTTP Basic (RFC 7617).
async fn basic(
    shared: &Shared,
    peer: SocketAddr,
    credentials: &[u8],
) -> Result<Principal, Refusal> {
    let Some((name, password)) = parse_basic(credentials) else {
        shared.context.access.report_failed(shared.surface.name(), &peer.to_string(), "");
        return Err(unauthorized("credentials must be given as HTTP Basic, in UTF-8"));
    };
    if let Some(principal) = shared.context.access.recall(&name, password.as_bytes()) {
        return Ok(principal);
    }
    let Ok(turn) = Arc::clone(&shared.logins).try_acquire_owned() else {
        return Err(Refusal::overloaded("too many passwords are being verified; try again"));
    };
    let access = Arc::clone(&shared.context.access);
    let asked = name.clone();
    let verified = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        access.authenticate(&asked, password.as_bytes())
    });
    match verified.await {
        Ok(Some(principal)) => Ok(principal),
        _ => {
            shared.context.access.report_failed(shared.surface.name(), &peer.to_string(), &name);
            Err(unauthorized("there is no such user, or the password is another"))
        }
    }
}

fn parse_basic(credentials: &[u8]) -> Option<(String, String)> {
    if credentials.len() > CREDENTIALS_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(credentials).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = pair.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Nobody in particular: only where the plan admits them, which it may on loopback alone, and
/// only under a host name that cannot have been made to point here by someone else's DNS.
fn anonymous(
    shared: &Shared,
    peer: SocketAddr,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Principal, Refusal> {
    let Some(role) = shared.plan.anonymous.filter(|_| peer.ip().to_canonical().is_loopback())
    else {
        return Err(unauthorized("name and password are needed (HTTP Basic)"));
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = uri.host().or_else(|| host.map(without_port));
    if host.is_none_or(is_own_name) {
        return Ok(Principal::anonymous(role));
    }
    Err(unauthorized("without name and password, only localhost or an address may be the host"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

fn is_own_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// A browser that shows someone else's page must not command this server in its user's name.
fn same_origin(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN).filter(|_| !method.is_safe()) else { return Ok(()) };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    match (authority, host) {
        (Some((_, authority)), Some(host)) if authority.eq_ignore_ascii_case(host) => Ok(()),
        _ => {
            let detail = "the request comes from another origin's page";
            Err(Refusal::new(StatusCode::FORBIDDEN, Code::AccessDenied, detail))
        }
    }
}

fn unauthorized(detail: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, Code::AccessFailed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_as_rfc_7617_says() {
        let encoded = STANDARD.encode("ada:a:b ä");
        let parse = |text: String| parse_basic(text.as_bytes());
        let pair = Some(("ada".to_owned(), "a:b ä".to_owned()));
        assert_eq!(parse(format!("Basic {encoded}")), pair);
        assert_eq!(parse(format!("basic {encoded}")), pair);
        assert_eq!(parse(format!("Bearer {encoded}")), None);
        assert_eq!(parse("Basic !".into()), None);
        assert_eq!(parse(format!("Basic {}", "A".repeat(100_000))), None);
    }

    #[test]
    fn only_localhost_and_addresses_are_own_names() {
        let own = |host: &str| is_own_name(without_port(host));
        assert!(own("localhost:8080") && own("LOCALHOST") && own("127.0.0.1:1") && own("[::1]:1"));
        assert!(!own("evil.example:8080") && !own("localhost.evil.example"));
    }
}
