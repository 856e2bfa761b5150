//! A loaded model and its sessions.

use std::ffi::CString;
use std::sync::Arc;

use ort::session::Session as OrtSession;
use ort::value::{Outlet, TensorElementType, ValueType};
use resonance_plant::tensor::Dim;
use resonance_plant::{ElementType, Signature, TensorBuf, TensorSpec};

use super::calls::{Calls, Refusal};
use crate::engines::{EngineError, Limits, Program, Session};
use crate::onnx::element_type;
use crate::package::Manifest;

/// A model that ONNX Runtime loaded.
pub(super) struct OnnxProgram {
    model: Arc<Model>,
}

struct Model {
    signature: Signature,
    session: OrtSession,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    elements_max: usize,
}

struct OnnxSession {
    model: Arc<Model>,
    calls: Calls,
}

impl OnnxProgram {
    /// Checks the model's own tensors against the manifest.
    pub(super) fn new(
        session: OrtSession,
        manifest: &Manifest,
        limits: &Limits,
    ) -> Result<Self, EngineError> {
        let inputs: Vec<TensorSpec> = manifest.inputs.iter().map(|input| input.tensor()).collect();
        let outputs: Vec<TensorSpec> = manifest.outputs.iter().map(|out| out.tensor()).collect();
        for outlet in session.inputs() {
            if !inputs.iter().any(|spec| *spec.name == *outlet.name()) {
                return Err(EngineError::SignatureClash {
                    tensor: outlet.name().to_owned(),
                    manifest: "nothing of it".into(),
                    model: format!("that it is an input {}", described(outlet)),
                });
            }
        }
        let agree = |specs: &[TensorSpec], outlets: &[Outlet]| {
            specs.iter().try_for_each(|spec| check(spec, outlets))
        };
        agree(&inputs, session.inputs())?;
        agree(&outputs, session.outputs())?;
        let model = Model {
            inputs: names(&inputs)?,
            outputs: names(&outputs)?,
            signature: Signature { inputs, outputs },
            session,
            elements_max: limits.tensor_elements_max,
        };
        Ok(Self { model: Arc::new(model) })
    }
}

impl Program for OnnxProgram {
    fn signature(&self) -> &Signature {
        &self.model.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        let calls = Calls::new().map_err(EngineError::Failed)?;
        Ok(Box::new(OnnxSession { model: Arc::clone(&self.model), calls }))
    }
}

impl Session for OnnxSession {
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        let Model { signature, session, inputs: input_names, outputs: output_names, elements_max } =
            &*self.model;
        check_inputs(&signature.inputs, inputs)?;
        let ran = self.calls.run(
            session,
            (input_names, &inputs.tensors),
            (output_names, &mut outputs.tensors),
            *elements_max,
        );
        ran.map_err(|refusal| match refusal {
            Refusal::Engine(message) => EngineError::Failed(message),
            Refusal::Element { output, number } => EngineError::Failed(format!(
                "output {:?} has element type number {number}, which the protocol lacks",
                signature.outputs[output].name
            )),
            Refusal::TooLarge { output, elements } => EngineError::OverLimit {
                what: format!(
                    "the number of elements of output {}",
                    signature.outputs[output].name
                ),
                actual: elements,
                limit: *elements_max as u64,
            },
        })
    }
}

fn check_inputs(specs: &[TensorSpec], inputs: &TensorBuf) -> Result<(), EngineError> {
    if specs.len() != inputs.tensors.len() {
        let absent = specs.get(inputs.tensors.len());
        return Err(EngineError::Input {
            tensor: absent.map_or_else(|| "-".into(), |spec| spec.name.to_string()),
            expected: format!("one of {} tensors", specs.len()),
            actual: format!("one of {}", inputs.tensors.len()),
        });
    }
    for (spec, tensor) in specs.iter().zip(&inputs.tensors) {
        if spec.element != tensor.element || !spec.accepts_shape(&tensor.shape) {
            return Err(EngineError::Input {
                tensor: spec.name.to_string(),
                expected: spec.to_string(),
                actual: format!("{}{:?}", tensor.element, tensor.shape),
            });
        }
    }
    Ok(())
}

/// Whether the manifest says of a tensor what the model says, or less: a dimension that the model
/// leaves open may be fixed by the manifest, never the other way round.
fn check(spec: &TensorSpec, outlets: &[Outlet]) -> Result<(), EngineError> {
    let clash = |model: String| EngineError::SignatureClash {
        tensor: spec.name.to_string(),
        manifest: spec.to_string(),
        model,
    };
    let Some(outlet) = outlets.iter().find(|outlet| *spec.name == *outlet.name()) else {
        let known: Vec<&str> = outlets.iter().map(Outlet::name).collect();
        return Err(clash(format!("has no such tensor, only {}", known.join(", "))));
    };
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return Err(clash(described(outlet)));
    };
    let element = protocol_type(*ty);
    let dims_agree = shape.len() == spec.shape.len()
        && shape.iter().zip(&spec.shape).all(|(model, manifest)| match manifest {
            Dim::Any => *model < 0,
            Dim::Fixed(size) => *model < 0 || usize::try_from(*model) == Ok(*size),
        });
    // A shape of no dimensions is also what the library says where the model states none.
    if element != Some(spec.element) || !(dims_agree || shape.is_empty()) {
        return Err(clash(described(outlet)));
    }
    Ok(())
}

/// `FP32[-1, 30, 24]`, as the manifest would write it.
fn described(outlet: &Outlet) -> String {
    let ValueType::Tensor { ty, shape, .. } = outlet.dtype() else {
        return outlet.dtype().to_string();
    };
    let element = protocol_type(*ty).map_or_else(|| ty.to_string(), |element| element.to_string());
    let dims: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("{element}[{}]", dims.join(", "))
}

fn protocol_type(ty: TensorElementType) -> Option<ElementType> {
    element_type(i64::from(ort::sys::ONNXTensorElementDataType::from(ty) as i32))
}

fn names(specs: &[TensorSpec]) -> Result<Vec<CString>, EngineError> {
    let name = |spec: &TensorSpec| {
        CString::new(spec.name.as_bytes()).map_err(|_| EngineError::SignatureClash {
            tensor: spec.name.to_string(),
            manifest: "a name with a zero byte".into(),
            model: "no such name".into(),
        })
    };
    specs.iter().map(name).collect()
}
