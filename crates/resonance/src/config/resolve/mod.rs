//! From a plant file without errors, and the model packages it names, to the plan that the
//! gateway runs. What only packages tell, such as inputs without a point, is refused here with
//! its place in the plant file, like every other mistake.

mod binding;
mod cycles;
mod deployments;
mod outer;
mod packages;
mod points;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use resonance_gateway::plan::{Plan, SourcePlan};
use resonance_gateway::sources::SourcePoint;
use resonance_plant::{Plant, PointIndex, Qualifier, SemanticId};

use super::diagnostic::{Diagnostic, Diagnostics, Mistake, Place, Severity};
use super::document::Node;
use super::element::PlantFile;
use packages::Packages;

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be looked at, perhaps on another machine: secrets may be missing.
    Check,
    /// To be run here and now.
    #[allow(dead_code, reason = "for the commands that run a plant")]
    Run,
}

/// The plan of a plant file; `None` where something in it, or in a package, is wrong.
pub(super) fn resolve(
    mut file: PlantFile,
    root: &Node<'_>,
    folder: &Path,
    purpose: Purpose,
    out: &mut Diagnostics,
) -> Option<Plan> {
    let assets = std::mem::take(&mut file.assets);
    let mut resolver = Resolver {
        file: &file,
        root,
        folder,
        purpose,
        out,
        plant: Plant::default(),
        by_path: BTreeMap::new(),
        by_meaning: BTreeMap::new(),
        max_age: BTreeMap::new(),
        outputs: BTreeMap::new(),
    };
    let source_points = resolver.points(assets);
    let packages = Packages::load(&mut resolver);
    resolver.output_points(&packages);
    let deployments = resolver.deployments(&packages);
    resolver.refuse_cycles(&deployments);
    let sources = resolver.sources(source_points);
    let sinks = resolver.sinks();
    resolver.warn_of_every_result(&sinks, &deployments);
    let users = resolver.users();
    let traces = resolver.traces();
    if resolver.out.errors() > 0 {
        return None;
    }
    Some(Plan {
        deployments: deployments.into_iter().flatten().collect(),
        models: packages.served(),
        sources,
        sinks,
        servers: resolver.servers(),
        users,
        traces,
        spool: resolver.spool(),
        events_file: file.events_file.as_ref().map(|path| folder.join(path)),
        recording: resolver.recording(),
        plant: Arc::new(resolver.plant),
    })
}

struct Resolver<'r, 'd> {
    /// But for its assets, which are in the plant by then.
    file: &'r PlantFile,
    root: &'r Node<'d>,
    folder: &'r Path,
    purpose: Purpose,
    out: &'r mut Diagnostics,
    plant: Plant,
    /// Points by asset and name.
    by_path: BTreeMap<(usize, Arc<str>), PointIndex>,
    /// Points by asset and meaning.
    by_meaning: BTreeMap<(usize, SemanticId, Qualifier), Vec<PointIndex>>,
    /// The oldest a point's value may be, where the file says so.
    max_age: BTreeMap<PointIndex, Duration>,
    /// Which deployment a point is an output of.
    outputs: BTreeMap<PointIndex, usize>,
}

/// The points of every source, in the order of the file's sources.
type SourcePoints = Vec<Vec<SourcePoint>>;

impl<'d> Resolver<'_, 'd> {
    /// The entry of a list, in the parsed text.
    fn entry(&self, list: &str, at: usize) -> Node<'d> {
        let found = self.root.list(list).into_iter().nth(at);
        found.unwrap_or_else(|| self.root.clone())
    }

    /// Where a key of an entry stands; the entry itself where it has no such key.
    fn place(&self, list: &str, at: usize, key: &str) -> Place {
        let entry = self.entry(list, at);
        entry.get(key).map_or(entry.place, |node| node.place)
    }

    /// The place of an asset in the plant.
    fn asset_named(&self, id: &str) -> Option<usize> {
        self.plant.assets.iter().position(|asset| &*asset.id.0 == id)
    }

    fn folder_of(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// A secret that is missing stops a run, but not a check on another machine.
    fn secret_missing(&mut self, place: &Place, problem: &str) {
        let severity = match self.purpose {
            Purpose::Check => Severity::Warning,
            Purpose::Run => Severity::Error,
        };
        let missing =
            Diagnostic { severity, ..Diagnostic::error(Mistake::MissingSecret, place, problem) };
        self.out.push(missing.remedy("put the secret there before `resonance run`"));
    }
}

/// The plans of sources with their points.
fn with_points(
    plans: impl Iterator<Item = SourcePlan>,
    mut points: SourcePoints,
) -> Vec<SourcePlan> {
    plans
        .zip(points.drain(..))
        .map(|(plan, points)| SourcePlan { points: points.into(), ..plan })
        .collect()
}
