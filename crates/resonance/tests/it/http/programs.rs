//! Models that need no engine, for what only concerns the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use resonance_inference::{EngineError, Program, Session};
use resonance_plant::{Dim, ElementType, Signature, Tensor, TensorBuf, TensorSpec};

fn spec(name: &str, element: ElementType, shape: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.into(), element, shape: shape.to_vec() }
}

/// A function of tensors as a model.
struct Computed<F> {
    signature: Signature,
    compute: Arc<F>,
}

type Outcome = Result<Vec<Tensor>, EngineError>;

impl<F: Fn(&TensorBuf) -> Outcome + Send + Sync + 'static> Program for Computed<F> {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(ComputedSession(Arc::clone(&self.compute))))
    }
}

struct ComputedSession<F>(Arc<F>);

impl<F: Fn(&TensorBuf) -> Outcome + Send + Sync> Session for ComputedSession<F> {
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        outputs.tensors = (self.0)(inputs)?;
        Ok(())
    }
}

/// `wear`: the sum of each row of `x` FP32[-1, 4], and its class INT64[-1]: 0 below ten, else 1.
pub(crate) fn wear() -> Box<dyn Program> {
    let signature = Signature {
        inputs: vec![spec("x", ElementType::Fp32, &[Dim::Any, Dim::Fixed(4)])],
        outputs: vec![
            spec("wear", ElementType::Fp32, &[Dim::Any]),
            spec("class", ElementType::Int64, &[Dim::Any]),
        ],
    };
    let compute = |inputs: &TensorBuf| {
        let rows = inputs.tensors[0].as_slice::<f32>().chunks(4);
        let sums: Vec<f32> = rows.map(|row| row.iter().sum()).collect();
        let mut wear = Tensor::zeros(ElementType::Fp32, &[sums.len()]).unwrap();
        let mut class = Tensor::zeros(ElementType::Int64, &[sums.len()]).unwrap();
        for (at, sum) in sums.iter().enumerate() {
            wear.as_mut_slice::<f32>()[at] = *sum;
            class.as_mut_slice::<i64>()[at] = i64::from(*sum >= 10.0);
        }
        if sums.contains(&f32::NEG_INFINITY) {
            return Err(EngineError::Failed("minus infinity is not for me".into()));
        }
        Ok(vec![wear, class])
    };
    Box::new(Computed { signature, compute: Arc::new(compute) })
}

/// `types`: an input `in_FP32` [-1, 2] for every element type, and outputs `out_FP32` that repeat
/// them.
pub(crate) fn types() -> Box<dyn Program> {
    let tensors = |prefix: &str| {
        let shape = [Dim::Any, Dim::Fixed(2)];
        let all = ElementType::ALL.into_iter();
        all.map(|element| spec(&format!("{prefix}_{element}"), element, &shape)).collect()
    };
    let signature = Signature { inputs: tensors("in"), outputs: tensors("out") };
    let compute = |inputs: &TensorBuf| Ok(inputs.tensors.clone());
    Box::new(Computed { signature, compute: Arc::new(compute) })
}

/// Holds inferences until it is opened.
#[derive(Default)]
pub(crate) struct Barrier {
    is_open: Mutex<bool>,
    opened: Condvar,
    /// Inferences that came this far.
    pub(crate) arrived: AtomicU64,
}

impl Barrier {
    pub(crate) fn open(&self) {
        *self.is_open.lock() = true;
        self.opened.notify_all();
    }

    pub(super) fn close(&self) {
        *self.is_open.lock() = false;
    }

    fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let mut is_open = self.is_open.lock();
        while !*is_open {
            self.opened.wait(&mut is_open);
        }
    }
}

/// `held`: takes `x` UINT8[1], and answers when its barrier is opened.
pub(crate) fn held(barrier: Arc<Barrier>) -> Box<dyn Program> {
    let shape = [Dim::Fixed(1)];
    let signature = Signature {
        inputs: vec![spec("x", ElementType::Uint8, &shape)],
        outputs: vec![spec("y", ElementType::Uint8, &shape)],
    };
    let compute = move |inputs: &TensorBuf| {
        barrier.pass();
        Ok(inputs.tensors.clone())
    };
    Box::new(Computed { signature, compute: Arc::new(compute) })
}
