//! Accepts connections, serves them, and ends them in order.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use resonance_plant::{Code, Event, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::shared::{Counters, Shared, Surface};
use super::threads::{Seat, Threads};
use super::turns::Turns;
use super::{router, tls};
use crate::plan::HttpServerPlan;
use crate::servers::{Context, RunningServer, grpc};
use crate::status::ServerStatus;

/// Connections open at once; one more is closed at once, and counted.
const CONNECTIONS_MAX: usize = 1_024;

/// A request's head must have arrived, and an idle connection be used again, within this many
/// times what a body may take.
const HEAD_TIMEOUTS: u32 = 6;

/// A TLS handshake must be done within this time.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Requests under way get this long to end when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest head of a request, bytes, over HTTP/2 (over HTTP/1 the read buffer bounds it).
const HEAD_BYTES_MAX: u32 = 64 << 10;

/// Largest frame that is read at once, bytes, over HTTP/2: a tensor in frames of the 16 KiB that
/// clients send otherwise takes that many more reads.
const FRAME_BYTES_MAX: u32 = 256 << 10;

/// Pause after the system refuses to give a connection, as when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration would let strangers in, or passwords be read on the way.
    #[error("[server.{surface}] {key}: {problem}")]
    Insecure {
        /// Which server.
        surface: &'static str,
        /// The key in the plant file.
        key: &'static str,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The certificate or its key cannot be used.
    #[error("{}: {problem}", file.display())]
    Certificate {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The address cannot be listened on.
    #[error("[server.{surface}] listen = \"{listen}\": {error}; {remedy}")]
    Bind {
        /// Which server.
        surface: &'static str,
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        error: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The system gives no threads.
    #[error("the server's threads cannot be started: {0}; raise the limits of this process")]
    Threads(io::Error),
}

/// A server that runs. Dropped without [`Running::stop`], it ends at once.
#[derive(Debug)]
pub struct Running {
    /// Where it listens; the port is the real one.
    pub addr: SocketAddr,
    status: StatusReader,
    stop: watch::Sender<bool>,
    /// What it serves from now on; the newest counts.
    adopt: watch::Sender<Option<Context>>,
    accepting: JoinHandle<()>,
}

#[derive(Clone)]
struct StatusReader {
    surface: Surface,
    url: String,
    counters: Arc<Counters>,
}

impl std::fmt::Debug for StatusReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}

impl StatusReader {
    fn new(shared: &Shared, addr: SocketAddr) -> Self {
        let scheme = match (shared.surface, shared.plan.tls.is_some()) {
            (Surface::Http, true) => "https",
            (Surface::Http, false) => "http",
            (Surface::Grpc, true) => "grpcs",
            (Surface::Grpc, false) => "grpc",
        };
        let (url, counters) = (format!("{scheme}://{addr}"), Arc::clone(&shared.counters));
        Self { surface: shared.surface, url, counters }
    }

    fn read(&self) -> ServerStatus {
        let Self { surface, url, counters } = self;
        ServerStatus {
            certificate_until: None,
            kind: surface.name(),
            url: url.clone(),
            clients: counters.clients.load(Ordering::Relaxed),
            requests: counters.requests.value(),
            delivered: counters.delivered.value(),
            refused: counters.refused.value(),
        }
    }
}

impl Running {
    /// What it counts.
    pub fn status(&self) -> ServerStatus {
        self.status.read()
    }

    /// The same, for a status that outlives the borrow.
    pub fn status_reader(&self) -> impl Fn() -> ServerStatus + Send + Sync + 'static + use<> {
        let reader = self.status.clone();
        move || reader.read()
    }

    /// Takes no new requests, lets those under way end within a few seconds, ends streams.
    pub async fn stop(mut self) {
        // An error says that it ended already.
        let _ = self.stop.send(true);
        let _ = (&mut self.accepting).await;
    }
}

impl RunningServer for Running {
    fn status(&self) -> ServerStatus {
        self.status.read()
    }

    fn adopt(&self, context: &Context) {
        self.adopt.send_replace(Some(context.clone()));
    }

    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin((*self).stop())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.accepting.abort();
    }
}

/// Starts the server on this runtime.
///
/// # Errors
/// Where the plan is not safe, the certificate cannot be used or the address not listened on; an
/// event says so too.
pub async fn start(plan: &HttpServerPlan, context: Context) -> Result<Running, ServerError> {
    start_surface(Surface::Http, plan, context).await
}

/// The same for what a listener may offer.
pub(in crate::servers) async fn start_surface(
    surface: Surface,
    plan: &HttpServerPlan,
    context: Context,
) -> Result<Running, ServerError> {
    let (clock, events) = (Arc::clone(&context.clock), context.event_sink());
    let subject = surface.subject();
    let started = try_start(surface, plan, context).await;
    let event = match &started {
        Ok(running) => {
            let url = running.status().url;
            Event::new(clock.now(), Code::ServerListening, subject, format!("listens on {url}"))
                .with("url", Value::Text(url.into()))
        }
        Err(error) => Event::new(clock.now(), Code::ServerFailed, subject, error.to_string()),
    };
    events.record(event);
    started
}

async fn try_start(
    surface: Surface,
    plan: &HttpServerPlan,
    context: Context,
) -> Result<Running, ServerError> {
    check(surface, plan, &context)?;
    let acceptor = plan.tls.as_ref().map(tls::acceptor).transpose()?;
    let bind = |error: io::Error| ServerError::Bind {
        surface: surface.name(),
        listen: plan.listen,
        remedy: remedy(error.kind()),
        error,
    };
    let listener = TcpListener::bind(plan.listen).await.map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    let threads = Threads::start().map_err(ServerError::Threads)?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let slow = Turns::start(processors).map_err(ServerError::Threads)?;
    let (stop, stopped) = watch::channel(false);
    let (adopt, adopted) = watch::channel(None);
    let (retire, retired) = watch::channel(false);
    let shared = Arc::new(Shared::new(surface, plan.clone(), context, slow, retired));
    let tasks = match surface {
        Surface::Http => feeds(&shared, &stopped),
        Surface::Grpc => JoinSet::new(),
    };
    let status = StatusReader::new(&shared, addr);
    let accepting = Accepting { listener, acceptor, threads, shared, retire, tasks };
    let accepting = tokio::spawn(accepting.run(stopped, adopted));
    Ok(Running { addr, status, stop, adopt, accepting })
}

/// Passwords only over TLS, strangers only on loopback.
fn check(surface: Surface, plan: &HttpServerPlan, context: &Context) -> Result<(), ServerError> {
    let surface = surface.name();
    let insecure = |key, problem| Err(ServerError::Insecure { surface, key, problem });
    let loopback = plan.listen.ip().to_canonical().is_loopback();
    if !loopback && plan.tls.is_none() {
        return insecure(
            "tls",
            format!("{} is not a loopback address; give a certificate and key", plan.listen),
        );
    }
    if !loopback && plan.anonymous.is_some() {
        return insecure(
            "anonymous",
            format!("{} is not a loopback address; remove it and name users", plan.listen),
        );
    }
    if plan.anonymous.is_none() && !context.access.has_users() {
        let problem = "nobody is admitted: there are no users, and anonymous is not set";
        return insecure("anonymous", format!("{problem}; add a [[user]]"));
    }
    Ok(())
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => "another process listens there; stop it or choose another port",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; choose one it has",
        io::ErrorKind::PermissionDenied => "ports below 1024 take privileges; choose a higher one",
        _ => "choose another address",
    }
}

/// The tasks that feed the streams. They listen from this moment on: whatever is published once
/// the server has started is in the streams.
fn feeds(shared: &Arc<Shared>, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (results, events) = (Arc::clone(&shared.results), Arc::clone(&shared.events));
    let (result_source, event_source) =
        (shared.context.results.subscribe(), shared.context.events.subscribe());
    let (results_stop, events_stop) = (stop.clone(), stop.clone());
    tasks.spawn(async move { results.pump(result_source, results_stop).await });
    tasks.spawn(async move { events.pump(event_source, events_stop).await });
    tasks
}

/// What accepts connections, and what they are served with.
struct Accepting {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    threads: Threads,
    shared: Arc<Shared>,
    /// Ends the connections that `shared` serves.
    retire: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Accepting {
    async fn run(
        mut self,
        mut stop: watch::Receiver<bool>,
        mut adopted: watch::Receiver<Option<Context>>,
    ) {
        let mut routes = Routes::new(&self.shared);
        // Besides the connections, the two feeds are tasks here.
        let feeds = self.tasks.len();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
                // Whoever sends lives as long as this.
                Ok(()) = adopted.changed() => {
                    if let Some(context) = adopted.borrow_and_update().clone() {
                        self.adopt(context);
                        routes = Routes::new(&self.shared);
                    }
                    continue;
                }
            };
            while self.tasks.try_join_next().is_some() {}
            match accepted {
                Ok((stream, peer)) => self.serve(stream, peer, &routes, feeds),
                Err(error) => {
                    tracing::warn!("accepting a connection failed: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        // An error says that no connection is open.
        let _ = self.retire.send(true);
        let mut tasks = self.tasks;
        let ended = timeout(STOP_TIMEOUT, async { while tasks.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tasks.shutdown().await;
        }
    }

    /// Connections from now on see the gateway as it is now. Those that are open end after the
    /// request under way, so that their clients come back.
    fn adopt(&mut self, context: Context) {
        let (retire, retired) = watch::channel(false);
        self.shared = Arc::new(self.shared.succeeded_by(context, retired));
        // An error says that no connection is open.
        let _ = std::mem::replace(&mut self.retire, retire).send(true);
    }

    fn serve(&mut self, stream: TcpStream, peer: SocketAddr, routes: &Routes, feeds: usize) {
        let shared = Arc::clone(&self.shared);
        if self.tasks.len() >= CONNECTIONS_MAX + feeds {
            shared.counters.refused.add(1);
            let detail = format!("{CONNECTIONS_MAX} connections are open, which is the bound");
            shared.complaints.tell(Code::Overloaded, None, "connection", &detail);
            return;
        }
        // There is one thread at least, and a socket leaves this runtime as it came.
        let (Some(seat), Ok(stream)) = (self.threads.seat(), stream.into_std()) else { return };
        let (routes, acceptor) = (routes.clone(), self.acceptor.clone());
        let runtime = seat.runtime.clone();
        let served = async move {
            let client = Client::count(shared);
            let served = Served { shared: &client.0, seat: &seat, peer, routes };
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(stream, acceptor, served).await,
                Err(error) => tracing::warn!("watching a connection failed: {error}"),
            }
        };
        self.tasks.spawn_on(served, &runtime);
    }
}

/// What answers requests, for one connection.
#[derive(Clone)]
enum Routes {
    Http(Router),
    Grpc(grpc::Calls),
}

impl Routes {
    fn new(shared: &Arc<Shared>) -> Self {
        match shared.surface {
            Surface::Http => Self::Http(router::router(Arc::clone(shared))),
            Surface::Grpc => Self::Grpc(grpc::Calls::new(Arc::clone(shared))),
        }
    }

    async fn answer(
        &mut self,
        shared: &Arc<Shared>,
        peer: SocketAddr,
        request: Request<Body>,
    ) -> Response<Body> {
        match self {
            Self::Http(routes) => router::answer(shared, routes, peer, request).await,
            Self::Grpc(calls) => grpc::answer(shared, calls, peer, request).await,
        }
    }
}

/// Counts a connection for as long as it is open, however it ends.
struct Client(Arc<Shared>);

impl Client {
    fn count(shared: Arc<Shared>) -> Self {
        shared.counters.clients.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.counters.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection's requests are answered with.
struct Served<'a> {
    shared: &'a Arc<Shared>,
    seat: &'a Seat,
    peer: SocketAddr,
    routes: Routes,
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, served: Served<'_>) {
    // Answers are written whole; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    // gRPC is HTTP/2 from the first byte (RFC 9113, 3.3).
    let grpc = served.shared.surface == Surface::Grpc;
    let Some(acceptor) = acceptor else { return serve(stream, grpc, served).await };
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let is_h2 = grpc || stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(stream, is_h2, served).await;
        }
        // A peer that does not speak TLS, or stalls: its own fault, and it sees the end.
        Ok(Err(_)) | Err(_) => served.shared.counters.refused.add(1),
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    is_h2: bool,
    served: Served<'_>,
) {
    let Served { shared, seat, peer, routes } = served;
    let service = {
        let (shared, load) = (Arc::clone(shared), Arc::clone(&seat.load));
        service_fn(move |request: Request<Incoming>| {
            let shared = Arc::clone(&shared);
            let mut routes = routes.clone();
            let mut request = request.map(Body::new);
            // Here, not below: all requests that have come are counted before one is answered.
            let under_way = load.request();
            request.extensions_mut().insert(Arc::clone(&load));
            async move {
                let answer = routes.answer(&shared, peer, request).await;
                under_way.answered();
                Ok::<_, Infallible>(answer)
            }
        })
    };
    let io = TokioIo::new(stream);
    let mut stop = shared.stop.clone();
    // A connection's error is its peer's: gone, or not speaking HTTP. Nothing of ours is lost.
    macro_rules! until_stopped {
        ($connection:expr) => {{
            let mut connection = std::pin::pin!($connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = stop.wait_for(|stop| *stop) => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }};
    }
    if is_h2 {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .max_header_list_size(HEAD_BYTES_MAX)
            .max_frame_size(FRAME_BYTES_MAX)
            .keep_alive_interval(Some(Duration::from_secs(20)))
            .keep_alive_timeout(Duration::from_secs(10));
        until_stopped!(http.serve_connection(io, service));
    } else {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(shared.plan.request_timeout * HEAD_TIMEOUTS);
        until_stopped!(http.serve_connection(io, service));
    }
}
