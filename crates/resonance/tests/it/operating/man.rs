//! `resonance man`, held against what reads manual pages.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{has, run};

/// A page as it is read; groff must have nothing to say about it.
fn formatted(page: &Path) -> String {
    let groff = Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-rLL=200n", "-P-cbou"])
        .arg(page)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&groff.stderr).into_owned();
    assert!(groff.status.success() && said.is_empty(), "{}: {said}", page.display());
    String::from_utf8(groff.stdout).unwrap()
}

#[test]
fn every_command_has_a_page_without_a_complaint_of_groff() {
    let test = "every_command_has_a_page_without_a_complaint_of_groff";
    if !has(test, "groff") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (code, out, said) = run(folder.path(), &["man", "--out", "man/man1"]);
    assert_eq!((code, out.as_str(), said.as_str()), (Some(0), "", ""));
    let pages = folder.path().join("man/man1");
    let names: Vec<PathBuf> =
        std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(names.len() > 20, "{names:?}");
    assert!(
        !names.iter().any(|page| page.ends_with("resonance-model-answer-confined.1")),
        "hidden"
    );
    for page in &names {
        let text = formatted(page);
        assert!(text.contains("SYNOPSIS") && text.contains("DESCRIPTION"), "{page:?}");
        assert!(!text.contains("EXTRA"), "{page:?}");
    }

    let run_page = formatted(&pages.join("resonance-run.1"));
    let example = "resonance run plant.toml --watch                    with a live view; q ends it";
    assert!(run_page.lines().any(|line| line.trim() == example), "{run_page}");
    assert!(run_page.contains("EXIT CODES") && run_page.contains("EXAMPLES"), "{run_page}");
    assert!(formatted(&pages.join("resonance.1")).contains("internal error"));
    assert!(formatted(&pages.join("resonance-model-compare.1")).contains("--"));

    std::fs::write(pages.join("broken.1"), ".TH A 1\n.NOSUCHMACRO\ntext\n").unwrap();
    let broken = std::panic::catch_unwind(|| formatted(&pages.join("broken.1")));
    assert!(broken.is_err(), "groff tells what is no macro");
}

#[test]
fn one_page_is_printed_and_an_unknown_command_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (code, page, said) = run(folder.path(), &["man", "plant", "check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(page.contains(".TH resonance-plant-check 1"), "{page}");
    let (code, _, said) = run(folder.path(), &["man", "plant", "chek"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("\"chek\"") && said.contains("check"), "{said}");
    std::fs::write(folder.path().join("file"), "").unwrap();
    let (code, _, said) = run(folder.path(), &["man", "--out", "file/man1"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("file/man1"), "{said}");
}
