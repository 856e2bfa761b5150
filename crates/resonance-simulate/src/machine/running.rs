//! Starting and stopping a machine: one thread serves it, another moves its values.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use resonance_opcua::server::{
    self, Authenticator, Pki, Sampling, ServerError, ServerOptions, UaServer,
};
use resonance_plant::{LastValues, Principal, Role, SystemClock};
use tokio::sync::{oneshot, watch};

use super::channel::{MachineSpec, NAMESPACE_URI, SpecError};
use super::feed::{Counters, Feed, drive};

/// Where and for whom a machine listens.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A client to which the machine makes the connections (reverse connect).
    pub connect_to: Option<SocketAddr>,
    /// The host name in its URL and certificate.
    pub host: String,
    /// The folder of its certificate; made if absent. With it the machine also offers encrypted
    /// endpoints and admits every client certificate. Without, only SecurityPolicy None.
    pub pki: Option<PathBuf>,
    /// Whether SecurityPolicy None is offered; always so without `pki`.
    pub allow_none: bool,
    /// The one user it admits; `None`: anonymous clients.
    pub user: Option<User>,
    /// The shortest sampling and publishing interval.
    pub tick: Duration,
}

/// A user name and password of a simulated machine.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "User({})", self.name)
    }
}

impl Default for Endpoint {
    /// A free port of 127.0.0.1, open to anyone on this computer.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            connect_to: None,
            host: "127.0.0.1".to_owned(),
            pki: None,
            allow_none: true,
            user: None,
            tick: server::DEFAULT_TICK,
        }
    }
}

impl Endpoint {
    /// Reads `opc.tcp://host:port`, with or without a path.
    ///
    /// # Errors
    /// Where the text is no such URL or the host is unknown.
    pub fn parse(url: &str) -> Result<Self, StartError> {
        let refused =
            |problem: &str| StartError::Url { url: url.to_owned(), problem: problem.into() };
        let rest = url
            .strip_prefix("opc.tcp://")
            .ok_or_else(|| refused("it must begin with opc.tcp://"))?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = authority
            .rsplit_once(':')
            .ok_or_else(|| refused("it lacks a port; 4840 is usual, 0 takes a free one"))?;
        let port: u16 =
            port.parse().map_err(|_| refused("the port must be a number up to 65535"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.is_empty() {
            return Err(refused("it lacks a host; 127.0.0.1 is this computer alone"));
        }
        let listen = (bare, port)
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next())
            .ok_or_else(|| refused("the host is not known"))?;
        let host = if listen.ip().is_unspecified() { "localhost" } else { host };
        Ok(Self { listen, host: host.to_owned(), ..Self::default() })
    }
}

/// Why a machine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address to listen on makes no sense.
    #[error("{url:?} is no address to listen on: {problem}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The machine's description makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// It cannot be served.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The system has no thread left.
    #[error("the system refuses a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A machine that listens and moves. Dropped, it stops without waiting.
#[derive(Debug)]
pub struct Running {
    spec: Arc<MachineSpec>,
    url: String,
    addr: SocketAddr,
    values: Arc<LastValues>,
    counters: Arc<Counters>,
    server_counts: watch::Receiver<ServerCounts>,
    ended: watch::Receiver<bool>,
    stop_feed: Option<Sender<()>>,
    stop_server: Option<oneshot::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a machine did while it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps of the feed.
    pub steps: u64,
    /// Values written.
    pub values: u64,
    /// Steps that came late.
    pub late: u64,
    /// Rows that could not be read.
    pub bad_rows: u64,
    /// Values handed to subscriptions.
    pub notifications: u64,
    /// Sessions at the moment.
    pub sessions: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct ServerCounts {
    notifications: u64,
    sessions: u64,
}

/// How often the counts of the server are looked at.
const COUNTS_EVERY: Duration = Duration::from_millis(100);

/// Serves a machine whose channels `feed` moves. Returns once it listens.
///
/// # Errors
/// Where the description is refused, the address is taken or certificates cannot be made.
pub async fn start(
    spec: MachineSpec,
    endpoint: Endpoint,
    feed: Box<dyn Feed>,
) -> Result<Running, StartError> {
    let space = spec.address_space()?;
    let values = Arc::new(LastValues::new(spec.channels.len()));
    let options = server_options(&spec, endpoint);
    let (stop_server, server_stopped) = oneshot::channel();
    let (listening, listens) = oneshot::channel();
    let (counts, server_counts) = watch::channel(ServerCounts::default());
    let columns = Arc::clone(&values);
    let serving = std::thread::Builder::new().name("machine server".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = listening.send(Err(StartError::Thread(error)));
                return;
            }
        };
        runtime.block_on(async move {
            match UaServer::start(options, space, columns, Arc::new(SystemClock)).await {
                Ok(server) => serve(server, listening, server_stopped, counts).await,
                // Whoever started the machine may have gone meanwhile.
                Err(error) => drop(listening.send(Err(error.into()))),
            }
        });
    })?;
    let gone = || StartError::Thread(io::Error::other("the machine's server thread ended"));
    let (url, addr, sampling) = listens.await.map_err(|_| gone())??;

    let counters = Arc::new(Counters::default());
    let (stop_feed, feed_stopped) = channel();
    let (say_ended, ended) = watch::channel(false);
    let feeding = move_values(feed, &values, &counters, feed_stopped, say_ended, sampling)?;
    Ok(Running {
        spec: Arc::new(spec),
        url,
        addr,
        values,
        counters,
        server_counts,
        ended,
        stop_feed: Some(stop_feed),
        stop_server: Some(stop_server),
        threads: vec![feeding, serving],
    })
}

fn move_values(
    feed: Box<dyn Feed>,
    values: &Arc<LastValues>,
    counters: &Arc<Counters>,
    stop: Receiver<()>,
    ended: watch::Sender<bool>,
    sampling: Sampling,
) -> io::Result<JoinHandle<()>> {
    let (values, counters) = (Arc::clone(values), Arc::clone(counters));
    std::thread::Builder::new().name("machine feed".into()).spawn(move || {
        drive(feed, &values, &counters, &stop, &ended, &|| sampling.sample_now());
    })
}

async fn serve(
    server: server::Running,
    listening: oneshot::Sender<Result<(String, SocketAddr, Sampling), StartError>>,
    mut stopped: oneshot::Receiver<()>,
    counts: watch::Sender<ServerCounts>,
) {
    let ready = (server.url().to_owned(), server.addr(), server.sampling());
    if listening.send(Ok(ready)).is_err() {
        return server.stop().await;
    }
    let mut every = tokio::time::interval(COUNTS_EVERY);
    loop {
        tokio::select! {
            // Told so, or the machine was dropped: it ends either way.
            _ = &mut stopped => break,
            _ = every.tick() => {}
        }
        let (notifications, sessions) = (server.notifications(), server.sessions());
        counts.send_replace(ServerCounts { notifications, sessions });
    }
    counts.send_modify(|counts| counts.notifications = server.notifications());
    server.stop().await;
}

fn server_options(spec: &MachineSpec, endpoint: Endpoint) -> ServerOptions {
    let name = format!("Simulated {}", spec.name);
    let mut options = ServerOptions::open(endpoint.listen, &name, NAMESPACE_URI);
    options.connect_to = endpoint.connect_to.into_iter().collect();
    options.host = endpoint.host;
    options.tick = endpoint.tick;
    options.security.none = endpoint.allow_none || endpoint.pki.is_none();
    options.security.encrypted = endpoint.pki.map(|folder| Pki {
        folder,
        allow_unknown_revocation: true,
        doorkeeper: None,
        trust_all_clients: true,
    });
    options.allow_anonymous = endpoint.user.is_none();
    options.users = endpoint.user.map(|user| Arc::new(OneUser(user)) as Arc<dyn Authenticator>);
    options
}

#[derive(Debug)]
struct OneUser(User);

impl Authenticator for OneUser {
    fn authenticate(&self, name: &str, password: &str) -> Option<Principal> {
        (name == self.0.name && password == self.0.password)
            .then(|| Principal { name: name.into(), role: Role::View })
    }
}

impl Running {
    /// The endpoint URL, with the real port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it shows.
    pub fn spec(&self) -> &MachineSpec {
        &self.spec
    }

    /// Its values as they stand; channel `i` of [`MachineSpec::channels`] is column `i`.
    pub fn values(&self) -> &Arc<LastValues> {
        &self.values
    }

    /// What its feed counts.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// What it did so far. Counts of the server are up to 100 ms old.
    pub fn summary(&self) -> Summary {
        let ServerCounts { notifications, sessions } = *self.server_counts.borrow();
        Summary {
            steps: self.counters.steps(),
            values: self.counters.values(),
            late: self.counters.late(),
            bad_rows: self.counters.bad_rows(),
            notifications,
            sessions,
        }
    }

    /// Returns once the feed has no more values; never for a feed without end.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        if ended.wait_for(|ended| *ended).await.is_err() {
            // The feed was stopped before its end.
            std::future::pending::<()>().await;
        }
    }

    /// Stops the values and the server; returns when both are gone.
    pub async fn stop(mut self) -> Summary {
        drop(self.stop_feed.take());
        drop(self.stop_server.take());
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
        });
        if !matches!(joined.await, Ok(0)) {
            tracing::error!(url = %self.url, "a thread of a simulated machine panicked");
        }
        Summary { sessions: 0, ..self.summary() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_from_urls() {
        let endpoint = Endpoint::parse("opc.tcp://127.0.0.1:4840/machine").unwrap();
        assert_eq!(
            (endpoint.listen.to_string(), &*endpoint.host),
            ("127.0.0.1:4840".into(), "127.0.0.1")
        );
        let endpoint = Endpoint::parse("opc.tcp://[::1]:0").unwrap();
        assert_eq!((endpoint.listen.to_string(), &*endpoint.host), ("[::1]:0".into(), "[::1]"));
        assert_eq!(Endpoint::parse("opc.tcp://0.0.0.0:1").unwrap().host, "localhost");
        for (bad, says) in [
            ("http://127.0.0.1:1", "opc.tcp://"),
            ("opc.tcp://127.0.0.1", "port"),
            ("opc.tcp://127.0.0.1:99999", "65535"),
            ("opc.tcp://:4840", "host"),
        ] {
            let error = Endpoint::parse(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
