//! Whether what a model declares is what its manifest says, and whether inputs fit.

use resonance_plant::tensor::Dim;
use resonance_plant::{ElementType, Signature, TensorBuf, TensorSpec};

use super::EngineError;
use crate::onnx::{OnnxDim, OnnxKind, OnnxValue};
use crate::package::Manifest;

/// A tensor as a model file or a server declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// What its elements are; `None` for what the protocol lacks.
    pub element: Option<ElementType>,
    /// Its shape; `None` where nothing is said of it.
    pub shape: Option<Vec<Dim>>,
    /// As messages show it: `FP32[-1, 30]`.
    pub shown: String,
}

impl Declared {
    /// What an ONNX file says of an input or output.
    pub fn of(value: &OnnxValue) -> Self {
        let (element, shape) = match &value.kind {
            OnnxKind::Other(_) => (None, None),
            OnnxKind::Tensor { element, shape } => (*element, shape.as_ref()),
        };
        let dim = |dim: &OnnxDim| match dim {
            OnnxDim::Fixed(size) => usize::try_from(*size).map_or(Dim::Any, Dim::Fixed),
            OnnxDim::Any(_) => Dim::Any,
        };
        let shape = shape.map(|shape| shape.iter().map(dim).collect());
        Self { name: value.name.clone(), element, shape, shown: value.kind.to_string() }
    }
}

/// The tensors of a manifest.
pub fn signature_of(manifest: &Manifest) -> Signature {
    Signature {
        inputs: manifest.inputs.iter().map(|input| input.tensor()).collect(),
        outputs: manifest.outputs.iter().map(|output| output.tensor()).collect(),
    }
}

/// Compares what a manifest says with what is declared. Every input must be in the manifest; of
/// the outputs, those that the manifest names must be declared. A dimension that is declared open
/// may be fixed by the manifest, never the other way round.
///
/// # Errors
/// [`EngineError::SignatureClash`] names the first tensor on which they differ.
pub fn agree(
    manifest: &Signature,
    inputs: &[Declared],
    outputs: &[Declared],
) -> Result<(), EngineError> {
    for declared in inputs {
        if !manifest.inputs.iter().any(|spec| *spec.name == *declared.name) {
            return Err(EngineError::SignatureClash {
                tensor: declared.name.clone(),
                manifest: "nothing of it".into(),
                model: format!("that it is an input {}", declared.shown),
            });
        }
    }
    manifest.inputs.iter().try_for_each(|spec| agree_on(spec, inputs))?;
    manifest.outputs.iter().try_for_each(|spec| agree_on(spec, outputs))
}

fn agree_on(spec: &TensorSpec, declared: &[Declared]) -> Result<(), EngineError> {
    let clash = |model: String| EngineError::SignatureClash {
        tensor: spec.name.to_string(),
        manifest: spec.to_string(),
        model,
    };
    let Some(found) = declared.iter().find(|found| *spec.name == *found.name) else {
        let known: Vec<&str> = declared.iter().map(|found| &*found.name).collect();
        return Err(clash(format!("has no such tensor, only {}", known.join(", "))));
    };
    let dims_agree = found.shape.as_ref().is_none_or(|shape| {
        shape.len() == spec.shape.len()
            && shape.iter().zip(&spec.shape).all(|(found, wanted)| match found {
                Dim::Any => true,
                Dim::Fixed(_) => found == wanted,
            })
    });
    if found.element != Some(spec.element) || !dims_agree {
        return Err(clash(found.shown.clone()));
    }
    Ok(())
}

/// Refuses inputs that do not fit a signature.
///
/// # Errors
/// [`EngineError::Input`] names the tensor, what it must be and what it is.
pub fn check_inputs(specs: &[TensorSpec], inputs: &TensorBuf) -> Result<(), EngineError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(shape: &[Dim]) -> TensorSpec {
        TensorSpec { name: "x".into(), element: ElementType::Fp32, shape: shape.to_vec() }
    }

    fn declared(element: Option<ElementType>, shape: Option<&[Dim]>) -> Declared {
        let shape = shape.map(<[Dim]>::to_vec);
        Declared { name: "x".into(), element, shape, shown: "what it is".into() }
    }

    fn agrees(manifest: &[Dim], found: Declared) -> bool {
        agree_on(&spec(manifest), &[found]).is_ok()
    }

    #[test]
    fn an_open_dimension_may_be_fixed_never_the_other_way_round() {
        let (open, fixed) = ([Dim::Any, Dim::Fixed(4)], [Dim::Fixed(1), Dim::Fixed(4)]);
        let fp32 = Some(ElementType::Fp32);
        assert!(agrees(&fixed, declared(fp32, Some(&open))));
        assert!(agrees(&open, declared(fp32, Some(&open))));
        assert!(!agrees(&open, declared(fp32, Some(&fixed))));
        assert!(!agrees(&open, declared(fp32, Some(&open[..1]))));
        assert!(agrees(&open, declared(fp32, None)));
        assert!(!agrees(&open, declared(Some(ElementType::Fp64), Some(&open))));
        assert!(!agrees(&open, declared(None, Some(&open))));
    }

    #[test]
    fn an_input_that_the_manifest_does_not_know_is_named() {
        let signature = Signature { inputs: vec![spec(&[Dim::Any])], outputs: Vec::new() };
        let mut other = declared(Some(ElementType::Fp32), None);
        other.name = "mask".into();
        let inputs = [declared(Some(ElementType::Fp32), None), other];
        let error = agree(&signature, &inputs, &[]).unwrap_err().to_string();
        assert!(error.contains("\"mask\""), "{error}");
        let error = agree(&signature, &[], &[]).unwrap_err().to_string();
        assert!(error.contains("no such tensor"), "{error}");
    }
}
