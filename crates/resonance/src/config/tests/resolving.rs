//! Plant files with packages: what is bound, and what is refused with which candidates.

use resonance_gateway::plan::{DeploymentPlan, Fallback, GateCondition, Plan, Trigger};
use resonance_inference::package::{GOLDEN, MANIFEST, pack};
use resonance_plant::DataType;
use resonance_proof::PackageLimits;
use tempfile::TempDir;

use super::*;
use crate::config::diagnostic::Mistake as M;

/// A model of a power in watts, a temperature and a state; its results are a wear and a class.
const MANIFEST_TEXT: &str = r#"format = 1
name = "wear"
version = "1.0.0"
category = "soft_sensor"
model = "model.onnx"
[training]
data = "simulated"
[window]
samples = 4
[[input]]
name = "x"
element = "FP32"
shape = [-1, 3]
[[input.feature]]
semantic_id = "urn:x:load"
qualifier = "X"
quantity = "power"
unit = "WTT"
statistics = ["mean"]
[[input.feature]]
semantic_id = "urn:x:temperature"
quantity = "temperature"
unit = "KEL"
statistics = ["mean"]
[[input.feature]]
semantic_id = "urn:x:state"
statistics = ["last"]
[[output]]
name = "y"
element = "FP32"
shape = [-1, 2]
[[output.value]]
name = "wear"
element = 0
semantic_id = "urn:x:wear"
quantity = "length"
unit = "MMT"
range = [0.0, 0.4]
[[output.value]]
name = "class"
element = 1
semantic_id = "urn:x:class"
labels = ["new", "worn"]
"#;

const VECTORS: &str = r#"{"vectors": [{"name": "one",
  "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}],
  "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.1, 1]}]}]}"#;

const PLANT: &str = r#"
[plant]
enterprise = "acme"
work_center = "line-1"

[[source]]
id = "ua"
type = "opcua"
url = "opc.tcp://127.0.0.1:4840"

[[asset]]
id = "mill"
source = "ua"

[[asset.point]]
name = "load_x"
type = "float64"
unit = "KWT"
semantic_id = "urn:x:load"
qualifier = "X"
address = "ns=2;s=LoadX"
max_age_ms = 500

[[asset.point]]
name = "load_y"
type = "float64"
unit = "KWT"
semantic_id = "urn:x:load"
qualifier = "Y"
address = "ns=2;s=LoadY"

[[asset.point]]
name = "temperature"
type = "float32"
quantity = "temperature"
unit = "CEL"
semantic_id = "urn:x:temperature"
address = "ns=2;s=Temperature"

[[asset.point]]
name = "state"
type = "int32"
labels = ["off", "on"]
semantic_id = "urn:x:state"
address = "ns=2;s=State"

[[asset.point]]
name = "program"
type = "string"
address = "ns=2;s=Program"

[[asset]]
id = "press"
source = "ua"
equipment_id = "acme/hall-2/press"

[[asset.point]]
name = "load_x"
type = "float64"
unit = "WTT"
semantic_id = "urn:x:load"
qualifier = "X"
address = "ns=2;s=PressLoadX"

[[deployment]]
id = "wear"
model = "wear"
asset = "mill"
"#;

/// A folder with packages: `wear` and others made of its manifest by replacing.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        bench.package("wear", &[]);
        bench
    }

    fn package(&self, name: &str, changes: &[(&str, &str)]) {
        let mut manifest =
            MANIFEST_TEXT.replace("name = \"wear\"\nv", &format!("name = \"{name}\"\nv"));
        for (from, to) in changes {
            assert!(manifest.contains(from), "{from}");
            manifest = manifest.replacen(from, to, 1);
        }
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(MANIFEST), manifest).unwrap();
        std::fs::write(folder.join(GOLDEN), VECTORS).unwrap();
        std::fs::write(folder.join("model.onnx"), format!("{name}, opened only by engines"))
            .unwrap();
        pack(&folder, &[], &PackageLimits::default()).unwrap();
    }

    fn plan(&self, text: &str) -> (Option<Plan>, Report) {
        PlantText::from_memory(&self.folder.path().join("plant.toml"), text).plan(Purpose::Run)
    }

    #[track_caller]
    fn planned(&self, text: &str) -> Plan {
        let (plan, report) = self.plan(text);
        plan.unwrap_or_else(|| panic!("{}", report.render(false)))
    }

    /// Expects one error, with this offending text; gives its message and candidates.
    #[track_caller]
    fn refused(&self, text: &str, mistake: M, offending: &str) -> (String, Vec<String>) {
        let (plan, report) = self.plan(text);
        assert!(plan.is_none());
        let found: Vec<_> =
            report.diagnostics().iter().filter(|d| d.mistake != M::Unsigned).collect();
        let [one] = found.as_slice() else { panic!("not one mistake\n{}", report.render(false)) };
        assert_eq!((one.mistake, &text[one.span.clone()]), (mistake, offending));
        (one.message.clone(), one.candidates.clone())
    }
}

/// The plant file with one thing changed.
#[track_caller]
fn with(from: &str, to: &str) -> String {
    assert!(PLANT.contains(from), "{from}");
    PLANT.replacen(from, to, 1)
}

/// The paths of the points that feed a deployment.
fn inputs(plan: &Plan, deployment: &DeploymentPlan) -> Vec<String> {
    deployment.bindings.iter().map(|binding| plan.plant.path(binding.point)).collect()
}

#[test]
fn inputs_are_bound_by_meaning_and_converted() {
    let bench = Bench::new();
    let (plan, report) = bench.plan(PLANT);
    let plan = plan.unwrap();
    assert_eq!(report.warnings(), 1, "unsigned");
    let [wear] = plan.deployments.as_slice() else { panic!("one deployment") };
    assert_eq!(inputs(&plan, wear), ["mill.load_x", "mill.temperature", "mill.state"]);
    let converted: Vec<f64> = wear.bindings.iter().map(|b| b.conversion.apply(2.0)).collect();
    assert_eq!(converted, [2_000.0, 275.15, 2.0]);
    assert_eq!(wear.bindings[0].max_age, Some(Duration::from_millis(500)));
    assert_eq!(wear.trigger, Trigger::Change { at_most_every: None });
    let paths: Vec<String> = wear.outputs.iter().map(|at| plan.plant.path(*at)).collect();
    assert_eq!(paths, ["mill.wear.wear", "mill.wear.class"]);
    let outputs: Vec<_> = wear.outputs.iter().filter_map(|at| plan.plant.point(*at)).collect();
    assert_eq!(outputs[0].unit.unwrap().code(), "MMT");
    assert_eq!(outputs[0].range.unwrap().high, 0.4);
    assert_eq!((outputs[1].data_type, outputs[1].labels.len()), (DataType::Int64, 2));
    assert_eq!(plan.sources[0].points.len(), 6, "results come from no source");
    let places: Vec<&str> = plan.plant.assets.iter().map(|a| &*a.equipment_id).collect();
    assert_eq!(places, ["acme/line-1/mill", "acme/hall-2/press"]);
    assert_eq!(plan.spool.path, bench.folder.path().join("spool.sqlite"));
    assert_eq!(plan.models.len(), 1);
}

#[test]
fn a_missing_point_is_refused_with_candidates() {
    let bench = Bench::new();
    let text = with("qualifier = \"X\"", "qualifier = \"Z\"");
    let (message, candidates) = bench.refused(&text, M::Unbound, "\"wear\"");
    assert!(message.contains("urn:x:load [X] in WTT") && message.contains("mill"), "{message}");
    assert_eq!(
        candidates,
        [
            "mill.load_x: urn:x:load [Z], power in KWT",
            "mill.load_y: urn:x:load [Y], power in KWT",
            "press.load_x: urn:x:load [X], power in WTT",
        ]
    );
    let text = with("urn:x:temperature", "urn:x:temprature");
    let (_, candidates) = bench.refused(&text, M::Unbound, "\"wear\"");
    assert_eq!(candidates, ["mill.temperature: urn:x:temprature, temperature in CEL"]);
}

#[test]
fn several_points_are_refused_until_one_is_named() {
    let bench = Bench::new();
    let text = with("qualifier = \"Y\"", "qualifier = \"X\"");
    let (_, candidates) = bench.refused(&text, M::Ambiguous, "\"wear\"");
    assert_eq!(candidates.len(), 2);
    let binding = "binding = [{ feature = \"urn:x:load\", qualifier = \"X\", point = \"load_y\" }]";
    let plan = bench.planned(&format!("{text}{binding}"));
    assert_eq!(inputs(&plan, &plan.deployments[0])[0], "mill.load_y");
}

#[test]
fn a_named_point_may_be_of_another_asset_and_of_another_meaning() {
    let bench = Bench::new();
    let bind = |feature: &str, point: &str| {
        format!(
            "{PLANT}binding = [{{ feature = \"{feature}\", qualifier = \"X\", point = \"{point}\" }}]"
        )
    };
    let plan = bench.planned(&bind("urn:x:load", "press.load_x"));
    assert_eq!(inputs(&plan, &plan.deployments[0])[0], "press.load_x");
    let clash = bind("urn:x:load", "temperature");
    bench.refused(&clash, M::UnitClash, "\"temperature\"");
    bench.refused(&bind("urn:x:load", "program"), M::WrongType, "\"program\"");
    let (_, candidates) =
        bench.refused(&bind("urn:x:laod", "load_x"), M::UnknownName, "\"urn:x:laod\"");
    assert_eq!(candidates.len(), 3);
    bench.refused(&bind("urn:x:load", "wear.waer"), M::UnknownName, "\"wear.waer\"");
    let (message, _) =
        bench.refused(&bind("urn:x:load", "wear.wear"), M::UnitClash, "\"wear.wear\"");
    assert!(message.contains("length"), "{message}");
}

#[test]
fn units_must_convert() {
    let bench = Bench::new();
    let text = with("quantity = \"temperature\"", "quantity = \"temperature_difference\"");
    let (message, _) = bench.refused(&text, M::UnitClash, "\"wear\"");
    assert!(message.contains("temperature_difference, not temperature"), "{message}");
    let text = with("quantity = \"temperature\"\nunit = \"CEL\"\n", "");
    let (message, _) = bench.refused(&text, M::UnitClash, "\"wear\"");
    assert!(message.contains("the point has no unit"), "{message}");
    let text = with("labels = [\"off\", \"on\"]", "unit = \"BAR\"");
    let (message, _) = bench.refused(&text, M::UnitClash, "\"wear\"");
    assert!(message.contains("does not say in which unit"), "{message}");
    let bar = PLANT.replace("unit = \"KWT\"", "unit = \"BAR\"");
    let (message, _) = bench.refused(&bar, M::UnitClash, "\"wear\"");
    assert!(message.contains("absolute_pressure, not power"), "{message}");
}

#[test]
fn triggers_and_gates_find_their_points() {
    let bench = Bench::new();
    let plan = bench.planned(&format!(
        "{PLANT}trigger = {{ on = \"event\", point = \"state\" }}\n\
         gate = {{ point = \"mill.state\", one_of = [\"on\", 1, true], settle_ms = 7 }}\n\
         fallback = {{ type = \"hold_last\" }}\nmax_age_ms = 9\n"
    ));
    let wear = &plan.deployments[0];
    let state = plan.plant.find("mill.state").unwrap();
    assert_eq!(wear.trigger, Trigger::Event(state));
    let gate = wear.gate.as_ref().unwrap();
    let states = ["on", "1", "true"].map(Arc::from).to_vec();
    assert_eq!((gate.point, &gate.condition), (state, &GateCondition::OneOf(states)));
    assert_eq!(
        (gate.settle, wear.max_age.unwrap()),
        (Duration::from_millis(7), Duration::from_millis(9))
    );
    assert!(matches!(wear.fallback, Fallback::HoldLast));
    let wrong = format!("{PLANT}gate = {{ point = \"state\", one_of = [\"onn\"] }}\n");
    bench.refused(&wrong, M::UnknownName, "\"onn\"");
    let wrong = format!("{PLANT}gate = {{ point = \"program\", within = [0, 1] }}\n");
    bench.refused(&wrong, M::Contradiction, "\"program\"");
}

#[test]
fn a_fallback_must_fit() {
    let bench = Bench::new();
    bench.package("simple", &[]);
    bench.package("narrow", &[("samples = 4", "samples = 5")]);
    bench.package("other", &[("unit = \"KEL\"", "unit = \"CEL\"")]);
    bench.package("less", &[("labels = [\"new\", \"worn\"]", "labels = [\"new\", \"old\"]")]);
    let text = |name: &str| {
        format!("{PLANT}fallback = {{ type = \"fall_back_to\", model = \"{name}\" }}\n")
    };
    let plan = bench.planned(&text("simple"));
    assert!(
        matches!(&plan.deployments[0].fallback, Fallback::FallBackTo(m) if &*m.manifest.name == "simple")
    );
    assert_eq!(plan.models.len(), 2);
    let far = format!("{}remote = {{ url = 'http://gpu' }}\n", text("simple"));
    let plan = bench.planned(&far);
    assert_eq!(plan.deployments[0].remote.as_ref().unwrap().url, "http://gpu");
    let here: Vec<&str> = plan.models.iter().map(|model| &*model.manifest.name).collect();
    assert_eq!(here, ["simple"], "what another server runs is not loaded here");
    for (name, why) in [("narrow", "window"), ("other", "inputs"), ("less", "outputs")] {
        let (message, _) = bench.refused(&text(name), M::Contradiction, &format!("\"{name}\""));
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn packages_are_refused_by_name() {
    let bench = Bench::new();
    let (message, _) = bench.refused(&with("\"wear\"\nasset", "\".\"\nasset"), M::Package, "\".\"");
    assert!(message.contains("model.toml"), "{message}");
    std::fs::write(bench.folder.path().join("wear/model.onnx"), "tampered").unwrap();
    let (message, _) = bench.refused(PLANT, M::Package, "\"wear\"");
    assert!(message.contains("model.onnx"), "{message}");
}

#[test]
fn unsigned_packages_and_names_taken_twice_are_refused() {
    let bench = Bench::new();
    let (plan, report) = bench.plan(&format!("unsigned = \"refuse\"\n{PLANT}"));
    assert!(plan.is_none());
    assert_eq!(report.diagnostics()[0].mistake, M::Unsigned);
    bench.package("again", &[("name = \"again\"", "name = \"wear\"")]);
    let text = format!("{PLANT}\n[[model]]\nfolder = \"again\"\n");
    bench.refused(&text, M::Duplicate, "\"again\"");
    let same = format!("{PLANT}\n[[model]]\nfolder = \"wear\"\n[[model]]\nfolder = \"./wear\"\n");
    assert_eq!(bench.planned(&same).models.len(), 1);
}

#[test]
fn a_sink_that_asks_for_work_with_every_result_is_told() {
    let bench = Bench::new();
    let category = ("soft_sensor", "predictive_maintenance");
    bench.package("upkeep", &[category]);
    let plant = with("model = \"wear\"", "model = \"upkeep\"");
    let told = |keys: &str| {
        let sink = "[[sink]]\nid = \"mes\"\ntype = \"http\"\nurl = \"http://127.0.0.1\"";
        let (_, report) = bench.plan(&format!("{plant}\n{sink}\n{keys}\n"));
        let mut found = report.diagnostics().iter().filter(|d| d.mistake == M::EveryResult);
        found.next().map(|found| found.message.clone())
    };
    let every = "every result of \"wear\" becomes a maintenance request".to_owned();
    assert_eq!(told("format = \"b2mml-json\""), Some(every));
    assert_eq!(told("format = \"b2mml-json\"\nwhen = { on = \"change\" }"), None);
    assert_eq!(told("format = \"result\""), None);
}

#[test]
fn models_may_feed_models_but_never_themselves() {
    let bench = Bench::new();
    let swap = [(
        "urn:x:load\"\nqualifier = \"X\"\nquantity = \"power\"\nunit = \"WTT\"",
        "urn:x:wear\"\nquantity = \"length\"\nunit = \"4H\"",
    )];
    bench.package("second", &swap);
    let second = "\n[[deployment]]\nid = \"second\"\nmodel = \"second\"\nasset = \"mill\"\n";
    let plan = bench.planned(&format!("{PLANT}{second}"));
    assert_eq!(inputs(&plan, &plan.deployments[1])[0], "mill.wear.wear");
    let micrometres = plan.deployments[1].bindings[0].conversion.apply(0.5);
    assert!((micrometres - 500.0).abs() < 1e-9, "{micrometres}");
    // Now the first one waits for the second's result, which waits for the first's.
    let event = "trigger = { on = \"event\", point = \"second.class\" }\n";
    let (message, _) =
        bench.refused(&format!("{PLANT}{event}{second}"), M::Contradiction, "\"wear\"");
    assert!(message.contains("wear is fed by second"), "{message}");
    let own = format!("{PLANT}trigger = {{ on = \"event\", point = \"wear.class\" }}\n");
    bench.refused(&own, M::Contradiction, "\"wear\"");
}

#[test]
fn results_take_no_name_that_a_point_has() {
    let bench = Bench::new();
    let text = with("name = \"program\"", "name = \"wear.class\"");
    bench.refused(&text, M::Duplicate, "\"wear\"");
}

#[test]
fn missing_secrets_stop_a_run_and_warn_a_check() {
    let bench = Bench::new();
    let text = with(
        "url = \"opc.tcp://127.0.0.1:4840\"",
        "url = \"opc.tcp://127.0.0.1:4840\"\nuser = \"me\"\npassword = \"file:me.password\"",
    );
    bench.refused(&text, M::MissingSecret, "\"file:me.password\"");
    let plant = PlantText::from_memory(&bench.folder.path().join("plant.toml"), text.as_str());
    let (plan, report) = plant.plan(Purpose::Check);
    assert_eq!((plan.is_some(), report.warnings()), (true, 2));
    std::fs::write(bench.folder.path().join("me.password"), "pw\n").unwrap();
    bench.planned(&text);
}

/// Ten thousand points and a hundred deployments are understood in a moment.
#[test]
fn a_large_plant_is_resolved_in_time() {
    let bench = Bench::new();
    let mut text =
        String::from("[[source]]\nid = \"ua\"\ntype = \"opcua\"\nurl = \"opc.tcp://127.0.0.1\"\n");
    let asset = PLANT.split("[[asset]]").nth(1).unwrap();
    for at in 0..100 {
        text += &format!("[[asset]]{}", asset.replace("\"mill\"", &format!("\"mill-{at}\"")));
        for point in 0..95 {
            text += &format!(
                "[[asset.point]]\nname = \"p{point}\"\ntype = \"float64\"\naddress = \"i=1\"\n"
            );
        }
    }
    for at in 0..100 {
        text +=
            &format!("[[deployment]]\nid = \"d{at}\"\nmodel = \"wear\"\nasset = \"mill-{at}\"\n");
    }
    let started = std::time::Instant::now();
    let plan = bench.planned(&text);
    assert_eq!((plan.plant.points.len(), plan.deployments.len()), (10_200, 100));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    eprintln!("{} bytes planned in {:?}", text.len(), started.elapsed());
}
