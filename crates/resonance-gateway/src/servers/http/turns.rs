//! Work that is not quick, each in its turn, on threads of their own.
//!
//! A thread that is done takes the next in line itself. Were it the connection's thread that
//! handed the next one out, that thread would have to be woken in between, on processors that are
//! all at work.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// As many at once as there are threads. They end when this is dropped, after what is under way:
/// nobody is in line then, for whoever is borrows this.
pub(in crate::servers) struct Turns(Arc<Shared>);

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<(u64, Job)>,
    /// The number of whoever comes next.
    next: u64,
    is_closed: bool,
}

type Job = Box<dyn FnOnce() + Send>;

impl Turns {
    /// # Errors
    /// Where the system gives no threads.
    pub(in crate::servers) fn start(threads: usize) -> io::Result<Self> {
        let turns = Self(Arc::default());
        for number in 0..threads {
            let shared = Arc::clone(&turns.0);
            let thread = std::thread::Builder::new().name(format!("infer-{number}"));
            thread.spawn(move || {
                while let Some(job) = shared.next() {
                    // Whoever waits is told by the channel that the panic drops.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        }
        Ok(turns)
    }

    /// Does this work when it is its turn. Dropped while it waits, it leaves the line; `None` where
    /// it ended without an answer.
    ///
    /// The line is bounded by the places for requests: each holds one until it is dropped.
    pub(in crate::servers) async fn take<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        // An error says that nobody waits any more.
        let job = Box::new(move || drop(answer.send(work())));
        let _place = Place { shared: &self.0, number: self.0.join(job) };
        answered.await.ok()
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.0.line.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn join(&self, job: Job) -> u64 {
        let mut line = self.line.lock();
        let number = line.next;
        line.next += 1;
        line.waiting.push_back((number, job));
        self.changed.notify_one();
        number
    }

    /// The first in line, as soon as there is one; `None`: nobody comes any more.
    fn next(&self) -> Option<Job> {
        let mut line = self.line.lock();
        loop {
            if let Some((_, job)) = line.waiting.pop_front() {
                return Some(job);
            }
            if line.is_closed {
                return None;
            }
            self.changed.wait(&mut line);
        }
    }
}

/// A place in the line, for as long as somebody waits.
struct Place<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let left = {
            let mut line = self.shared.line.lock();
            let at = line.waiting.binary_search_by_key(&self.number, |(number, _)| *number);
            at.ok().and_then(|at| line.waiting.remove(at))
        };
        // Its request may be large: not while the others wait for the line.
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn whoever_leaves_the_line_never_has_a_turn_and_the_others_keep_theirs() {
        let turns = Arc::new(Turns::start(1).unwrap());
        let (began, has_begun) = oneshot::channel();
        let (go_on, gone_on) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let first = turns.take(move || {
            began.send(()).unwrap();
            gone_on.recv().unwrap();
            0
        });
        let mut first = std::pin::pin!(first);
        tokio::select! {
            _ = &mut first => panic!("it waits to go on"),
            begun = has_begun => begun.unwrap(),
        }
        let mut in_line: Vec<_> = (1..=4)
            .map(|number| {
                let (turns, tell) = (Arc::clone(&turns), tell.clone());
                tokio::spawn(async move {
                    turns.take(move || tell.send(number).map(|()| number).unwrap()).await
                })
            })
            .collect();
        while turns.0.line.lock().waiting.len() < in_line.len() {
            yield_now().await;
        }
        let leaves = in_line.remove(1);
        leaves.abort();
        assert!(leaves.await.unwrap_err().is_cancelled());
        go_on.send(()).unwrap();
        assert_eq!(first.await, Some(0));
        for (waits, number) in in_line.into_iter().zip([1, 3, 4]) {
            assert_eq!(waits.await.unwrap(), Some(number));
        }
        drop(tell);
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [1, 3, 4], "in the order they came");
    }

    #[tokio::test]
    async fn work_that_panics_has_no_answer_and_its_thread_goes_on() {
        let turns = Turns::start(1).unwrap();
        assert_eq!(turns.take(|| -> u8 { panic!("on purpose") }).await, None);
        assert_eq!(turns.take(|| 1).await, Some(1));
    }

    #[tokio::test]
    async fn threads_end_with_what_started_them() {
        let turns = Turns::start(3).unwrap();
        let shared = Arc::clone(&turns.0);
        drop(turns);
        let ended = async {
            while Arc::strong_count(&shared) > 1 {
                yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), ended).await.unwrap();
    }
}
