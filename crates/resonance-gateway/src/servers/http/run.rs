//! One inference, in whichever form it was asked for: readiness, turns, statistics, and not
//! beginning what nobody waits for any more.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use resonance_inference::EngineError;
use resonance_plant::{Clock, Code, Dim, Signature, Tensor, TensorBuf};
use resonance_wire::oip::{Answer, Request, RequestError, ResponseError};

use super::lane::{Buffers, Lane};
use super::refusal::Refusal;
use super::shared::Shared;
use super::threads::Load;
use crate::models::{ModelState, Parts};

/// How a request came and its answer goes.
pub(in crate::servers) trait Form: Send + 'static {
    /// The answer as it is sent.
    type Answer: Send + 'static;

    /// The request's length, by which its duration is foretold.
    fn bytes(&self) -> usize;

    /// Reads the request into a session's inputs.
    fn decode(
        &self,
        signature: &Signature,
        inputs: &mut TensorBuf,
    ) -> Result<Request, RequestError>;

    /// Writes the answer.
    fn encode(answer: &Answer<'_>) -> Result<Self::Answer, ResponseError>;
}

/// Refuses a model that does not answer.
pub(in crate::servers) fn ready(lane: &Lane) -> Result<(), Refusal> {
    let name = &lane.model.used.name;
    let problem = match lane.model.state() {
        ModelState::Ready => return Ok(()),
        ModelState::Loading => format!("model {name:?} is being loaded; try again"),
        ModelState::Unloaded => format!("model {name:?} was unloaded; load it first"),
        ModelState::Failed => format!("model {name:?} was refused or failed; see the events"),
    };
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, Code::InferenceFailed, problem))
}

/// Decodes, infers and encodes: at once where that is expected to be quick for the thread with this
/// `load`, else as soon as it is its turn, unless whoever asked has gone by then.
pub(in crate::servers) async fn infer<F: Form>(
    shared: &Shared,
    lane: &Arc<Lane>,
    load: Option<&Load>,
    form: F,
) -> Result<F::Answer, Refusal> {
    let alone = load.is_some_and(Load::is_one_request);
    let came = Instant::now();
    let answer = match ready(lane) {
        Err(refusal) => Err(refusal),
        Ok(()) if lane.is_quick(form.bytes(), alone) => {
            run(shared.context.clock.as_ref(), lane, &form, came)
        }
        Ok(()) => return run_elsewhere(shared, lane, form, came).await,
    };
    if answer.is_err() {
        lane.model.statistics.failed(came.elapsed());
    }
    answer
}

/// Off the connections' threads, as many at once as there are processors.
async fn run_elsewhere<F: Form>(
    shared: &Shared,
    lane: &Arc<Lane>,
    form: F,
    came: Instant,
) -> Result<F::Answer, Refusal> {
    let (lane, clock) = (Arc::clone(lane), Arc::clone(&shared.context.clock));
    let turn = shared.slow.take(move || {
        let answer = run(clock.as_ref(), &lane, &form, came);
        if answer.is_err() {
            lane.model.statistics.failed(came.elapsed());
        }
        answer
    });
    turn.await.unwrap_or_else(|| {
        let problem = "the inference ended without an answer";
        Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::InferenceFailed, problem))
    })
}

fn run<F: Form>(
    clock: &dyn Clock,
    lane: &Lane,
    form: &F,
    came: Instant,
) -> Result<F::Answer, Refusal> {
    let began = Instant::now();
    let mut buffers = lane.take();
    let done = run_with(lane, form, &mut buffers);
    lane.give_back(buffers);
    let (answer, rows, parts) = done?;
    lane.learn(began, form.bytes());
    let parts = Parts { queue: began - came, ..parts };
    lane.model.statistics.succeeded(parts, rows, clock.now());
    Ok(answer)
}

fn run_with<F: Form>(
    lane: &Lane,
    form: &F,
    buffers: &mut Buffers,
) -> Result<(F::Answer, u64, Parts), Refusal> {
    let model = &lane.model;
    let signature = model.signature();
    let Buffers { inputs, outputs } = buffers;
    let began = Instant::now();
    let request =
        form.decode(signature, inputs).map_err(|error| Refusal::invalid(error.to_string()))?;
    let decoded = Instant::now();
    model.infer(inputs, outputs).map_err(|error| match error {
        EngineError::Input { .. } | EngineError::OverLimit { .. } => {
            Refusal::invalid(error.to_string())
        }
        _ => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::InferenceFailed,
            format!("model {:?}: {error}", model.used.name),
        ),
    })?;
    let inferred = Instant::now();
    let answer = Answer {
        model_name: &model.used.name,
        model_version: &model.used.version,
        request: &request,
        signature,
        outputs,
    };
    let answer = F::encode(&answer).map_err(|error| Refusal::invalid(error.to_string()))?;
    let parts = Parts {
        input: decoded - began,
        infer: inferred - decoded,
        output: inferred.elapsed(),
        ..Parts::default()
    };
    Ok((answer, rows(signature, inputs), parts))
}

/// Rows of a request: the length of its first dimension, where that is free.
fn rows(signature: &Signature, inputs: &TensorBuf) -> u64 {
    let (spec, tensor) = (signature.inputs.first(), inputs.tensors.first());
    let free = spec.is_some_and(|spec| spec.shape.first() == Some(&Dim::Any));
    let first = |tensor: &Tensor| tensor.shape.first().copied();
    tensor.and_then(first).filter(|_| free).map_or(1, |rows| rows as u64)
}
