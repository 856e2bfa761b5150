//! The demo's own clients of the gateway's servers: what they could read, over real connections,
//! is what the servers moved.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opcua::client::{ClientBuilder, IdentityToken, Session};
use opcua::types::{
    EndpointDescription, MessageSecurityMode, NodeId, ReadValueId, TimestampsToReturn,
    UserTokenPolicy,
};
use resonance_gateway::servers::opcua::NAMESPACE;
use resonance_gateway::status::ServerStatus;
use resonance_gateway::supervisor::Gateway;
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::cli::http;

/// A server that answers nothing in this time moves nothing.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What the demo could read from one of its servers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Served {
    /// `opcua` or `http`.
    pub(crate) server: &'static str,
    /// Where; absent where there is no such server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Results read: values of output variables by an OPC UA session, server-sent events by HTTP.
    pub(crate) results: u64,
    /// Why it counts as broken; absent where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// The clients.
#[derive(Debug)]
pub(crate) struct Readers {
    folder: PathBuf,
    events: Arc<AtomicU64>,
    stream: Option<JoinHandle<()>>,
}

impl Readers {
    /// Begins to read; `folder` is where the OPC UA client keeps its certificates.
    pub(crate) fn start(gateway: &Gateway, folder: PathBuf) -> Self {
        let events = Arc::new(AtomicU64::new(0));
        let stream = url_of(&gateway.status().servers, "http").map(|url| {
            let events = Arc::clone(&events);
            tokio::spawn(async move {
                let mut counting = Counting::default();
                // How it ends is no news: what counts is how many events came.
                let _ = client(url)
                    .follow("/api/v1/results/stream", |piece| {
                        events.fetch_add(counting.results(piece), Ordering::Relaxed);
                    })
                    .await;
            })
        });
        Self { folder, events, stream }
    }

    /// Ends, and says what could be read of each server.
    pub(crate) async fn finish(self, gateway: &Gateway) -> Vec<Served> {
        if let Some(stream) = self.stream {
            stream.abort();
        }
        let servers = gateway.status().servers;
        let results = self.events.load(Ordering::Relaxed);
        let url = url_of(&servers, "http");
        let http = served("http", url.clone(), results, ready(url).await);
        let url = url_of(&servers, "opcua");
        let outputs = outputs(gateway);
        let read = async {
            match &url {
                Some(url) => tokio::time::timeout(ANSWER_WITHIN, read(url, &outputs, self.folder))
                    .await
                    .map_err(|_| format!("no answer within {} s", ANSWER_WITHIN.as_secs()))?,
                None => Err("there is no such server".to_owned()),
            }
        };
        let (results, problem) = match read.await {
            Ok(results) => (results, None),
            Err(problem) => (0, Some(problem)),
        };
        vec![served("opcua", url, results, problem), http]
    }
}

fn served(
    server: &'static str,
    url: Option<String>,
    results: u64,
    problem: Option<String>,
) -> Served {
    let none = || (results == 0).then(|| "no result could be read from it".to_owned());
    Served { server, url, results, problem: problem.or_else(none) }
}

fn url_of(servers: &[ServerStatus], kind: &str) -> Option<String> {
    servers.iter().find(|server| server.kind == kind).map(|server| server.url.clone())
}

fn client(url: String) -> http::Gateway {
    http::Gateway { url, user: None, ca: None }
}

/// Why the HTTP server is not ready; `None` where it is.
async fn ready(url: Option<String>) -> Option<String> {
    let Some(url) = url else { return Some("there is no such server".into()) };
    client(url).get("/v2/health/ready").await.err().map(|error| error.to_string())
}

/// The ids of the variables that carry results.
fn outputs(gateway: &Gateway) -> Vec<String> {
    let deployments = gateway.deployments().status();
    let points = deployments.iter().flat_map(|deployment| deployment.outputs.iter());
    points.map(|point| gateway.plant().path(*point)).collect()
}

/// How many of the variables have a value that is not bad.
async fn read(url: &str, variables: &[String], folder: PathBuf) -> Result<u64, String> {
    let mut client = ClientBuilder::new()
        .application_name("Resonance demo")
        .application_uri("urn:resonance:demo")
        .pki_dir(folder)
        .session_retry_limit(0)
        .client()
        .map_err(|errors| errors.join(", "))?;
    let none = (url, "None", MessageSecurityMode::None, UserTokenPolicy::anonymous());
    let (session, events) = client
        .connect_to_matching_endpoint(EndpointDescription::from(none), IdentityToken::Anonymous)
        .await
        .map_err(|error| format!("cannot connect: {error}"))?;
    let running = events.spawn();
    // It never returns where the session cannot be had: the caller's time limit ends it then.
    session.wait_for_connection().await;
    let counted = count(&session, variables).await;
    // What was read counts, however the session ends.
    let _ = session.disconnect().await;
    running.abort();
    counted
}

async fn count(session: &Session, variables: &[String]) -> Result<u64, String> {
    let refused = |error: opcua::types::Error| format!("the server refused: {error}");
    let namespace = session.get_namespace_index(NAMESPACE).await.map_err(refused)?;
    let nodes: Vec<ReadValueId> = variables
        .iter()
        .map(|path| ReadValueId::new_value(NodeId::new(namespace, path.as_str())))
        .collect();
    if nodes.is_empty() {
        return Ok(0);
    }
    let values = session.read(&nodes, TimestampsToReturn::Both, 0.0).await.map_err(refused)?;
    let told = values.iter().filter(|value| {
        value.value.is_some() && value.status.is_none_or(|status| !status.is_bad())
    });
    Ok(told.count() as u64)
}

/// Counts events of the kind `result` in pieces of a stream, wherever the pieces are cut.
#[derive(Debug, Default)]
struct Counting {
    line: Vec<u8>,
}

impl Counting {
    fn results(&mut self, piece: &[u8]) -> u64 {
        const WANTED: &[u8] = b"event: result";
        let mut found = 0;
        for byte in piece {
            match byte {
                b'\n' => {
                    found += u64::from(self.line == WANTED);
                    self.line.clear();
                }
                // Longer lines are others; one byte too many is enough to tell.
                byte if self.line.len() <= WANTED.len() => self.line.push(*byte),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_however_the_stream_is_cut() {
        let stream = b"event: result\nid: 1\ndata: {\"event: result\":1}\n\n\
            event: results of another kind\nid: 2\n\nevent: lost\n\n:\n\nevent: result\n";
        for size in 1..stream.len() {
            let mut counting = Counting::default();
            let found: u64 = stream.chunks(size).map(|piece| counting.results(piece)).sum();
            assert_eq!(found, 2, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        drop(taken);
        let problem = ready(Some(format!("http://{address}"))).await.unwrap();
        assert!(problem.contains(&address.to_string()), "{problem}");
        assert!(ready(None).await.unwrap().contains("no such server"));
        let folder = tempfile::tempdir().unwrap();
        let url = format!("opc.tcp://{address}");
        let problem = read(&url, &["a.b".into()], folder.path().into()).await.unwrap_err();
        assert!(problem.contains("cannot connect"), "{problem}");
        let silent = served("http", None, 0, None);
        assert!(silent.problem.is_some(), "a server that gave no result is broken");
    }
}
