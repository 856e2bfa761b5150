//! Whether the broker is there and takes us: a connection under another client id, at once ended.

use std::time::Duration;

use rumqttc::{AsyncClient, Event, Packet};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;

use super::MqttConfig;
use super::answer;
use super::endpoint::{Endpoint, parse};
use crate::tls;

/// How long the broker has to take our leave.
const FAREWELL: Duration = Duration::from_millis(200);

/// Connects and leaves. Returns the certificates that were shown (DER).
///
/// # Errors
/// Why there is no connection, and what to do.
pub(in crate::sinks) async fn visit(config: &MqttConfig, id: &str) -> Result<Vec<Vec<u8>>, String> {
    // Under the sink's own id, the broker would end the connection of a running gateway.
    let client_id = format!("resonance-visit-{}", std::process::id());
    let config = MqttConfig { client_id: Some(client_id), ..config.clone() };
    let endpoint = Endpoint::new(&config, id).map_err(|error| error.to_string())?;
    let certificates = certificates(&config).await?;
    let (client, mut events) = AsyncClient::builder(endpoint.options).capacity(1).build();
    let refused = loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => break None,
            Ok(_) => {}
            Err(error) => break Some(answer::of_connection(&error)),
        }
    };
    if let Some(trouble) = refused {
        return Err(format!("{}: {}", config.url, trouble.message));
    }
    let leaving = async {
        if client.disconnect_with_timeout(FAREWELL).await.is_ok() {
            while events.poll().await.is_ok() {}
        }
    };
    // A broker that does not let go is there all the same.
    let _ = tokio::time::timeout(FAREWELL, leaving).await;
    Ok(certificates)
}

async fn certificates(config: &MqttConfig) -> Result<Vec<Vec<u8>>, String> {
    let url = parse(&config.url)?;
    if !url.tls {
        return Ok(Vec::new());
    }
    let failed = |error: std::io::Error| format!("{}: {error}", config.url);
    let name = ServerName::try_from(url.host.to_owned()).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect((url.host, url.port)).await.map_err(failed)?;
    tls::shown(stream, tls::trusting(config.ca_file.as_deref())?, name).await.map_err(failed)
}
