//! Commands to models: load and unload.
//!
//! A model that a deployment uses, itself or as its fallback, is loaded when the gateway starts and
//! stays: to unload it would stop what the plant relies on, behind the back of whoever runs the
//! deployment. Such a command is refused and names the deployments. Any other model may be unloaded,
//! which frees its memory, and loaded again, which checks its golden vectors anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use resonance_inference::{Engine, EngineError, Limits};
use resonance_plant::{Clock, Code, Event, EventSink, Principal, Value};

use super::{ModelRefused, ModelState, Models};

/// What someone may ask of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelCommand {
    /// Let it answer.
    Load,
    /// Let it answer no more, and free its memory.
    Unload,
}

impl ModelCommand {
    const fn verb(self) -> &'static str {
        match self {
            Self::Load => "loaded",
            Self::Unload => "unloaded",
        }
    }
}

/// Why a command to a model is refused.
#[derive(Debug, thiserror::Error)]
pub enum ModelCommandRefused {
    /// No such model.
    #[error("there is no model {0:?}")]
    Unknown(String),
    /// Deployments need it as it is.
    #[error(
        "model {model:?} is used by deployment {deployments}, which takes it when the gateway \
         starts and keeps it; change the plant file and restart, or ask for another model"
    )]
    InUse {
        /// Which model.
        model: Arc<str>,
        /// Which deployments, quoted.
        deployments: String,
    },
    /// The engine refuses it, or its golden vectors do.
    #[error("model {model:?}: {refused}")]
    Refused {
        /// Which model.
        model: Arc<str>,
        /// Why.
        refused: ModelRefused,
    },
}

/// What loads models again, and who relies on them.
pub struct Repository {
    engine: Result<Arc<dyn Engine>, EngineError>,
    limits: Limits,
    /// By model: the deployments that use it.
    users: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
    one_at_a_time: Mutex<()>,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("users", &self.users).finish_non_exhaustive()
    }
}

impl Repository {
    /// A repository whose models run on `engine`, if there is one; `users` says which deployments
    /// use which model.
    pub fn new(
        engine: Result<Arc<dyn Engine>, EngineError>,
        limits: Limits,
        users: BTreeMap<Arc<str>, Vec<Arc<str>>>,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
    ) -> Self {
        Self { engine, limits, users, clock, events, one_at_a_time: Mutex::new(()) }
    }

    /// Obeys a command in someone's name; an event says so. A model that is already as asked is
    /// left as it is. Loading takes as long as the engine takes, one command at a time: not for a
    /// thread that serves others meanwhile.
    ///
    /// # Errors
    /// Where there is no such model, deployments use it, or the engine refuses it; it then is as
    /// it was.
    pub fn command(
        &self,
        models: &Models,
        name: &str,
        command: ModelCommand,
        principal: &Principal,
    ) -> Result<(), ModelCommandRefused> {
        let unknown = || ModelCommandRefused::Unknown(crate::access::shown(name));
        let model = models.find(name, None).ok_or_else(unknown)?;
        let _turn = self.one_at_a_time.lock();
        let wanted = match command {
            ModelCommand::Load => ModelState::Ready,
            ModelCommand::Unload => ModelState::Unloaded,
        };
        if model.state() != wanted {
            self.unused(name)?;
            match command {
                ModelCommand::Unload => model.unload(),
                ModelCommand::Load => {
                    let loaded = match &self.engine {
                        Ok(engine) => model.load_again(engine.as_ref(), &self.limits),
                        Err(error) => Err(error.clone().into()),
                    };
                    loaded.map_err(|refused| self.refused(&model.used.name, refused, principal))?;
                }
            }
        }
        let (verb, subject) = (command.verb(), format!("model/{name}"));
        let message = format!("{} {verb} model {name:?}", principal.name);
        let event = Event::new(self.clock.now(), Code::ControlCommand, &subject, message);
        let event = event.by(principal.clone()).with("command", Value::Text(verb.into()));
        self.events.record(event);
        Ok(())
    }

    fn unused(&self, name: &str) -> Result<(), ModelCommandRefused> {
        let Some((model, users)) = self.users.get_key_value(name) else { return Ok(()) };
        let quoted: Vec<String> = users.iter().map(|user| format!("{user:?}")).collect();
        Err(ModelCommandRefused::InUse { model: Arc::clone(model), deployments: quoted.join(", ") })
    }

    fn refused(
        &self,
        model: &Arc<str>,
        refused: ModelRefused,
        principal: &Principal,
    ) -> ModelCommandRefused {
        let subject = format!("model/{model}");
        let event = Event::new(self.clock.now(), refused.code(), &subject, refused.to_string());
        self.events.record(event.by(principal.clone()));
        ModelCommandRefused::Refused { model: Arc::clone(model), refused }
    }
}
