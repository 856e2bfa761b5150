//! The models this process serves: loaded, checked against their golden vectors, ready to infer.

mod repository;
mod statistics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use parking_lot::{Mutex, RwLock};
use resonance_inference::package::VerifiedModel;
use resonance_inference::{
    Engine, EngineError, GoldenMismatch, Limits, Program, Session, verify_golden,
};
use resonance_plant::{Code, ModelUsed, Signature, TensorBuf};

use crate::remote::Remote;

pub use repository::{ModelCommand, ModelCommandRefused, Repository};
pub use statistics::{InferenceFigures, ModelFigures, Parts, Spent, Statistics};

/// Whether a model answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ModelState {
    /// It is being loaded, or its golden vectors are being checked.
    Loading = 0,
    /// It answers.
    Ready = 1,
    /// It was refused or failed.
    Failed = 2,
    /// It was unloaded by command.
    Unloaded = 3,
}

/// Why a model does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ModelRefused {
    /// The engine refuses it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It does not reproduce its golden vectors on this engine.
    #[error(transparent)]
    Golden(#[from] GoldenMismatch),
}

impl ModelRefused {
    /// The code of the event that tells of it.
    pub fn code(&self) -> Code {
        match self {
            Self::Engine(EngineError::Unavailable { .. }) => Code::EngineUnavailable,
            Self::Engine(_) => Code::ModelRefused,
            Self::Golden(_) => Code::ModelGoldenMismatch,
        }
    }
}

/// A loaded model with its sessions.
pub struct ServedModel {
    /// The package.
    pub model: Arc<VerifiedModel>,
    /// How results name it.
    pub used: Arc<ModelUsed>,
    /// What was asked of it over the inference API.
    pub statistics: Statistics,
    /// Whether another server runs it.
    pub is_remote: bool,
    /// What runs it, or why nothing does.
    program: RwLock<Result<Arc<dyn Program>, EngineError>>,
    signature: Signature,
    sessions: Mutex<Vec<Box<dyn Session>>>,
    state: AtomicU8,
}

impl std::fmt::Debug for ServedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServedModel({} {})", self.used.name, self.used.version)
    }
}

impl ServedModel {
    /// Loads a package on an engine and serves it once its golden vectors are reproduced.
    ///
    /// # Errors
    /// Where the engine refuses the package or answers its golden vectors otherwise.
    pub fn load(
        model: Arc<VerifiedModel>,
        engine: &dyn Engine,
        limits: &Limits,
    ) -> Result<Self, ModelRefused> {
        let program = engine.load(&model, limits)?;
        verify_golden(program.as_ref(), &model)?;
        let used = ModelUsed { engine: engine.identity().into(), ..unserved(&model) };
        Ok(Self::new(model, Arc::new(used), program))
    }

    /// A model whose golden vectors were reproduced.
    pub fn new(model: Arc<VerifiedModel>, used: Arc<ModelUsed>, program: Box<dyn Program>) -> Self {
        let signature = program.signature().clone();
        Self::made(model, used, signature, Ok(program.into()), ModelState::Ready)
    }

    /// A model that another server runs. Whether it answers is that server's matter.
    pub fn remote(remote: &Arc<Remote>) -> Self {
        let program = remote.program();
        let used =
            Arc::new(ModelUsed { engine: Arc::clone(&remote.identity), ..unserved(&remote.model) });
        Self { is_remote: true, ..Self::new(Arc::clone(&remote.model), used, program) }
    }

    /// A model that was refused: known by its name, never ready, with the reason for whoever asks.
    /// `engine` is the one that refused it, or `none`.
    pub fn refused(model: Arc<VerifiedModel>, engine: &str, reason: &str) -> Self {
        let manifest = &model.manifest;
        let signature = Signature {
            inputs: manifest.inputs.iter().map(|input| input.tensor()).collect(),
            outputs: manifest.outputs.iter().map(|output| output.tensor()).collect(),
        };
        let used = ModelUsed { engine: engine.into(), ..unserved(&model) };
        let error = EngineError::Failed(reason.to_owned());
        Self::made(model, Arc::new(used), signature, Err(error), ModelState::Failed)
    }

    fn made(
        model: Arc<VerifiedModel>,
        used: Arc<ModelUsed>,
        signature: Signature,
        program: Result<Arc<dyn Program>, EngineError>,
        state: ModelState,
    ) -> Self {
        let state = AtomicU8::new(state as u8);
        let (program, sessions) = (RwLock::new(program), Mutex::default());
        let statistics = Statistics::default();
        Self { model, used, statistics, is_remote: false, program, signature, sessions, state }
    }

    fn program(&self) -> Result<Arc<dyn Program>, EngineError> {
        self.program.read().clone()
    }

    /// Frees what runs it. Inferences under way end with an answer.
    fn unload(&self) {
        self.set_state(ModelState::Unloaded);
        *self.program.write() = Err(EngineError::Failed("the model is unloaded".into()));
        self.sessions.lock().clear();
    }

    /// Runs it again once its golden vectors are reproduced.
    fn load_again(&self, engine: &dyn Engine, limits: &Limits) -> Result<(), ModelRefused> {
        let program = engine.load(&self.model, limits)?;
        verify_golden(program.as_ref(), &self.model)?;
        if *program.signature() != self.signature {
            let problem = "its tensors are not those that its manifest declares";
            return Err(EngineError::Failed(problem.into()).into());
        }
        *self.program.write() = Ok(program.into());
        self.set_state(ModelState::Ready);
        Ok(())
    }

    /// The tensors, as the model declares them.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whether it answers.
    pub fn state(&self) -> ModelState {
        match self.state.load(Ordering::Acquire) {
            0 => ModelState::Loading,
            1 => ModelState::Ready,
            3 => ModelState::Unloaded,
            _ => ModelState::Failed,
        }
    }

    /// Its state as the protocol's repository extension names it, and why it does not answer.
    pub fn standing(&self) -> (&'static str, String) {
        let why = || self.program.read().as_ref().err().map(ToString::to_string);
        match self.state() {
            ModelState::Ready => ("READY", String::new()),
            ModelState::Loading => ("LOADING", String::new()),
            ModelState::Unloaded => ("UNAVAILABLE", "unloaded".to_owned()),
            ModelState::Failed => ("UNAVAILABLE", why().unwrap_or_else(|| "it failed".into())),
        }
    }

    /// Says whether it answers.
    pub fn set_state(&self, state: ModelState) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// A session of one's own, for a thread that infers again and again.
    ///
    /// # Errors
    /// Where the engine is out of resources.
    pub fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        self.program()?.session()
    }

    /// Runs the model on a pooled session.
    ///
    /// # Errors
    /// Where an input does not fit or the engine fails.
    pub fn infer(&self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        let pooled = self.sessions.lock().pop();
        let mut session = match pooled {
            Some(session) => session,
            None => self.program()?.session()?,
        };
        let done = session.infer(inputs, outputs);
        let mut sessions = self.sessions.lock();
        // Unloading clears the sessions under this lock after it changed the state.
        if self.state() != ModelState::Unloaded {
            sessions.push(session);
        }
        done
    }
}

/// The identity of a model that no engine serves.
pub(crate) fn unserved(model: &VerifiedModel) -> ModelUsed {
    ModelUsed {
        name: Arc::clone(&model.manifest.name),
        version: Arc::clone(&model.manifest.version),
        digest: Arc::clone(model.files.digest()),
        engine: "none".into(),
        trained_on: Arc::clone(&model.manifest.training.data),
        fallback: None,
    }
}

/// All models, by name. Fixed once the gateway runs.
#[derive(Debug, Default)]
pub struct Models {
    by_name: BTreeMap<Arc<str>, Arc<ServedModel>>,
    repository: Option<Repository>,
}

impl Models {
    /// These models, by their names.
    pub fn new(models: impl IntoIterator<Item = Arc<ServedModel>>) -> Self {
        let by_name = models.into_iter().map(|model| (Arc::clone(&model.used.name), model));
        Self { by_name: by_name.collect(), repository: None }
    }

    /// The same models, which now take commands.
    #[must_use]
    pub fn commanded(self, repository: Repository) -> Self {
        Self { repository: Some(repository), ..self }
    }

    /// What takes commands to these models, if anything does.
    pub fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    /// The model with this name; with a version, only if it is that one.
    pub fn find(&self, name: &str, version: Option<&str>) -> Option<&Arc<ServedModel>> {
        let model = self.by_name.get(name)?;
        version.is_none_or(|wanted| wanted == &*model.used.version).then_some(model)
    }

    /// Every model.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ServedModel>> {
        self.by_name.values()
    }
}
