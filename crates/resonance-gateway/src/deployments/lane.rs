//! One model's lane: rows of all its deployments are gathered into one batch and inferred at once
//! where that was measured to be faster; quick models run on the hub's thread, others on their own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, SyncSender, TryRecvError, sync_channel};
use std::time::Instant;

use resonance_inference::package::manifest::WindowSpec;
use resonance_inference::preprocessing::RowPlan;
use resonance_inference::{EngineError, Session};
use resonance_plant::tensor::Dim;
use resonance_plant::{Status, Tensor, TensorBuf, Timestamp};

use crate::hub::ingest::Waker;
use crate::models::{ModelState, ServedModel};

/// Rows inferred at once.
const ROWS_MAX: usize = 64;

/// Rows with which it is measured whether a batch is faster; it must be by a tenth.
const ROWS_MEASURED: usize = 16;

/// A model that takes longer for a row runs on a thread of its own, so that the hub goes on.
const INLINE_US_MAX: u64 = 500;

/// One row under way: what is needed to make a record of its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// Whose row.
    pub deployment: usize,
    /// The part that the row is about.
    pub part: Option<Arc<str>>,
    /// Source time of the oldest sample.
    pub from: Timestamp,
    /// Source time of the newest sample: the window's end.
    pub to: Timestamp,
    /// The window's end on our clock.
    pub ended: Timestamp,
    /// The worst status among the samples.
    pub worst: Status,
    /// Whether it ends with what was read from a history after an outage.
    pub backfilled: bool,
    /// When the observation that triggered it was received.
    pub received: Timestamp,
    /// When the row was gathered.
    pub gathered: Timestamp,
}

/// A batch of rows with their answers.
#[derive(Debug, Default)]
pub struct Batch {
    /// What was asked, row by row.
    pub inputs: TensorBuf,
    /// The answers, row by row.
    pub outputs: TensorBuf,
    /// Whose rows they are.
    pub tickets: Vec<Ticket>,
    /// Time in the engine, microseconds.
    pub inference_us: u32,
    /// When the engine had ended.
    pub finished: Option<Instant>,
    /// Why there are no answers.
    pub error: Option<EngineError>,
}

/// A model and the rows that wait for it.
#[derive(Debug)]
pub struct Lane {
    /// The model.
    pub served: Arc<ServedModel>,
    rows: Vec<RowPlan>,
    rows_max: usize,
    gathering: Batch,
    runner: Runner,
}

enum Runner {
    Inline(Box<dyn Session>),
    Thread(Box<Worker>),
    /// The model's thread is gone: its engine panicked.
    Ended,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inline(_) => "Inline",
            Self::Thread(_) => "Thread",
            Self::Ended => "Ended",
        })
    }
}

/// The thread of a slow model. One batch is under way at a time.
struct Worker {
    jobs: SyncSender<Batch>,
    done: Receiver<Batch>,
    spare: Option<Batch>,
    /// Whose rows the thread has: they fail with it.
    under_way: Vec<Ticket>,
}

/// How long an inference of so many rows takes, nanoseconds.
type TakesNs<'t> =
    dyn FnMut(&ServedModel, &mut dyn Session, usize) -> Result<u64, EngineError> + 't;

impl Lane {
    /// A lane for a model, after measuring how it runs best.
    ///
    /// # Errors
    /// Where the package has inputs that no window fills, or the engine fails.
    pub fn new(served: Arc<ServedModel>, waker: &Waker) -> Result<Self, EngineError> {
        Self::measured(served, waker, &mut fastest)
    }

    /// A lane for a model whose inference of so many rows takes what `time` says, nanoseconds.
    ///
    /// # Errors
    /// As [`Lane::new`].
    pub(super) fn measured(
        served: Arc<ServedModel>,
        waker: &Waker,
        time: &mut TakesNs<'_>,
    ) -> Result<Self, EngineError> {
        let manifest = Arc::clone(&served.model.manifest);
        let window = manifest.window.unwrap_or(WindowSpec { samples: 1, period_ms: None });
        let rows = manifest
            .inputs
            .iter()
            .map(|input| RowPlan::new(input, &window))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| EngineError::Failed(error.to_string()))?;
        let mut session = served.session()?;
        let takes_batches =
            manifest.inputs.iter().all(|input| matches!(input.shape.first(), Some(Dim::Any)));
        let (one_ns, rows_max) = if served.is_remote {
            // Nobody may answer there now, and the hub must never wait for a network.
            (u64::MAX, if takes_batches { ROWS_MAX } else { 1 })
        } else {
            let one_ns = time(&served, session.as_mut(), 1)?;
            let batched = takes_batches
                && time(&served, session.as_mut(), ROWS_MEASURED)?
                    < one_ns * ROWS_MEASURED as u64 * 9 / 10;
            (one_ns, if batched { ROWS_MAX } else { 1 })
        };
        let runner = if one_ns / 1_000 <= INLINE_US_MAX {
            Runner::Inline(session)
        } else {
            Runner::Thread(Box::new(Worker::spawn(session, &served, rows_max, waker)?))
        };
        let gathering = Batch::new(&served, rows_max)?;
        Ok(Self { served, rows, rows_max, gathering, runner })
    }

    /// Whether another row can be gathered before the batch runs.
    pub fn has_room(&self) -> bool {
        self.gathering.tickets.len() < self.rows_max
    }

    /// Whether rows wait.
    pub fn has_rows(&self) -> bool {
        !self.gathering.tickets.is_empty()
    }

    /// Whether the model's thread is busy, so that rows must wait.
    pub fn is_busy(&self) -> bool {
        matches!(&self.runner, Runner::Thread(worker) if worker.spare.is_none())
    }

    /// Writes the samples of one feature, oldest first and in the model's unit, into the row that
    /// is being gathered.
    pub fn write_feature(
        &mut self,
        tensor: usize,
        feature: usize,
        samples: impl Iterator<Item = f64> + Clone,
    ) {
        let row = self.gathering.tickets.len();
        if let (Some(plan), Some(tensor)) =
            (self.rows.get(tensor), self.gathering.inputs.tensors.get_mut(tensor))
        {
            plan.write(feature, samples, row, tensor);
        }
    }

    /// The row is complete.
    pub fn finish_row(&mut self, ticket: Ticket) {
        self.gathering.tickets.push(ticket);
    }

    /// Runs the gathered rows, or hands them to the model's thread. Returns the batch where it is
    /// answered at once; give it back with [`Lane::reuse`].
    pub fn flush(&mut self) -> Option<Batch> {
        if !self.has_rows() {
            return None;
        }
        match &mut self.runner {
            Runner::Inline(session) => {
                let mut batch = std::mem::take(&mut self.gathering);
                batch.run(session.as_mut());
                Some(batch)
            }
            Runner::Ended => {
                let mut batch = std::mem::take(&mut self.gathering);
                batch.error = Some(thread_ended());
                Some(batch)
            }
            Runner::Thread(worker) => {
                let spare = worker.spare.take()?;
                let batch = std::mem::replace(&mut self.gathering, spare);
                worker.under_way.clone_from(&batch.tickets);
                // The thread takes one batch at a time, so this does not wait.
                let Err(SendError(mut batch)) = worker.jobs.send(batch) else { return None };
                batch.error = Some(self.end());
                Some(batch)
            }
        }
    }

    /// A batch that the model's thread has answered, or that its end leaves without an answer.
    pub fn answered(&mut self) -> Option<Batch> {
        match &mut self.runner {
            Runner::Inline(_) | Runner::Ended => None,
            Runner::Thread(worker) => match worker.done.try_recv() {
                Err(TryRecvError::Disconnected) => {
                    let tickets = std::mem::take(&mut worker.under_way);
                    let error = Some(self.end());
                    Some(Batch { tickets, error, ..Batch::default() })
                }
                Err(TryRecvError::Empty) => None,
                Ok(batch) => {
                    worker.under_way.clear();
                    Some(batch)
                }
            },
        }
    }

    /// The model's thread is gone, and does not come back.
    fn end(&mut self) -> EngineError {
        self.runner = Runner::Ended;
        self.served.set_state(ModelState::Failed);
        thread_ended()
    }

    /// Takes an answered batch's memory back.
    pub fn reuse(&mut self, mut batch: Batch) {
        batch.tickets.clear();
        batch.error = None;
        batch.reserve(self.rows_max);
        match &mut self.runner {
            Runner::Inline(_) | Runner::Ended => self.gathering = batch,
            Runner::Thread(worker) => worker.spare = Some(batch),
        }
    }
}

impl Batch {
    fn new(served: &ServedModel, rows_max: usize) -> Result<Self, EngineError> {
        let inputs = tensors(served, rows_max)?;
        let tickets = Vec::with_capacity(rows_max);
        Ok(Self { inputs, tickets, ..Self::default() })
    }

    fn run(&mut self, session: &mut dyn Session) {
        self.reserve(self.tickets.len());
        let started = Instant::now();
        self.error = session.infer(&self.inputs, &mut self.outputs).err();
        let finished = Instant::now();
        let took = finished.duration_since(started);
        self.inference_us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.finished = Some(finished);
    }

    /// Sets the number of rows of every input, keeping the rows there are.
    fn reserve(&mut self, rows: usize) {
        for tensor in &mut self.inputs.tensors {
            if tensor.shape.first().is_some_and(|have| *have != rows) {
                let mut shape = std::mem::take(&mut tensor.shape);
                if let Some(first) = shape.first_mut() {
                    *first = rows;
                }
                // It had at least this many rows when it was made, so this cannot overflow.
                let _ = tensor.resize(tensor.element, &shape);
            }
        }
    }
}

/// Has the hub look once the thread that owns it is over.
struct WakesAtEnd(Waker);

impl Drop for WakesAtEnd {
    fn drop(&mut self) {
        self.0.wake();
    }
}

impl Worker {
    fn spawn(
        mut session: Box<dyn Session>,
        served: &ServedModel,
        rows_max: usize,
        waker: &Waker,
    ) -> Result<Self, EngineError> {
        let (jobs, to_do) = sync_channel::<Batch>(1);
        let (finished, done) = sync_channel(1);
        let wakes_at_end = WakesAtEnd(waker.clone());
        std::thread::Builder::new()
            .name(format!("model-{}", served.used.name))
            .spawn(move || {
                // Dropped in the opposite order, also by a panic: who is woken sees the end.
                let WakesAtEnd(waker) = &wakes_at_end;
                let finished = finished;
                while let Ok(mut batch) = to_do.recv() {
                    batch.run(session.as_mut());
                    if finished.send(batch).is_err() {
                        break;
                    }
                    waker.wake();
                }
            })
            .map_err(|error| EngineError::Failed(format!("no thread for the model: {error}")))?;
        let spare = Some(Batch::new(served, rows_max)?);
        Ok(Self { jobs, done, spare, under_way: Vec::with_capacity(rows_max) })
    }
}

fn thread_ended() -> EngineError {
    EngineError::Failed(
        "the model's thread ended, because its engine panicked; try the package with `resonance \
         model run`, and start the gateway again"
            .into(),
    )
}

/// Zero inputs for `rows` rows. Every other dimension that the manifest leaves open is one.
fn tensors(served: &ServedModel, rows: usize) -> Result<TensorBuf, EngineError> {
    let zeros = |input: &resonance_inference::package::manifest::InputSpec| {
        let shape: Vec<usize> = input
            .shape
            .iter()
            .enumerate()
            .map(|(at, dim)| match dim {
                Dim::Fixed(size) => *size,
                Dim::Any if at == 0 => rows,
                Dim::Any => 1,
            })
            .collect();
        Tensor::zeros(input.element, &shape).map_err(|error| EngineError::Failed(error.to_string()))
    };
    let tensors = served.model.manifest.inputs.iter().map(zeros).collect::<Result<_, _>>()?;
    Ok(TensorBuf { tensors })
}

/// Infers so many rows of zeros a few times; the least time it took, nanoseconds.
fn fastest(
    served: &ServedModel,
    session: &mut dyn Session,
    rows: usize,
) -> Result<u64, EngineError> {
    let mut outputs = TensorBuf::default();
    let inputs = tensors(served, rows)?;
    let mut least = u64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        session.infer(&inputs, &mut outputs)?;
        least = least.min(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(least)
}
