//! Machines that connect to us because nobody may connect to them (reverse connect; OPC 10000-6,
//! 7.1.3), and which way connections to a machine come about. The machine says first who it is, in a
//! ReverseHello; all else is as ever, with client and server in their roles.

use std::net::SocketAddr;
use std::time::Duration;

use opcua::client::transport::wait_for_reverse_hello;
use opcua::types::EndpointDescription;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::config::OpcUaConfig;
use super::failure::Failure;
use super::transport::{Opened, TcpConnector, framed};

/// Connections that have not yet said who they are. A machine says so at once: where there are more,
/// all are closed.
const SILENT_MAX: usize = 64;

/// How long until the next try where the computer cannot accept connections.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// How connections to a machine come about.
pub(super) enum Way {
    /// We connect.
    There,
    /// It connects, once we listen.
    Here {
        door: Option<Box<Door>>,
        /// Whether it was there at the last try.
        came: bool,
        /// What it told over a connection of which none followed yet.
        told: Option<Box<EndpointDescription>>,
    },
}

impl Way {
    pub(super) fn new(config: &OpcUaConfig) -> Self {
        match config.listen {
            None => Self::There,
            Some(_) => Self::Here { door: None, came: true, told: None },
        }
    }

    /// Listens, where the machine is to connect. Returns where, if it is so since now.
    ///
    /// # Errors
    /// Where nothing can listen there.
    pub(super) async fn open(
        &mut self,
        config: &OpcUaConfig,
    ) -> Result<Option<SocketAddr>, Failure> {
        let Self::Here { door, came, .. } = self else { return Ok(None) };
        // Whatever fails before it is awaited is not its absence.
        *came = true;
        let (None, Some(listen)) = (&door, config.listen) else { return Ok(None) };
        Ok(door.insert(Box::new(Door::open(listen).await?)).address())
    }

    /// Whether the machine was there at the last try, and so is to be left alone for a while.
    pub(super) fn was_there(&self) -> bool {
        matches!(self, Self::There | Self::Here { came: true, .. })
    }

    /// Looks after what comes while no connection is needed. Does not end.
    pub(super) async fn mind(&mut self, config: &OpcUaConfig) {
        match self {
            Self::Here { door: Some(door), .. } => door.mind(config).await,
            _ => std::future::pending().await,
        }
    }

    /// The way of one connection.
    pub(super) async fn connector(
        &mut self,
        config: &OpcUaConfig,
    ) -> Result<TcpConnector, Failure> {
        let Self::Here { door: Some(door), came, .. } = self else {
            return Ok(TcpConnector::new(&config.url));
        };
        *came = false;
        let opened = door.next(config).await?;
        *came = true;
        Ok(TcpConnector::over(&config.url, opened))
    }
}

/// Where a machine connects to.
pub(super) struct Door {
    listener: TcpListener,
    silent: JoinSet<Result<Caller, Failure>>,
    /// Came while it was not needed.
    spare: Option<Caller>,
    /// Who else came.
    stranger: Option<Failure>,
}

/// Who connected, as far as he says.
struct Caller {
    from: SocketAddr,
    server_uri: String,
    endpoint_url: String,
    opened: Opened,
}

impl Door {
    /// Listens.
    ///
    /// # Errors
    /// Where it cannot, as where another listens there.
    pub(super) async fn open(listen: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            Failure::Unreachable(format!("{listen}: {error}; no machine can connect there"))
        })?;
        Ok(Self { listener, silent: JoinSet::new(), spare: None, stranger: None })
    }

    /// The real port, where a free one was asked for.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Takes what comes while no connection is needed, and keeps the newest of the machine. Does not
    /// end.
    pub(super) async fn mind(&mut self, config: &OpcUaConfig) {
        loop {
            let caller = self.came(config).await;
            self.spare = Some(caller);
        }
    }

    /// A connection that the machine made. It is awaited for `silence_ms_max`.
    ///
    /// # Errors
    /// Where it does not come; who came instead, if anyone did.
    pub(super) async fn next(&mut self, config: &OpcUaConfig) -> Result<Opened, Failure> {
        if let Some(mut spare) = self.spare.take()
            && !spare.opened.has_ended().await
        {
            return Ok(spare.opened);
        }
        self.stranger = None;
        let patience = Duration::from_millis(config.silence_ms_max.into());
        let came = tokio::time::timeout(patience, self.came(config)).await;
        let stranger = self.stranger.take();
        came.map(|caller| caller.opened).map_err(|_| {
            let address = self.address().map_or_else(String::new, |at| at.to_string());
            stranger.unwrap_or_else(|| {
                Failure::Unreachable(format!(
                    "{}: it did not connect to {address} in {patience:?}; have its reverse connect \
                     go there",
                    config.url
                ))
            })
        })
    }

    /// Who says that he is another machine tells more than who says nothing.
    fn turn_away(&mut self, failure: Failure) {
        if !matches!(
            (&self.stranger, &failure),
            (Some(Failure::Refused(_)), Failure::Unreachable(_))
        ) {
            self.stranger = Some(failure);
        }
    }

    async fn came(&mut self, config: &OpcUaConfig) -> Caller {
        let hello_within = Duration::from_millis(config.request_timeout_ms.into());
        loop {
            tokio::select! {
                // Who has said who he is goes before who has not.
                biased;
                Some(said) = self.silent.join_next() => {
                    let said = said.unwrap_or_else(|ended| Err(Failure::Lost(ended.to_string())));
                    match said.and_then(|caller| known(config, caller)) {
                        Err(failure) => self.turn_away(failure),
                        // One that came while we were busy may have gone again.
                        Ok(mut caller) => if !caller.opened.has_ended().await {
                            return caller;
                        }
                    }
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        if self.silent.len() == SILENT_MAX {
                            self.silent = JoinSet::new();
                        }
                        self.silent.spawn(hello(stream, from, hello_within));
                    }
                    // As without file descriptors: they do not come back at once.
                    Err(error) => {
                        let text = format!("accepting a connection: {error}");
                        self.turn_away(Failure::Unreachable(text));
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
    }
}

/// Whether it is the machine that we await.
fn known(config: &OpcUaConfig, caller: Caller) -> Result<Caller, Failure> {
    let path = |url: &str| url.trim_end_matches('/').to_owned();
    let is_uri = config.server_uri.as_ref().is_none_or(|uri| *uri == caller.server_uri);
    if is_uri && path(&config.url) == path(&caller.endpoint_url) {
        return Ok(caller);
    }
    let [uri, url] = [&caller.server_uri, &caller.endpoint_url].map(|said| excerpt(said));
    let awaited = config.server_uri.as_ref().map_or_else(String::new, |uri| format!(" of {uri}"));
    Err(Failure::Refused(format!(
        "{} says that it is {url} of {uri}; awaited is {}{awaited}: where it is the machine, write \
         what it says to url and server_uri",
        caller.from, config.url
    )))
}

/// What a stranger says, as far as it can be told.
fn excerpt(said: &str) -> String {
    format!("{:?}", said.chars().take(200).collect::<String>())
}

async fn hello(stream: TcpStream, from: SocketAddr, within: Duration) -> Result<Caller, Failure> {
    let failed = |what: String| Failure::Unreachable(format!("{from} connected and {what}"));
    stream.set_nodelay(true).map_err(|error| failed(format!("ended: {error}")))?;
    let mut opened = framed(stream);
    let said = tokio::time::timeout(within, wait_for_reverse_hello(&mut opened.reader)).await;
    let said = said.map_err(|_| failed(format!("said nothing in {within:?}")))?;
    let said = said.map_err(|error| failed(format!("sent no ReverseHello: {error}")))?;
    Ok(Caller {
        from,
        server_uri: said.server_uri.as_ref().to_owned(),
        endpoint_url: said.endpoint_url.as_ref().to_owned(),
        opened,
    })
}
