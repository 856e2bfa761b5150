//! What was found in a plant file, for people and for programs.

use std::fmt::Write;
use std::ops::Range;

use serde_json::{Value, json};

use super::diagnostic::{Diagnostic, Diagnostics, Severity};

/// Columns of a line that are shown around a mistake.
const SHOWN_COLUMNS_MAX: usize = 120;

/// Candidates that are shown.
const CANDIDATES_MAX: usize = 12;

/// Every mistake of a plant file, in the order of the file, with the text they stand in.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    file: String,
    text: String,
    /// Never shown.
    secrets: Vec<Range<usize>>,
    /// Where each line begins, bytes.
    lines: Vec<usize>,
    diagnostics: Vec<Diagnostic>,
    more: usize,
    errors: usize,
    warnings: usize,
}

impl Report {
    /// A report on a file.
    pub(super) fn new(
        file: String,
        text: String,
        secrets: Vec<Range<usize>>,
        found: Diagnostics,
    ) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        let (errors, warnings, more) = (found.errors(), found.warnings(), found.more);
        Self { file, text, secrets, lines, diagnostics: found.in_order(), more, errors, warnings }
    }

    /// Whether the plant may run.
    pub(crate) fn is_valid(&self) -> bool {
        self.errors == 0
    }

    /// How many warnings there are.
    pub(crate) fn warnings(&self) -> usize {
        self.warnings
    }

    /// What the first error says, and where.
    pub(crate) fn first_error(&self) -> Option<String> {
        let first = self.diagnostics.iter().find(|one| one.severity == Severity::Error)?;
        Some(format!("line {}: {}", self.position(first.span.start).0, first.message))
    }

    /// The mistakes that are kept, in the order of the file.
    #[cfg(test)]
    pub(crate) fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// For people: each mistake with its line, then a summary. Empty where there is nothing to
    /// say.
    pub(crate) fn render(&self, color: bool) -> String {
        let paint = Paint { on: color };
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            self.render_one(diagnostic, paint, &mut out);
        }
        if self.more > 0 {
            let _ = writeln!(out, "... and {} more\n", self.more);
        }
        if self.errors + self.warnings > 0 {
            let _ = writeln!(out, "{}: {}", clean(&self.file), self.summary());
        }
        out
    }

    /// `2 errors, 1 warning`.
    pub(crate) fn summary(&self) -> String {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        format!("{}, {}", count(self.errors, "error"), count(self.warnings, "warning"))
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let diagnostics: Vec<Value> = self.diagnostics.iter().map(|d| self.json_one(d)).collect();
        json!({
            "file": self.file,
            "valid": self.is_valid(),
            "errors": self.errors,
            "warnings": self.warnings,
            "more": self.more,
            "diagnostics": diagnostics,
        })
    }

    fn json_one(&self, diagnostic: &Diagnostic) -> Value {
        let (line, column) = self.position(diagnostic.span.start);
        let (line_end, column_end) = self.position(diagnostic.span.end);
        json!({
            "severity": diagnostic.severity,
            "code": diagnostic.mistake,
            "message": diagnostic.message,
            "line": line,
            "column": column,
            "line_end": line_end,
            "column_end": column_end,
            "path": diagnostic.path,
            "text": self.shown(diagnostic.span.clone()),
            "nearest": diagnostic.nearest,
            "candidates": diagnostic.candidates,
            "remedy": diagnostic.remedy,
        })
    }

    fn render_one(&self, diagnostic: &Diagnostic, paint: Paint, out: &mut String) {
        let (line, column) = self.position(diagnostic.span.start);
        let (word, style) = match diagnostic.severity {
            Severity::Error => ("error", Paint::RED),
            Severity::Warning => ("warning", Paint::YELLOW),
        };
        let code = json!(diagnostic.mistake);
        let head = format!("{word}[{}]", code.as_str().unwrap_or_default());
        let message = clean(&diagnostic.message);
        let margin = " ".repeat(line.to_string().len());
        let bar = paint.with(Paint::BLUE, "|");
        let _ =
            writeln!(out, "{}: {}", paint.with(style, &head), paint.with(Paint::BOLD, &message));
        let arrow = paint.with(Paint::BLUE, "-->");
        let _ = writeln!(out, "{margin}{arrow} {}:{line}:{column}", clean(&self.file));
        let (excerpt, before, width) = self.excerpt(diagnostic.span.clone());
        let number = paint.with(Paint::BLUE, &line.to_string());
        let marks = paint.with(style, &"^".repeat(width));
        let nearest = diagnostic.nearest.as_ref().map(|n| format!(" nearest: `{}`", clean(n)));
        let nearest = paint.with(style, &nearest.unwrap_or_default());
        let _ = writeln!(out, "{margin} {bar}");
        let _ = writeln!(out, "{number} {bar} {excerpt}");
        let _ = writeln!(out, "{margin} {bar} {}{marks}{nearest}", " ".repeat(before));
        for candidate in diagnostic.candidates.iter().take(CANDIDATES_MAX) {
            let _ = writeln!(out, "{margin} = candidate: {}", clean(candidate));
        }
        let hidden = diagnostic.candidates.len().saturating_sub(CANDIDATES_MAX);
        if hidden > 0 {
            let _ = writeln!(out, "{margin} = and {hidden} more candidates");
        }
        if !diagnostic.remedy.is_empty() {
            let _ = writeln!(out, "{margin} = {}", clean(&diagnostic.remedy));
        }
        out.push('\n');
    }

    /// Line and column of a byte, both from one; columns count characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// The line of a mistake, cut to what fits, with the columns before the marks and under them.
    fn excerpt(&self, span: Range<usize>) -> (String, usize, usize) {
        let (line, column) = self.position(span.start);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        let shown: Vec<char> = self.shown(start..end).trim_end().chars().collect();
        let first = (column - 1).min(shown.len());
        let length = self.shown(span.start..span.end.min(end).max(span.start)).chars().count();
        let last = (first + length).min(shown.len());
        let from = if shown.len() > SHOWN_COLUMNS_MAX { first.saturating_sub(40) } else { 0 };
        let to = shown.len().min(from + SHOWN_COLUMNS_MAX);
        let columns = |range: Range<usize>| {
            shown.get(range).unwrap_or_default().iter().map(|c| columns_of(*c)).sum::<usize>()
        };
        let mut excerpt: String = shown.get(from..to).unwrap_or_default().iter().collect();
        let mut before = columns(from..first);
        if from > 0 {
            excerpt.insert_str(0, "... ");
            before += 4;
        }
        if to < shown.len() {
            excerpt.push_str(" ...");
        }
        (excerpt, before, columns(first..last.min(to)).max(1))
    }

    /// Text of the file as it may be shown: secrets as dots, control characters as signs.
    fn shown(&self, range: Range<usize>) -> String {
        let Some(text) = self.text.get(range.clone()) else { return String::new() };
        text.char_indices()
            .map(|(at, c)| {
                let at = range.start + at;
                let secret = self.secrets.iter().any(|s| s.contains(&at));
                if secret && c != '\n' && c != '"' { '•' } else { printable(c) }
            })
            .collect()
    }
}

/// Files are hostile: what would steer a terminal is shown as a sign.
fn printable(c: char) -> char {
    match c {
        '\t' | '\n' | '\r' => ' ',
        c if c.is_control() => '\u{fffd}',
        // Marks that reorder text, so that what is shown is what is there.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

fn clean(text: &str) -> String {
    text.chars().map(printable).collect()
}

/// How many columns of a terminal a character takes: East Asian wide characters take two.
fn columns_of(c: char) -> usize {
    match u32::from(c) {
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[derive(Clone, Copy)]
struct Paint {
    on: bool,
}

impl Paint {
    const RED: &'static str = "1;31";
    const YELLOW: &'static str = "1;33";
    const BLUE: &'static str = "34";
    const BOLD: &'static str = "1";

    fn with(self, style: &str, text: &str) -> String {
        if self.on && !text.is_empty() {
            format!("\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}
