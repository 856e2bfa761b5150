//! From a connector's thread to the hub's: one single-producer ring a source, of blocks that are used
//! again and again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use resonance_plant::{Block, PointIndex, Timestamp};
use tokio::sync::Notify;

/// What a source tells the hub, in order.
#[derive(Debug)]
pub enum Message {
    /// Observations.
    Block(Box<Block>),
    /// Observations that are missing.
    Gap(Gap),
    /// The source has its machine, or lost it.
    Session(SessionState),
}

/// Observations that are missing between two moments, on the clock that the source's observations
/// carry: the machine's, unless they carry the time of receipt.
#[derive(Clone, Debug, PartialEq)]
pub struct Gap {
    /// Of which points; empty: all of the source.
    pub points: Arc<[PointIndex]>,
    /// The last moment known to be complete.
    pub from: Timestamp,
    /// The first moment known to be complete again.
    pub to: Timestamp,
    /// Why.
    pub reason: GapReason,
}

/// Why observations are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Sequence numbers of notifications jumped and the machine could not repeat them.
    SequenceGap,
    /// The machine's queue for a point was too short.
    Overflow,
    /// The machine's server restarted.
    ServerRestart,
    /// The connection was lost.
    ConnectionLost,
    /// The machine was connected but silent.
    Silence,
    /// Rows of a recording cannot be read.
    Unreadable,
}

/// Whether a source has its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It has; values that do not change are as good as new (keep-alives arrive).
    Alive,
    /// It has again, and the machine kept what it had to say meanwhile: values from before stand
    /// until others come.
    Resumed,
    /// It lost it; values are from before.
    Lost,
}

/// Blocks a source may have under way.
pub const BLOCKS_IN_FLIGHT: usize = 256;

/// Gaps and session changes a source may have under way besides.
const NOTES_IN_FLIGHT: usize = 64;

/// The source's end. Blocks come from a pool, so a source that finds none must wait: it sends no
/// new request to its machine until [`BlockSender::ready`].
#[derive(Debug)]
pub struct BlockSender {
    messages: rtrb::Producer<Message>,
    pool: rtrb::Consumer<Box<Block>>,
    /// Blocks made so far: as many as ever were under way at once.
    made: usize,
    sequence: u64,
    shared: Arc<Shared>,
    /// A gap that found the ring full, kept and widened until it fits.
    pending: Option<Gap>,
}

/// The hub's end.
#[derive(Debug)]
pub struct BlockReceiver {
    messages: rtrb::Consumer<Message>,
    pool: rtrb::Producer<Box<Block>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    returned: Notify,
    /// Gaps and session changes in the ring; bounded, so that every block of the pool still fits.
    notes: AtomicUsize,
    waker: Waker,
}

/// Wakes the hub's thread, which sleeps when nothing is to do. A wake-up that comes while the
/// thread is awake is kept until it wants to sleep, so none is lost.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<OnceLock<Thread>>);

impl Waker {
    /// Names the thread to wake: the calling one. The first call counts.
    pub fn register(&self) {
        self.0.get_or_init(std::thread::current);
    }

    /// Wakes the thread if it sleeps, or keeps it from falling asleep once.
    pub fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

/// A ring between one source and the hub.
pub fn channel(waker: Waker) -> (BlockSender, BlockReceiver) {
    let (messages_in, messages_out) = rtrb::RingBuffer::new(BLOCKS_IN_FLIGHT + NOTES_IN_FLIGHT);
    let (pool_in, pool_out) = rtrb::RingBuffer::new(BLOCKS_IN_FLIGHT);
    let shared = Arc::new(Shared { returned: Notify::new(), notes: AtomicUsize::new(0), waker });
    (
        BlockSender {
            messages: messages_in,
            pool: pool_out,
            made: 0,
            sequence: 0,
            shared: Arc::clone(&shared),
            pending: None,
        },
        BlockReceiver { messages: messages_out, pool: pool_in, shared },
    )
}

impl BlockSender {
    /// An empty block, or `None` while all are under way.
    pub fn take(&mut self) -> Option<Box<Block>> {
        self.pool.pop().ok().or_else(|| {
            let may_be_made = self.made < BLOCKS_IN_FLIGHT;
            self.made += usize::from(may_be_made);
            may_be_made.then(Box::default)
        })
    }

    /// Blocks that could be taken now.
    pub fn available(&self) -> usize {
        self.pool.slots() + (BLOCKS_IN_FLIGHT - self.made)
    }

    /// Waits until at least `blocks` blocks could be taken.
    pub async fn ready(&self, blocks: usize) {
        let wanted = blocks.min(BLOCKS_IN_FLIGHT / 2);
        loop {
            let returned = self.shared.returned.notified();
            if self.available() >= wanted {
                return;
            }
            returned.await;
        }
    }

    /// Sends a block taken before.
    pub fn send(&mut self, mut block: Box<Block>) {
        self.flush_pending();
        block.sequence = self.sequence;
        self.sequence += 1;
        // There are fewer blocks than ring slots reserved for them, so this cannot be full.
        let _ = self.messages.push(Message::Block(block));
        self.shared.waker.wake();
    }

    /// Reports missing observations. Where the ring is full of notes, the gap is widened and
    /// reported with the next message: a gap is never lost.
    pub fn gap(&mut self, gap: Gap) {
        let gap = match self.pending.take() {
            None => gap,
            Some(earlier) => Gap {
                points: if earlier.points == gap.points { gap.points } else { Arc::from([]) },
                from: earlier.from.min(gap.from),
                to: earlier.to.max(gap.to),
                reason: gap.reason,
            },
        };
        self.pending = Some(gap);
        self.flush_pending();
        self.shared.waker.wake();
    }

    /// Reports that the machine is there, or is lost. Returns false where the ring is full: try
    /// again later.
    pub fn session(&mut self, state: SessionState) -> bool {
        self.flush_pending();
        let sent = self.pending.is_none() && self.push_note(Message::Session(state)).is_none();
        self.shared.waker.wake();
        sent
    }

    fn flush_pending(&mut self) {
        if let Some(gap) = self.pending.take()
            && let Some(Message::Gap(gap)) = self.push_note(Message::Gap(gap))
        {
            self.pending = Some(gap);
        }
    }

    /// Puts a note into the ring; gives it back where there are too many.
    fn push_note(&mut self, note: Message) -> Option<Message> {
        if self.shared.notes.load(Ordering::Acquire) >= NOTES_IN_FLIGHT {
            return Some(note);
        }
        self.shared.notes.fetch_add(1, Ordering::AcqRel);
        // Blocks and notes together never exceed the ring.
        let _ = self.messages.push(note);
        None
    }
}

impl BlockReceiver {
    /// The next message, if there is one.
    pub fn receive(&mut self) -> Option<Message> {
        let message = self.messages.pop().ok();
        if matches!(message, Some(Message::Gap(_) | Message::Session(_))) {
            self.shared.notes.fetch_sub(1, Ordering::AcqRel);
        }
        message
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether no message waits and none will come: the source's end is gone.
    pub fn is_over(&self) -> bool {
        // In this order: what was sent before the end went is seen.
        self.messages.is_abandoned() && self.messages.is_empty()
    }

    /// Gives a block back to the pool.
    pub fn give_back(&mut self, mut block: Box<Block>) {
        block.clear();
        let _ = self.pool.push(block);
        self.shared.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use resonance_plant::{Status, ValueKind};

    use super::*;

    #[test]
    fn blocks_go_round_and_the_pool_is_the_bound() {
        let (mut sender, mut receiver) = channel(Waker::default());
        for i in 0..BLOCKS_IN_FLIGHT {
            let mut block = sender.take().expect("the pool holds this many");
            block.push(PointIndex(0), ValueKind::Float, i as f64, Timestamp::EPOCH, Status::GOOD);
            sender.send(block);
        }
        assert!(sender.take().is_none());
        let Some(Message::Block(block)) = receiver.receive() else { panic!("a block was sent") };
        assert_eq!((block.sequence, block.len()), (0, 1));
        receiver.give_back(block);
        assert!(sender.take().expect("one came back").is_empty());
    }

    #[test]
    fn gaps_beyond_the_ring_are_widened_not_lost() {
        let (mut sender, mut receiver) = channel(Waker::default());
        let gap = |from: i64| Gap {
            points: Arc::from([PointIndex(1)]),
            from: Timestamp::from_millis(from),
            to: Timestamp::from_millis(from + 1),
            reason: GapReason::Overflow,
        };
        let count = NOTES_IN_FLIGHT as i64 + 10;
        (0..count).for_each(|at| sender.gap(gap(at)));
        let mut covered_to = Timestamp::EPOCH;
        while let Some(Message::Gap(gap)) = receiver.receive() {
            assert_eq!(gap.from, covered_to, "no hole between gaps");
            covered_to = gap.to;
        }
        sender.session(SessionState::Alive);
        while let Some(message) = receiver.receive() {
            if let Message::Gap(gap) = message {
                assert_eq!(gap.from, covered_to);
                covered_to = gap.to;
            }
        }
        assert_eq!(covered_to, Timestamp::from_millis(count));
    }

    #[tokio::test]
    async fn a_waiting_source_goes_on_when_a_block_returns() {
        let (mut sender, mut receiver) = channel(Waker::default());
        while let Some(block) = sender.take() {
            sender.send(block);
        }
        let Some(Message::Block(block)) = receiver.receive() else { panic!("a block was sent") };
        let returning = tokio::task::spawn_blocking(move || {
            receiver.give_back(block);
            receiver
        });
        sender.ready(1).await;
        assert!(sender.take().is_some());
        returning.await.unwrap();
    }
}
