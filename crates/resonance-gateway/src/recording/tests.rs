//! Recordings of made-up models: what is written is read, what is damaged is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use resonance_inference::package::{self, VerifiedModel};
use resonance_inference::{EngineError, Program, Session};
use resonance_plant::tensor::Dim;
use resonance_plant::{
    Block, Clock, Code, ElementType, EventSink, ManualClock, ModelUsed, Plant, PointIndex,
    Signature, Status, Tensor, TensorBuf, TensorSpec, Timestamp, Value,
};
use resonance_proof::PackageLimits;

use super::columns::{Cardinality, Cells, Column, ColumnSpec, Holds};
use super::folder::Folder;
use super::table::{TableReader, TableWriter};
use super::*;
use crate::events::EventLog;
use crate::models::ServedModel;

/// Answers every element type from its input, and otherwise once it is `changed`.
struct Made {
    signature: Signature,
    changed: Arc<AtomicU32>,
}

struct MadeSession(Vec<ElementType>, Arc<AtomicU32>);

impl Program for Made {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn session(&self) -> Result<Box<dyn Session>, EngineError> {
        let elements = self.signature.outputs.iter().map(|spec| spec.element).collect();
        Ok(Box::new(MadeSession(elements, Arc::clone(&self.changed))))
    }
}

impl Session for MadeSession {
    fn infer(&mut self, inputs: &TensorBuf, outputs: &mut TensorBuf) -> Result<(), EngineError> {
        let input = &inputs.tensors[0];
        let rows = input.shape[0];
        let changed = self.1.load(Ordering::Relaxed);
        let answer = |element: &ElementType| {
            if *element == ElementType::Bytes {
                let texts = (0..rows * 2).map(|at| format!("{at}-{changed}").into_bytes());
                return Tensor::from_strings(&[rows, 2], texts.collect()).unwrap();
            }
            let mut tensor = Tensor::zeros(*element, &[rows, 2]).unwrap();
            for row in 0..rows {
                let sum: f64 = (0..3).filter_map(|at| input.number(row * 3 + at)).sum();
                tensor.set_number(row * 2, sum.clamp(0.0, 100.0).round());
                tensor.set_number(row * 2 + 1, f64::from(changed));
            }
            tensor
        };
        outputs.tensors = self.0.iter().map(answer).collect();
        Ok(())
    }
}

fn package() -> Arc<VerifiedModel> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/tool-wear");
    Arc::new(package::load(&folder, &PackageLimits::default()).unwrap())
}

/// A model whose outputs have these types.
fn served(elements: &[ElementType], changed: &Arc<AtomicU32>) -> Arc<ServedModel> {
    let spec = |name: String, element, width| TensorSpec {
        name: name.into(),
        element,
        shape: vec![Dim::Any, Dim::Fixed(width)],
    };
    let signature = Signature {
        inputs: vec![spec("x".into(), ElementType::Fp32, 3)],
        outputs: elements.iter().map(|e| spec(format!("of {e}/:"), *e, 2)).collect(),
    };
    let model = package();
    let used = ModelUsed {
        name: Arc::clone(&model.manifest.name),
        version: "1".into(),
        digest: Arc::clone(model.files.digest()),
        engine: "made 1".into(),
        trained_on: "none".into(),
        fallback: None,
    };
    let program = Box::new(Made { signature, changed: Arc::clone(changed) });
    Arc::new(ServedModel::new(model, Arc::new(used), program))
}

/// A recording in a folder, and the model that is recorded.
struct Bench {
    folder: tempfile::TempDir,
    events: Arc<EventLog>,
    changed: Arc<AtomicU32>,
    served: Arc<ServedModel>,
}

impl Bench {
    fn new(elements: &[ElementType]) -> Self {
        let changed = Arc::new(AtomicU32::new(0));
        Self {
            folder: tempfile::tempdir().unwrap(),
            events: Arc::new(EventLog::in_memory()),
            served: served(elements, &changed),
            changed,
        }
    }

    fn plan(&self) -> RecordingPlan {
        RecordingPlan::into_folder(self.folder.path().join("kept"))
    }

    fn start(&self, plan: &RecordingPlan) -> (Recording, Recorder) {
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH)) as Arc<dyn Clock>;
        let events = Arc::clone(&self.events) as Arc<dyn EventSink>;
        let plant = Plant { assets: Vec::new(), points: Vec::new() };
        Recording::start(plan, &plant, clock, events).unwrap()
    }

    /// Serves a batch of so many rows, each with other numbers.
    fn serve(&self, recorder: &Recorder, rows: usize, seed: f32) {
        let numbers: Vec<f32> = (0..rows * 3).map(|at| seed + at as f32).collect();
        let bytes = bytemuck::cast_slice(&numbers);
        let tensor = Tensor::from_bytes(ElementType::Fp32, &[rows, 3], bytes).unwrap();
        let inputs = TensorBuf { tensors: vec![tensor] };
        let mut outputs = TensorBuf::default();
        self.served.infer(&inputs, &mut outputs).unwrap();
        let row = |at: usize| ServedRow {
            deployment: format!("d{at}").into(),
            from: Timestamp::from_millis(at as i64),
            to: Timestamp::from_millis(1_000 + at as i64),
            worst: Status::GOOD,
            record: None,
        };
        recorder.windows(&self.served, &inputs, &outputs, (0..rows).map(row).collect());
    }

    fn told(&self, code: Code) -> Vec<String> {
        let recent = self.events.recent(1_000);
        recent.iter().filter(|e| e.code == code).map(|e| e.message.to_string()).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        files_of_windows(&self.plan().folder).unwrap()
    }

    fn replay(&self, file: &Path) -> Result<(Replayed, Vec<Difference>), RecordingError> {
        let mut differences = Vec::new();
        let found = replay(file, &self.served, &mut |d| differences.push(d), &mut |_| {})?;
        Ok((found, differences))
    }
}

fn end((recording, recorder): (Recording, Recorder)) -> Recorded {
    drop(recorder);
    recording.thread.join().unwrap();
    recording.counters.value()
}

#[test]
fn every_element_type_is_replayed_to_the_bit_in_its_own_batches() {
    let bench = Bench::new(&ElementType::ALL);
    let running = bench.start(&bench.plan());
    for (rows, seed) in [(1, 0.25), (5, f32::NAN), (64, -3.5), (2, f32::MIN_POSITIVE / 2.0)] {
        bench.serve(&running.1, rows, seed);
    }
    let recorded = end(running);
    assert_eq!((recorded.windows, recorded.windows_lost, recorded.files), (72, 0, 1));
    let [file] = bench.files().try_into().unwrap();
    let (replayed, differences) = bench.replay(&file).unwrap();
    assert_eq!((replayed.windows, replayed.batches, replayed.different), (72, 4, 0));
    assert_eq!(differences, []);
    bench.changed.store(1, Ordering::Relaxed);
    let (replayed, differences) = bench.replay(&file).unwrap();
    assert_eq!(replayed.different, 72);
    assert_eq!(differences.len(), 72 * ElementType::ALL.len());
    let fp64 = differences.iter().find(|d| d.output == "of FP64/:" && d.row == 6).unwrap();
    let shown = (fp64.element, &*fp64.recorded, &*fp64.replayed, &*fp64.deployment);
    assert_eq!(shown, (1, "0.0", "1.0", "d0"));
    let copy = WindowsHeader::read(&file).unwrap().package_in(&bench.plan().folder);
    let copy = package::load(&copy, &PackageLimits::default()).unwrap();
    assert_eq!(copy.files.digest(), bench.served.model.files.digest());
}

#[test]
fn files_end_by_age_and_size_and_the_oldest_give_way() {
    let bench = Bench::new(&[ElementType::Fp32]);
    let small = RecordingPlan { file_bytes_max: 1, bytes_max: 8_000, ..bench.plan() };
    let running = bench.start(&small);
    (0..12).for_each(|at| bench.serve(&running.1, 64, at as f32));
    assert_eq!(end(running).files, 12);
    let left = bench.files();
    assert!(left.len() < 12 && left[left.len() - 1].ends_with("windows-000012-tool-wear.parquet"));
    let bytes: u64 = left.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes <= 8_000, "{bytes}");
    assert_eq!(bench.told(Code::RecordingTrimmed).len(), 12 - left.len());
    // A later recording goes on with the numbers, and ends a file that is old enough.
    let aged = RecordingPlan { file_age_max: Duration::from_millis(1), ..bench.plan() };
    let running = bench.start(&aged);
    bench.serve(&running.1, 1, 0.0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while running.0.counters.value().files == 0 {
        assert!(Instant::now() < deadline, "the file is not finished");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(bench.files().iter().any(|file| file.ends_with("windows-000013-tool-wear.parquet")));
    end(running);
}

#[test]
fn what_a_crash_left_is_no_file_and_is_removed() {
    let bench = Bench::new(&[ElementType::Fp32]);
    let running = bench.start(&bench.plan());
    bench.serve(&running.1, 3, 0.0);
    end(running);
    let [whole] = bench.files().try_into().unwrap();
    let part = bench.plan().folder.join("windows-000002-tool-wear.parquet.part");
    fs::copy(&whole, &part).unwrap();
    assert_eq!(bench.files(), std::slice::from_ref(&whole), "a part is not read");
    end(bench.start(&bench.plan()));
    assert!(!part.exists() && whole.exists());
    assert!(bench.told(Code::RecordingLost)[0].starts_with("1 files"));
    let (folder, parts) = Folder::open(&bench.plan().folder, 1 << 30).unwrap();
    assert_eq!(parts, 0);
    drop(folder);
}

#[test]
fn files_that_somebody_moved_away_do_not_cost_those_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut kept, _) = Folder::open(folder.path(), 250).unwrap();
    let mut finish = || {
        let names = kept.next(None);
        fs::write(&names.part, [0; 100]).unwrap();
        let trimmed = kept.finish(names).unwrap();
        assert!(trimmed.stuck.is_none());
        trimmed.gone.len()
    };
    assert_eq!((finish(), finish()), (0, 0));
    for file in fs::read_dir(folder.path()).unwrap().flatten() {
        if file.path().extension().is_some_and(|ending| ending == "parquet") {
            fs::remove_file(file.path()).unwrap();
        }
    }
    assert_eq!((finish(), finish(), finish()), (0, 0, 1), "no more is left than may be");
}

#[test]
fn a_second_process_does_not_record_into_the_same_folder() {
    let bench = Bench::new(&[ElementType::Fp32]);
    let running = bench.start(&bench.plan());
    let second = Folder::open(&bench.plan().folder, 1 << 30);
    assert!(matches!(second, Err(RecordingError::InUse(_))));
    end(running);
    assert!(Folder::open(&bench.plan().folder, 1 << 30).is_ok());
}

#[test]
fn what_was_taken_and_then_not_finished_is_lost_and_not_recorded() {
    let bench = Bench::new(&[ElementType::Fp32]);
    let running = bench.start(&bench.plan());
    bench.serve(&running.1, 3, 0.0);
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_begun = || {
        let files = fs::read_dir(bench.plan().folder).unwrap().flatten();
        files.into_iter().any(|file| file.path().extension().is_some_and(|end| end == "part"))
    };
    while !is_begun() {
        assert!(Instant::now() < deadline, "the file is begun");
        std::thread::yield_now();
    }
    fs::remove_dir_all(bench.plan().folder).unwrap();
    let recorded = end(running);
    assert_eq!((recorded.windows, recorded.windows_lost, recorded.files), (0, 3, 0));
    assert!(bench.told(Code::RecordingLost)[0].starts_with("3 windows"));
}

#[test]
fn what_cannot_be_written_is_counted_and_told_and_never_half_there() {
    let bench = Bench::new(&[ElementType::Fp32]);
    let running = bench.start(&bench.plan());
    fs::remove_dir_all(bench.plan().folder).unwrap();
    fs::write(bench.plan().folder, "no folder").unwrap();
    bench.serve(&running.1, 3, 0.0);
    bench.serve(&running.1, 4, 0.0);
    let recorded = end(running);
    assert_eq!((recorded.windows, recorded.windows_lost, recorded.files), (0, 7, 0));
    assert_eq!(bench.told(Code::RecordingFailed).len(), 1, "told once, not for every window");
    assert!(bench.told(Code::RecordingLost)[0].starts_with("7 windows"));
    let plan = bench.plan();
    let plant = Plant { assets: Vec::new(), points: Vec::new() };
    let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
    let refused = Recording::start(&plan, &plant, clock, Arc::clone(&bench.events) as _);
    assert!(matches!(refused, Err(RecordingError::Write { .. })));
}

#[test]
fn a_file_that_is_cut_or_changed_is_refused_or_read_and_never_a_panic() {
    let bench = Bench::new(&[ElementType::Fp32, ElementType::Bytes]);
    let running = bench.start(&bench.plan());
    (0..4).for_each(|at| bench.serve(&running.1, 9, at as f32));
    end(running);
    let [file] = bench.files().try_into().unwrap();
    let whole = fs::read(&file).unwrap();
    let broken = bench.folder.path().join("broken.parquet");
    for at in (0..whole.len()).step_by(whole.len() / 97) {
        fs::write(&broken, &whole[..at]).unwrap();
        let error = bench.replay(&broken).unwrap_err();
        assert!(matches!(error, RecordingError::Damaged { .. }), "cut at {at}: {error}");
        assert!(error.to_string().contains("broken.parquet"), "{error}");
    }
    for at in 0..whole.len().min(3_000) {
        let mut changed = whole.clone();
        let at = at * whole.len() / whole.len().min(3_000);
        changed[at] ^= 0x55;
        fs::write(&broken, &changed).unwrap();
        // It may be a number that changed: then it is a difference, or none.
        let _ = bench.replay(&broken);
    }
}

#[test]
fn columns_that_are_absent_or_others_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.parquet");
    let one = |holds| ColumnSpec::new("a", holds, Cardinality::One);
    let integer = Holds::Integer { bits: 32, signed: true };
    let mut writer = TableWriter::create(&file, &[one(integer)], ("k", "v".into())).unwrap();
    (0..3).for_each(|at| writer.columns[0].push_i32(at));
    writer.pushed(3).unwrap();
    writer.finish().unwrap();
    let reader = TableReader::open(&file).unwrap();
    assert_eq!(reader.about("k"), Some("v"));
    assert_eq!(reader.columns(&[one(integer)]), Ok(vec![0]));
    let list = ColumnSpec::new("a", integer, Cardinality::List);
    let unsigned = Holds::Integer { bits: 32, signed: false };
    for (wanted, says) in [
        (ColumnSpec::new("b", integer, Cardinality::One), "column \"b\": it is absent"),
        (one(Holds::Float), "column \"a\": it must be FLOAT, not INT32"),
        (one(unsigned), "column \"a\": it must be annotated as"),
        (list, "column \"a\": it must have a list a row, not one cell a row"),
    ] {
        let error = reader.columns(&[wanted]).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("a.parquet"), "{error}");
    }
    let refused = WindowsHeader::read(&file).unwrap_err().to_string();
    assert!(refused.contains("holds no recorded windows"), "{refused}");
}

#[test]
fn rows_of_lists_are_told_apart() {
    let mut column = Column::of(Holds::Float);
    let numbers = Tensor::from_bytes(ElementType::Fp32, &[3], &[0; 12]).unwrap();
    column.push_elements(&numbers, 0..3);
    column.push_none();
    column.push_elements(&numbers, 1..2);
    assert_eq!(column.rows(), [0..3, 3..3, 3..4]);
}

#[test]
fn observations_of_every_kind_are_kept() {
    let bench = Bench::new(&[]);
    let running = bench.start(&bench.plan());
    let mut block = Block::new();
    for value in [
        Value::Float(f64::NAN),
        Value::Int(i64::MIN),
        Value::Boolean(true),
        Value::Text("wärm".into()),
        Value::Floats(Arc::from([1.5, 2.5])),
        Value::Empty,
    ] {
        block.push_value(PointIndex(0), value, Timestamp::from_millis(5), Status::GOOD);
    }
    running.1.observations(&block, None);
    assert_eq!(end(running).observations, 6);
    let file = bench.plan().folder.join("observations-000001.parquet");
    let reader = TableReader::open(&file).unwrap();
    let text = ColumnSpec::new("text", Holds::Text, Cardinality::AtMostOne);
    let places = reader.columns(std::slice::from_ref(&text)).unwrap();
    let [column] = reader.read(0, &[text], &places).unwrap().try_into().unwrap();
    let shown: Vec<usize> = column.rows().iter().map(|row| row.len()).collect();
    assert_eq!(shown, [0, 1, 0, 1, 1, 0]);
    let Cells::Bytes(texts) = &column.cells else { panic!("texts") };
    let texts: Vec<_> = texts.iter().map(|t| String::from_utf8_lossy(t.data())).collect();
    assert_eq!(texts, ["-9223372036854775808", "wärm", "[1.5,2.5]"]);
}

#[test]
fn what_comes_faster_than_it_is_written_is_counted() {
    let bench = Bench::new(&[ElementType::Fp32]);
    let (recording, recorder) = bench.start(&bench.plan());
    let wide = Tensor::zeros(ElementType::Fp32, &[1, 5 << 20]).unwrap();
    let inputs = TensorBuf { tensors: vec![wide] };
    let rows = || {
        vec![ServedRow {
            deployment: "d".into(),
            from: Timestamp::EPOCH,
            to: Timestamp::EPOCH,
            worst: Status::GOOD,
            record: None,
        }]
    };
    let sent = 200;
    (0..sent).for_each(|_| recorder.windows(&bench.served, &inputs, &inputs, rows()));
    let recorded = end((recording, recorder));
    assert!(recorded.windows_lost > 0 && recorded.windows > 0, "{recorded:?}");
    assert_eq!(recorded.windows + recorded.windows_lost, sent);
    assert!(!bench.told(Code::RecordingLost).is_empty());
}
