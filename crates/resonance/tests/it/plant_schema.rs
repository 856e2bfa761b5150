//! The JSON Schema of plant files, as an editor's validator takes it.

use std::process::Command;

use serde_json::{Value, json};

use crate::needs::workspace;
use crate::peers::validate;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_resonance")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn parsed(toml: &str) -> Value {
    toml::from_str(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

#[test]
fn a_foreign_validator_accepts_the_example_and_refuses_mistakes() {
    let test = "a_foreign_validator_accepts_the_example_and_refuses_mistakes";
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("plant.schema.json");
    std::fs::write(&schema, printed(&["plant", "schema"])).unwrap();
    let example = printed(&["plant", "example"]);
    // With what is commented out taken in, but for what stands there as prose.
    let taken_in = |line: &str| {
        let rest = line.strip_prefix('#').unwrap_or(line);
        let is_code = rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase());
        format!("{}\n", if is_code { rest } else { line })
    };
    let in_full: String = example.lines().map(taken_in).collect();
    let valid = [parsed(&example), parsed(&in_full)];
    assert!(valid[1]["deployment"].is_array(), "{in_full}");

    let changed = |path: &str, value: Value| {
        let mut plant = valid[0].clone();
        let (table, key) = path.rsplit_once('/').unwrap();
        plant.pointer_mut(table).unwrap()[key] = value;
        plant
    };
    let mistakes = workspace().join("crates/resonance/src/config/tests/mistakes.toml");
    let invalid = [
        parsed(&std::fs::read_to_string(mistakes).unwrap()),
        changed("/plant/enterprize", json!("acme")),
        changed("/plant/enterprise", json!(3)),
        changed("/source/0/type", json!("opc-ua")),
        changed("/source/0/url", Value::Null),
        changed("/source/0/publishing_ms", json!(-1)),
        changed("/asset/0/point/0/unit", json!("Nm")),
        changed("/asset/0/point/0/type", json!("double")),
        changed("/asset/0/point/0/range", json!([1])),
        changed("/sink/0/topic", json!(["a"])),
        changed("/server/http/listen", json!(8080)),
        json!([]),
    ];
    let all: Vec<Value> = valid.iter().chain(&invalid).cloned().collect();
    let Some(verdicts) = validate(test, &schema, &all) else { return };
    let expected: Vec<bool> =
        valid.iter().map(|_| true).chain(invalid.iter().map(|_| false)).collect();
    assert_eq!(verdicts, expected);
}
