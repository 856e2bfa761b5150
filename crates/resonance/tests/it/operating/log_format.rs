//! `--log-format json`: whatever reads standard error gets one object a line.

use serde_json::Value;

use super::run;

fn lines(said: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
    said.lines().map(parse).collect()
}

#[test]
fn everything_said_on_standard_error_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let plant =
        "events_file = 'events.jsonl'\n[server.http]\nlisten = '127.0.0.1:0'\nanonymous = 'view'\n";
    std::fs::write(folder.path().join("plant.toml"), plant).unwrap();
    let ran = ["run", "plant.toml", "--duration", "1ms", "--log-format", "json"];
    let (code, _, said) = run(folder.path(), &[&ran[..], &["--log", "info"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let told = lines(&said);
    let of = |key: &str, is: &str| told.iter().any(|line| line[key].as_str() == Some(is));
    assert!(of("code", "gateway.started") && of("target", "resonance::said"), "{told:#?}");
    let has_all = |line: &Value| {
        ["timestamp", "level", "target", "message"].iter().all(|key| line[key].is_string())
    };
    assert!(told.iter().all(has_all), "{told:#?}");

    // By default only what a command says about itself, and warnings.
    let (_, _, said) = run(folder.path(), &ran);
    let told = lines(&said);
    let server = |line: &Value| line["message"].as_str().unwrap().starts_with("http server at ");
    assert!(told.iter().any(server), "{told:#?}");
    assert!(told.iter().all(|line| line["code"] != "gateway.started"), "{told:#?}");
}

#[test]
fn what_is_refused_is_json_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plant.toml"), "spol = 1\n").unwrap();
    let (code, out, said) = run(folder.path(), &["run", "plant.toml", "--log-format", "json"]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
    let told = lines(&said);
    let report: Value = serde_json::from_str(told[0]["report"].as_str().unwrap()).unwrap();
    assert_eq!(report["diagnostics"][0]["nearest"], "spool");
    assert_eq!(told.last().unwrap()["level"], "ERROR");
}
