//! From the hub to the files: a bounded queue and the thread behind it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use resonance_plant::{Block, Clock, Code, Event, EventSink, Plant, PointIndex, TensorBuf, Value};
use schemars::JsonSchema;
use serde::Serialize;

use super::folder::{Folder, Names, Trimmed};
use super::observations::{ObservationsWriter, Paths};
use super::table::TableWriter;
use super::windows::{ServedBatch, ServedRow, WindowsWriter};
use super::{RecordingError, RecordingPlan};
use crate::models::ServedModel;
use crate::status::Counter;

/// Messages under way at most.
const QUEUE_MAX: usize = 4_096;

/// Bytes under way at most.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// How often the thread looks whether a file is old enough, and whether anything was lost.
const LOOK: Duration = Duration::from_millis(500);

/// How long one notice of losses stands for those that follow.
const TELL: Duration = Duration::from_secs(10);

/// How long nothing is written after the system refused to.
const REST: Duration = Duration::from_secs(10);

/// What a recording counts.
#[derive(Debug, Default)]
pub struct RecordingCounters {
    windows: Counter,
    observations: Counter,
    files: Counter,
    windows_lost: Counter,
    observations_lost: Counter,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Recorded {
    /// Windows in finished files.
    pub windows: u64,
    /// Observations in finished files.
    pub observations: u64,
    /// Files finished.
    pub files: u64,
    /// Windows that were not kept: they came too fast, or could not be written.
    pub windows_lost: u64,
    /// Observations that were not kept.
    pub observations_lost: u64,
}

impl RecordingCounters {
    /// The numbers at this moment.
    pub fn value(&self) -> Recorded {
        Recorded {
            windows: self.windows.value(),
            observations: self.observations.value(),
            files: self.files.value(),
            windows_lost: self.windows_lost.value(),
            observations_lost: self.observations_lost.value(),
        }
    }
}

/// The hub's end.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    queue: SyncSender<Message>,
    bytes: Arc<AtomicUsize>,
    counters: Arc<RecordingCounters>,
    keeps_observations: bool,
    paths: Paths,
}

/// The thread. It ends when every [`Recorder`] is gone, and has then finished its files.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) thread: JoinHandle<()>,
    pub(crate) counters: Arc<RecordingCounters>,
}

#[derive(Debug)]
enum Message {
    Windows(Box<ServedBatch>, usize),
    Observations(Box<Block>, Paths, usize),
}

impl Recorder {
    /// Keeps the rows of an answered batch.
    pub(crate) fn windows(
        &self,
        served: &Arc<ServedModel>,
        inputs: &TensorBuf,
        outputs: &TensorBuf,
        rows: Vec<ServedRow>,
    ) {
        let count = rows.len() as u64;
        let bytes = size_of_tensors(inputs) + size_of_tensors(outputs) + rows.len() * 128;
        let kept = self.reserve(bytes) && {
            let (inputs, outputs) = (inputs.clone(), outputs.clone());
            let batch = ServedBatch { served: Arc::clone(served), inputs, outputs, rows };
            self.send(Message::Windows(Box::new(batch), bytes), bytes)
        };
        self.counters.windows_lost.add(if kept { 0 } else { count });
    }

    /// The same, for a plant that numbers its points otherwise.
    pub(crate) fn on(&self, plant: &Plant) -> Self {
        Self { paths: Paths::of(plant), ..self.clone() }
    }

    /// Keeps what a machine said; `renumbered` are the points that its numbers mean.
    pub(crate) fn observations(&self, block: &Block, renumbered: Option<&[PointIndex]>) {
        if !self.keeps_observations {
            return;
        }
        let side: usize = block.side.iter().map(|(_, value)| 64 + size_of_value(value)).sum();
        let bytes = block.len() * 29 + side;
        let kept = self.reserve(bytes) && {
            let mut block = Box::new(block.clone());
            if let Some(points) = renumbered {
                for point in &mut block.point {
                    // What no plan numbers has no path.
                    *point = points.get(*point as usize).map_or(u32::MAX, |point| point.0);
                }
            }
            self.send(Message::Observations(block, self.paths.clone(), bytes), bytes)
        };
        self.counters.observations_lost.add(if kept { 0 } else { block.len() as u64 });
    }

    fn reserve(&self, bytes: usize) -> bool {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = before == 0 || before + bytes <= QUEUE_BYTES_MAX;
        if !fits {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    fn send(&self, message: Message, bytes: usize) -> bool {
        let sent = self.queue.try_send(message).is_ok();
        if !sent {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }
}

fn size_of_tensors(tensors: &TensorBuf) -> usize {
    let size = |tensor: &resonance_plant::Tensor| {
        tensor.bytes().len() + tensor.strings().iter().map(Vec::len).sum::<usize>()
    };
    tensors.tensors.iter().map(size).sum()
}

/// What a value keeps in memory beside itself.
fn size_of_value(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Floats(floats) => floats.len() * 8,
        Value::List(items) => items.iter().map(|item| 24 + size_of_value(item)).sum(),
        _ => 0,
    }
}

impl Recording {
    /// Opens the folder and starts the thread.
    ///
    /// # Errors
    /// Where the folder cannot be written, or the system gives no thread.
    pub(crate) fn start(
        plan: &RecordingPlan,
        plant: &Plant,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Result<(Self, Recorder), RecordingError> {
        let (folder, parts) = Folder::open(&plan.folder, plan.bytes_max)?;
        let (queue, messages) = sync_channel(QUEUE_MAX);
        let counters = Arc::new(RecordingCounters::default());
        let recorder = Recorder {
            queue,
            bytes: Arc::default(),
            counters: Arc::clone(&counters),
            keeps_observations: plan.observations,
            paths: Paths::of(plant),
        };
        let writer = Writer {
            plan: plan.clone(),
            folder,
            windows: HashMap::new(),
            observations: None,
            rests_until: None,
            told: counters.value(),
            told_at: None,
            counters: Arc::clone(&counters),
            bytes: Arc::clone(&recorder.bytes),
            clock,
            events,
        };
        if parts > 0 {
            let message = format!(
                "{parts} files that an earlier recording could not finish were removed from {}",
                plan.folder.display()
            );
            writer.tell(Code::RecordingLost, message);
        }
        let thread = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || writer.run(&messages))
            .map_err(|error| RecordingError::write(&plan.folder, &error))?;
        Ok((Self { thread, counters }, recorder))
    }
}

/// A file being written.
struct Open<W> {
    writer: W,
    names: Names,
    since: Instant,
    /// Windows or observations in it.
    rows: u64,
}

/// A file that is to be finished.
struct Due {
    table: TableWriter,
    names: Names,
    windows: u64,
    observations: u64,
}

/// What the thread owns.
struct Writer {
    plan: RecordingPlan,
    folder: Folder,
    /// By the digest of the package and what runs it.
    windows: HashMap<(Arc<str>, Arc<str>), Open<WindowsWriter>>,
    observations: Option<Open<ObservationsWriter>>,
    rests_until: Option<Instant>,
    told: Recorded,
    told_at: Option<Instant>,
    counters: Arc<RecordingCounters>,
    bytes: Arc<AtomicUsize>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        let mut looked = Instant::now();
        loop {
            match messages.recv_timeout(LOOK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                let age = self.plan.file_age_max;
                self.finish_where(|_, since| since.elapsed() >= age);
                if self.told_at.is_none_or(|told| told.elapsed() >= TELL) {
                    self.tell_losses();
                }
            }
        }
        self.finish_where(|_, _| true);
        self.tell_losses();
    }

    fn take(&mut self, message: Message) {
        let (bytes, windows, observations) = match &message {
            Message::Windows(batch, bytes) => (*bytes, batch.rows.len() as u64, 0),
            Message::Observations(block, _, bytes) => (*bytes, 0, block.len() as u64),
        };
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            self.lose(windows, observations);
        } else {
            self.rests_until = None;
            let written = match &message {
                Message::Windows(batch, _) => self.write_windows(batch),
                Message::Observations(block, paths, _) => self.write_observations(block, paths),
            };
            match written {
                Ok(()) => {}
                Err(error) => {
                    self.lose(windows, observations);
                    self.failed(&error);
                }
            }
        }
        drop(message);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let full = self.plan.file_bytes_max;
        self.finish_where(|table, _| table.bytes() as u64 >= full);
    }

    fn write_windows(&mut self, batch: &ServedBatch) -> Result<(), RecordingError> {
        let used = &batch.served.used;
        let key = (Arc::clone(&used.digest), Arc::clone(&used.engine));
        let open = match self.windows.entry(key) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                self.folder.keep(&batch.served.model)?;
                let names = self.folder.next(Some(&used.name));
                let writer = WindowsWriter::create(&names.part, &batch.served)?;
                place.insert(Open { writer, names, since: Instant::now(), rows: 0 })
            }
        };
        open.writer.push(batch)?;
        open.rows += batch.rows.len() as u64;
        Ok(())
    }

    fn write_observations(&mut self, block: &Block, paths: &Paths) -> Result<(), RecordingError> {
        let open = match &mut self.observations {
            Some(open) => open,
            none => {
                let names = self.folder.next(None);
                let writer = ObservationsWriter::create(&names.part)?;
                none.insert(Open { writer, names, since: Instant::now(), rows: 0 })
            }
        };
        open.writer.push(block, paths)?;
        open.rows += block.len() as u64;
        Ok(())
    }

    /// Finishes the files of which this holds.
    fn finish_where(&mut self, is_due: impl Fn(&TableWriter, Instant) -> bool) {
        let due = self.windows.extract_if(|_, open| is_due(&open.writer.table, open.since));
        let windows = |(_, Open { writer, names, rows, .. }): (_, Open<WindowsWriter>)| Due {
            table: writer.table,
            names,
            windows: rows,
            observations: 0,
        };
        let mut due: Vec<_> = due.map(windows).collect();
        let observations = self.observations.take_if(|open| is_due(&open.writer.table, open.since));
        due.extend(observations.map(|Open { writer, names, rows, .. }| Due {
            table: writer.table,
            names,
            windows: 0,
            observations: rows,
        }));
        for Due { table, names, windows, observations } in due {
            match self.finish(table, &names) {
                Ok(()) => {
                    self.counters.windows.add(windows);
                    self.counters.observations.add(observations);
                }
                Err(error) => {
                    give_up(&names);
                    self.lose(windows, observations);
                    self.failed(&error);
                }
            }
        }
    }

    fn finish(&mut self, table: TableWriter, names: &Names) -> Result<(), RecordingError> {
        table.finish()?;
        let Trimmed { gone, stuck } = self.folder.finish(names.clone())?;
        self.counters.files.add(1);
        if let Some(error) = stuck {
            let message = format!("{error}; the recording holds more than it may");
            self.tell(Code::RecordingFailed, message);
        }
        if let (Some(first), count @ 1..) = (gone.first(), gone.len()) {
            let message = format!(
                "{count} of the oldest files gave way to {} bytes at most, {} first",
                self.plan.bytes_max,
                first.display()
            );
            self.tell(Code::RecordingTrimmed, message);
        }
        Ok(())
    }

    /// Gives up the files under way, whose state is unknown, and rests.
    fn failed(&mut self, error: &RecordingError) {
        let open: Vec<_> = self.windows.drain().map(|(_, open)| (open.names, open.rows)).collect();
        let observations = self.observations.take().map(|open| (open.names, open.rows));
        self.lose(
            open.iter().map(|(_, rows)| rows).sum(),
            observations.as_ref().map_or(0, |(_, rows)| *rows),
        );
        let parts: Vec<Names> =
            open.into_iter().chain(observations).map(|(names, _)| names).collect();
        parts.iter().for_each(give_up);
        self.rests_until = Some(Instant::now() + REST);
        let message = format!(
            "{error}; {} unfinished files are lost, and it is tried again after {} s",
            parts.len(),
            REST.as_secs()
        );
        self.tell(Code::RecordingFailed, message);
    }

    fn tell_losses(&mut self) {
        let now = self.counters.value();
        let windows = now.windows_lost - self.told.windows_lost;
        let observations = now.observations_lost - self.told.observations_lost;
        if windows + observations > 0 {
            let message =
                format!("{windows} windows and {observations} observations were not recorded");
            self.tell(Code::RecordingLost, message);
            self.told_at = Some(Instant::now());
        }
        self.told = now;
    }

    fn tell(&self, code: Code, message: String) {
        self.events.record(Event::new(self.clock.now(), code, "recording", message));
    }

    fn lose(&self, windows: u64, observations: u64) {
        self.counters.windows_lost.add(windows);
        self.counters.observations_lost.add(observations);
    }
}

/// Removes a file that will never be whole.
fn give_up(names: &Names) {
    // Where this fails too, the next start removes it.
    let _ = std::fs::remove_file(&names.part);
}
