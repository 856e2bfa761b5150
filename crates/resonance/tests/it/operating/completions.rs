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
fn fish_completes_commands_options_and_values() {
    let test = "fish_completes_commands_options_and_values";
    if !has(test, "fish") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("resonance.fish");
    std::fs::write(&file, run(folder.path(), &["completions", "fish"]).1).unwrap();
    let offered = |words: &str| {
        let output = Command::new("fish")
            .args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"])
            .arg(&file)
            .arg(words)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let words = text.lines().filter_map(|line| line.split('\t').next());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offered("resonance pl"), ["plant"]);
    assert_eq!(offered("resonance status --format "), ["json", "text"]);
    assert_eq!(offered("resonance run --dur"), ["--duration"]);
    assert_eq!(offered("resonance model comp"), ["compare"]);
}

/// Types words and a tabulator into a zsh on a terminal of its own, and prints what stands there.
const ZSH: &str = r#"
    zmodload zsh/zpty
    zpty shell zsh -f -i
    zpty -w shell "autoload -U compinit; compinit -u -D; source $1; \
        zstyle ':completion:*' insert-tab false; print ready-\$((1+1))"
    zpty -r shell said '*ready-2*2004h*'
    zpty -w -n shell "$2"$'\t'" # end"
    zpty -r shell said '*# end*'
    print -r -- "$said"
    zpty -d shell
"#;

#[test]
fn zsh_completes_commands_options_and_values() {
    let test = "zsh_completes_commands_options_and_values";
    if !has(test, "zsh") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("_resonance");
    std::fs::write(&file, run(folder.path(), &["completions", "zsh"]).1).unwrap();
    for (words, completed) in [
        ("resonance compl", "resonance completions"),
        ("resonance status --format js", "resonance status --format json"),
        ("resonance run --dur", "resonance run --duration"),
        ("resonance model comp", "resonance model compare"),
    ] {
        let output = Command::new("timeout")
            .args(["30", "zsh", "-f", "-c", ZSH, "zsh"])
            .arg(&file)
            .arg(words)
            .env("HOME", folder.path())
            .env("TERM", "xterm")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(completed), "{words}: {said:?}");
    }
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
