//! The threads that serve connections.
//!
//! Each has a runtime of its own and keeps its connections: a request is read, inferred and
//! answered without waking another thread, which on a machine with few processors costs more than
//! a small model's inference. It also keeps inference away from the tasks of sinks and of other
//! servers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::linger::Linger;

/// More would serve no more requests: inference that is not quick has threads of its own.
const THREADS_MAX: usize = 4;

/// What a thread has at hand.
#[derive(Debug, Default)]
pub(in crate::servers) struct Load {
    connections: AtomicUsize,
    requests: AtomicUsize,
    linger: Linger,
}

/// A request under way on a thread, from its arrival to its answer.
pub(super) struct UnderWay {
    load: Arc<Load>,
    came: Instant,
}

/// They end when this is dropped, and what they serve with them.
pub(super) struct Threads(Vec<Thread>);

struct Thread {
    runtime: Handle,
    load: Arc<Load>,
    /// Its end is the thread's.
    _alive: oneshot::Sender<()>,
}

/// A connection's place on a thread, for as long as it is open.
pub(super) struct Seat {
    pub(super) runtime: Handle,
    pub(super) load: Arc<Load>,
}

impl Load {
    /// Whether the only request of the only connection is under way: no other request waits for
    /// this thread. One that comes later does, and what the connection's open streams send.
    pub(in crate::servers) fn is_one_request(&self) -> bool {
        self.connections.load(Ordering::Relaxed) == 1 && self.requests.load(Ordering::Relaxed) == 1
    }

    /// Counts a request that has come.
    pub(super) fn request(self: &Arc<Self>) -> UnderWay {
        self.linger.came();
        self.requests.fetch_add(1, Ordering::Relaxed);
        UnderWay { load: Arc::clone(self), came: Instant::now() }
    }
}

impl UnderWay {
    /// Ends with an answer. If it was the last, its thread stays awake for the next; otherwise the
    /// others' ends wake it, and where they are inferred elsewhere, that needs the processor more.
    pub(super) fn answered(self) {
        if self.load.requests.load(Ordering::Relaxed) == 1 {
            self.load.linger.answered(self.came.elapsed());
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.load.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Threads {
    /// As many as there are processors, within bounds.
    pub(super) fn start() -> io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (0..processors.min(THREADS_MAX)).map(Thread::start).collect::<io::Result<_>>().map(Self)
    }

    /// A place on the thread with the fewest connections.
    pub(super) fn seat(&self) -> Option<Seat> {
        let load = |thread: &&Thread| thread.load.connections.load(Ordering::Relaxed);
        let thread = self.0.iter().min_by_key(load)?;
        thread.load.connections.fetch_add(1, Ordering::Relaxed);
        Some(Seat { runtime: thread.runtime.clone(), load: Arc::clone(&thread.load) })
    }
}

impl Thread {
    fn start(number: usize) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (alive, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let load = Arc::<Load>::default();
        let lingering = Arc::clone(&load);
        handle.spawn(async move { lingering.linger.run().await });
        std::thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            // An error says that the sender is gone, which is what is waited for.
            let _ = runtime.block_on(ended);
            // A password that is still being checked is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, load, _alive: alive })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.load.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_request_of_one_connection_is_alone_on_its_thread() {
        let threads = Threads(vec![Thread::start(0).unwrap()]);
        let seat = threads.seat().unwrap();
        assert!(!seat.load.is_one_request(), "none has come");
        let first = seat.load.request();
        assert!(seat.load.is_one_request());
        let second = seat.load.request();
        assert!(!seat.load.is_one_request(), "another request waits");
        second.answered();
        assert_eq!(seat.load.linger.took(), Duration::ZERO, "the thread waits for none");
        assert!(seat.load.is_one_request());
        let other = threads.seat().unwrap();
        assert!(!seat.load.is_one_request(), "another connection may have one at any time");
        drop(other);
        assert!(seat.load.is_one_request());
        first.answered();
        assert!(seat.load.linger.took() > Duration::ZERO, "it waits for the next");
        assert!(!seat.load.is_one_request());
    }
}
