//! How a person ends the demo: a key, Ctrl-C, a signal.

use std::io::Write;
use std::process::{Command, Stdio};

use super::gateway::{Gateway, eventually, has_engine, resonance};
use crate::http::client::Client;
use crate::needs::{python, workspace};

/// Waits until results flow, so that no stage of the demo counts as broken.
fn await_results(demo: &Gateway) {
    let mut client = Client::connect(demo.http());
    eventually("results", || {
        let listed = client.get("/api/v1/deployments").json();
        (listed["deployments"][0]["results"].as_u64()? >= 20).then_some(())
    });
}

/// Runs the demo on a terminal and types `keys`. Returns its exit code and what was drawn.
fn ended_by(test: &str, keys: &[u8]) -> Option<(Option<i32>, String)> {
    let (true, Some(python)) = (has_engine(test), python(test)) else { return None };
    let (typed, mut keyboard) = std::io::pipe().unwrap();
    let mut command = Command::new(python);
    command.arg(workspace().join("tests/peers/terminal.py"));
    command.arg(env!("CARGO_BIN_EXE_resonance")).arg("demo");
    command.stdin(typed).stdout(Stdio::piped());
    let demo = Gateway::start(command);
    await_results(&demo);
    keyboard.write_all(keys).unwrap();
    let (code, drawn, _) = demo.end();
    Some((code, drawn))
}

#[track_caller]
fn assert_ended_cleanly((code, drawn): (Option<i32>, String)) {
    assert_eq!(code, Some(0), "99: the terminal was left as it was not; drawn:\n{drawn}");
    let (view, after) = drawn.rsplit_once("\x1b[?1049l").expect("the view's screen is left");
    assert!(view.contains("\x1b[?1049h") && view.contains("spindle_power"), "{view}");
    assert!(after.contains("observations"), "the summary stands below the prompt: {after}");
}

#[test]
fn q_ends_the_demo_and_gives_the_terminal_back() {
    let Some(ended) = ended_by("q_ends_the_demo_and_gives_the_terminal_back", b"q") else { return };
    assert_ended_cleanly(ended);
}

#[test]
fn ctrl_c_in_the_view_ends_the_demo_and_gives_the_terminal_back() {
    let test = "ctrl_c_in_the_view_ends_the_demo_and_gives_the_terminal_back";
    let Some(ended) = ended_by(test, b"\x03") else { return };
    assert_ended_cleanly(ended);
}

#[test]
fn an_interrupt_ends_a_demo_without_a_terminal_with_its_summary() {
    let test = "an_interrupt_ends_a_demo_without_a_terminal_with_its_summary";
    if !has_engine(test) {
        return;
    }
    let mut command = resonance();
    command.args(["demo", "--format", "json"]).stdout(Stdio::piped());
    let demo = Gateway::start(command);
    await_results(&demo);
    demo.interrupt();
    let (code, out, said) = demo.end();
    assert_eq!(code, Some(0), "{said}");
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(summary["results"].as_u64().unwrap() >= 20, "{summary}");
}

#[test]
fn a_folder_without_recordings_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = resonance().args(["demo", "--data"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("there is no turbofan/train_FD001.txt"), "{said}");
    assert!(!said.contains("server at"), "nothing was started: {said}");
}
