//! A gateway whose hub dies.

use std::sync::atomic::{AtomicBool, Ordering};

use resonance_inference::package::VerifiedModel;
use resonance_inference::{Program, Session};
use resonance_plant::{Signature, Status, TensorBuf};

use super::*;
use crate::demo::Scene;

/// An engine whose sessions panic from some moment on.
struct Doomed(OnnxRuntime, Arc<AtomicBool>);

struct DoomedProgram(Box<dyn Program>, Arc<AtomicBool>);

struct DoomedSession(Box<dyn Session>, Arc<AtomicBool>);

impl Engine for Doomed {
    fn identity(&self) -> &str {
        self.0.identity()
    }

    fn load(
        &self,
        model: &VerifiedModel,
        limits: &Limits,
    ) -> Result<Box<dyn Program>, EngineError> {
        Ok(Box::new(DoomedProgram(self.0.load(model, limits)?, Arc::clone(&self.1))))
    }
}

impl Program for DoomedProgram {
    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        Ok(Box::new(DoomedSession(self.0.session()?, Arc::clone(&self.1))))
    }
}

impl Session for DoomedSession {
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        assert!(!self.1.load(Ordering::Relaxed), "the end was asked for");
        self.0.infer(inputs, outputs)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_hub_dies_takes_its_results_back_and_ends() {
    let Ok(engine) = OnnxRuntime::find() else {
        eprintln!(
            "SKIPPED a_gateway_whose_hub_dies_takes_its_results_back_and_ends: no ONNX Runtime"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::start(folder.path(), None).await.unwrap();
    let (plan, _) = scene.plant.plan(Purpose::Run);
    let doomed = Arc::new(AtomicBool::new(false));
    let engine = Doomed(engine, Arc::clone(&doomed));
    let mut gateway = start_plan(plan.unwrap(), Ok(Arc::new(engine)), None).await.unwrap();
    let mut results = gateway.results().subscribe();
    let minute = Duration::from_secs(60);
    let answered = async { while !results.recv().await.unwrap().status.is_good() {} };
    tokio::time::timeout(minute, answered).await.expect("an answer");
    doomed.store(true, Ordering::Relaxed);
    wait(Deadline::after(Some(minute)), &mut gateway, None).await.unwrap();
    assert!(gateway.has_failed(), "the end of the hub ends the wait");
    let last = std::iter::from_fn(|| results.try_recv().ok()).last().expect("it is taken back");
    assert_eq!(last.status, Status::BAD_INTERNAL_ERROR);
    let (summary, ended) = end(gateway).await;
    assert!(matches!(ended, Err(CliError::Internal(_))), "not an orderly end");
    assert!(summary.last_errors.iter().any(|error| error.starts_with("gateway.failed")));
    let taken = scene.taken();
    assert!(taken > 0 && summary.delivered[0].results > 0, "{taken}");
    scene.stop().await;
}
