//! A TCP relay that misbehaves on command.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::frames::ChunkReader;

/// Relays TCP to an upstream server until told to misbehave. Its own address stays the same
/// while the server behind it may be replaced ([`FaultyProxy::redirect`]), which is how a server
/// restart is played. Ends, with all its connections, when dropped.
///
/// Needs a running tokio runtime.
#[derive(Debug)]
pub struct FaultyProxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

/// What passed through a [`FaultyProxy`] so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections accepted, refused ones included.
    pub accepted: u64,
    /// Connections open at the moment.
    pub open: u64,
    /// Bytes passed from client to server.
    pub bytes_up: u64,
    /// Bytes passed from server to client.
    pub bytes_down: u64,
    /// Publish responses that vanished.
    pub publish_dropped: u64,
}

#[derive(Debug)]
struct Shared {
    faults: watch::Sender<Faults>,
    traffic: watch::Sender<Traffic>,
    generation: Mutex<Generation>,
    /// Bytes that still pass from server to client before the fault set with them strikes.
    down_budget: AtomicU64,
    /// Publish responses yet to vanish.
    publish_to_drop: AtomicU64,
    /// Bytes from server to client yet to be overwritten.
    to_garble: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Faults {
    upstream: SocketAddr,
    stalled: bool,
    refusing: bool,
    delay: Duration,
    at_budget: AtBudget,
}

/// What happens when the downward budget is used up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum AtBudget {
    Cut,
    Swallow,
}

const UNLIMITED: u64 = u64::MAX;

/// The connections that one [`FaultyProxy::cut`] ends together.
#[derive(Debug)]
struct Generation {
    cut: watch::Sender<bool>,
    /// Every connection holds a clone; the receiver ends when the last is gone.
    alive: mpsc::Sender<Infallible>,
    ended: mpsc::Receiver<Infallible>,
}

impl Generation {
    fn new() -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self { cut: watch::Sender::new(false), alive, ended }
    }
}

impl FaultyProxy {
    /// Listens on a free port of 127.0.0.1 and relays to `upstream`.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            faults: watch::Sender::new(Faults {
                upstream,
                stalled: false,
                refusing: false,
                delay: Duration::ZERO,
                at_budget: AtBudget::Cut,
            }),
            traffic: watch::Sender::new(Traffic::default()),
            generation: Mutex::new(Generation::new()),
            down_budget: AtomicU64::new(UNLIMITED),
            publish_to_drop: AtomicU64::new(0),
            to_garble: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { addr, shared, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens, as an OPC UA endpoint.
    pub fn url(&self) -> String {
        format!("opc.tcp://{}", self.addr)
    }

    /// Sends connections opened from now on to another server.
    pub fn redirect(&self, upstream: SocketAddr) {
        self.shared.faults.send_modify(|faults| faults.upstream = upstream);
    }

    /// Resets every open connection; returns when they are gone. New ones are accepted.
    pub async fn cut(&self) {
        let old = std::mem::replace(&mut *self.shared.generation.lock(), Generation::new());
        let Generation { cut, alive, mut ended } = old;
        cut.send_replace(true);
        drop(alive);
        // Nothing is ever sent: the answer comes when the last connection let go.
        let _ = ended.recv().await;
    }

    /// Holds back all bytes in both directions; connections stay open.
    pub fn stall(&self) {
        self.shared.faults.send_modify(|faults| faults.stalled = true);
    }

    /// Resets every open connection and every new one at once.
    pub async fn refuse(&self) {
        self.shared.faults.send_modify(|faults| faults.refusing = true);
        self.cut().await;
    }

    /// Passes every piece of data on so much later, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.shared.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Lets so many more bytes through from server to client, counted over all connections, and
    /// then closes the connection whose turn it is: mid-message, unless by chance. Happens once.
    pub fn cut_after_bytes(&self, bytes: u64) {
        self.set_budget(bytes, AtBudget::Cut);
    }

    /// Lets so many more bytes through from server to client and swallows all that follow, until
    /// [`FaultyProxy::resume`]; a session that was cut open in this way cannot be resumed.
    pub fn swallow_after_bytes(&self, bytes: u64) {
        self.set_budget(bytes, AtBudget::Swallow);
    }

    /// Makes the next so many Publish responses vanish, as if the network had lost just them:
    /// one is a gap in the sequence numbers, [`u64::MAX`] is a server that never publishes.
    /// Works only on connections opened with SecurityPolicy None.
    pub fn drop_publish_responses(&self, responses: u64) {
        self.shared.publish_to_drop.store(responses, Ordering::Release);
    }

    /// Overwrites the next so many bytes from server to client, counted over all connections. Over
    /// OPC UA without encryption it begins with the next chunk.
    pub fn garble(&self, bytes: u64) {
        self.shared.to_garble.store(bytes, Ordering::Release);
    }

    /// Ends every misbehaviour. Bytes that a stall held back now pass.
    pub fn resume(&self) {
        self.shared.down_budget.store(UNLIMITED, Ordering::Release);
        self.shared.publish_to_drop.store(0, Ordering::Release);
        self.shared.to_garble.store(0, Ordering::Release);
        self.shared.faults.send_modify(|faults| {
            faults.stalled = false;
            faults.refusing = false;
            faults.delay = Duration::ZERO;
            faults.at_budget = AtBudget::Cut;
        });
    }

    /// What passed so far.
    pub fn traffic(&self) -> Traffic {
        *self.shared.traffic.borrow()
    }

    /// Returns once the traffic is such.
    pub async fn await_traffic(&self, such: impl FnMut(&Traffic) -> bool) {
        let mut traffic = self.shared.traffic.subscribe();
        // The sender lives in `self`.
        let _ = traffic.wait_for(such).await;
    }

    fn set_budget(&self, bytes: u64, then: AtBudget) {
        self.shared.faults.send_modify(|faults| faults.at_budget = then);
        self.shared.down_budget.store(bytes, Ordering::Release);
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that failed before it was accepted is the client's affair.
                let Ok((client, _)) = accepted else { continue };
                let (cut, alive) = {
                    let generation = shared.generation.lock();
                    (generation.cut.subscribe(), generation.alive.clone())
                };
                shared.traffic.send_modify(|traffic| {
                    traffic.accepted += 1;
                    traffic.open += 1;
                });
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    serve(client, cut, &shared).await;
                    shared.traffic.send_modify(|traffic| traffic.open -= 1);
                    drop(alive);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut client: TcpStream, mut cut: watch::Receiver<bool>, shared: &Shared) {
    let faults = *shared.faults.borrow();
    if faults.refusing {
        // Should the option be refused the client sees an orderly end instead of a reset.
        let _ = client.set_zero_linger();
        return;
    }
    let is_cut = tokio::select! {
        _ = cut.wait_for(|cut| *cut) => true,
        _ = relay(&mut client, faults.upstream, shared) => false,
    };
    if is_cut {
        let _ = client.set_zero_linger();
    }
}

/// Ends when either side does. An upstream that cannot be reached ends the client's connection.
async fn relay(client: &mut TcpStream, upstream: SocketAddr, shared: &Shared) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    // A relay that gathers small segments would add delays of its own.
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    tokio::select! {
        ended = upward(client_read, server_write, shared) => ended,
        ended = downward(server_read, client_write, shared) => ended,
    }
}

async fn upward(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, shared: &Shared) -> io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        let bytes = from.read(&mut buffer).await?;
        if bytes == 0 {
            return Ok(());
        }
        hold_back(shared).await;
        to.write_all(&buffer[..bytes]).await?;
        shared.traffic.send_modify(|traffic| traffic.bytes_up += bytes as u64);
    }
}

async fn downward(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
) -> io::Result<()> {
    let mut buffer = vec![0; 65_536];
    let (mut chunks, mut passing) = (ChunkReader::default(), Vec::new());
    loop {
        let bytes = from.read(&mut buffer).await?;
        if bytes == 0 {
            return Ok(());
        }
        hold_back(shared).await;
        passing.clear();
        chunks.filter(&buffer[..bytes], &mut passing, || take_publish(shared));
        let allowed = take_budget(shared, passing.len() as u64) as usize;
        garble(shared, &mut passing[..allowed]);
        to.write_all(&passing[..allowed]).await?;
        shared.traffic.send_modify(|traffic| traffic.bytes_down += allowed as u64);
        if allowed < passing.len() && shared.faults.borrow().at_budget == AtBudget::Cut {
            shared.down_budget.store(UNLIMITED, Ordering::Release);
            return to.shutdown().await;
        }
    }
}

async fn hold_back(shared: &Shared) {
    let delay = shared.faults.borrow().delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut faults = shared.faults.subscribe();
    // The sender lives in `shared`.
    let _ = faults.wait_for(|faults| !faults.stalled).await;
}

fn take_publish(shared: &Shared) -> bool {
    let taken = shared.publish_to_drop.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
        if left == UNLIMITED { Some(left) } else { left.checked_sub(1) }
    });
    if taken.is_ok() {
        shared.traffic.send_modify(|traffic| traffic.publish_dropped += 1);
    }
    taken.is_ok()
}

/// How many of `wanted` bytes may pass; takes them from the budget.
fn take_budget(shared: &Shared, wanted: u64) -> u64 {
    let before = shared.down_budget.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| {
        (left != UNLIMITED).then(|| left.saturating_sub(wanted))
    });
    before.map_or(wanted, |left| left.min(wanted))
}

/// What no protocol here begins anything with.
const GARBAGE: u8 = 0xFF;

fn garble(shared: &Shared, bytes: &mut [u8]) {
    let count = bytes.len() as u64;
    let left = |left: u64| (left > 0).then(|| left.saturating_sub(count));
    let taken = shared.to_garble.fetch_update(Ordering::AcqRel, Ordering::Acquire, left);
    let garbled = bytes.len().min(taken.unwrap_or(0) as usize);
    bytes[..garbled].fill(GARBAGE);
}

#[cfg(test)]
mod tests;
