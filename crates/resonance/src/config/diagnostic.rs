//! What is wrong with a plant file: one [`Diagnostic`] a mistake, all of them in [`Diagnostics`].

use std::ops::Range;

use super::nearest::nearest;

/// Mistakes kept; the rest is counted. Nobody reads more, and hostile files have no end of them.
const KEPT_MAX: usize = 1_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    /// The plant runs, but perhaps not as meant.
    Warning,
    /// The plant does not run.
    Error,
}

/// What kind of mistake it is: one closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mistake {
    /// The text is not TOML.
    Syntax,
    /// A key that means nothing here.
    UnknownKey,
    /// A key that must be there.
    MissingKey,
    /// A value of another type.
    WrongType,
    /// A value that is none of the closed list, or not of the form that is needed.
    InvalidValue,
    /// A number, a length or a count beyond its bounds.
    OutOfBounds,
    /// A name that is taken already.
    Duplicate,
    /// A name that nothing has.
    UnknownName,
    /// A unit that does not measure the quantity.
    UnitClash,
    /// Keys that make no sense together.
    Contradiction,
    /// A secret that stands in the file itself.
    InlineSecret,
    /// A secret that is not where the file says.
    MissingSecret,
    /// Protection that is broken or absent, without having been allowed.
    WeakSecurity,
    /// A server that anyone in the network could use.
    Exposed,
    /// A file or folder that is not there.
    MissingFile,
    /// A model package that cannot be used.
    Package,
    /// A model package without a signature.
    Unsigned,
    /// A model's input for which the asset has no point.
    Unbound,
    /// A model's input for which the asset has several points.
    Ambiguous,
    /// An asset without what its class expects.
    ClassNotMet,
    /// A sink that asks for work with every result.
    EveryResult,
    /// A value that passed every check and was refused nevertheless: a mistake of ours.
    Unexpected,
}

/// A mistake, where it is, and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Diagnostic {
    pub(crate) severity: Severity,
    pub(crate) mistake: Mistake,
    /// One sentence without a full stop that names the offending thing.
    pub(crate) message: String,
    /// The offending text, bytes of the file.
    pub(crate) span: Range<usize>,
    /// The keys that lead there, such as `asset[0].point[2].unit`.
    pub(crate) path: String,
    /// The nearest valid text.
    pub(crate) nearest: Option<String>,
    /// What could stand there.
    pub(crate) candidates: Vec<String>,
    /// What to do.
    pub(crate) remedy: String,
}

impl Diagnostic {
    /// An error at a place.
    pub(crate) fn error(mistake: Mistake, place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            mistake,
            message: message.into(),
            span: place.span.clone(),
            path: place.path.clone(),
            nearest: None,
            candidates: Vec::new(),
            remedy: String::new(),
        }
    }

    /// A warning at a place.
    pub(crate) fn warning(mistake: Mistake, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(mistake, place, message) }
    }

    /// The diagnostic with what to do.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The diagnostic with the nearest valid text, where there is one.
    pub(crate) fn nearest(mut self, nearest: Option<impl Into<String>>) -> Self {
        self.nearest = nearest.map(Into::into);
        self
    }

    /// The diagnostic with what could stand there.
    pub(crate) fn candidates(
        mut self,
        candidates: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.candidates = candidates.into_iter().map(Into::into).collect();
        self
    }
}

/// Where something stands in a plant file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Place {
    /// Bytes of the file.
    pub(crate) span: Range<usize>,
    /// The keys that lead there.
    pub(crate) path: String,
}

/// Every mistake of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnostics {
    kept: Vec<Diagnostic>,
    /// Mistakes beyond those that are kept.
    pub(crate) more: usize,
    errors: usize,
}

impl Diagnostics {
    /// Takes a mistake.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.severity == Severity::Error);
        if self.kept.len() < KEPT_MAX {
            self.kept.push(diagnostic);
        } else {
            self.more += 1;
        }
    }

    /// The valid name nearest to `wanted`; none once there are more mistakes than are shown, so
    /// that a file full of them is still checked in time.
    pub(crate) fn nearest<'n>(
        &self,
        wanted: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        (self.kept.len() < KEPT_MAX).then(|| nearest(wanted, names)).flatten()
    }

    /// Errors, warnings not counted.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// Warnings.
    pub(crate) fn warnings(&self) -> usize {
        self.kept.len() + self.more - self.errors
    }

    /// The mistakes in the order of the file.
    pub(crate) fn in_order(mut self) -> Vec<Diagnostic> {
        self.kept.sort_by(|a, b| {
            (a.span.start, a.span.end, a.mistake).cmp(&(b.span.start, b.span.end, b.mistake))
        });
        self.kept
    }
}
