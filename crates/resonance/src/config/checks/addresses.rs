//! Addresses: URLs, node ids, sockets.

use std::net::IpAddr;

/// A URL that has been taken apart as far as is needed.
#[derive(Debug, PartialEq)]
pub(super) struct Url<'u> {
    pub(super) scheme: &'u str,
    pub(super) host: &'u str,
}

impl<'u> Url<'u> {
    /// Takes `scheme://host[:port][/path]` apart.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(super) fn parse(text: &'u str) -> Result<Self, &'static str> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("a URL has no spaces");
        }
        let (scheme, rest) = text.split_once("://").ok_or("`://` is missing")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']').ok_or("`]` is missing")?;
                (host, rest.strip_prefix(':'))
            }
            None => match authority.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err("the host is missing");
        }
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return Err("the port is not a number from 1 to 65535");
        }
        Ok(Self { scheme, host })
    }
}

/// Whether a host is this very machine.
pub(crate) fn host_is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why a text is not an OPC UA node id (OPC 10000-6, 5.3.1.10), the namespace by number or URI.
pub(super) fn node_id_problem(text: &str) -> Option<String> {
    let rest = match (text.strip_prefix("ns="), text.strip_prefix("nsu=")) {
        (None, None) => text,
        (_, Some(rest)) => match rest.split_once(';') {
            Some(("", _)) => return Some("the namespace URI after nsu= is missing".into()),
            Some((_, rest)) => rest,
            None => return Some("`;` is missing after the namespace".into()),
        },
        (Some(rest), None) => {
            let Some((namespace, rest)) = rest.split_once(';') else {
                return Some("`;` is missing after the namespace".into());
            };
            if namespace.parse::<u16>().is_err() {
                return Some(format!("the namespace {namespace:?} is not a number up to 65535"));
            }
            rest
        }
    };
    let Some((kind, identifier)) = rest.split_once('=') else {
        return Some("i=, s=, g= or b= is missing".into());
    };
    match kind {
        "i" if identifier.parse::<u32>().is_err() => {
            Some(format!("{identifier:?} is not a number up to 4294967295"))
        }
        "s" if identifier.is_empty() => Some("the text after s= is missing".into()),
        "g" if !is_guid(identifier) => Some(format!("{identifier:?} is not a GUID")),
        "b" if !is_base64(identifier) => Some(format!("{identifier:?} is not Base64")),
        "i" | "s" | "g" | "b" => None,
        _ => Some(format!("{kind:?} is not one of i, s, g and b")),
    }
}

/// Why a text does not name an MTConnect data item, or a part of one.
pub(super) fn data_item_problem(text: &str) -> Option<String> {
    let mut steps = text.splitn(3, '#');
    let id = steps.next().unwrap_or_default();
    if id.is_empty() || id.chars().any(char::is_whitespace) {
        return Some("an id has at least one character and no spaces".into());
    }
    if id.starts_with("ns=") || id.starts_with("nsu=") {
        return Some("this is an OPC UA node id".into());
    }
    steps.any(str::is_empty).then(|| "a key after # is missing".into())
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let hex = |group: &str| group.bytes().all(|b| b.is_ascii_hexdigit());
    groups.iter().map(|g| g.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|g| hex(g))
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_items_are_told_from_other_things() {
        for good in ["x_pos", "vars#R1", "offsets#T1#LENGTH", "offsets#T#1#x"] {
            assert_eq!(data_item_problem(good), None, "{good}");
        }
        for bad in ["", "x pos", "#R1", "vars#", "offsets#T1#", "ns=2;s=Load"] {
            assert!(data_item_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("opc.tcp://[::1]:4840/mill").unwrap();
        assert_eq!(url, Url { scheme: "opc.tcp", host: "::1" });
        assert_eq!(Url::parse("mqtt://user:pw@broker").unwrap().host, "broker");
        for bad in ["", "broker", "mqtt://", "mqtt://:1883", "mqtt://a:b", "mqtt://a b", "x://a:0"]
        {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn node_ids_are_told_from_tags() {
        for good in [
            "ns=2;s=Spindle.Load",
            "nsu=http://maker.example/mill/;s=A;s=B",
            "i=2258",
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            "ns=0;b=M/RbKBsRVkePCePcx24oRA==",
        ] {
            assert_eq!(node_id_problem(good), None, "{good}");
        }
        for bad in [
            "",
            "Spindle.Load",
            "ns=2",
            "nsu=;i=1",
            "ns=70000;i=1",
            "i=-1",
            "s=",
            "g=1",
            "b=&",
            "x=1",
        ] {
            assert!(node_id_problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_number() {
        assert!(host_is_loopback("LocalHost") && host_is_loopback("127.0.0.9"));
        assert!(host_is_loopback("::1") && !host_is_loopback("10.0.0.1"));
    }
}
