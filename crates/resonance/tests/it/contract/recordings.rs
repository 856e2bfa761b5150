//! Recordings that are played as machines. A file cannot be cut off or stall as a connection does;
//! each fault here is what is like it: the file loses its end while it is played, is slow by its own
//! times, is away, is larger than anyone takes, has rows that are none, is replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parquet::data_type::DoubleType;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use resonance_gateway::hub::ingest::{BLOCKS_IN_FLIGHT, GapReason, SessionState};
use resonance_gateway::plan::SourceKind;
use resonance_plant::{BLOCK_CAPACITY, Code, DataType, Value};

use super::sources::start;
use super::{Fault, ledger};
use crate::opcua_source::harness::Running;

/// How a recording is kept.
#[derive(Clone, Copy, Debug)]
pub enum Recording {
    Csv,
    Parquet,
}

/// Rows of a row group: a file has several.
const GROUP: u64 = 500;

impl Recording {
    /// Writes a file of one column that counts over a range.
    fn write(self, folder: &Path, name: &str, counts: std::ops::RangeInclusive<u64>) -> PathBuf {
        let (first, rows) = (*counts.start(), counts.count() as u64);
        self.write_rows(folder, name, &["count"], rows, |_, row| (first + row) as f64)
    }

    /// Writes a file of numbers.
    pub fn write_rows(
        self,
        folder: &Path,
        name: &str,
        columns: &[&str],
        rows: u64,
        cell: impl Fn(usize, u64) -> f64,
    ) -> PathBuf {
        match self {
            Self::Csv => {
                let mut text = columns.join(",");
                for row in 0..rows {
                    let cells = (0..columns.len()).map(|column| cell(column, row).to_string());
                    text += &format!("\n{}", cells.collect::<Vec<_>>().join(","));
                }
                let file = folder.join(format!("{name}.csv"));
                std::fs::write(&file, text + "\n").unwrap();
                file
            }
            Self::Parquet => {
                let fields: String =
                    columns.iter().map(|name| format!("required double {name};")).collect();
                let schema = parse_message_type(&format!("message run {{ {fields} }}")).unwrap();
                let file = folder.join(format!("{name}.parquet"));
                let out = std::fs::File::create(&file).unwrap();
                let mut out =
                    SerializedFileWriter::new(out, Arc::new(schema), Arc::default()).unwrap();
                for from in (0..rows).step_by(GROUP as usize) {
                    let mut group = out.next_row_group().unwrap();
                    for column in 0..columns.len() {
                        let cells: Vec<f64> =
                            (from..rows.min(from + GROUP)).map(|row| cell(column, row)).collect();
                        let mut column = group.next_column().unwrap().unwrap();
                        column.typed::<DoubleType>().write_batch(&cells, None, None).unwrap();
                        column.close().unwrap();
                    }
                    group.close().unwrap();
                }
                out.close().unwrap();
                file
            }
        }
    }

    /// Puts what is no row between the rows of 1 to 1,000. Returns the last count that can be heard
    /// then, and how many before it are lost.
    fn garbage(self, file: &Path) -> (u64, u64) {
        match self {
            Self::Parquet => {
                let opened = std::fs::File::open(file).unwrap();
                let reader = SerializedFileReader::new(opened).unwrap();
                let at = reader.metadata().row_group(1).column(0).byte_range().0;
                let mut bytes = std::fs::read(file).unwrap();
                bytes[at as usize..at as usize + 40].fill(0xff);
                std::fs::write(file, bytes).unwrap();
                // Nothing after it can be told from it.
                (GROUP, 0)
            }
            Self::Csv => {
                let text = std::fs::read_to_string(file).unwrap();
                let mut rows: Vec<&[u8]> = text.split_inclusive('\n').map(str::as_bytes).collect();
                rows[100] = b"\xff\xfe\x00 what?\n";
                rows[200] = b"1,2,3\n";
                rows[300] = b"\"\n";
                let garbage = vec![0xff; 3 << 20];
                rows[400] = &garbage;
                std::fs::write(file, rows.concat()).unwrap();
                // The last of them takes the row after it along: it had no end.
                (1_000, 5)
            }
        }
    }
}

fn play(file: &Path, more: &str) -> Running {
    let text = format!("file = '{}'\nperiod_ms = 1\n{more}", file.display());
    let kind = SourceKind::Replay(toml::from_str(&text).unwrap());
    start(kind, crate::mtconnect::points(&[("count", DataType::Float64)]))
}

pub(super) async fn holds(_test: &str, recording: Recording, fault: Fault) {
    let folder = tempfile::tempdir().unwrap();
    let other = recording.write(folder.path(), "other", 1..=500);
    let mut other = play(&other, "");
    match fault {
        Fault::Cut => cut(recording, folder.path()).await,
        Fault::Slow => slow(recording, folder.path()).await,
        Fault::Stall => away(recording, folder.path()).await,
        Fault::Flood => flooded(recording, folder.path()).await,
        Fault::Garbage => garbage(recording, folder.path()).await,
        Fault::Restart => replaced(recording, folder.path()).await,
    }
    other.session(SessionState::Lost).await;
    assert_eq!(ledger::check(&other, 500), 0, "another recording is played whole");
    other.stop();
}

/// The end of a recording: values are no machine's any more.
async fn ended(source: &mut Running, says: &str) {
    source.session(SessionState::Lost).await;
    let told = source.event(Code::SourceDisconnected).await;
    assert!(told.message.contains(says), "{}", told.message);
}

async fn cut(recording: Recording, folder: &Path) {
    let file = recording.write(folder, "run", 1..=6_000);
    let mut source = play(&file, "speed = 4.0");
    source.value(0, Value::Float(100.0)).await;
    match recording {
        Recording::Csv => {
            // In the middle of 4321, which would else be read as 43.
            let text = std::fs::read_to_string(&file).unwrap();
            let at = text.find("4321").unwrap() as u64 + 2;
            std::fs::File::options().write(true).open(&file).unwrap().set_len(at).unwrap();
            ended(&mut source, "4320 rows were played").await;
            assert_eq!(source.gap().await.reason, GapReason::Unreadable);
            ledger::check(&source, 4_320);
        }
        Recording::Parquet => {
            let half = std::fs::metadata(&file).unwrap().len() / 2;
            std::fs::File::options().write(true).open(&file).unwrap().set_len(half).unwrap();
            ended(&mut source, "rows were played").await;
            assert_eq!(source.gap().await.reason, GapReason::Unreadable);
            let heard = source.observed(0).filter(|(.., status)| !status.is_bad()).count() as u64;
            assert!((GROUP..6_000).contains(&heard) && heard.is_multiple_of(GROUP), "{heard}");
            ledger::check(&source, heard);
        }
    }
    source.stop();
}

async fn slow(recording: Recording, folder: &Path) {
    let file = recording.write(folder, "run", 1..=50);
    let began = Instant::now();
    let mut source = play(&file, "speed = 0.05");
    ended(&mut source, "50 rows were played").await;
    assert!(began.elapsed() >= Duration::from_millis(49 * 20), "{:?}", began.elapsed());
    assert_eq!(ledger::check(&source, 50), 0);
    source.stop();
}

async fn away(recording: Recording, folder: &Path) {
    let file = recording.write(folder, "run", 1..=3_000);
    let mut source = play(&file, "repeat = true");
    source.value(0, Value::Float(100.0)).await;
    std::fs::remove_file(&file).unwrap();
    let told = source.event(Code::SourceRefused).await;
    assert!(told.message.contains("trying again"), "{}", told.message);
    recording.write(folder, "run", 3_001..=3_400);
    source.value(0, Value::Float(3_400.0)).await;
    let before: Vec<_> = source.observed(0).take(3_400).map(|(value, ..)| value).collect();
    assert_eq!(before, (1..=3_400).map(|n| Value::Float(n as f64)).collect::<Vec<_>>());
    assert_eq!(source.counters.reconnects.value(), 1);
    source.stop();
}

async fn flooded(recording: Recording, folder: &Path) {
    let most = (BLOCKS_IN_FLIGHT * BLOCK_CAPACITY) as u64;
    let file = recording.write(folder, "run", 1..=most + 50_000);
    let mut source = play(&file, "speed = 1000000.0");
    let (began, mut held) = (Instant::now(), (0, Instant::now()));
    while held.0 == 0 || held.1.elapsed() < Duration::from_millis(500) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = source.counters.observations.value();
        if now != held.0 {
            held = (now, Instant::now());
        }
        assert!(began.elapsed() < Duration::from_secs(40), "{now} are held");
    }
    assert!(held.0 <= most, "{} are held", held.0);
    ended(&mut source, &format!("{} rows were played", most + 50_000)).await;
    assert_eq!(ledger::check(&source, most + 50_000), 0, "it waited");
    source.stop();
}

async fn garbage(recording: Recording, folder: &Path) {
    let file = recording.write(folder, "run", 1..=1_000);
    let (last, lost) = recording.garbage(&file);
    let mut source = play(&file, "");
    ended(&mut source, "rows were played").await;
    assert_eq!(ledger::check(&source, last), lost);
    assert_eq!(source.gap().await.reason, GapReason::Unreadable);
    source.stop();
}

async fn replaced(recording: Recording, folder: &Path) {
    let file = recording.write(folder, "run", 1..=3_000);
    let next = recording.write(folder, "next", 3_001..=3_400);
    let mut source = play(&file, "repeat = true");
    source.value(0, Value::Float(100.0)).await;
    std::fs::rename(next, &file).unwrap();
    source.value(0, Value::Float(3_400.0)).await;
    let heard: Vec<_> = source.observed(0).take(3_400).map(|(value, ..)| value).collect();
    assert_eq!(heard, (1..=3_400).map(|n| Value::Float(n as f64)).collect::<Vec<_>>());
    assert_eq!((source.counters.gaps.value(), source.counters.reconnects.value()), (0, 0));
    source.stop();
}
