//! A loaded model and its sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use resonance_plant::tensor::Dim;
use resonance_plant::{Signature, Tensor, TensorBuf, TensorSpec};
use tract_onnx::prelude::{
    InferenceFact, InferenceModel, InferenceModelExt, IntoRunnable, IntoTValue, TVec, TractError,
    TractResult, TypedRunnableModel,
};
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::{TDim, ToDim};

use super::values::{self, Untaken, datum_type, lend};
use super::{guarded, unsupported};
use crate::engines::{EngineError, Limits, Program, Session, check_inputs};
use crate::onnx::OnnxSummary;

/// Plans kept for models that are compiled for each shape of their inputs anew.
const PLANS_MAX: usize = 8;

/// What stands for an open dimension when a model is tried that must know its shapes.
const TRIED_SIZE: usize = 1;

/// A model that tract compiled.
pub(super) struct TractProgram {
    model: Arc<Model>,
}

struct Model {
    signature: Signature,
    plans: Plans,
    /// For each of the library's inputs: the place in the signature.
    inputs: Vec<usize>,
    /// For each output of the signature: the place among the library's.
    outputs: Vec<usize>,
    elements_max: usize,
}

type Plan = Arc<TypedRunnableModel>;

/// Shapes of the inputs, in the signature's order.
type Shapes = Vec<Vec<usize>>;

enum Plans {
    /// One, whatever the size of open dimensions.
    Open(Plan),
    /// One for each set of shapes, those used last: the library cannot compile the model without.
    Closed { graph: Box<InferenceModel>, compiled: Mutex<Vec<(Shapes, Plan)>> },
}

struct TractSession {
    model: Arc<Model>,
}

impl TractProgram {
    /// Compiles a model whose tensors are those of `signature`.
    pub(super) fn new(
        graph: &InferenceModel,
        signature: Signature,
        summary: &OnnxSummary,
        limits: &Limits,
    ) -> Result<Self, EngineError> {
        let place = |specs: &[TensorSpec], name: &str| {
            specs.iter().position(|spec| *spec.name == *name).ok_or_else(|| {
                unsupported(format!("it asks for the tensor {name:?}, which the manifest lacks"))
            })
        };
        let mut inputs = Vec::new();
        for outlet in graph.input_outlets().map_err(|error| unsupported(error.to_string()))? {
            inputs.push(place(&signature.inputs, &graph.node(outlet.node).name)?);
        }
        if inputs.len() != signature.inputs.len() {
            let problem = format!("it takes {} inputs of the manifest's", inputs.len());
            return Err(unsupported(problem));
        }
        let outputs = signature
            .outputs
            .iter()
            // The library keeps the file's order; that the file has them all was seen before.
            .filter_map(|spec| summary.outputs.iter().position(|out| *out.name == *spec.name))
            .collect();
        let plans = Plans::new(graph, &signature, &inputs)?;
        let elements_max = limits.tensor_elements_max;
        let model = Model { signature, plans, inputs, outputs, elements_max };
        Ok(Self { model: Arc::new(model) })
    }
}

impl Program for TractProgram {
    fn signature(&self) -> &Signature {
        &self.model.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(TractSession { model: Arc::clone(&self.model) }))
    }
}

impl Session for TractSession {
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        let Model { signature, plans, inputs: order, outputs: places, elements_max } = &*self.model;
        check_inputs(&signature.inputs, inputs)?;
        let plan = plans.for_inputs(inputs, order)?;
        // Each run begins anew: nothing of one inference reaches the next.
        let made = guarded(|| {
            let lent = order.iter().map(|at| Ok(lend(&inputs.tensors[*at])?.into_tvalue()));
            plan.run(lent.collect::<TractResult<TVec<_>>>()?)
        })
        .map_err(EngineError::Failed)?;
        outputs.tensors.truncate(places.len());
        for (at, (place, spec)) in places.iter().zip(&signature.outputs).enumerate() {
            let made = made.get(*place).ok_or_else(|| {
                EngineError::Failed(format!("the engine left output {:?} out", spec.name))
            })?;
            if outputs.tensors.len() == at {
                let empty = Tensor::zeros(spec.element, &[0]);
                outputs.tensors.push(empty.map_err(|e| EngineError::Failed(e.to_string()))?);
            }
            values::take(made, &mut outputs.tensors[at], *elements_max).map_err(|untaken| {
                match untaken {
                    Untaken::Library(reason) => {
                        EngineError::Failed(format!("output {:?}: {reason}", spec.name))
                    }
                    Untaken::TooLarge(actual) => EngineError::OverLimit {
                        what: format!("the number of elements of output {}", spec.name),
                        actual,
                        limit: *elements_max as u64,
                    },
                }
            })?;
        }
        Ok(())
    }
}

impl Plans {
    fn new(
        graph: &InferenceModel,
        signature: &Signature,
        order: &[usize],
    ) -> Result<Self, EngineError> {
        let open = |at: usize, spec: &TensorSpec| open_dims(graph, at, spec);
        if let Ok(plan) = guarded(|| compile(graph, signature, order, open)) {
            return Ok(Self::Open(plan));
        }
        let tried: Shapes = signature
            .inputs
            .iter()
            .map(|spec| spec.shape.iter().map(|dim| fixed(*dim).unwrap_or(TRIED_SIZE)).collect())
            .collect();
        let plan = compile_for(graph, signature, order, &tried).map_err(unsupported)?;
        let compiled = Mutex::new(vec![(tried, plan)]);
        Ok(Self::Closed { graph: Box::new(graph.clone()), compiled })
    }

    fn for_inputs(&self, inputs: &TensorBuf, order: &[usize]) -> Result<Plan, EngineError> {
        let (graph, compiled) = match self {
            Self::Open(plan) => return Ok(Arc::clone(plan)),
            Self::Closed { graph, compiled } => (graph, compiled),
        };
        let is_of = |shapes: &Shapes| {
            shapes.len() == inputs.tensors.len()
                && shapes.iter().zip(&inputs.tensors).all(|(shape, tensor)| *shape == tensor.shape)
        };
        // What a panicking thread left is whole: a plan is added or not.
        let mut compiled = compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = compiled.iter().position(|(shapes, _)| is_of(shapes)) {
            let used = compiled.remove(at);
            let plan = Arc::clone(&used.1);
            compiled.push(used);
            return Ok(plan);
        }
        let shapes: Shapes = inputs.tensors.iter().map(|tensor| tensor.shape.clone()).collect();
        let signature =
            Signature { inputs: inputs.tensors.iter().map(spec_of).collect(), outputs: Vec::new() };
        let plan = compile_for(graph, &signature, order, &shapes).map_err(EngineError::Failed)?;
        if compiled.len() == PLANS_MAX {
            compiled.remove(0);
        }
        compiled.push((shapes, Arc::clone(&plan)));
        Ok(plan)
    }
}

fn spec_of(tensor: &Tensor) -> TensorSpec {
    let shape = tensor.shape.iter().map(|size| Dim::Fixed(*size)).collect();
    TensorSpec { name: "".into(), element: tensor.element, shape }
}

fn fixed(dim: Dim) -> Option<usize> {
    match dim {
        Dim::Fixed(size) => Some(size),
        Dim::Any => None,
    }
}

fn compile_for(
    graph: &InferenceModel,
    signature: &Signature,
    order: &[usize],
    shapes: &[Vec<usize>],
) -> Result<Plan, String> {
    let closed = |at: usize, _: &TensorSpec| -> TVec<TDim> {
        let shape = order.get(at).and_then(|place| shapes.get(*place));
        shape.into_iter().flatten().map(ToDim::to_dim).collect()
    };
    guarded(|| compile(graph, signature, order, closed))
}

/// Compiles with the dimensions that `dims` gives for each of the library's inputs.
fn compile(
    graph: &InferenceModel,
    signature: &Signature,
    order: &[usize],
    dims: impl Fn(usize, &TensorSpec) -> TVec<TDim>,
) -> TractResult<Plan> {
    let mut graph = graph.clone();
    for (at, place) in order.iter().enumerate() {
        let Some(spec) = signature.inputs.get(*place) else { continue };
        let datum = datum_type(spec.element)
            .ok_or_else(|| TractError::msg(format!("it has no {}", spec.element)))?;
        graph.set_input_fact(at, InferenceFact::dt_shape(datum, dims(at, spec)))?;
    }
    graph.into_optimized()?.into_runnable()
}

/// An input's dimensions, open ones by the names that the file gives them.
fn open_dims(graph: &InferenceModel, at: usize, spec: &TensorSpec) -> TVec<TDim> {
    let declared: HashMap<usize, TDim> = graph
        .input_fact(at)
        .map(|fact| {
            let dims = fact.shape.dims().enumerate();
            dims.filter_map(|(at, dim)| Some((at, dim.concretize()?))).collect()
        })
        .unwrap_or_default();
    let dim = |(at, dim): (usize, &Dim)| match dim {
        Dim::Fixed(size) => size.to_dim(),
        // Inputs whose rows the file does not name go together.
        Dim::Any if at == 0 => declared
            .get(&at)
            .cloned()
            .unwrap_or_else(|| graph.symbols.sym("resonance_rows").to_dim()),
        Dim::Any => declared
            .get(&at)
            .cloned()
            .unwrap_or_else(|| graph.symbols.new_with_prefix("resonance_open").to_dim()),
    };
    spec.shape.iter().enumerate().map(dim).collect()
}
