//! Where the broker is and how it is trusted, read from the configuration once.

use std::time::Duration;

use rumqttc::{Broker, MqttOptions, TlsConfiguration, Transport};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::MqttConfig;
use super::topic::TopicTemplate;
use crate::sinks::SinkError;
use crate::sinks::payload::{Acknowledge, Form, Format};
use crate::{secret, tls};

/// A connection that does not come about within this time has failed.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The broker is asked for a sign of life after this long without one, seconds.
const KEEP_ALIVE_S: u16 = 15;
/// Brokers have no large packets for a client that only publishes, bytes.
const INCOMING_BYTES_MAX: u32 = 64 * 1024;

/// A configuration that was checked, with its secrets and certificates read.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) options: MqttOptions,
    pub(super) topic: TopicTemplate,
    pub(super) form: Form,
    /// Where the application confirms, where it shall.
    pub(super) reply_topic: Option<String>,
}

/// An MQTT URL's parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) tls: bool,
    pub(super) host: &'a str,
    pub(super) port: u16,
}

impl Endpoint {
    /// Checks the configuration of the sink `id` and reads what it refers to.
    ///
    /// # Errors
    /// [`SinkError::Configuration`], naming the key.
    pub(super) fn new(config: &MqttConfig, id: &str) -> Result<Self, SinkError> {
        let refused =
            |key: &str, problem: String| SinkError::Configuration { key: key.into(), problem };
        let url = parse(&config.url).map_err(|problem| refused("url", problem))?;
        let topic = TopicTemplate::parse(&config.topic)
            .map_err(|error| refused("topic", error.to_string()))?;
        if config.in_flight_max == 0 {
            return Err(refused(
                "in_flight_max",
                "nothing can be delivered with 0; use 1 or more".into(),
            ));
        }
        let client_id = match &config.client_id {
            Some(client_id) if client_id.is_empty() || client_id.contains('\0') => {
                return Err(refused(
                    "client_id",
                    "an id has at least one character, none of them NUL".into(),
                ));
            }
            Some(client_id) => client_id.clone(),
            None => format!("resonance-{id}"),
        };
        let reply_topic = match config.acknowledge {
            Acknowledge::Transport => None,
            Acknowledge::ConfirmBod if config.format == Format::Result => {
                let problem = "only B2MML messages are confirmed by a ConfirmBOD; set format to \
                               \"b2mml-xml\" or \"b2mml-json\"";
                return Err(refused("acknowledge", problem.into()));
            }
            Acknowledge::ConfirmBod => {
                let own = || format!("resonance/{client_id}/reply");
                let topic = config.reply_topic.clone().unwrap_or_else(own);
                TopicTemplate::parse(&topic)
                    .map_err(|error| refused("reply_topic", error.to_string()))?;
                Some(topic)
            }
        };
        let mut options = MqttOptions::new(client_id, Broker::tcp(url.host, url.port));
        match (&config.user, &config.password) {
            (Some(user), Some(reference)) => {
                let password = secret::read(reference)
                    .map_err(|error| refused("password", error.to_string()))?;
                options.set_credentials(user, password);
            }
            (Some(user), None) => {
                options.set_username(user);
            }
            (None, Some(_)) => {
                return Err(refused(
                    "password",
                    "there is a password and no user; add user".into(),
                ));
            }
            (None, None) => {}
        }
        if url.tls {
            let tls = tls::trusting(config.ca_file.as_deref())
                .map_err(|problem| refused("ca_file", problem))?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        } else if config.ca_file.is_some() {
            return Err(refused(
                "ca_file",
                "only mqtts:// uses certificates; change the url".into(),
            ));
        }
        // An address in brackets and one in a certificate are written differently, so the
        // connection is made here.
        let (host, port) = (url.host.to_owned(), url.port);
        options.set_socket_connector(move |_, _| {
            let host = host.clone();
            async move {
                let stream = TcpStream::connect((host.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }
        });
        // What waits is written at once, not packet by packet.
        options.set_max_request_batch(usize::from(config.in_flight_max));
        // The spool is the session: nothing is left to the broker's or the client's memory.
        options
            .set_clean_start(true)
            .set_session_expiry_interval(Some(0))
            .set_keep_alive(KEEP_ALIVE_S)
            .set_connect_timeout(CONNECT_WITHIN)
            .set_max_packet_size(Some(INCOMING_BYTES_MAX))
            .set_outgoing_inflight_upper_limit(config.in_flight_max);
        let form = Form {
            format: config.format,
            acknowledge: config.acknowledge,
            sender: format!("resonance/{id}"),
            in_array: false,
        };
        Ok(Self { options, topic, form, reply_topic })
    }
}

pub(super) fn parse(url: &str) -> Result<Url<'_>, String> {
    let form = || format!("{url:?} is not of the form mqtt://host:port or mqtts://host:port");
    let (scheme, rest) = url.split_once("://").ok_or_else(form)?;
    let (tls, default_port) = match scheme {
        "mqtt" => (false, 1_883),
        "mqtts" => (true, 8_883),
        _ => return Err(form()),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err("user and password do not belong into the url; use user and password".into());
    }
    let (host, port) = match rest.strip_prefix('[') {
        Some(v6) => {
            let (host, after) = v6.split_once(']').ok_or_else(form)?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some("")).ok_or_else(form)?)
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    let port = if port.is_empty() { Ok(default_port) } else { port.parse() };
    let port = port.ok().filter(|port| *port != 0).ok_or_else(form)?;
    // What a certificate can be about is what can be connected to.
    ServerName::try_from(host).map_err(|_| form())?;
    Ok(Url { tls, host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_or_refused_with_the_form_expected() {
        let url = |tls, host, port| Ok(Url { tls, host, port });
        assert_eq!(parse("mqtt://broker"), url(false, "broker", 1_883));
        assert_eq!(parse("mqtts://10.0.0.7:9/"), url(true, "10.0.0.7", 9));
        assert_eq!(parse("mqtt://[::1]:77"), url(false, "::1", 77));
        assert_eq!(parse("mqtts://[::1]"), url(true, "::1", 8_883));
        for bad in ["broker:1883", "http://x", "mqtt://", "mqtt://a:b", "mqtt://a:0", "mqtt://[::1"]
        {
            assert!(parse(bad).unwrap_err().contains("mqtts://host:port"), "{bad}");
        }
        assert!(parse("mqtt://me:pw@x").unwrap_err().contains("do not belong"));
    }

    #[test]
    fn a_wrong_configuration_names_its_key() {
        let good = MqttConfig::for_broker("mqtt://localhost");
        let key = |config: MqttConfig| match Endpoint::new(&config, "mes") {
            Err(SinkError::Configuration { key, .. }) => key,
            other => format!("{other:?}"),
        };
        assert!(Endpoint::new(&good, "mes").is_ok());
        assert_eq!(key(MqttConfig { url: "x".into(), ..good.clone() }), "url");
        assert_eq!(key(MqttConfig { topic: "a/+".into(), ..good.clone() }), "topic");
        assert_eq!(key(MqttConfig { in_flight_max: 0, ..good.clone() }), "in_flight_max");
        assert_eq!(key(MqttConfig { ca_file: Some("x".into()), ..good.clone() }), "ca_file");
        let acknowledge = Acknowledge::ConfirmBod;
        assert_eq!(key(MqttConfig { acknowledge, ..good.clone() }), "acknowledge");
        let (format, reply_topic) = (Format::B2mmlXml, Some("a/#".into()));
        let confirmed = MqttConfig { acknowledge, format, reply_topic, ..good.clone() };
        assert_eq!(key(confirmed), "reply_topic");
        let tls = MqttConfig::for_broker("mqtts://localhost");
        assert_eq!(key(MqttConfig { ca_file: Some("/nowhere".into()), ..tls }), "ca_file");
        let secret = crate::secret::SecretRef("env:RESONANCE_NOT_SET".into());
        let password = Some(secret);
        assert_eq!(key(MqttConfig { password: password.clone(), ..good.clone() }), "password");
        assert_eq!(key(MqttConfig { user: Some("u".into()), password, ..good }), "password");
    }
}
