//! What a schema cannot say: names that must exist, keys that need or exclude each other, values
//! that a protocol must understand, and what must not be left open to a network.
//!
//! Every check looks at the parsed text and is silent about what [`super::structure`] has
//! already refused, so that all mistakes of a file are told at once.

mod addresses;
mod assets;
mod deployments;
mod names;
mod servers;
mod sinks;
mod sources;
mod traces;

use std::path::Path;

pub(super) use addresses::host_is_loopback;
use names::Names;

use super::diagnostic::{Diagnostic, Diagnostics, Mistake, Place};
use super::document::Node;

/// Checks a whole plant file whose folder is `folder`.
pub(super) fn check(root: &Node<'_>, folder: &Path, out: &mut Diagnostics) {
    let names = Names::of(root, out);
    let mut check = Check { names: &names, folder, out };
    for asset in root.list("asset") {
        assets::check(&mut check, &asset);
    }
    for source in root.list("source") {
        sources::check(&mut check, &source);
    }
    for deployment in root.list("deployment") {
        deployments::check(&mut check, &deployment);
    }
    for model in root.list("model") {
        check.folder_exists(&model, "folder");
    }
    for sink in root.list("sink") {
        sinks::check(&mut check, &sink);
    }
    servers::check(&mut check, root);
    if let Some(record) = root.get("record") {
        check.at_least_one(&record, &["bytes_max", "file_bytes_max", "file_age_s_max"]);
    }
    if let Some(traces) = root.get("traces") {
        traces::check(&mut check, &traces);
    }
    let runs_nothing = !["source", "deployment", "model", "server"].iter().any(|key| root.has(key));
    // A misspelt key is told as such; that nothing is left to run follows from it.
    if runs_nothing && check.out.errors() == 0 {
        check.warning(
            Mistake::MissingKey,
            &root.place,
            "the plant has no source, model or server: there is nothing to run",
            "`resonance plant example` prints a plant file to begin with",
        );
    }
}

/// What every check sees.
struct Check<'c, 'd> {
    names: &'c Names<'d>,
    folder: &'c Path,
    out: &'c mut Diagnostics,
}

impl Check<'_, '_> {
    fn error(
        &mut self,
        mistake: Mistake,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.out.push(Diagnostic::error(mistake, place, message).remedy(remedy));
    }

    fn warning(
        &mut self,
        mistake: Mistake,
        place: &Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.out.push(Diagnostic::warning(mistake, place, message).remedy(remedy));
    }

    /// Refuses zero where zero means never or nothing.
    fn at_least_one(&mut self, table: &Node<'_>, keys: &[&str]) {
        for key in keys {
            if let Some(value) = table.get(key)
                && value.integer() == Some(0)
            {
                let message = format!("`{key}` must be at least 1");
                let remedy = "write 1 or more, or leave the key out for its default";
                self.error(Mistake::OutOfBounds, &value.place, message, remedy);
            }
        }
    }

    /// Refuses bounds between which nothing is.
    fn least_first(&mut self, table: &Node<'_>, key: &str) {
        let Some(within) = table.get(key) else { return };
        let bounds: Vec<f64> = within.items().filter_map(|bound| bound.number()).collect();
        if let [low, high] = bounds.as_slice()
            && low > high
        {
            let message = format!("no number is between {low} and {high}");
            let remedy = "write the least value first, then the greatest";
            self.error(Mistake::OutOfBounds, &within.place, message, remedy);
        }
    }

    /// Refuses a user without a password and a password without a user.
    fn user_and_password(&mut self, table: &Node<'_>) {
        let (user, password) = (table.get("user"), table.get("password"));
        if let (Some(user), None) = (&user, &password) {
            let message = "a user without a password";
            let remedy = "add `password = \"env:NAME\"` or `\"file:PATH\"`";
            self.error(Mistake::Contradiction, &user.place, message, remedy);
        }
        if let (None, Some(password)) = (&user, &password) {
            let remedy = "add `user`, or take the password away for an anonymous session";
            self.error(
                Mistake::Contradiction,
                &password.place,
                "a password without a user",
                remedy,
            );
        }
    }

    /// Refuses a folder of a model package that is not there.
    fn folder_exists(&mut self, table: &Node<'_>, key: &str) {
        let Some((folder, node)) = table.text_at(key) else { return };
        let path = self.folder.join(folder);
        if path.is_dir() {
            return;
        }
        let siblings: Vec<String> = path
            .parent()
            .and_then(|parent| std::fs::read_dir(parent).ok())
            .into_iter()
            .flatten()
            .take(1_000)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let nearest = self
            .out
            .nearest(name, siblings.iter().map(String::as_str))
            .and_then(|near| Path::new(folder).with_file_name(near).to_str().map(str::to_owned));
        let message = format!("there is no folder {folder:?}");
        self.out.push(
            Diagnostic::error(Mistake::MissingFile, &node.place, message).nearest(nearest).remedy(
                format!(
                    "name the folder of a model package (it holds model.toml), relative to {}",
                    if self.folder.as_os_str().is_empty() { Path::new(".") } else { self.folder }
                        .display()
                ),
            ),
        );
    }

    /// Refuses a file that is not there.
    fn file_exists(&mut self, table: &Node<'_>, key: &str) {
        let Some((file, node)) = table.text_at(key) else { return };
        if !self.folder.join(file).is_file() {
            let message = format!("there is no file {file:?}");
            let remedy = "name a PEM file, relative to the plant file's folder";
            self.error(Mistake::MissingFile, &node.place, message, remedy);
        }
    }
}
