//! A loaded model and its sessions.

use std::ffi::CString;
use std::sync::Arc;

use ort::session::Session as OrtSession;
use ort::value::{Outlet, TensorElementType, ValueType};
use resonance_plant::tensor::Dim;
use resonance_plant::{ElementType, Signature, TensorBuf, TensorSpec};

use super::calls::{Calls, Refusal};
use crate::engines::{Declared, EngineError, Limits, Program, Session, agree_with, check_inputs};
use crate::onnx::element_type;
use crate::package::VerifiedModel;

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
        package: &VerifiedModel,
        limits: &Limits,
    ) -> Result<Self, EngineError> {
        let declared = |outlets: &[Outlet]| outlets.iter().map(declared).collect::<Vec<_>>();
        let (inputs, outputs) = (declared(session.inputs()), declared(session.outputs()));
        let signature = agree_with(package, &inputs, outputs)?;
        let model = Model {
            inputs: names(&signature.inputs)?,
            outputs: names(&signature.outputs)?,
            signature,
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

fn declared(outlet: &Outlet) -> Declared {
    let (element, shape) = match outlet.dtype() {
        // A shape of no dimensions is also what the library says where the model states none.
        ValueType::Tensor { ty, shape, .. } if shape.is_empty() => (protocol_type(*ty), None),
        ValueType::Tensor { ty, shape, .. } => {
            let dim = |size: &i64| usize::try_from(*size).map_or(Dim::Any, Dim::Fixed);
            (protocol_type(*ty), Some(shape.iter().map(dim).collect()))
        }
        _ => (None, None),
    };
    Declared { name: outlet.name().to_owned(), element, shape, shown: described(outlet) }
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
