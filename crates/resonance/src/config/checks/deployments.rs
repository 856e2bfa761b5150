//! `[[deployment]]`.

use std::collections::BTreeSet;

use resonance_plant::SemanticId;

use super::sources::url;
use super::{Check, Diagnostic, Mistake, host_is_loopback};
use crate::config::document::Node;

pub(super) fn check(check: &mut Check<'_, '_>, deployment: &Node<'_>) {
    let asset = asset_exists(check, deployment);
    check.folder_exists(deployment, "model");
    check.at_least_one(deployment, &["max_age_ms"]);
    trigger(check, deployment, asset);
    if let Some(fallback) = deployment.get("fallback") {
        check.folder_exists(&fallback, "model");
        same_model(check, deployment, &fallback);
    }
    if let Some(remote) = deployment.get("remote") {
        self::remote(check, &remote);
    }
    if let Some(gate) = deployment.get("gate") {
        self::gate(check, &gate, asset);
    }
    bindings(check, deployment, asset);
}

fn asset_exists<'n>(check: &mut Check<'_, '_>, deployment: &Node<'n>) -> Option<&'n str> {
    let (asset, node) = deployment.text_at("asset")?;
    if check.names.assets.contains_key(asset) {
        return Some(asset);
    }
    let nearest = check.out.nearest(asset, check.names.assets.keys().copied());
    let message = format!("no asset is called {asset:?}");
    check.out.push(
        Diagnostic::error(Mistake::UnknownName, &node.place, message)
            .nearest(nearest)
            .remedy("write the id of an [[asset]]"),
    );
    None
}

/// Refuses a reference to a point that is not there. Outputs of deployments, which are points
/// too, are known only once the packages are: `deployment.output` is left to the resolver.
fn point_exists(check: &mut Check<'_, '_>, table: &Node<'_>, asset: Option<&str>) {
    let Some((text, node)) = table.text_at("point") else { return };
    let own = asset.and_then(|asset| check.names.assets.get(asset));
    let Some(own) = own else { return };
    if own.contains(text) {
        return;
    }
    let output_of = |path: &str| {
        path.split_once('.').is_some_and(|(id, _)| check.names.deployments.contains_key(id))
    };
    let other = text.split_once('.').and_then(|(id, point)| {
        check.names.assets.get(id).map(|points| points.contains(point) || output_of(point))
    });
    if other == Some(true) || output_of(text) {
        return;
    }
    let paths: Vec<String> = match (other, text.split_once('.')) {
        (Some(false), Some((id, _))) => {
            let points = check.names.assets.get(id).into_iter().flatten();
            points.map(|point| format!("{id}.{point}")).collect()
        }
        _ => own.iter().map(|point| (*point).to_owned()).collect(),
    };
    let nearest = check.out.nearest(text, paths.iter().map(String::as_str)).map(str::to_owned);
    let message = format!("there is no point {text:?}");
    check.out.push(
        Diagnostic::error(Mistake::UnknownName, &node.place, message)
            .nearest(nearest)
            .candidates(paths)
            .remedy("write a point of the deployment's asset, or asset.point"),
    );
}

fn trigger(check: &mut Check<'_, '_>, deployment: &Node<'_>, asset: Option<&str>) {
    let Some(trigger) = deployment.get("trigger") else { return };
    let on = trigger.text_at("on").map(|(on, _)| on);
    let forms = "write { on = \"change\", at_most_every_ms = N }, { every_ms = N } or \
                 { on = \"event\", point = \"NAME\" }";
    let mut misplaced = |key: &str, needs: &str| {
        if let Some(node) = trigger.get(key) {
            let message = format!("`{key}` has a meaning only {needs}");
            check.error(Mistake::Contradiction, &node.place, message, forms);
        }
    };
    if on.is_some() {
        misplaced("every_ms", "without `on`");
    }
    if on == Some("event") || (on.is_none() && trigger.has("every_ms")) {
        misplaced("at_most_every_ms", "with on = \"change\"");
    }
    if on != Some("event") {
        misplaced("point", "with on = \"event\"");
    }
    if on == Some("event") && !trigger.has("point") {
        let message = "a trigger on an event needs the point whose change is the event";
        check.error(Mistake::MissingKey, &trigger.place, message, forms);
    }
    point_exists(check, &trigger, asset);
}

fn same_model(check: &mut Check<'_, '_>, deployment: &Node<'_>, fallback: &Node<'_>) {
    if deployment.has("remote") {
        // What another server cannot answer, this process may.
        return;
    }
    if let (Some((model, _)), Some((other, node))) =
        (deployment.text_at("model"), fallback.text_at("model"))
        && check.folder.join(model) == check.folder.join(other)
    {
        let message = "a model that cannot answer cannot stand in for itself";
        check.error(Mistake::Contradiction, &node.place, message, "name another package");
    }
}

/// Another server: its address, how it is trusted, and who asks.
fn remote(check: &mut Check<'_, '_>, remote: &Node<'_>) {
    let host = url(check, remote, &["http", "https"]);
    check.user_and_password(remote);
    check.at_least_one(remote, &["timeout_ms", "max_per_second", "check_ms"]);
    check.file_exists(remote, "ca_file");
    let plain = remote.text_at("url").is_some_and(|(url, _)| url.starts_with("http://"));
    let secret = remote.get("token").or_else(|| remote.get("password"));
    if plain
        && !host.is_none_or(host_is_loopback)
        && let Some(secret) = secret
    {
        let message = "the secret crosses the network unprotected";
        check.warning(Mistake::WeakSecurity, &secret.place, message, "use https://");
    }
    if let (Some(token), true) = (remote.get("token"), remote.has("user")) {
        let message = "`token` and `user` exclude each other";
        check.error(Mistake::Contradiction, &token.place, message, "keep one of the two");
    }
    if plain && let Some(ca) = remote.get("ca_file") {
        let message = "`ca_file` is for https://";
        check.error(Mistake::Contradiction, &ca.place, message, "use https://, or take it away");
    }
}

fn gate(check: &mut Check<'_, '_>, gate: &Node<'_>, asset: Option<&str>) {
    point_exists(check, gate, asset);
    match (gate.get("within"), gate.get("one_of")) {
        (None, None) => {
            let message = "a gate without a condition is always shut";
            let remedy = "add `within = [least, greatest]` or `one_of = [\"state\"]`";
            check.error(Mistake::MissingKey, &gate.place, message, remedy);
        }
        (Some(_), Some(one_of)) => {
            let message = "`within` and `one_of` exclude each other";
            check.error(Mistake::Contradiction, &one_of.place, message, "keep one of the two");
        }
        (Some(_), None) => check.least_first(gate, "within"),
        (None, Some(_)) => {}
    }
}

fn bindings(check: &mut Check<'_, '_>, deployment: &Node<'_>, asset: Option<&str>) {
    let mut seen = BTreeSet::new();
    for binding in deployment.list("binding") {
        point_exists(check, &binding, asset);
        let Some((feature, node)) = binding.text_at("feature") else { continue };
        if let Err(problem) = SemanticId::parse(feature) {
            let message = format!("{feature:?} is not a semantic id: {problem}");
            let remedy =
                "write the semantic id by which the model asks (`resonance model inspect`)";
            check.error(Mistake::InvalidValue, &node.place, message, remedy);
        }
        let qualifier = binding.text_at("qualifier").map_or("", |(qualifier, _)| qualifier);
        if !seen.insert((feature, qualifier)) {
            let message = format!("{feature:?} is bound twice");
            check.error(Mistake::Duplicate, &node.place, message, "keep one of the bindings");
        }
    }
}
