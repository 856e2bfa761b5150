//! The model packages that a plant file names: each folder is read once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use resonance_inference::package::{VerifiedModel, load};
use resonance_proof::PackageLimits;

use super::{Diagnostic, Mistake, Place, Resolver};
use crate::config::element::{Fallback, Unsigned};

/// The packages of a plant file.
#[derive(Debug, Default)]
pub(super) struct Packages {
    /// By folder; `None` where the package was refused.
    by_folder: BTreeMap<PathBuf, Option<Arc<VerifiedModel>>>,
    /// In the order of the file, each model once.
    served: Vec<Arc<VerifiedModel>>,
    /// Names of those that this process runs, not only another server.
    here: BTreeSet<Arc<str>>,
    deployed: Vec<Option<Arc<VerifiedModel>>>,
    fallbacks: Vec<Option<Arc<VerifiedModel>>>,
}

impl Packages {
    /// Reads every package; those that cannot be used are refused where the file names them.
    pub(super) fn load(resolver: &mut Resolver<'_, '_>) -> Self {
        let mut packages = Self::default();
        let file = resolver.file;
        for (at, deployment) in file.deployments.iter().enumerate() {
            let place = resolver.place("deployment", at, "model");
            let folder = resolver.folder_of(&deployment.model);
            let model = packages.one(resolver, folder, &place);
            packages.runs_here(model.as_ref().filter(|_| deployment.remote.is_none()));
            if let Some(model) = model.as_ref().filter(|model| !model.manifest.is_deployable()) {
                let message = format!(
                    "the model {} does not say which points its inputs come from",
                    model.manifest.name
                );
                let refused = Diagnostic::error(Mistake::Package, &place, message);
                resolver.out.push(refused.remedy(
                    "add [[input.feature]] to its model.toml, or only serve it with [[model]]",
                ));
            }
            packages.deployed.push(model.filter(|model| model.manifest.is_deployable()));
            let fallback = match &deployment.fallback {
                Fallback::FallBackTo { model } => {
                    let place = fallback_place(resolver, at);
                    let folder = resolver.folder_of(model);
                    packages.one(resolver, folder, &place)
                }
                Fallback::Fail | Fallback::HoldLast => None,
            };
            packages.runs_here(fallback.as_ref());
            packages.fallbacks.push(fallback);
        }
        for (at, model) in file.models.iter().enumerate() {
            let place = resolver.place("model", at, "folder");
            let folder = resolver.folder_of(&model.folder);
            let model = packages.one(resolver, folder, &place);
            packages.runs_here(model.as_ref());
        }
        packages
    }

    /// The model of the deployment with this place in the file.
    pub(super) fn of_deployment(&self, at: usize) -> Option<&Arc<VerifiedModel>> {
        self.deployed.get(at)?.as_ref()
    }

    /// The model that stands in for the deployment's.
    pub(super) fn fallback_of(&self, at: usize) -> Option<&Arc<VerifiedModel>> {
        self.fallbacks.get(at)?.as_ref()
    }

    /// Every model that runs here, each once.
    pub(super) fn served(&self) -> Vec<Arc<VerifiedModel>> {
        let here = |model: &&Arc<VerifiedModel>| self.here.contains(&model.manifest.name);
        self.served.iter().filter(here).cloned().collect()
    }

    fn runs_here(&mut self, model: Option<&Arc<VerifiedModel>>) {
        self.here.extend(model.map(|model| Arc::clone(&model.manifest.name)));
    }

    fn one(
        &mut self,
        resolver: &mut Resolver<'_, '_>,
        folder: PathBuf,
        place: &Place,
    ) -> Option<Arc<VerifiedModel>> {
        if let Some(known) = self.by_folder.get(&folder) {
            return known.clone();
        }
        let model = match load(&folder, &PackageLimits::default()) {
            Ok(model) => self.accept(resolver, Arc::new(model), place),
            Err(error) => {
                let refused = Diagnostic::error(Mistake::Package, place, error.to_string());
                resolver.out.push(refused.remedy("`resonance model inspect` explains a package"));
                None
            }
        };
        self.by_folder.insert(folder, model.clone());
        model
    }

    fn accept(
        &mut self,
        resolver: &mut Resolver<'_, '_>,
        model: Arc<VerifiedModel>,
        place: &Place,
    ) -> Option<Arc<VerifiedModel>> {
        let name = &model.manifest.name;
        if !model.files.is_signed() {
            let message = format!("the package of {name} carries no signature");
            let (unsigned, refused) = match resolver.file.unsigned {
                Unsigned::Warn => (Diagnostic::warning(Mistake::Unsigned, place, message), false),
                Unsigned::Refuse => (Diagnostic::error(Mistake::Unsigned, place, message), true),
            };
            resolver.out.push(unsigned.remedy(if refused {
                "sign the package, or accept it knowingly with unsigned = \"warn\""
            } else {
                "only its digests were checked; sign the package"
            }));
            if refused {
                return None;
            }
        }
        // The API knows models by name: two packages with one name need the same content.
        if let Some(other) = self.served.iter().find(|other| other.manifest.name == *name) {
            if other.files.digest() == model.files.digest() {
                return Some(Arc::clone(other));
            }
            let message = format!("two different packages are called {name}");
            let clash = Diagnostic::error(Mistake::Duplicate, place, message);
            resolver.out.push(clash.remedy("rename one of the models in its model.toml"));
            return None;
        }
        self.served.push(Arc::clone(&model));
        Some(model)
    }
}

/// Where the fallback model of a deployment is named.
pub(super) fn fallback_place(resolver: &Resolver<'_, '_>, deployment: usize) -> Place {
    let entry = resolver.entry("deployment", deployment);
    let named = entry.get("fallback").and_then(|fallback| fallback.get("model"));
    named.map_or(entry.place, |node| node.place)
}
