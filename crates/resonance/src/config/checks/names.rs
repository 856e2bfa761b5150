//! Which names a plant file defines.

use std::collections::{BTreeMap, BTreeSet};

use super::{Diagnostic, Diagnostics, Mistake, sources};
use crate::config::document::Node;

/// The names of a plant file, for references to them.
#[derive(Debug, Default)]
pub(super) struct Names<'d> {
    /// Sources with their type.
    pub(super) sources: BTreeMap<&'d str, &'static str>,
    /// Assets with their points.
    pub(super) assets: BTreeMap<&'d str, BTreeSet<&'d str>>,
    /// Deployments with their asset.
    pub(super) deployments: BTreeMap<&'d str, &'d str>,
}

impl<'d> Names<'d> {
    /// Collects the names; refuses those that are defined twice.
    pub(super) fn of(root: &Node<'d>, out: &mut Diagnostics) -> Self {
        let mut names = Self::default();
        for asset in root.list("asset") {
            let points = asset.list("point");
            unique(&points, "name", "point", out);
            let points = points.iter().filter_map(|p| p.text_at("name").map(|(name, _)| name));
            if let Some((id, _)) = asset.text_at("id") {
                names.assets.entry(id).or_default().extend(points);
            }
        }
        for source in root.list("source") {
            if let Some((id, _)) = source.text_at("id") {
                names.sources.insert(id, sources::kind_of(&source));
            }
        }
        for deployment in root.list("deployment") {
            if let Some((id, _)) = deployment.text_at("id") {
                let asset = deployment.text_at("asset").map_or("", |(asset, _)| asset);
                names.deployments.insert(id, asset);
            }
        }
        for (list, key) in [
            ("asset", "id"),
            ("source", "id"),
            ("deployment", "id"),
            ("sink", "id"),
            ("user", "name"),
        ] {
            unique(&root.list(list), key, list, out);
        }
        names
    }
}

/// Refuses a name that an earlier entry of the list has.
fn unique(list: &[Node<'_>], key: &str, what: &str, out: &mut Diagnostics) {
    let mut seen = BTreeMap::new();
    for entry in list {
        let Some((name, node)) = entry.text_at(key) else { continue };
        if let Some(first) = seen.get(name) {
            let message = format!("two {what}s are called {name:?}");
            let remedy = format!("rename one of them; the other is {first}");
            out.push(Diagnostic::error(Mistake::Duplicate, &node.place, message).remedy(remedy));
        } else {
            seen.insert(name, entry.place.path.clone());
        }
    }
}
