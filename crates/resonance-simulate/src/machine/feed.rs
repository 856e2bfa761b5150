//! What moves a machine's channels: a feed, stepped by the machine's own thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resonance_plant::ValueKind;
use resonance_plant::{Clock, LastValues, PointIndex, Status, SystemClock, Timestamp, Value};
use tokio::sync::watch;

/// Where a machine's values come from, one step at a time.
pub trait Feed: Send {
    /// Writes the values that are due now and says when the next are.
    fn step(&mut self, out: &mut Writer<'_>) -> Next;
}

/// When a feed is stepped again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// So long after this step was due.
    After(Duration),
    /// Never: it has no more values. The last ones stay.
    Ended,
}

/// What a machine counts; read from any thread.
#[derive(Debug, Default)]
pub struct Counters {
    steps: AtomicU64,
    values: AtomicU64,
    late: AtomicU64,
    bad_rows: AtomicU64,
    last_bad: Mutex<Option<Arc<str>>>,
}

impl Counters {
    /// Steps taken: rows for a recording.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Values written.
    pub fn values(&self) -> u64 {
        self.values.load(Ordering::Relaxed)
    }

    /// Steps that came more than one period after they were due.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Rows of a recording that could not be read, wholly or in part.
    pub fn bad_rows(&self) -> u64 {
        self.bad_rows.load(Ordering::Relaxed)
    }

    /// What was wrong with the last bad row.
    pub fn last_bad(&self) -> Option<Arc<str>> {
        self.last_bad.lock().clone()
    }
}

/// Writes values at one moment; its source time is that moment.
#[derive(Debug)]
pub struct Writer<'a> {
    values: &'a LastValues,
    counters: &'a Counters,
    now: Timestamp,
    written: u64,
}

impl Writer<'_> {
    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Writes a real number.
    #[inline]
    pub fn float(&mut self, channel: usize, value: f64) {
        let point = PointIndex(channel as u32);
        self.values.write(point, ValueKind::Float, value, self.now, self.now, Status::GOOD);
        self.written += 1;
    }

    /// Writes any value.
    pub fn value(&mut self, channel: usize, value: &Value) {
        self.value_with(channel, value, Status::GOOD);
    }

    /// Writes any value with a status.
    pub fn value_with(&mut self, channel: usize, value: &Value, status: Status) {
        self.values.write_value(PointIndex(channel as u32), value, self.now, self.now, status);
        self.written += 1;
    }

    /// Counts a row that could not be read and says why.
    pub fn bad_row(&mut self, problem: &str) {
        let before = self.counters.bad_rows.fetch_add(1, Ordering::Relaxed);
        *self.counters.last_bad.lock() = Some(problem.into());
        // A recording that is bad throughout would otherwise bury everything else.
        if before < BAD_ROWS_SAID_MAX {
            tracing::warn!("{problem}");
        } else if before == BAD_ROWS_SAID_MAX {
            tracing::warn!("{problem}; further bad rows are only counted");
        }
    }
}

const BAD_ROWS_SAID_MAX: u64 = 20;

/// Steps a feed until it ends or `stop` is closed; calls `report` after each step, so that
/// subscribers are told of every step and not only of those that a sampling clock meets.
pub(super) fn drive(
    mut feed: Box<dyn Feed>,
    values: &LastValues,
    counters: &Counters,
    stop: &Receiver<()>,
    ended: &watch::Sender<bool>,
    report: &dyn Fn(),
) {
    let clock = SystemClock;
    let mut due = Instant::now();
    loop {
        let now = clock.now();
        let mut out = Writer { values, counters, now, written: 0 };
        let next = feed.step(&mut out);
        counters.values.fetch_add(out.written, Ordering::Relaxed);
        report();
        let Next::After(period) = next else {
            ended.send_replace(true);
            // The values stay until someone stops the machine.
            let _ = stop.recv();
            return;
        };
        counters.steps.fetch_add(1, Ordering::Relaxed);
        let at = Instant::now();
        if at > due + period {
            counters.late.fetch_add(1, Ordering::Relaxed);
        }
        // A step that came late is not followed by a burst: whoever samples the channels would
        // miss all but the last of it.
        due = (due + period).max(at + period / 2);
        match stop.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    struct Three(u32);

    impl Feed for Three {
        fn step(&mut self, out: &mut Writer<'_>) -> Next {
            if self.0 == 3 {
                return Next::Ended;
            }
            self.0 += 1;
            out.float(0, f64::from(self.0));
            out.value_with(1, &Value::Empty, Status::BAD_NO_DATA);
            out.bad_row("row");
            Next::After(Duration::from_millis(1))
        }
    }

    #[test]
    fn a_feed_is_stepped_to_its_end_and_its_last_values_stay() {
        let (values, counters) = (LastValues::new(2), Counters::default());
        let (stop, stopped) = channel();
        let ended = watch::Sender::new(false);
        drop(stop);
        // Stopped after the first step: the closed channel is seen in the wait.
        drive(Box::new(Three(0)), &values, &counters, &stopped, &ended, &|| {});
        assert_eq!((counters.steps(), *ended.borrow()), (1, false));
        let (stop, stopped) = channel();
        std::thread::scope(|scope| {
            let (values, counters, say) = (&values, &counters, &ended);
            scope.spawn(move || drive(Box::new(Three(1)), values, counters, &stopped, say, &|| {}));
            let deadline = Instant::now() + Duration::from_secs(10);
            while !*ended.borrow() && Instant::now() < deadline {
                std::thread::yield_now();
            }
            drop(stop);
        });
        assert_eq!((counters.steps(), counters.values(), counters.bad_rows()), (3, 6, 3));
        assert_eq!(values.slot(PointIndex(0)).unwrap().value, 3.0);
        assert_eq!(values.slot(PointIndex(1)).unwrap().status, Status::BAD_NO_DATA);
        assert_eq!(counters.last_bad().as_deref(), Some("row"));
    }
}
