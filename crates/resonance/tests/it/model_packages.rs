//! The committed model packages: the gateway reads them, and computes from the machine's values
//! exactly the features that the models were trained on.

use resonance_inference::outputs::OutputPlan;
use resonance_inference::package::manifest::FeatureSpec;
use resonance_inference::package::{GoldenVector, VerifiedModel, load};
use resonance_inference::preprocessing::RowPlan;
use resonance_inference::{Engine, Limits, Program, verify_golden};
use resonance_plant::{Tensor, TensorBuf, Value};
use resonance_proof::PackageLimits;
use resonance_simulate::cnc::{CncMachine, CncPhysics, Relations};
use resonance_simulate::coating::{self, CoatingPhysics, Fault};
use resonance_simulate::machine::{Channel, MachineSpec, Physics};
use resonance_simulate::molding::{self, MoldingPhysics};
use resonance_simulate::replay::{Recording, ReplayOptions};

use crate::needs::{engine, shared, workspace};

const PACKAGES: [&str; 6] = [
    "tool-wear",
    "turbofan-rul",
    "cutting",
    "molding-quality",
    "coating-anomaly",
    "visual-inspection",
];

fn package(name: &str) -> VerifiedModel {
    load(&workspace().join("models").join(name), &PackageLimits::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The number after a word in the parts of a golden vector's name: "late; unit 5; cycle 258".
fn part(vector: &GoldenVector, word: &str) -> usize {
    let found =
        vector.name.split("; ").find_map(|part| part.strip_prefix(word)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{:?} names no {word}", vector.name))
}

/// The row of the model's input from samples by feature, as the gateway computes it.
fn row_of(model: &VerifiedModel, samples: &[Vec<f64>]) -> Tensor {
    let input = &model.manifest.inputs[0];
    let plan = RowPlan::new(input, &model.manifest.window.unwrap()).unwrap();
    let mut row = Tensor::zeros(input.element, &[1, plan.row_elements()]).unwrap();
    for (feature, samples) in samples.iter().enumerate() {
        let elements = input.features[feature].elements.map(|elements| elements as usize);
        assert_eq!(samples.len(), elements.unwrap_or(plan.samples()));
        plan.write(feature, samples.iter().copied(), 0, &mut row);
    }
    row
}

/// Compares a row with the golden vector's, which the training scripts computed.
#[track_caller]
fn assert_same_row(model: &VerifiedModel, golden: &GoldenVector, samples: &[Vec<f64>]) {
    let row = row_of(model, samples);
    let expected = golden.inputs.tensors[0].as_slice::<f32>();
    for (at, (actual, expected)) in row.as_slice::<f32>().iter().zip(expected).enumerate() {
        // The last digit of a sum depends on the order of its terms.
        let off = (actual - expected).abs();
        assert!(
            off <= 1e-6 * expected.abs().max(1e-3),
            "{}: element {at} is {actual}, not {expected}",
            golden.name
        );
    }
}

#[test]
fn packages_are_read_and_say_what_they_learned_from() {
    for name in PACKAGES {
        let model = package(name);
        assert_eq!(&*model.manifest.name, name);
        let is_recorded = ["cutting", "visual-inspection"].contains(&name);
        let data = if is_recorded { "recorded" } else { "simulated" };
        assert_eq!(&*model.manifest.training.data, data);
        assert!(model.golden.len() >= 8, "{name}: {} golden vectors", model.golden.len());
        assert!(model.files.file("card.md").is_some(), "{name} pins its card");
        assert!(model.files.file("model.onnx").unwrap().len() < 1_500_000);
    }
}

/// Lets a machine live as the export did, and compares the rows that the gateway would compute of
/// it with the golden vectors'.
fn assert_trained_on(model: &VerifiedModel, spec: &MachineSpec, mut machine: impl Physics) {
    let window = model.manifest.window.unwrap();
    let period_s = window.period_ms.map_or(MOLDING_PERIOD_S, |ms| f64::from(ms) / 1000.0);
    let features = &model.manifest.inputs[0].features;
    let channels: Vec<usize> = features.iter().map(|feature| place_of(spec, feature)).collect();
    let rows = model.golden.iter().map(|vector| part(vector, "row")).max().unwrap() + 1;
    let mut history: Vec<Vec<Value>> = vec![Vec::with_capacity(rows); channels.len()];
    for _ in 0..rows {
        machine.step(period_s);
        for (values, channel) in history.iter_mut().zip(&channels) {
            values.push(machine.value(*channel));
        }
    }
    for vector in model.golden.iter() {
        let end = part(vector, "row") + 1;
        let begin = end - window.samples as usize;
        let samples = |(values, feature): (&Vec<Value>, &FeatureSpec)| match &values[end - 1] {
            Value::Floats(profile) => {
                assert_eq!(feature.elements, Some(profile.len() as u32));
                profile.to_vec()
            }
            _ => values[begin..end].iter().map(|value| value.as_f64().unwrap()).collect(),
        };
        let samples: Vec<Vec<f64>> = history.iter().zip(features).map(samples).collect();
        assert_same_row(model, vector, &samples);
    }
}

/// How often the export of the molding machine looks at it, seconds.
const MOLDING_PERIOD_S: f64 = 2.0;

/// The one channel that has a feature's meaning, unit and quantity.
fn place_of(spec: &MachineSpec, feature: &FeatureSpec) -> usize {
    let meaning = &feature.meaning;
    let has_it = |channel: &&Channel| {
        channel.semantic_id.as_ref() == Some(&meaning.semantic_id)
            && channel.qualifier == meaning.qualifier
    };
    let found: Vec<&Channel> = spec.channels.iter().filter(has_it).collect();
    let [channel] = found[..] else { panic!("{meaning:?} is met by {} channels", found.len()) };
    assert_eq!((channel.unit, channel.quantity), (meaning.unit, meaning.quantity));
    spec.position(&channel.path()).unwrap()
}

#[test]
fn tool_wear_is_trained_on_what_the_gateway_computes() {
    let model = package("tool-wear");
    let first = &model.golden[0];
    let mut machine = CncPhysics::new(Relations::stated(), part(first, "seed") as u64);
    machine.set_wear_acceleration(part(first, "wear acceleration") as f64);
    assert_trained_on(&model, &CncMachine::spec(1), machine);
}

#[test]
fn molding_quality_is_trained_on_what_the_gateway_computes() {
    let model = package("molding-quality");
    let seed = part(&model.golden[0], "seed") as u64;
    assert_trained_on(&model, &molding::spec(seed), MoldingPhysics::new(seed));
}

#[test]
fn coating_anomalies_are_trained_on_what_the_gateway_computes() {
    let model = package("coating-anomaly");
    let seed = part(&model.golden[0], "seed") as u64;
    assert_trained_on(&model, &coating::spec(seed), CoatingPhysics::new(seed));
}

/// Machines that the model never saw: parts weigh what it says, about as nearly as it states.
#[test]
fn molding_quality_tells_the_weight_of_parts_it_never_saw() {
    let test = "molding_quality_tells_the_weight_of_parts_it_never_saw";
    let model = package("molding-quality");
    let Some(program) = program(test, &model) else { return };
    let (mut session, outputs) = (program.session().unwrap(), OutputPlan::new(&model.manifest));
    let spec = molding::spec(9001);
    let features = &model.manifest.inputs[0].features;
    let channels: Vec<usize> = features.iter().map(|feature| place_of(&spec, feature)).collect();
    let counter = spec.position("Job.JobCycleCounter").unwrap();
    let (mut answers, mut errors, mut made) = (TensorBuf::default(), Vec::new(), 0.0);
    let mut machines = (9001..9007).map(MoldingPhysics::new);
    let mut machine = machines.next().unwrap();
    for step in 1..=6 * 3600 {
        if step % 3600 == 0
            && let Some(next) = machines.next()
        {
            (machine, made) = (next, 0.0);
        }
        machine.step(MOLDING_PERIOD_S);
        let counted = machine.value(counter).as_f64().unwrap();
        if counted == made {
            continue;
        }
        made = counted;
        let samples: Vec<Vec<f64>> = channels
            .iter()
            .map(|channel| match machine.value(*channel) {
                Value::Floats(profile) => profile.to_vec(),
                value => vec![value.as_f64().unwrap()],
            })
            .collect();
        let inputs = TensorBuf { tensors: vec![row_of(&model, &samples)] };
        session.infer(&inputs, &mut answers).unwrap();
        let grams = outputs.extract(&answers, 0, 0).unwrap().value.as_f64().unwrap();
        errors.push(grams - machine.last_weight_g().unwrap());
    }
    let rmse = (errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64).sqrt();
    let stated = &model.manifest.training.figures;
    assert!(errors.len() > 600, "{} parts", errors.len());
    assert!(rmse < 1.5 * stated["rmse_g"] && rmse < 0.7 * stated["rmse_constant_g"], "{rmse} g");
}

/// A line that the model never saw is normal for hours; each of its faults is found.
#[test]
fn coating_anomalies_are_found_on_a_line_it_never_saw() {
    let test = "coating_anomalies_are_found_on_a_line_it_never_saw";
    let model = package("coating-anomaly");
    let Some(program) = program(test, &model) else { return };
    let (mut session, outputs) = (program.session().unwrap(), OutputPlan::new(&model.manifest));
    let spec = coating::spec(1);
    let features = &model.manifest.inputs[0].features;
    let channels: Vec<usize> = features.iter().map(|feature| place_of(&spec, feature)).collect();
    let samples = model.manifest.window.unwrap().samples as usize;
    let mut answers = TensorBuf::default();
    // The share of anomalous windows in the ten minutes after what was done took effect.
    let mut anomalous = |fault: Fault| {
        let mut line = CoatingPhysics::new(7001);
        line.break_down(fault);
        (0..600).for_each(|_| line.step(1.0));
        let mut found = 0;
        for _ in 0..20 {
            let mut history = vec![Vec::new(); channels.len()];
            for _ in 0..samples {
                line.step(1.0);
                for (values, channel) in history.iter_mut().zip(&channels) {
                    values.push(line.value(*channel).as_f64().unwrap());
                }
            }
            let inputs = TensorBuf { tensors: vec![row_of(&model, &history)] };
            session.infer(&inputs, &mut answers).unwrap();
            found +=
                u32::from(outputs.extract(&answers, 1, 0).unwrap().value.as_f64() == Some(1.0));
        }
        found
    };
    assert!(anomalous(Fault::None) <= 1);
    for fault in [Fault::Clog, Fault::Pulsation, Fault::Solvent, Fault::Heater, Fault::AirCap] {
        let found = anomalous(fault);
        assert!(found >= 10, "{fault:?}: {found} of 20 windows");
    }
}

/// The place of a feature's column in a recording, by the sidecar that replays it.
fn column_of(sidecar: &toml::Table, feature: &FeatureSpec) -> usize {
    let columns = sidecar["column"].as_array().unwrap();
    let text = |column: &toml::Value, key: &str| {
        column.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
    };
    let wanted = (feature.meaning.semantic_id.as_str(), &*feature.meaning.qualifier.0);
    let place = columns.iter().position(|column| {
        (text(column, "semantic_id").as_str(), text(column, "qualifier").as_str()) == wanted
    });
    place.unwrap_or_else(|| panic!("no column for {wanted:?}"))
}

fn sidecar(folder: &str) -> toml::Table {
    let path = workspace().join("models").join(folder).join("replay.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

#[test]
fn remaining_life_is_trained_on_what_the_gateway_computes() {
    let test = "remaining_life_is_trained_on_what_the_gateway_computes";
    let model = package("turbofan-rul");
    let Some(data) = RunToFailure::read(test, &model) else { return };
    let window = model.manifest.window.unwrap();
    assert_eq!(window.period_ms, None, "by count");
    for vector in model.golden.iter() {
        let cycles = data.unit(part(vector, "unit") as f64);
        let end = part(vector, "cycle");
        let begin = end - window.samples as usize;
        assert_same_row(&model, vector, &data.samples(&cycles[begin..end]));
    }
}

/// The run-to-failure table as the machine it is replayed by serves it: rows, and which of their
/// columns each feature is.
struct RunToFailure {
    rows: Vec<Vec<f64>>,
    columns: Vec<usize>,
}

impl RunToFailure {
    fn read(test: &str, model: &VerifiedModel) -> Option<Self> {
        let table = std::fs::read_to_string(shared(test, "data/turbofan/train_FD001.txt")?);
        let row = |line: &str| line.split_whitespace().map(|f| f.parse().unwrap()).collect();
        let rows = table.unwrap().lines().map(row).collect();
        let sidecar = sidecar("turbofan-rul");
        let features = model.manifest.inputs[0].features.iter();
        Some(Self { rows, columns: features.map(|feature| column_of(&sidecar, feature)).collect() })
    }

    fn unit(&self, unit: f64) -> Vec<&[f64]> {
        self.rows.iter().filter(|row| row[0] == unit).map(Vec::as_slice).collect()
    }

    /// The samples of each feature in these cycles.
    fn samples(&self, cycles: &[&[f64]]) -> Vec<Vec<f64>> {
        let of = |column: &usize| cycles.iter().map(|row| row[*column]).collect();
        self.columns.iter().map(of).collect()
    }
}

/// The model loaded by ONNX Runtime.
fn program(test: &str, model: &VerifiedModel) -> Option<Box<dyn Program>> {
    Some(engine(test)?.load(model, &Limits::default()).unwrap())
}

#[test]
fn onnx_runtime_reproduces_the_golden_vectors_of_the_packages() {
    let test = "onnx_runtime_reproduces_the_golden_vectors_of_the_packages";
    for name in PACKAGES {
        let model = package(name);
        let Some(program) = program(test, &model) else { return };
        let report = verify_golden(program.as_ref(), &model).unwrap();
        assert_eq!(report.vectors, model.golden.len());
    }
}

/// Every window of every unit that the package holds out, through the gateway's own arithmetic:
/// the error is the stated one, and no more than 17 cycles.
#[test]
fn remaining_life_of_units_it_never_saw_is_as_good_as_stated() {
    let test = "remaining_life_of_units_it_never_saw_is_as_good_as_stated";
    let model = package("turbofan-rul");
    let Some(data) = RunToFailure::read(test, &model) else { return };
    let Some(program) = program(test, &model) else { return };
    let mut session = program.session().unwrap();
    let outputs = OutputPlan::new(&model.manifest);
    let output = outputs.elements().next().unwrap();
    let (longest, interval) = (output.range.unwrap()[1], output.interval.unwrap());
    let window = model.manifest.window.unwrap().samples as usize;
    let mut answers = TensorBuf::default();
    let (mut squares, mut within, mut windows) = (0.0_f64, 0.0, 0.0);
    for unit in &model.manifest.training.held_out {
        let cycles = data.unit(unit.parse().unwrap());
        for end in window..=cycles.len() {
            let row = row_of(&model, &data.samples(&cycles[end - window..end]));
            session.infer(&TensorBuf { tensors: vec![row] }, &mut answers).unwrap();
            let answer = outputs.extract(&answers, 0, 0).unwrap().value.as_f64().unwrap();
            let off = answer - ((cycles.len() - end) as f64).min(longest);
            squares += off * off;
            within += f64::from(off.abs() <= interval.half_width);
            windows += 1.0;
        }
    }
    let stated = &model.manifest.training.figures;
    assert_eq!(windows, stated["windows_judged"]);
    let rmse = (squares / windows).sqrt();
    assert!(rmse <= 17.0 && rmse < 0.5 * stated["rmse_constant_cycles"], "{rmse} cycles");
    assert!((rmse - stated["rmse_cycles"]).abs() < 0.01, "{rmse} cycles, stated otherwise");
    assert!((within / windows - interval.coverage).abs() < 0.002, "{within} of {windows} within");
}

/// A recorded milling run as numbers; texts are NaN.
fn milling_run(test: &str, run: usize) -> Option<(Vec<String>, Vec<Vec<f64>>)> {
    let table = shared(test, &format!("data/cnc-mill/experiment_{run:02}.csv"))?;
    let table = std::fs::read_to_string(table).unwrap();
    let mut lines = table.lines();
    let names = lines.next().unwrap().split(',').map(str::to_owned).collect();
    let row = |line: &str| line.split(',').map(|f| f.parse().unwrap_or(f64::NAN)).collect();
    Some((names, lines.map(row).collect()))
}

/// Every row of the runs that the package holds out: golden vectors are rows of the recording, and
/// the share told right is the stated one. What counts as cutting is said in the card.
#[test]
fn cutting_is_told_on_runs_it_never_saw_as_well_as_stated() {
    let test = "cutting_is_told_on_runs_it_never_saw_as_well_as_stated";
    let model = package("cutting");
    let Some(program) = program(test, &model) else { return };
    let mut session = program.session().unwrap();
    let sidecar = sidecar("cnc-mill");
    let features = model.manifest.inputs[0].features.iter();
    let columns: Vec<usize> = features.map(|feature| column_of(&sidecar, feature)).collect();
    let outputs = OutputPlan::new(&model.manifest);
    let (mut answers, mut shares) = (TensorBuf::default(), Vec::new());
    for run in &model.manifest.training.held_out {
        let Some((names, rows)) = milling_run(test, run.parse().unwrap()) else { return };
        let place = |name: &str| names.iter().position(|column| column == name).unwrap();
        let [feed, height, at_rest] =
            ["M_CURRENT_FEEDRATE", "Z_ActualPosition", "Z_SetAcceleration"].map(place);
        let samples = |row: &[f64]| columns.iter().map(|at| vec![row[*at]]).collect::<Vec<_>>();
        let of_run = |v: &&GoldenVector| v.name.contains(&format!("run {run};"));
        for vector in model.golden.iter().filter(of_run) {
            assert_same_row(&model, vector, &samples(&rows[part(vector, "row")]));
        }
        let mut rests: Vec<f64> = rows.iter().map(|row| row[at_rest]).collect();
        rests.sort_by(f64::total_cmp);
        let rest = rests[rests.len() / 2];
        let mut right = 0.0;
        for row in &rows {
            let inputs = TensorBuf { tensors: vec![row_of(&model, &samples(row))] };
            session.infer(&inputs, &mut answers).unwrap();
            let told = outputs.extract(&answers, 1, 0).unwrap().value.as_f64().unwrap();
            let cuts = row[feed] != 50.0 && row[height] - rest < 30.2;
            right += f64::from(told == f64::from(u8::from(cuts)));
        }
        shares.push(right / rows.len() as f64);
    }
    let (mean, stated) =
        (shares.iter().sum::<f64>() / shares.len() as f64, &model.manifest.training.figures);
    assert!((mean - stated["held_out_accuracy"]).abs() < 1e-3, "{shares:?}, stated otherwise");
    assert!(mean > stated["held_out_power_bound_accuracy"] + 0.02, "{mean}");
}

/// Machines that the model never saw, with tools of known wear: most answers lie within the
/// stated interval, and none far outside.
#[test]
fn tool_wear_tells_the_wear_of_machines_it_never_saw() {
    let model = package("tool-wear");
    let Some(program) = program("tool_wear_tells_the_wear_of_machines_it_never_saw", &model) else {
        return;
    };
    let mut session = program.session().unwrap();
    let outputs = OutputPlan::new(&model.manifest);
    let interval = outputs.elements().find_map(|value| value.interval).unwrap();
    let window = model.manifest.window.unwrap();
    let period_s = f64::from(window.period_ms.unwrap()) / 1000.0;
    let spec = CncMachine::spec(1);
    let features = model.manifest.inputs[0].features.iter();
    let channels: Vec<usize> = features.map(|feature| place_of(&spec, feature)).collect();
    let (mut answers, mut asked, mut within) = (TensorBuf::default(), 0, 0);
    for seed in 9001..9031 {
        let mut machine = CncPhysics::new(Relations::stated(), seed);
        machine.set_flank_wear_mm(0.01 * (seed - 9000) as f64 - 0.005);
        machine.step_to_cutting(period_s);
        let mut samples = vec![Vec::new(); channels.len()];
        for _ in 0..window.samples {
            machine.step(period_s);
            for (samples, channel) in samples.iter_mut().zip(&channels) {
                samples.push(machine.value(*channel).as_f64().unwrap());
            }
        }
        let inputs = TensorBuf { tensors: vec![row_of(&model, &samples)] };
        session.infer(&inputs, &mut answers).unwrap();
        let answer = outputs.extract(&answers, 0, 0).unwrap().value.as_f64().unwrap();
        let off = (answer - machine.flank_wear_mm()).abs();
        assert!(off < 4.0 * interval.half_width, "seed {seed}: {answer} mm is off by {off} mm");
        let class = outputs.extract(&answers, 1, 0).unwrap();
        let number = Relations::stated().wear.class(answer);
        assert_eq!(class.value.as_f64(), Some(f64::from(number)), "seed {seed}: {class:?}");
        asked += 1;
        within += u32::from(off <= interval.half_width);
    }
    assert!(within * 10 >= asked * 7, "{within} of {asked} within the stated interval");
}

#[test]
fn sidecars_describe_every_column_of_the_recordings() {
    let recordings = [
        ("turbofan-rul", "data/turbofan/train_FD001.txt", 26),
        ("cnc-mill", "data/cnc-mill/experiment_01.csv", 48),
    ];
    for (folder, file, channels) in recordings {
        let test = "sidecars_describe_every_column_of_the_recordings";
        let Some(file) = shared(test, file) else { return };
        let mut options = ReplayOptions::new(file);
        options.describe = Some(workspace().join("models").join(folder).join("replay.toml"));
        let recording = Recording::open(options).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(recording.spec().channels.len(), channels, "{folder}");
    }
}
