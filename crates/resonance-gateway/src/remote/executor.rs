//! A remote server as what runs a model.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use resonance_inference::engines::{check_inputs, signature_of};
use resonance_inference::package::VerifiedModel;
use resonance_inference::{EngineError, GoldenMismatch, Program, Session, verify_golden};
use resonance_plant::tensor::Dim;
use resonance_plant::{Signature, Tensor, TensorBuf};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::grpc::Grpc;
use super::pace::Pace;
use super::rest::Rest;
use super::served::Served;
use super::target::Target;
use super::{RemoteConfig, RemoteError, RemoteProtocol};

/// A model on another server. Answers once the server was found to serve what the package says.
#[derive(Debug)]
pub struct Remote {
    /// The package that the server is held to.
    pub model: Arc<VerifiedModel>,
    /// As results name it: `rest http://host:8000`.
    pub identity: Arc<str>,
    signature: Signature,
    peer: Peer,
    pace: Pace,
    runtime: Handle,
    /// Whether it answers, or why not.
    standing: RwLock<Result<(), RemoteError>>,
    /// What it declared when it was last found fit.
    served: Mutex<Option<Served>>,
    /// Why it gave no answer last.
    failed: Mutex<Option<RemoteError>>,
    /// Wakes the watch when an inference found it unfit.
    pub(super) lost: Notify,
}

/// How it is asked.
#[derive(Debug)]
enum Peer {
    Rest(Rest),
    Grpc(Grpc),
}

/// What runs the model: with `gated`, only while the server stands.
struct RemoteProgram {
    remote: Arc<Remote>,
    gated: bool,
}

struct RemoteSession(RemoteProgram);

impl Remote {
    /// A server that runs `model`, not asked yet. It is asked on `runtime`.
    ///
    /// # Errors
    /// [`RemoteError::Configuration`] names the key that is wrong.
    pub fn new(
        config: &RemoteConfig,
        model: Arc<VerifiedModel>,
        runtime: Handle,
    ) -> Result<Self, RemoteError> {
        let target = Target::new(config, &model.manifest.name)?;
        let identity = format!("{} {}", config.protocol.name(), target.shown);
        let unasked = RemoteError::Unasked(target.shown.clone());
        let peer = match config.protocol {
            RemoteProtocol::Rest => Peer::Rest(Rest::new(target)),
            RemoteProtocol::Grpc => Peer::Grpc(Grpc::new(target)),
        };
        Ok(Self {
            identity: identity.into(),
            signature: signature_of(&model.manifest),
            model,
            peer,
            pace: Pace::new(config.max_per_second),
            runtime,
            standing: RwLock::new(Err(unasked)),
            served: Mutex::default(),
            failed: Mutex::default(),
            lost: Notify::new(),
        })
    }

    /// What deployments run: it fails at once while the server does not stand.
    pub fn program(self: &Arc<Self>) -> Box<dyn Program> {
        Box::new(RemoteProgram { remote: Arc::clone(self), gated: true })
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// Why not.
    pub fn standing(&self) -> Result<(), RemoteError> {
        self.standing.read().clone()
    }

    /// Asks whether the server serves the model as the package says, and notes the answer. Where it
    /// stood before and declares the same, its golden vectors are not asked again.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn check(self: &Arc<Self>) -> Result<(), RemoteError> {
        let found = self.look().await;
        if found.is_err() {
            self.disconnect();
        }
        self.standing.write().clone_from(&found);
        found
    }

    async fn look(self: &Arc<Self>) -> Result<(), RemoteError> {
        self.timely(async {
            match &self.peer {
                Peer::Rest(rest) => rest.ready().await,
                Peer::Grpc(grpc) => grpc.ready().await,
            }
        })
        .await?;
        let served = self.timely(async {
            match &self.peer {
                Peer::Rest(rest) => rest.metadata().await,
                Peer::Grpc(grpc) => grpc.metadata().await,
            }
        });
        let served = served.await?;
        let target = self.target();
        served
            .agrees(&target.model, target.version.as_deref(), &self.signature)
            .map_err(|problem| target.contradiction(problem))?;
        let is_known = self.served.lock().as_ref() == Some(&served);
        if self.standing.read().is_ok() && is_known {
            return Ok(());
        }
        let asking = RemoteProgram { remote: Arc::clone(self), gated: false };
        let model = Arc::clone(&self.model);
        let asked = tokio::task::spawn_blocking(move || verify_golden(&asking, &model)).await;
        let golden = |problem: String| {
            let server = target.shown.clone();
            RemoteError::Golden { server, problem }
        };
        match asked.map_err(|error| golden(error.to_string()))? {
            Ok(_) => {}
            // It is the server's answer that failed, not a comparison.
            Err(mismatch @ GoldenMismatch::Engine { .. }) => {
                let failed = self.failed.lock().take();
                return Err(failed.unwrap_or_else(|| golden(mismatch.to_string())));
            }
            Err(mismatch) => return Err(golden(mismatch.to_string())),
        }
        *self.served.lock() = Some(served);
        Ok(())
    }

    fn target(&self) -> &Target {
        match &self.peer {
            Peer::Rest(rest) => rest.target(),
            Peer::Grpc(grpc) => grpc.target(),
        }
    }

    fn disconnect(&self) {
        if let Peer::Grpc(grpc) = &self.peer {
            grpc.disconnect();
        }
    }

    async fn timely<T>(
        &self,
        asking: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let target = self.target();
        let timed_out = || RemoteError::TimedOut {
            server: target.shown.clone(),
            limit_ms: target.timeout.as_millis(),
        };
        let answered = tokio::time::timeout(target.timeout, asking).await;
        answered.unwrap_or_else(|_| Err(timed_out()))
    }

    /// Asks for an inference, once its turn has come. Blocks the thread.
    fn infer(&self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), RemoteError> {
        let wait = self.pace.take(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        let names = self.signature.inputs.iter().map(|spec| &*spec.name);
        let named: Vec<(&str, &Tensor)> = names.zip(&inputs.tensors).collect();
        self.runtime.block_on(self.timely(async {
            match &self.peer {
                Peer::Rest(rest) => rest.infer(&self.signature, &named, outputs).await,
                Peer::Grpc(grpc) => grpc.infer(&self.signature, &named, outputs).await,
            }
        }))?;
        self.rows_agree(inputs, outputs)
    }

    /// Whether as many rows came as were sent: a shape that the signature leaves open.
    fn rows_agree(&self, inputs: &TensorBuf, outputs: &TensorBuf) -> Result<(), RemoteError> {
        let open = |shape: &[Dim]| matches!(shape.first(), Some(Dim::Any));
        let rows = match (self.signature.inputs.first(), inputs.tensors.first()) {
            (Some(spec), Some(tensor)) if open(&spec.shape) => tensor.shape.first().copied(),
            _ => None,
        };
        let Some(rows) = rows else { return Ok(()) };
        for (spec, tensor) in self.signature.outputs.iter().zip(&outputs.tensors) {
            if open(&spec.shape) && tensor.shape.first() != Some(&rows) {
                let problem = format!(
                    "output {:?} has shape {:?} after {rows} rows were sent",
                    spec.name, tensor.shape
                );
                return Err(self.target().contradiction(problem));
            }
        }
        Ok(())
    }

    /// An inference found it unfit: it is out until it was looked at again.
    fn put_out(&self, error: &RemoteError) {
        *self.standing.write() = Err(error.clone());
        self.disconnect();
        self.lost.notify_one();
    }
}

impl Program for RemoteProgram {
    fn signature(&self) -> &Signature {
        &self.remote.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        let (remote, gated) = (Arc::clone(&self.remote), self.gated);
        Ok(Box::new(RemoteSession(Self { remote, gated })))
    }
}

impl Session for RemoteSession {
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        let RemoteProgram { remote, gated } = &self.0;
        check_inputs(&remote.signature.inputs, inputs)?;
        if *gated {
            remote.standing()?;
        }
        let answered = remote.infer(inputs, outputs);
        match answered {
            Ok(()) => Ok(()),
            // What cannot be asked says nothing of the server.
            Err(error @ RemoteError::Request(_)) => Err(error.into()),
            Err(error) => {
                *remote.failed.lock() = Some(error.clone());
                if *gated {
                    remote.put_out(&error);
                }
                Err(error.into())
            }
        }
    }
}
