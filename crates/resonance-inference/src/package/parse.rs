//! Reading `model.toml`, with the place of what is wrong.

use super::Manifest;

/// What is wrong with a manifest's text, and where.
#[derive(Debug, PartialEq)]
pub(super) struct Problem {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// Reads a manifest.
pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = place(&String::from_utf8_lossy(&bytes[..error.valid_up_to()]));
        Problem { line, column, message: "a manifest is UTF-8 text; this byte is not".into() }
    })?;
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let (line, column) = place(text.get(..start).unwrap_or_default());
        Problem { line, column, message: with_nearest(error.message()) }
    })
}

/// Line and column, from one, of what follows `before`.
fn place(before: &str) -> (usize, usize) {
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// Serde's message, with the nearest of the names it lists where it met an unknown one:
/// "unknown field `shap`, expected one of `name`, `shape`".
fn with_nearest(message: &str) -> String {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return message.to_owned();
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next() else { return message.to_owned() };
    let nearest = quoted
        .map(|name| (strsim::osa_distance(unknown, name), name))
        .min()
        .filter(|(distance, _)| *distance <= unknown.chars().count().div_ceil(2));
    match nearest {
        Some((_, name)) => format!("{message}; did you mean `{name}`?"),
        None => message.to_owned(),
    }
}
