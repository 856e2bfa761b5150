//! What streams send: one bounded ring for all subscribers of a kind, each with its own place.
//!
//! A subscriber that falls behind the ring's oldest entry, or comes back later than that, is told
//! how many it lost. Nothing is queued per subscriber.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;

/// Entries kept.
const KEPT_MAX: usize = 2_048;

/// How long what follows is left to gather: a burst of results wakes the pump, and through it
/// every subscriber, twice and not with each result.
const GATHER: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Feed<T> {
    /// Tells the ids of this process from those of another: when it started, nanoseconds.
    boot: i64,
    ring: Mutex<Ring<T>>,
    /// The sequence number of the newest entry.
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring<T> {
    /// Ascending by sequence; a jump is a loss.
    entries: VecDeque<Arc<Entry<T>>>,
    /// The last sequence number given.
    last: u64,
}

/// One thing sent.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Counts from one.
    pub(super) sequence: u64,
    pub(super) item: Arc<T>,
    json: OnceLock<Vec<u8>>,
}

impl<T: Serialize> Entry<T> {
    /// The item as JSON, made once for all subscribers.
    pub(super) fn json(&self) -> &[u8] {
        // Records and events hold numbers, texts and maps of texts: they cannot fail to serialise.
        self.json.get_or_init(|| serde_json::to_vec(&*self.item).unwrap_or_default())
    }
}

/// What a subscriber gets next.
#[derive(Debug)]
pub(super) struct Batch<T> {
    /// Entries that no one keeps any more.
    pub(super) lost: u64,
    pub(super) entries: Vec<Arc<Entry<T>>>,
}

/// Where a subscriber begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// After the entry with this sequence number.
    After(u64),
    /// Now; whatever came after the id it names cannot be told.
    Unknown,
}

impl<T> Feed<T> {
    pub(super) fn new(boot: i64) -> Self {
        let ring = Mutex::new(Ring { entries: VecDeque::new(), last: 0 });
        Self { boot, ring, newest: watch::Sender::new(0) }
    }

    /// Takes in what is published until the publisher or the server ends.
    pub(super) async fn pump(&self, mut from: Receiver<Arc<T>>, mut stop: watch::Receiver<bool>) {
        loop {
            let next = tokio::select! {
                next = from.recv() => next,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match next {
                Ok(item) => self.push(item),
                Err(RecvError::Lagged(missed)) => self.skip(missed),
                Err(RecvError::Closed) => return,
            }
            self.push_waiting(&mut from);
            self.newest.send_replace(self.newest());
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Takes in what was published and not received yet.
    fn push_waiting(&self, from: &mut Receiver<Arc<T>>) {
        loop {
            match from.try_recv() {
                Ok(item) => self.push(item),
                Err(TryRecvError::Lagged(missed)) => self.skip(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// The numbers are given away so that subscribers see the jump.
    fn skip(&self, missed: u64) {
        self.ring.lock().last += missed;
    }

    fn push(&self, item: Arc<T>) {
        let mut ring = self.ring.lock();
        ring.last += 1;
        let sequence = ring.last;
        if ring.entries.len() == KEPT_MAX {
            ring.entries.pop_front();
        }
        ring.entries.push_back(Arc::new(Entry { sequence, item, json: OnceLock::new() }));
    }

    /// Entries after `cursor`, at most `most`.
    pub(super) fn after(&self, cursor: u64, most: usize) -> Batch<T> {
        let ring = self.ring.lock();
        let from = ring.entries.partition_point(|entry| entry.sequence <= cursor);
        let mut expected = cursor + 1;
        let mut batch = Batch { lost: 0, entries: Vec::new() };
        for entry in ring.entries.iter().skip(from).take(most) {
            let lost = entry.sequence - expected;
            if lost > 0 && !batch.entries.is_empty() {
                // Told before the entry that follows the gap, so with the next batch.
                break;
            }
            batch.lost += lost;
            expected = entry.sequence + 1;
            batch.entries.push(Arc::clone(entry));
        }
        batch
    }

    pub(super) fn newest(&self) -> u64 {
        self.ring.lock().last
    }

    /// Says when something new is there.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// An entry's id on the wire.
    pub(super) fn id(&self, sequence: u64) -> String {
        format!("{}-{sequence}", self.boot)
    }

    /// Where a subscriber that saw this id goes on.
    pub(super) fn resume(&self, id: &str) -> Start {
        let parsed = id.split_once('-').and_then(|(boot, sequence)| {
            (boot.parse() == Ok(self.boot)).then(|| sequence.parse::<u64>().ok())?
        });
        match parsed {
            Some(sequence) if sequence <= self.newest() => Start::After(sequence),
            _ => Start::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_that_falls_behind_is_told_how_many_it_lost() {
        let feed = Feed::new(7);
        (0..KEPT_MAX + 10).for_each(|at| feed.push(Arc::new(at)));
        let batch = feed.after(3, 2);
        assert_eq!(batch.lost, 7);
        assert_eq!(batch.entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [11, 12]);
        assert_eq!(batch.entries[0].json(), b"10");
        assert_eq!(feed.after(12, 1).lost, 0);
        assert!(feed.after(feed.newest(), 9).entries.is_empty());
    }

    #[test]
    fn what_the_pump_missed_is_a_jump_before_the_next_entry() {
        let feed = Feed::new(7);
        feed.push(Arc::new('a'));
        feed.ring.lock().last += 5;
        feed.push(Arc::new('b'));
        let first = feed.after(0, 9);
        assert_eq!((first.lost, first.entries.len()), (0, 1));
        let second = feed.after(1, 9);
        assert_eq!((second.lost, second.entries[0].sequence), (5, 7));
    }

    #[test]
    fn ids_of_another_process_or_the_future_are_not_resumed() {
        let feed = Feed::new(7);
        feed.push(Arc::new(()));
        assert_eq!(feed.resume(&feed.id(1)), Start::After(1));
        for id in ["6-1", "7-2", "7", "", "x-1", "7-x"] {
            assert_eq!(feed.resume(id), Start::Unknown, "{id}");
        }
    }
}
