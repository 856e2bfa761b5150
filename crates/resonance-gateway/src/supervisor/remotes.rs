//! The servers that run deployments' models.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use resonance_plant::{Clock, Event, EventSink};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::deployments::shared::Face;
use crate::hub::ingest::Waker;
use crate::models::ServedModel;
use crate::plan::{DeploymentPlan, Plan};
use crate::remote::{Remote, RemoteError, Watch};

/// Every server of a plan, each once for all deployments that ask it alike.
pub(super) struct Remotes {
    known: Vec<Known>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
}

/// A server and who asks it.
struct Known {
    remote: Arc<Remote>,
    served: Arc<ServedModel>,
    every: Duration,
    found: Result<(), RemoteError>,
    deployments: Vec<usize>,
}

impl Remotes {
    /// Looks at every server once, all at the same time. What stands in the way of one is an
    /// event; it is looked at again later.
    pub(super) async fn look(
        plan: &Plan,
        clock: &Arc<dyn Clock>,
        events: &Arc<dyn EventSink>,
    ) -> Self {
        let (clock, events) = (Arc::clone(clock), Arc::clone(events));
        let mut remotes = Self { known: Vec::new(), clock, events };
        let mut asked: Vec<&DeploymentPlan> = Vec::new();
        for (at, deployment) in plan.deployments.iter().enumerate() {
            let Some(config) = &deployment.remote else { continue };
            let is_same = |other: &&DeploymentPlan| {
                other.remote == deployment.remote
                    && other.model.files.digest() == deployment.model.files.digest()
            };
            if let Some(known) = asked.iter().position(is_same) {
                remotes.known[known].deployments.push(at);
                continue;
            }
            match Remote::new(config, Arc::clone(&deployment.model), Handle::current()) {
                Ok(remote) => {
                    let remote = Arc::new(remote);
                    asked.push(deployment);
                    remotes.known.push(Known {
                        served: Arc::new(ServedModel::remote(&remote)),
                        found: remote.standing(),
                        remote,
                        every: Duration::from_millis(config.check_ms.into()),
                        deployments: vec![at],
                    });
                }
                Err(error) => {
                    let subject = format!("deployment/{}", deployment.id);
                    let now = remotes.clock.now();
                    remotes.events.record(Event::new(
                        now,
                        error.code(),
                        &subject,
                        error.to_string(),
                    ));
                }
            }
        }
        let looks = remotes.known.iter().map(|known| known.remote.check());
        let found = join_all(looks).await;
        for (known, found) in remotes.known.iter_mut().zip(found) {
            known.found = found;
        }
        remotes
    }

    /// What runs a deployment's model; `None` where its configuration was refused.
    pub(super) fn of_deployment(&self, at: usize) -> Option<&Arc<ServedModel>> {
        let known = self.known.iter().find(|known| known.deployments.contains(&at));
        known.map(|known| &known.served)
    }

    /// Looks again and again until `stop`; `faces` are all deployments'.
    pub(super) fn watch(
        self,
        stop: &watch::Sender<bool>,
        faces: &[Arc<Face>],
        waker: &Waker,
    ) -> Vec<JoinHandle<()>> {
        let Self { known, clock, events } = self;
        let watched = known.into_iter().map(|known| {
            let faces: Vec<_> =
                known.deployments.iter().filter_map(|at| faces.get(*at).cloned()).collect();
            let waker = waker.clone();
            let changed = move || {
                faces.iter().for_each(|face| face.ask());
                waker.wake();
            };
            let watch = Watch {
                remote: known.remote,
                every: known.every,
                events: Arc::clone(&events),
                clock: Arc::clone(&clock),
                changed: Box::new(changed),
            };
            let stop = stop.subscribe();
            tokio::spawn(watch.run(known.found, stop))
        });
        watched.collect()
    }
}
