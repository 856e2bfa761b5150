//! `resonance completions`, as a shell uses it.

use std::path::Path;
use std::process::Command;

use super::{has, run};

/// What bash offers for the last of these words.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    // As bash itself calls it: the command, the word at the cursor, the one before.
    let complete = r#"
        source "$1"; shift
        found=$(complete -p resonance) || exit 9
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        function=$(sed 's/.*-F \([^ ]*\).*/\1/' <<<"$found")
        "$function" resonance "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "-c", complete, "bash"])
        .arg(script)
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let test = "bash_completes_commands_options_and_values";
    if !has(test, "bash") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (code, script, said) = run(folder.path(), &["completions", "bash"]);
    assert_eq!(code, Some(0), "{said}");
    let file = folder.path().join("resonance.bash");
    std::fs::write(&file, script).unwrap();
    let parsed = Command::new("bash").arg("-n").arg(&file).status().unwrap();
    assert!(parsed.success());

    assert_eq!(offered(&file, &["resonance", "pl"]), ["plant"]);
    let plant = offered(&file, &["resonance", "plant", ""]);
    assert!(
        ["check", "example", "schema"].iter().all(|c| plant.iter().any(|o| o == c)),
        "{plant:?}"
    );
    assert_eq!(offered(&file, &["resonance", "status", "--format", ""]), ["text", "json"]);
    assert_eq!(offered(&file, &["resonance", "run", "--dur"]), ["--duration"]);
    assert_eq!(offered(&file, &["resonance", "model", "comp"]), ["compare"]);
}

#[test]
fn other_shells_have_theirs() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, begins) in [("zsh", "#compdef resonance"), ("fish", "#"), ("elvish", "")] {
        let (code, script, said) = run(folder.path(), &["completions", shell]);
        assert_eq!(code, Some(0), "{shell}: {said}");
        assert!(script.starts_with(begins) && script.contains("dead-letters"), "{shell}");
    }
    let (code, script, said) = run(folder.path(), &["completions", "dos"]);
    assert_eq!((code, script.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("zsh"), "it names those there are: {said}");
}
