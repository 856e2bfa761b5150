//! Every mistake is told at once, and each check is seen to fail.

mod hostile;
mod mistakes;
mod resolving;
mod schemas;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::*;

/// A plant file without mistakes and without packages.
const SOUND: &str = r#"[[source]]
id = "mill-opcua"
type = "opcua"
url = "opc.tcp://127.0.0.1:4840"

[[asset]]
id = "mill"
source = "mill-opcua"

[[asset.point]]
name = "load"
type = "float64"
quantity = "power"
unit = "KWT"
range = [0, 20]
semantic_id = "urn:x:load"
qualifier = "X"
address = "ns=2;s=Load"

[[asset.point]]
name = "state"
type = "int32"
labels = ["off", "on"]
address = "ns=2;i=7"

[[sink]]
id = "mes"
type = "mqtt"
url = "mqtt://127.0.0.1"
topic = "a/{asset}"

[server.opcua]
listen = "127.0.0.1:4841"
allow_anonymous = true

[server.http]
listen = "127.0.0.1:8080"
anonymous = "view"
"#;

/// A deployment whose package folder is there (this crate's own folder, never opened because the
/// plant files that use it are wrong elsewhere).
const DEPLOYMENT: &str = r#"
[[deployment]]
id = "wear"
model = "src"
asset = "mill"
trigger = { every_ms = 100 }
gate = { point = "state", one_of = ["on"] }
"#;

/// Where relative paths of the tests' plant files begin.
fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn checked(text: &str) -> Report {
    PlantText::from_memory(&crate_folder().join("plant.toml"), text).plan(Purpose::Check).1
}

/// An example, with the lines that are commented out taken in.
fn in_full(example: &str) -> String {
    let taken_in = |line: &str| {
        let rest = line.strip_prefix('#')?;
        rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()).then(|| rest.to_owned())
    };
    example.lines().map(|line| taken_in(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

#[test]
fn the_sound_file_and_the_example_are_valid() {
    assert_eq!(checked(SOUND).render(false), "");
    assert_eq!(checked(EXAMPLE).render(false), "");
    assert_eq!(checked(EXAMPLE_MTCONNECT).render(false), "");
}

/// The example as a user has it after taking every `#` away, beside the packages it names.
#[test]
fn the_example_with_all_its_options_is_valid_too() {
    let models = crate_folder().join("../../models");
    let text = in_full(EXAMPLE);
    assert!(text.contains("\n[[deployment]]\n") && text.contains("\ndrop = \"oldest\"\n"));
    let plant = PlantText::from_memory(&models.join("../plant.toml"), text.as_str());
    let (plan, report) = plant.plan(Purpose::Run);
    let plan = plan.unwrap_or_else(|| panic!("{}", report.render(false)));
    assert_eq!((plan.deployments.len(), report.warnings()), (1, 1), "{}", report.render(false));
    assert_eq!(plan.deployments[0].bindings.len(), 10);
    // gRPC is off in the example; what it shows of it is the defaults, too.
    let grpc = "\n[server.grpc]\nlisten = \"127.0.0.1:8001\"\nanonymous = \"operate\"\n";
    let short = format!("{EXAMPLE}{grpc}");
    let defaults = PlantText::from_memory(&models.join("../plant.toml"), short.as_str());
    let (defaults, _) = defaults.plan(Purpose::Run);
    let defaults = defaults.expect("it was valid above");
    assert_eq!(plan.spool, defaults.spool, "what is commented out shows the default");
    assert_eq!(
        format!("{:?}{:?}", plan.sources[0].kind, plan.servers),
        format!("{:?}{:?}", defaults.sources[0].kind, defaults.servers)
    );
}

#[test]
fn the_example_for_mtconnect_binds_the_same_model() {
    let models = crate_folder().join("../../models");
    let plant = |text: String| {
        let (plan, report) =
            PlantText::from_memory(&models.join("../plant.toml"), text).plan(Purpose::Run);
        plan.unwrap_or_else(|| panic!("{}", report.render(false)))
    };
    let full = plant(in_full(EXAMPLE_MTCONNECT));
    assert_eq!(full.deployments[0].bindings.len(), 10);
    assert_eq!(full.sources[0].points.len(), 12);
    let short = plant(EXAMPLE_MTCONNECT.to_owned());
    let kind = |plan: &Plan| format!("{:?}", plan.sources[0].kind);
    assert_eq!(kind(&full), kind(&short), "what is commented out shows the default");
}

#[test]
fn files_that_are_no_plant_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let absent = PlantText::read(&folder.path().join("absent.toml")).unwrap_err();
    assert!(matches!(absent, ReadError::File { .. }), "{absent}");
    let path = folder.path().join("plant.toml");
    std::fs::write(&path, b"id = \"\xff\"").unwrap();
    let binary = PlantText::read(&path).unwrap_err().to_string();
    assert!(binary.contains("byte 6 is not UTF-8"), "{binary}");
    let file = File::create(&path).unwrap();
    file.set_len(PLANT_BYTES_MAX + 1).unwrap();
    let large = PlantText::read(&path).unwrap_err();
    assert!(matches!(large, ReadError::TooLarge { .. }), "{large}");
    assert!(PlantText::read(Path::new("/")).is_err(), "a folder");
}
