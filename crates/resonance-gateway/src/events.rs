//! Where events go until there is a ledger: a bounded memory, live subscribers, and JSON lines.

mod file;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use parking_lot::Mutex;
use resonance_plant::{Event, EventSink, Severity};
use tokio::sync::broadcast;

use self::file::EventFile;
use crate::status::{Counter, EventsStatus};

/// Events kept in memory.
const RECENT_MAX: usize = 1_000;

/// Events that may wait for the file, or for a slow subscriber.
const WAITING_MAX: usize = 4_096;

/// What the file's thread is told.
#[derive(Debug)]
enum Line {
    Event(Arc<Event>),
    /// Answered by dropping the sender, after everything before is written.
    Flush(SyncSender<()>),
}

/// Keeps the last events, passes them on, and writes them to a file if asked to.
#[derive(Debug)]
pub struct EventLog {
    recent: Mutex<VecDeque<Arc<Event>>>,
    live: broadcast::Sender<Arc<Event>>,
    file: Option<SyncSender<Line>>,
    /// Events recorded.
    pub recorded: Counter,
    /// Events of severity error.
    pub errors: Counter,
    /// Events that the file could not take.
    pub unwritten: Arc<Counter>,
}

impl EventLog {
    /// A log in memory only.
    pub fn in_memory() -> Self {
        Self {
            recent: Mutex::new(VecDeque::with_capacity(RECENT_MAX)),
            live: broadcast::channel(WAITING_MAX).0,
            file: None,
            recorded: Counter::default(),
            errors: Counter::default(),
            unwritten: Arc::default(),
        }
    }

    /// A log that also appends each event as one line of JSON to a file, which is begun anew when
    /// it is large; the one before is kept with `.1` behind its name.
    ///
    /// # Errors
    /// Where the file cannot be opened for appending.
    pub fn with_file(path: &Path) -> std::io::Result<Self> {
        let mut file = EventFile::open(path, file::BYTES_MAX)?;
        let (sender, receiver) = sync_channel::<Line>(WAITING_MAX);
        let unwritten = Arc::new(Counter::default());
        let lost = Arc::clone(&unwritten);
        std::thread::Builder::new().name("events".into()).spawn(move || {
            while let Ok(first) = receiver.recv() {
                // As many as may wait, so that whoever asked for a flush is answered.
                let waiting = std::iter::once(first).chain(receiver.try_iter().take(WAITING_MAX));
                let mut asked = Vec::new();
                for line in waiting {
                    match line {
                        Line::Event(event) => file.add(&event),
                        Line::Flush(answer) => asked.push(answer),
                    }
                }
                lost.add(file.flush());
                // Dropping the answer's sender is the answer.
                drop(asked);
            }
        })?;
        Ok(Self { file: Some(sender), unwritten, ..Self::in_memory() })
    }

    /// The last events, oldest first, at most `most`.
    pub fn recent(&self, most: usize) -> Vec<Arc<Event>> {
        let recent = self.recent.lock();
        recent.iter().skip(recent.len().saturating_sub(most)).cloned().collect()
    }

    /// The numbers at this moment.
    pub fn status(&self) -> EventsStatus {
        EventsStatus {
            recorded: self.recorded.value(),
            errors: self.errors.value(),
            unwritten: self.unwritten.value(),
        }
    }

    /// Returns once everything recorded before is in the file, or cannot be.
    pub fn flush(&self) {
        let (answer, answered) = sync_channel(0);
        if let Some(file) = &self.file
            && file.send(Line::Flush(answer)).is_ok()
        {
            // An error says that the answer's sender was dropped: it is done.
            let _ = answered.recv();
        }
    }

    /// Events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.live.subscribe()
    }
}

impl EventSink for EventLog {
    fn record(&self, event: Event) {
        let event = Arc::new(event);
        self.recorded.add(1);
        match event.severity {
            Severity::Info => {
                tracing::info!(code = %event.code, subject = %event.subject, "{}", event.message)
            }
            Severity::Warning => {
                tracing::warn!(code = %event.code, subject = %event.subject, "{}", event.message)
            }
            Severity::Error => {
                self.errors.add(1);
                tracing::error!(code = %event.code, subject = %event.subject, "{}", event.message);
            }
        }
        if let Some(file) = &self.file
            && let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
                file.try_send(Line::Event(Arc::clone(&event)))
        {
            self.unwritten.add(1);
        }
        let mut recent = self.recent.lock();
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(Arc::clone(&event));
        drop(recent);
        let _ = self.live.send(event);
    }
}

#[cfg(test)]
mod tests {
    use resonance_plant::{Code, Timestamp, Value};

    use super::*;

    #[test]
    fn events_are_kept_bounded_and_written_as_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let log = EventLog::with_file(&path).unwrap();
        for i in 0..1_100_i64 {
            let event = Event::new(Timestamp::from_millis(i), Code::DataGap, "source/a", "lost");
            log.record(event.with("count", Value::Int(i)));
        }
        assert_eq!(log.recent(5_000).len(), RECENT_MAX);
        assert_eq!(log.recent(1)[0].at, Timestamp::from_millis(1_099));
        log.flush();
        let lines = std::fs::read_to_string(&path).unwrap();
        assert_eq!((lines.lines().count(), log.unwritten.value()), (1_100, 0));
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(first["code"], "data.gap");
        assert_eq!(first["detail"]["count"], 0);
    }
}
