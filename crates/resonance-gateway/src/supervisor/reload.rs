//! From one plan to the next while everything that stays runs on.
//!
//! What can fail is done first: models are loaded and checked, users admitted, addresses tried,
//! places in the spool made. Then the hub's thread takes over between two of its turns, with the
//! last values, pasts and rings of what stays; then sources, sinks and servers follow. Until the
//! hub has taken over, nothing was changed.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Code, Event, EventSink, LastValues, Principal};
use tokio::sync::{oneshot, watch};

use super::assembly::{
    self, SourceLink, StartError, lanes, load_models, numbers, ready, recruits, source_link,
    spawn_source,
};
use super::changes::{Changes, renumbering};
use super::remotes::Remotes;
use super::running::{Gateway, SinkFace, SourceFace, end_all};
use crate::access::{Access, AccessError};
use crate::deployments::fleet::Fleet;
use crate::deployments::shared::{Face, Faces};
use crate::hub::core::{Entry, Interest};
use crate::hub::run::Succession;
use crate::models::Models;
use crate::plan::Plan;
use crate::servers;
use crate::spool::SpoolError;

/// How long models may hold up the hub's taking over.
const HANDOVER_MAX: Duration = Duration::from_secs(30);

/// Why a gateway keeps its plan.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Only a restart changes this.
    #[error("this needs a restart: {}", .0.join("; "))]
    Restart(Vec<String>),
    /// A deployed model does not serve.
    #[error("model {model}: {reason}")]
    Model {
        /// Which model.
        model: Arc<str>,
        /// Why not.
        reason: String,
    },
    /// The users cannot be admitted.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The spool does not take other sinks.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// An address cannot be listened on.
    #[error("{surface} cannot listen on {listen}: {error}; choose another address")]
    Listen {
        /// Which server.
        surface: &'static str,
        /// The address.
        listen: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// Models did not answer in time, so the hub could not take over.
    #[error("models were under way for more than {} s; try again when they answer",
            HANDOVER_MAX.as_secs())]
    Busy,
    /// The hub is gone.
    #[error("the hub ended unexpectedly; restart the gateway")]
    Hub,
    /// Something could not be started after the hub had taken over. The plan before was taken back
    /// where that was possible.
    #[error("{0}")]
    Start(#[from] StartError),
}

/// What the hub's thread takes over, and what others see of it.
struct Next {
    succession: Succession,
    ended: oneshot::Receiver<Vec<(Arc<str>, u64)>>,
    values: Arc<LastValues>,
    faces: Vec<Arc<Face>>,
    links: Vec<SourceLink>,
    inlets: Vec<Option<Arc<str>>>,
}

impl Gateway {
    /// What would happen if this plan took the place of the present one.
    pub fn changes_to(&self, plan: &Plan) -> Changes {
        Changes::between(&self.plan, plan)
    }

    /// The present plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Goes on with another plan, in someone's name. What is the same in both runs on.
    ///
    /// # Errors
    /// Where the plan cannot be gone over to; the present one then stays. Where something fails
    /// only after the hub has taken over, the gateway goes back.
    pub async fn reload(
        &mut self,
        plan: Plan,
        principal: Principal,
    ) -> Result<Changes, ReloadError> {
        let before = self.plan.clone();
        let outcome = self.go_over(plan).await;
        let outcome = match outcome {
            Err(ReloadError::Start(error)) => {
                if let Err(second) = self.go_over(before).await {
                    let message = format!("could not go back to the plan before either: {second}");
                    self.tell_reload(Code::PlantReloadFailed, message, principal.clone());
                }
                Err(ReloadError::Start(error))
            }
            other => other,
        };
        match &outcome {
            Ok(changes) if changes.is_empty() => {}
            Ok(changes) => {
                let message = changes.to_string();
                self.tell_reload(Code::PlantReloaded, message, principal);
            }
            Err(error) => self.tell_reload(Code::PlantReloadFailed, error.to_string(), principal),
        }
        outcome
    }

    fn tell_reload(&self, code: Code, message: String, principal: Principal) {
        let event = Event::new(self.clock.now(), code, "gateway", message.trim_end());
        self.events.record(event.by(principal));
    }

    async fn go_over(&mut self, plan: Plan) -> Result<Changes, ReloadError> {
        let changes = self.changes_to(&plan);
        if !changes.restart.is_empty() {
            return Err(ReloadError::Restart(changes.restart));
        }
        if changes.is_empty() {
            return Ok(changes);
        }
        if self.has_failed() {
            return Err(ReloadError::Hub);
        }
        let models = self.models_for(&plan).await?;
        let events = Arc::clone(&self.events) as Arc<dyn EventSink>;
        let access = Access::new(&plan.users, Arc::clone(&self.clock), events)?;
        try_addresses(&self.plan, &plan)?;
        // Places for sinks of both, so that a new one misses nothing and an old one can go back.
        let sinks = |plan: &Plan| plan.sinks.iter().map(|sink| Arc::clone(&sink.id)).collect();
        let (before, after): (Vec<_>, Vec<_>) = (sinks(&self.plan), sinks(&plan));
        let added: Vec<_> = after.iter().filter(|id| !before.contains(id)).cloned().collect();
        self.arrange(before.iter().cloned().chain(added).collect()).await?;
        let events = Arc::clone(&self.events) as Arc<dyn EventSink>;
        let remotes = Remotes::look(&plan, &self.clock, &events).await;
        let next = self.next(&plan, (&models, &remotes), &changes);
        match self.hand_over(next.succession, next.ended).await {
            Ok(ended) => self.note_ended(&ended),
            Err(error) => {
                self.arrange(before).await?;
                return Err(error);
            }
        }
        self.models = Arc::new(models);
        self.access = Arc::new(access);
        self.plant = Arc::clone(&plan.plant);
        (self.values, self.faces, self.inlets) = (next.values, next.faces, next.inlets);
        self.deployments = Arc::new(Faces::new(
            self.faces.clone(),
            self.waker.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.events) as Arc<dyn EventSink>,
        ));
        self.plan = plan;
        self.watch(remotes).await;
        self.follow(&changes, next.links, after).await?;
        Ok(changes)
    }

    /// The models of a plan; those that serve already serve on.
    async fn models_for(&self, plan: &Plan) -> Result<Models, ReloadError> {
        let (plan, options) = (plan.clone(), self.options.clone());
        let (events, serving) =
            (Arc::clone(&self.events) as Arc<dyn EventSink>, Arc::clone(&self.models));
        let loading = tokio::task::spawn_blocking(move || {
            let models = load_models(&plan, &options, &events, Some(&serving));
            for model in plan.deployed_here() {
                if ready(&models, model).is_none() {
                    let name = &model.manifest.name;
                    let reason = models.find(name, None).map(|model| model.standing().1);
                    let reason = reason.unwrap_or_else(|| "it does not serve".into());
                    return Err(ReloadError::Model { model: Arc::clone(name), reason });
                }
            }
            Ok(models)
        });
        loading.await.unwrap_or(Err(ReloadError::Hub))
    }

    /// Looks after the servers that run models of the plan, and no more after those before.
    async fn watch(&mut self, remotes: Remotes) {
        let (stop, _) = watch::channel(false);
        // An error says that they ended already.
        let _ = std::mem::replace(&mut self.remote_stop, stop).send(true);
        let tasks = remotes.watch(&self.remote_stop, &self.faces, &self.waker);
        for task in std::mem::replace(&mut self.remote_tasks, tasks) {
            // One that panicked has said so on standard error.
            let _ = task.await;
        }
    }

    async fn arrange(&self, sinks: Vec<Arc<str>>) -> Result<(), SpoolError> {
        match &self.spool {
            Some(spool) => spool.arrange(sinks).await,
            None => Ok(()),
        }
    }

    fn note_ended(&self, ended: &[(Arc<str>, u64)]) {
        if let Some(spool) = &self.spool {
            ended.iter().for_each(|(deployment, sequence)| spool.ended(deployment, *sequence));
        }
    }

    /// Makes everything that the hub's thread takes over.
    fn next(&self, plan: &Plan, (models, remotes): (&Models, &Remotes), changes: &Changes) -> Next {
        let events = Arc::clone(&self.events) as Arc<dyn EventSink>;
        let to = renumbering(&self.plan.plant, &plan.plant);
        let same_numbers = to.is_identity(plan.plant.points.len());
        let values = match same_numbers {
            true => Arc::clone(&self.values),
            false => Arc::new(LastValues::new(plan.plant.points.len())),
        };
        let is_unchanged = |id: &str| changes.step(&format!("deployment/{id}")).is_none();
        let mut faces = assembly::faces(plan, models, remotes);
        for face in &mut faces {
            let before = self.faces.iter().find(|before| before.id == face.id);
            if let Some(before) = before.filter(|_| same_numbers && is_unchanged(&face.id)) {
                *face = Arc::clone(before);
            }
        }
        let (mut links, mut entries, mut inlets) = (Vec::new(), Vec::new(), Vec::new());
        // First, so that a point of a source that connects anew is the new connection's.
        for (at, id) in self.inlets.iter().enumerate() {
            let leaves = |id: &Arc<str>| changes.step(&format!("source/{id}")).is_some();
            if id.as_ref().is_some_and(leaves) {
                entries.push(Entry::Leaving(at));
                inlets.push(None);
            }
        }
        for source in &plan.sources {
            let kept = changes.step(&format!("source/{}", source.id)).is_none();
            let at = self.inlets.iter().position(|id| id.as_ref() == Some(&source.id));
            match at.filter(|_| kept) {
                Some(at) => entries.push(Entry::Kept(at, numbers(source))),
                None => {
                    let (link, inlet) = source_link(source, &self.waker, &self.clock, &events);
                    links.push(link);
                    entries.push(Entry::New(inlet));
                }
            }
            inlets.push(Some(Arc::clone(&source.id)));
        }
        let mut interest = Interest::default();
        let members = match &self.spool {
            Some(spool) => recruits(plan, &faces, (models, remotes), spool, &mut interest),
            None => Vec::new(),
        };
        let (lanes, members) = lanes(members, &self.waker, &events, &self.clock);
        let count = members.len();
        let results = self.results.clone();
        let mut fleet = Fleet::new(members, lanes, results, Arc::clone(&self.clock), events);
        let unchanged: HashSet<_> =
            faces.iter().map(|face| Arc::clone(&face.id)).filter(|id| is_unchanged(id)).collect();
        let (tell, ended) = oneshot::channel();
        let (plant, columns) = (Arc::clone(&plan.plant), Arc::clone(&values));
        let succession: Succession = Box::new(move |mut hub, before| {
            let ended = fleet.go_on_from(before, &mut hub, &unchanged);
            let hub = hub.succeeded_by(plant, columns, entries, &interest, count, &to);
            // Nobody waits any more where the gateway ends in this moment.
            let _ = tell.send(ended);
            (hub, fleet)
        });
        Next { succession, ended, values, faces, links, inlets }
    }

    /// Has the hub's thread take over. Returns the deployments that ended.
    async fn hand_over(
        &self,
        succession: Succession,
        mut ended: oneshot::Receiver<Vec<(Arc<str>, u64)>>,
    ) -> Result<Vec<(Arc<str>, u64)>, ReloadError> {
        self.hub_told.handover.ask(succession);
        self.waker.wake();
        if let Ok(told) = tokio::time::timeout(HANDOVER_MAX, &mut ended).await {
            return told.map_err(|_| ReloadError::Hub);
        }
        match self.hub_told.handover.take() {
            Some(_) => Err(ReloadError::Busy),
            // It began in this moment.
            None => ended.await.map_err(|_| ReloadError::Hub),
        }
    }

    /// Sources, sinks and servers go where the hub has gone.
    async fn follow(
        &mut self,
        changes: &Changes,
        links: Vec<SourceLink>,
        sinks: Vec<Arc<str>>,
    ) -> Result<(), ReloadError> {
        let leaves = |kind: &str, id: &Arc<str>| changes.step(&format!("{kind}/{id}")).is_some();
        let (leaving, staying): (Vec<_>, Vec<_>) = std::mem::take(&mut self.source_workers)
            .into_iter()
            .partition(|worker| leaves("source", &worker.id));
        self.source_workers = staying;
        end_all(leaving).await;
        let plan = self.plan.clone();
        let before = Arc::clone(&self.sources);
        let face = |source: &crate::plan::SourcePlan| {
            let new = links.iter().find(|(link, ..)| link.id == source.id);
            new.map(|(link, ..)| SourceFace::of(link))
                .or_else(|| before.iter().find(|face| face.id == source.id).map(SourceFace::again))
        };
        self.sources = Arc::new(plan.sources.iter().filter_map(face).collect());
        for link in links {
            self.source_workers.push(spawn_source(link).map_err(StartError::from)?);
        }
        let (leaving, staying): (Vec<_>, Vec<_>) = std::mem::take(&mut self.sink_workers)
            .into_iter()
            .partition(|worker| leaves("sink", &worker.id));
        self.sink_workers = staying;
        end_all(leaving).await;
        // From here on an error takes the gateway back.
        self.arrange(sinks).await.map_err(StartError::from)?;
        let before = Arc::clone(&self.sinks);
        let mut faces = Vec::new();
        for sink in &plan.sinks {
            let counters = before.iter().find(|face| face.id == sink.id);
            let counters = counters.map(|face| Arc::clone(&face.counters)).unwrap_or_default();
            faces.push(match leaves("sink", &sink.id) {
                true => self.start_sink(sink, counters)?,
                false => SinkFace { id: Arc::clone(&sink.id), counters },
            });
        }
        self.sinks = Arc::new(faces);
        let context = self.context();
        let differs = |kind: &str| changes.step(&format!("server/{kind}")).is_some();
        servers::follow(&plan.servers, differs, &context, &self.servers)
            .await
            .map_err(|error| ReloadError::Start(error.into()))
    }
}

/// Whether a new address can be listened on, as far as can be told before.
fn try_addresses(old: &Plan, new: &Plan) -> Result<(), ReloadError> {
    let of = |plan: &Plan| {
        let servers = &plan.servers;
        [
            ("opcua", servers.opcua.as_ref().map(|server| server.listen)),
            ("http", servers.http.as_ref().map(|server| server.listen)),
            ("grpc", servers.grpc.as_ref().map(|server| server.listen)),
        ]
    };
    let held: Vec<_> = of(old).into_iter().filter_map(|(_, listen)| listen).collect();
    for (surface, listen) in of(new) {
        let Some(listen) = listen.filter(|listen| !held.contains(listen)) else { continue };
        std::net::TcpListener::bind(listen).map_err(|error| ReloadError::Listen {
            surface,
            listen,
            error,
        })?;
    }
    Ok(())
}
