//! The rules of delivery in virtual time, against a broker of a few lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use resonance_plant::{ManualClock, Timestamp};

use super::progress::{ACKNOWLEDGE_WITHIN, Outcome, Progress};
use crate::events::EventLog;
use crate::plan::{DropPolicy, SpoolPlan};
use crate::spool::tests::record;
use crate::spool::{Cursor, Spool};

const LIMIT: u16 = 8;
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A gateway whose spool, a real one, grows by one result every 100 ms, and a broker that answers
/// after 5 ms. Time is virtual, for the spool as well.
struct World {
    start: Instant,
    now: Instant,
    clock: Arc<ManualClock>,
    spool: Spool,
    cursor: Cursor,
    runtime: tokio::runtime::Runtime,
    progress: Progress,
    spooled: u64,
    acknowledged: u64,
    read: u64,
    connected: bool,
    connect_at: Instant,
    attempts: u32,
    wire: VecDeque<(Instant, u64)>,
    received: Vec<u64>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = SpoolPlan {
            path: folder.path().join("spool.sqlite"),
            bytes_max: 1 << 30,
            age_max: Duration::from_secs(900),
            drop: DropPolicy::Oldest,
        };
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let events = Arc::new(EventLog::in_memory());
        let spool = Spool::open(&plan, &["mes".into()], clock.clone(), events).unwrap();
        let start = Instant::now();
        Self {
            start,
            now: start,
            clock,
            cursor: spool.cursor("mes", Arc::default()).unwrap(),
            spool,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            progress: Progress::new(LIMIT, WAIT_MAX),
            spooled: 0,
            acknowledged: 0,
            read: 0,
            connected: false,
            connect_at: start,
            attempts: 0,
            wire: VecDeque::new(),
            received: Vec::new(),
            _folder: folder,
        }
    }

    /// Five milliseconds, with the broker up or down.
    fn step(&mut self, up: bool) {
        self.now += Duration::from_millis(5);
        self.clock.advance(Duration::from_millis(5));
        let elapsed = (self.now - self.start).as_millis();
        if elapsed.is_multiple_of(100) {
            self.spooled += 1;
            self.spool.writer().offer(record("wear", self.spooled));
        }
        if self.connected && !up {
            self.connected = false;
            self.wire.clear();
            self.connect_at = self.now + self.progress.disconnected(500);
        } else if !self.connected && self.now >= self.connect_at {
            self.attempts += 1;
            if up {
                self.connected = true;
                self.cursor.rewind();
                self.read = self.acknowledged;
                self.progress.connected(None);
            } else {
                self.connect_at = self.now + self.progress.disconnected(500);
            }
        }
        if !self.connected {
            return;
        }
        while self.wire.front().is_some_and(|(sent, _)| *sent < self.now) {
            let (_, sequence) = self.wire.pop_front().unwrap();
            self.received.push(sequence);
            if let Some(done) = self.progress.answered(sequence, Outcome::Accepted, self.now, 500) {
                self.acknowledged = done;
                self.cursor.acknowledge(done);
            }
        }
        self.send();
    }

    /// What is spooled, as far as more may be under way.
    fn send(&mut self) {
        loop {
            let room = self.progress.room(self.now);
            if room == 0 || self.read == self.spooled {
                return;
            }
            // It was offered, so it comes.
            for result in self.runtime.block_on(self.cursor.next(room)) {
                self.read = result.sequence;
                self.progress.sent(self.read, self.now);
                self.wire.push_back((self.now, self.read));
            }
        }
    }

    fn run(&mut self, time: Duration, up: bool) {
        let end = self.now + time;
        while self.now < end {
            self.step(up);
        }
    }
}

#[test]
fn a_broker_down_for_ten_minutes_gets_everything_afterwards_in_order() {
    let mut world = World::new();
    world.run(Duration::from_secs(60), true);
    assert!(world.spooled - world.acknowledged <= 1, "it keeps up");
    let before = world.attempts;
    world.run(Duration::from_secs(600), false);
    // 0.25 + 0.5 + ... + 16 s, then one attempt in about 22 s.
    let during = world.attempts - before;
    assert!((25..=45).contains(&during), "{during} attempts");
    assert!(world.spooled - world.acknowledged >= 6_000);
    let down = world.now;
    while !world.connected {
        world.step(true);
    }
    assert!(world.now - down <= WAIT_MAX, "back within one wait");
    world.run(Duration::from_secs(30), true);
    assert!(world.spooled - world.acknowledged <= 1, "the backlog is gone");
    assert_eq!(world.spool.status().dropped, 0);
    // At least once, and in order but for what was under way at the cut.
    let mut firsts = world.received.clone();
    let repeated = firsts.len();
    firsts.dedup();
    let mut highest = 0;
    firsts.retain(|sequence| {
        let new = *sequence > highest;
        highest = highest.max(*sequence);
        new
    });
    assert_eq!(firsts, (1..=world.acknowledged).collect::<Vec<_>>());
    assert!(repeated - firsts.len() <= usize::from(LIMIT), "only what was under way is repeated");
}

#[test]
fn acknowledgements_out_of_order_move_the_cursor_in_order() {
    let now = Instant::now();
    let mut progress = Progress::new(LIMIT, WAIT_MAX);
    (11..=14).for_each(|sequence| progress.sent(sequence, now));
    let mut answered = |sequence, outcome| progress.answered(sequence, outcome, now, 0);
    assert_eq!(answered(12, Outcome::Accepted), None);
    assert_eq!(answered(14, Outcome::Accepted), None);
    assert_eq!(answered(11, Outcome::Accepted), Some(12));
    assert_eq!(answered(99, Outcome::Accepted), None, "nobody sent this");
    assert_eq!(answered(13, Outcome::SetAside), Some(14));
}

#[test]
fn never_more_under_way_than_either_side_allows() {
    let now = Instant::now();
    let mut progress = Progress::new(LIMIT, WAIT_MAX);
    progress.connected(Some(3));
    assert_eq!(progress.room(now), 3);
    (1..=3).for_each(|sequence| progress.sent(sequence, now));
    assert_eq!(progress.room(now), 0);
    progress.answered(2, Outcome::Accepted, now, 0);
    assert_eq!(progress.room(now), 0, "an early answer frees nothing before its turn");
    progress.answered(1, Outcome::Accepted, now, 0);
    assert_eq!(progress.room(now), 2);
    progress.disconnected(0);
    progress.connected(None);
    assert_eq!(progress.room(now), usize::from(LIMIT));
}

#[test]
fn a_refusal_pauses_goes_back_and_tries_with_one_result_first() {
    let mut now = Instant::now();
    let mut progress = Progress::new(LIMIT, WAIT_MAX);
    (1..=3).for_each(|sequence| progress.sent(sequence, now));
    assert_eq!(progress.answered(1, Outcome::Accepted, now, 0), Some(1));
    assert_eq!(progress.answered(2, Outcome::Refused, now, 999), None);
    assert_eq!((progress.room(now), progress.must_rewind()), (0, false), "3 is under way");
    assert_eq!(progress.answered(3, Outcome::Accepted, now, 0), None, "2 is not done");
    assert!(progress.must_rewind());
    assert!(!progress.must_rewind(), "once");
    assert_eq!(progress.room(now), 0, "it pauses");
    let mut pauses = Vec::new();
    for _ in 0..10 {
        let resume = progress.wake_at(now).unwrap();
        pauses.push(resume - now);
        now = resume;
        assert_eq!(progress.room(now), 1, "one goes first");
        progress.sent(2, now);
        progress.answered(2, Outcome::Refused, now, 999);
        assert!(progress.must_rewind());
    }
    assert!(pauses.is_sorted() && pauses[9] > WAIT_MAX - Duration::from_millis(100), "{pauses:?}");
    now = progress.wake_at(now).unwrap();
    progress.sent(2, now);
    assert_eq!(progress.answered(2, Outcome::Accepted, now, 0), Some(2));
    assert_eq!(progress.room(now), usize::from(LIMIT), "the broker takes results again");
}

#[test]
fn a_broker_that_never_acknowledges_is_left() {
    let now = Instant::now();
    let mut progress = Progress::new(LIMIT, WAIT_MAX);
    assert!(progress.mute(now + ACKNOWLEDGE_WITHIN * 10).is_none(), "nothing is under way");
    progress.sent(1, now);
    let deadline = progress.wake_at(now).unwrap();
    assert_eq!(progress.mute(deadline - Duration::from_millis(1)), None);
    assert_eq!(progress.mute(deadline), Some(1));
    progress.disconnected(0);
    assert_eq!(progress.mute(deadline), None);
}
