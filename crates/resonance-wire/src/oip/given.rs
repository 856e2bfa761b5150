//! Which inputs of a model a request gave, and whether they fit: one judgement for every form in
//! which requests come.

use resonance_plant::{ElementType, Signature, TensorSpec};

use super::error::{RequestError, shown};

/// The inputs of a signature, and which of them were given.
pub(super) struct Given<'s> {
    signature: &'s Signature,
    given: Vec<bool>,
}

impl<'s> Given<'s> {
    pub(super) fn none(signature: &'s Signature) -> Self {
        Self { signature, given: vec![false; signature.inputs.len()] }
    }

    /// The input's place in the signature, once it is known to fit.
    pub(super) fn admit(
        &mut self,
        name: &str,
        element: ElementType,
        shape: &[usize],
    ) -> Result<usize, RequestError> {
        let fault = |problem| RequestError::Input { input: shown(name), problem };
        let specs = &self.signature.inputs;
        let Some((at, spec)) = specs.iter().enumerate().find(|(_, spec)| *spec.name == *name)
        else {
            return Err(RequestError::UnknownInput { input: shown(name), known: listed(specs) });
        };
        if element != spec.element || !spec.accepts_shape(shape) {
            return Err(fault(format!("it must be {spec}, not {element}{shape:?}")));
        }
        match self.given.get_mut(at) {
            Some(given) if !*given => *given = true,
            _ => return Err(fault("it is given twice".into())),
        }
        Ok(at)
    }

    /// Refuses a request that left one out.
    pub(super) fn all(&self) -> Result<(), RequestError> {
        let mut specs = self.signature.inputs.iter().zip(&self.given);
        match specs.find(|(_, given)| !**given) {
            None => Ok(()),
            Some((spec, _)) => Err(RequestError::MissingInput {
                input: spec.name.to_string(),
                expected: spec.to_string(),
            }),
        }
    }
}

/// An output that the model does not have.
pub(super) fn unknown_output(name: &str, signature: &Signature) -> RequestError {
    RequestError::UnknownOutput { output: shown(name), known: listed(&signature.outputs) }
}

fn listed(specs: &[TensorSpec]) -> String {
    let names: Vec<String> = specs.iter().map(|spec| format!("{:?} {spec}", &*spec.name)).collect();
    names.join(", ")
}
