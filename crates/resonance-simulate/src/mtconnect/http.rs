//! An agent on a socket: HTTP/1.1 as far as MTConnect needs it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use resonance_plant::{Clock, SystemClock, Timestamp};
use resonance_wire::mtconnect::{Devices, emit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::agent::{Agent, Said};
use super::mischief::Mischief;
use super::request::{Request, What};

/// Connections at once; more are closed at the door.
const CONNECTIONS_MAX: usize = 64;

/// The longest request, bytes.
const REQUEST_MAX: usize = 16 << 10;

/// A connection that asks for nothing for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A client that does not take a document for this long is left.
const SEND_MAX: Duration = Duration::from_secs(60);

const BOUNDARY: &str = "resonance-simulated-agent-0b9d4c";

/// Where an agent listens.
#[derive(Clone, Copy, Debug)]
pub struct AgentOptions {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for AgentOptions {
    /// A free port of 127.0.0.1.
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

/// An agent that answers. Dropped, it stops.
#[derive(Debug)]
pub struct Serving {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

#[derive(Debug)]
pub(super) struct Shared {
    agent: Mutex<Agent>,
    /// Counts what was observed.
    news: watch::Sender<u64>,
    mischief: watch::Sender<Mischief>,
    documents: AtomicU64,
    requests: watch::Sender<u64>,
    /// Raised to end every connection.
    hang_up: watch::Sender<u64>,
}

/// Serves an agent of these devices. Needs a running tokio runtime.
///
/// # Errors
/// Where the address cannot be bound.
pub async fn serve(model: Devices, options: AgentOptions) -> io::Result<Serving> {
    let listener = TcpListener::bind(options.listen).await?;
    let addr = listener.local_addr()?;
    let shared = Arc::new(Shared {
        agent: Mutex::new(Agent::new(model, SystemClock.now())),
        news: watch::Sender::new(0),
        mischief: watch::Sender::new(Mischief::None),
        documents: AtomicU64::new(0),
        requests: watch::Sender::new(0),
        hang_up: watch::Sender::new(0),
    });
    let task = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
    Ok(Serving { addr, shared, tasks: vec![task] })
}

impl Serving {
    /// The agent's address: `http://host:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A machine says something, now. Returns whether it was news.
    pub fn observe(&self, id: &str, said: Said) -> bool {
        self.shared.observe(&[(id, said)], SystemClock.now()) == 1
    }

    /// As [`Serving::observe`], at another time.
    pub fn observe_at(&self, id: &str, said: Said, time: Timestamp) -> bool {
        self.shared.observe(&[(id, said)], time) == 1
    }

    /// The agent's process restarts: another instance, an empty buffer, connections end.
    pub fn restart(&self) {
        self.shared.agent.lock().restart(SystemClock.now());
        self.hang_up();
    }

    /// Ends every connection.
    pub fn hang_up(&self) {
        self.shared.hang_up.send_modify(|times| *times += 1);
    }

    /// How it behaves from now on.
    pub fn misbehave(&self, mischief: Mischief) {
        self.shared.mischief.send_replace(mischief);
    }

    /// The number that the next observation will get.
    pub fn next(&self) -> u64 {
        self.shared.agent.lock().next()
    }

    /// Documents sent so far.
    pub fn documents(&self) -> u64 {
        self.shared.documents.load(Ordering::Relaxed)
    }

    /// Data items of all devices.
    pub fn data_items(&self) -> usize {
        self.shared.agent.lock().model().data_items().count()
    }

    /// Returns once this many requests were heard.
    pub async fn await_requests(&self, requests: u64) {
        let mut heard = self.shared.requests.subscribe();
        // The sender lives as long as `self`.
        let _ = heard.wait_for(|count| *count >= requests).await;
    }

    /// Requests heard so far.
    pub fn requests(&self) -> u64 {
        *self.shared.requests.borrow()
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Lets a task live as long as the agent.
    pub(super) fn keep(&mut self, task: AbortHandle) {
        self.tasks.push(task);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Shared {
    /// Takes what a machine said at one moment; returns how much of it was news.
    pub(super) fn observe(&self, said: &[(&str, Said)], time: Timestamp) -> usize {
        let mut agent = self.agent.lock();
        let kept = said.iter().filter(|(id, said)| agent.observe(id, time, said.clone())).count();
        drop(agent);
        if kept > 0 {
            self.news.send_modify(|count| *count += kept as u64);
        }
        kept
    }

    fn mischief(&self) -> Mischief {
        *self.mischief.borrow()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else { continue };
                if connections.len() >= CONNECTIONS_MAX {
                    continue;
                }
                let shared = Arc::clone(&shared);
                let mut hung_up = shared.hang_up.subscribe();
                connections.spawn(async move {
                    tokio::select! {
                        answered = answer(stream, &shared) => if let Err(error) = answered {
                            tracing::debug!(%peer, %error, "a client of the simulated agent left");
                        },
                        _ = hung_up.changed() => {}
                    }
                });
            }
        }
    }
}

/// Answers one connection's requests.
async fn answer(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut heard = Vec::new();
    loop {
        let Some(head) = head(&mut stream, &mut heard).await? else { return Ok(()) };
        shared.requests.send_modify(|count| *count += 1);
        let mut words = head.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
        let request = match method {
            "GET" => Request::parse(target),
            _ => Err(("UNSUPPORTED", format!("{method} is not known; GET is"))),
        };
        let request = request.and_then(|request| match &request.device {
            None => Ok((request, None)),
            Some(name) => match device(shared, name) {
                Some(at) => Ok((request, Some(at))),
                None => Err(("NO_DEVICE", format!("there is no device {name}"))),
            },
        });
        let now = SystemClock.now();
        let (status, document) = match request {
            Err((code, text)) => {
                let refusal = shared.agent.lock().refuse(code, &text, now);
                ("404 Not Found", emit::refusal(&refusal, target))
            }
            Ok((Request { stream: Some(pace), from, count, .. }, device)) => {
                return Stream { shared, device, from, count, pace, target }.run(stream).await;
            }
            Ok((request, device)) => whole(shared, &request, device, target, now),
        };
        send(&mut stream, shared, status, document).await?;
    }
}

fn device(shared: &Shared, name: &str) -> Option<usize> {
    let agent = shared.agent.lock();
    agent.model().devices.iter().position(|device| device.name() == name || device.uuid() == name)
}

fn whole(
    shared: &Shared,
    request: &Request,
    device: Option<usize>,
    target: &str,
    now: Timestamp,
) -> (&'static str, String) {
    let agent = shared.agent.lock();
    match request.what {
        What::Probe => ("200 OK", agent.probe(device, now)),
        What::Current => ("200 OK", agent.current(device, now)),
        What::Sample => match agent.sample(device, request.from, request.count, now) {
            Ok((document, _)) => ("200 OK", document),
            Err(refusal) => ("404 Not Found", emit::refusal(&refusal, target)),
        },
    }
}

/// The next request's line and headers; `None` where the client has left.
async fn head(stream: &mut TcpStream, heard: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        if let Some(end) = heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&heard[..end]).into_owned();
            heard.drain(..end + 4);
            return Ok(Some(head));
        }
        if heard.len() > REQUEST_MAX {
            return Err(io::Error::other("a request that does not end"));
        }
        let mut bytes = [0; 2048];
        let read = tokio::time::timeout(IDLE_MAX, stream.read(&mut bytes)).await??;
        if read == 0 {
            return Ok(None);
        }
        heard.extend_from_slice(&bytes[..read]);
    }
}

/// Sends a document whole.
async fn send(
    stream: &mut TcpStream,
    shared: &Shared,
    status: &str,
    document: String,
) -> io::Result<()> {
    let mischief = shared.mischief();
    let document = mischief.spoil(document);
    let announced = match mischief {
        Mischief::Gigabyte => GIGABYTE,
        Mischief::LyingLength => document.len() / 2,
        _ => document.len(),
    };
    let length = match mischief {
        Mischief::GigabyteUnannounced => "Connection: close".to_owned(),
        _ => format!("Content-Length: {announced}"),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/xml\r\n{length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    body(stream, mischief, &document).await?;
    shared.documents.fetch_add(1, Ordering::Relaxed);
    match mischief {
        Mischief::LyingLength | Mischief::GigabyteUnannounced => {
            Err(io::Error::other("told to misbehave"))
        }
        _ => Ok(()),
    }
}

const GIGABYTE: usize = 1_000_000_000;

/// Sends a document's bytes.
async fn body(stream: &mut TcpStream, mischief: Mischief, document: &str) -> io::Result<()> {
    if mischief == Mischief::CutConnection {
        stream.write_all(&document.as_bytes()[..document.len() / 2]).await?;
        return Err(io::Error::other("told to misbehave"));
    }
    tokio::time::timeout(SEND_MAX, stream.write_all(document.as_bytes())).await??;
    if matches!(mischief, Mischief::Gigabyte | Mischief::GigabyteUnannounced) {
        let blanks = vec![b' '; 1 << 20];
        let mut left = GIGABYTE.saturating_sub(document.len());
        while left > 0 {
            let some = left.min(blanks.len());
            tokio::time::timeout(SEND_MAX, stream.write_all(&blanks[..some])).await??;
            left -= some;
        }
    }
    Ok(())
}

/// A streaming sample under way.
struct Stream<'s> {
    shared: &'s Shared,
    device: Option<usize>,
    from: u64,
    count: u64,
    /// Interval and heartbeat.
    pace: (Duration, Duration),
    target: &'s str,
}

impl Stream<'_> {
    async fn run(mut self, mut stream: TcpStream) -> io::Result<()> {
        let first = self.shared.agent.lock().sample(self.device, self.from, 1, SystemClock.now());
        if let Err(refusal) = first {
            let document = emit::refusal(&refusal, self.target);
            return send(&mut stream, self.shared, "404 Not Found", document).await;
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: \
             multipart/x-mixed-replace;boundary={BOUNDARY}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut news = self.shared.news.subscribe();
        let (interval, heartbeat) = self.pace;
        let mut number = 0_u64;
        loop {
            let sent = Instant::now();
            let (document, next, goes_on) = self.document();
            let skipped = self.shared.mischief() == Mischief::Skip && number % 2 == 1;
            if !skipped {
                self.part(&mut stream, document.clone()).await?;
            }
            if self.shared.mischief() == Mischief::Twice {
                self.part(&mut stream, document).await?;
            }
            number += 1;
            if !goes_on {
                return Ok(());
            }
            let behind = next < self.shared.agent.lock().next();
            self.from = next;
            // With a backlog, the interval alone is the pace.
            tokio::time::sleep_until(sent + interval).await;
            if !behind {
                let silence = sent + heartbeat.max(interval);
                // Either there is news, or the heartbeat is due.
                let _ = tokio::time::timeout_at(silence, self.await_news(&mut news)).await;
            }
        }
    }

    /// Returns once there is something past `from`.
    async fn await_news(&self, news: &mut watch::Receiver<u64>) {
        loop {
            news.borrow_and_update();
            if self.shared.agent.lock().next() != self.from {
                return;
            }
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// The next document, where it ends, and whether another follows.
    fn document(&self) -> (String, u64, bool) {
        let agent = self.shared.agent.lock();
        match agent.sample(self.device, self.from, self.count, SystemClock.now()) {
            Ok((document, next)) => (document, next, true),
            Err(refusal) => (emit::refusal(&refusal, self.target), self.from, false),
        }
    }

    async fn part(&self, stream: &mut TcpStream, document: String) -> io::Result<()> {
        let mischief = self.shared.mischief();
        if mischief == Mischief::Silent {
            // Until the client leaves: it sends nothing more, so this read ends with it.
            let mut nothing = [0; 64];
            while stream.read(&mut nothing).await? > 0 {}
            return Err(io::Error::other("told to misbehave"));
        }
        let document = mischief.spoil(document);
        let announced = match mischief {
            Mischief::Gigabyte => GIGABYTE,
            Mischief::LyingLength => document.len() / 2,
            _ => document.len(),
        };
        let length = match mischief {
            Mischief::GigabyteUnannounced => String::new(),
            _ => format!("Content-length: {announced}\r\n"),
        };
        let head = format!("--{BOUNDARY}\r\nContent-type: text/xml\r\n{length}\r\n");
        stream.write_all(head.as_bytes()).await?;
        body(stream, mischief, &document).await?;
        stream.write_all(b"\r\n").await?;
        self.shared.documents.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
