use proptest::prelude::*;

use super::*;
use crate::config::diagnostic::Mistake;

/// What a hostile or careless hand writes.
const FRAGMENTS: [&str; 24] = [
    "\"",
    "'''",
    "[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "#",
    "\u{0}",
    "\u{feff}",
    "ß",
    "🏭",
    "-9223372036854775809",
    "1e999",
    "0x_",
    "1979-05-27",
    "nan",
    "[[asset]]\n",
    "[server]\n",
    "id = \"mill\"\n",
    "env:",
];

fn mutated() -> impl Strategy<Value = String> {
    let text = format!("{SOUND}{DEPLOYMENT}");
    let edit = (0..text.len(), 0..40_usize, prop::sample::select(FRAGMENTS.to_vec()));
    prop::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut text = text.clone();
        for (at, cut, fragment) in edits {
            let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
            let at = at.unwrap_or(0);
            let end = (at + cut).min(text.len());
            let end = (end..=text.len()).find(|end| text.is_char_boundary(*end));
            text.replace_range(at..end.unwrap_or(text.len()), fragment);
        }
        text
    })
}

/// A sound file in which values were swapped for values of other types: always TOML.
fn mistyped() -> impl Strategy<Value = String> {
    const VALUES: [&str; 12] = [
        "1",
        "-1",
        "0",
        "1.5",
        "true",
        "\"x\"",
        "\"\"",
        "[]",
        "[[1]]",
        "{}",
        "1979-05-27",
        "18446744073709551615",
    ];
    let text = format!("{SOUND}{DEPLOYMENT}");
    let lines = text.lines().count();
    let edit = (0..lines, prop::sample::select(VALUES.to_vec()));
    prop::collection::vec(edit, 1..5).prop_map(move |edits| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (at, value) in edits {
            let line = &mut lines[at];
            if let Some((key, _)) = line.split_once(" = ") {
                *line = format!("{key} = {value}");
            }
        }
        lines.join("\n")
    })
}

fn survives(text: &str) -> Result<(), TestCaseError> {
    let report = checked(text);
    for diagnostic in report.diagnostics() {
        prop_assert!(text.get(diagnostic.span.clone()).is_some(), "{diagnostic:?}");
        prop_assert!(diagnostic.mistake != Mistake::Unexpected, "{diagnostic:?}\n{text}");
    }
    prop_assert_eq!(report.is_valid(), report.to_json()["errors"] == 0);
    let _ = report.render(true);
    Ok(())
}

proptest! {
    #[test]
    fn mutated_files_never_panic(text in mutated()) {
        survives(&text)?;
    }

    #[test]
    fn files_with_wrong_values_pass_or_are_refused_by_a_check(text in mistyped()) {
        survives(&text)?;
    }

    #[test]
    fn noise_never_panics(text in "\\PC{0,200}") {
        survives(&text)?;
    }
}

#[test]
fn deep_and_wide_files_are_refused_in_time() {
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!checked(&deep).is_valid());
    let dotted = format!("{} = 1", vec!["a"; 20_000].join("."));
    assert!(!checked(&dotted).is_valid());
}
