use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{
    Code, DataType, EventSink, ManualClock, PointIndex, Status, Timestamp, Value,
};

use super::*;
use crate::events::EventLog;
use crate::hub::ingest::{GapReason, Message, SessionState, Waker, channel};
use crate::sources::{Link, Source, SourcePoint};
use crate::status::Connection;

const NOW: i64 = 1_800_000_000_000;

/// What was played.
struct Played {
    /// Point, value, milliseconds since the beginning, status.
    rows: Vec<(usize, Value, i64, Status)>,
    gaps: Vec<GapReason>,
    sessions: Vec<SessionState>,
    events: Arc<EventLog>,
    connection: Connection,
}

/// Plays a file for so long, in virtual time.
async fn play(text: &[u8], more: &str, seconds: u64) -> Played {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.csv");
    std::fs::write(&file, text).unwrap();
    let config = toml::from_str(&format!("file = '{}'\n{more}", file.display())).unwrap();
    let events = Arc::new(EventLog::in_memory());
    let (out, mut receiver) = channel(Waker::default());
    let point =
        |(index, (address, data_type, labels)): (u32, (&str, DataType, &[&str]))| SourcePoint {
            point: PointIndex(index),
            path: format!("mill.{address}").into(),
            address: address.into(),
            data_type,
            labels: labels.iter().map(|label| Arc::from(*label)).collect(),
            sampling_ms: None,
            deadband: None,
        };
    let points: [(&str, DataType, &[&str]); 4] = [
        ("load", DataType::Float64, &[]),
        ("state", DataType::Int32, &["off", "on"]),
        ("load", DataType::String, &[]),
        ("speed", DataType::Float64, &[]),
    ];
    let link = Link {
        id: "run".into(),
        points: (0..).zip(points).map(point).collect(),
        clock: Arc::new(ManualClock::at(Timestamp::from_millis(NOW))),
        events: Arc::clone(&events) as Arc<dyn EventSink>,
        counters: Arc::default(),
    };
    let counters = Arc::clone(&link.counters);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let running = Box::new(ReplaySource::new(config)).run(link, out, stopped);
    let ended = tokio::time::timeout(Duration::from_secs(seconds), running).await;
    assert!(ended.is_err(), "it runs until it is told to stop");
    let connection = counters.connection.value();
    let mut played =
        Played { rows: Vec::new(), gaps: Vec::new(), sessions: Vec::new(), events, connection };
    while let Some(message) = receiver.receive() {
        match message {
            Message::Gap(gap) => played.gaps.push(gap.reason),
            Message::Session(state) => played.sessions.push(state),
            Message::Block(block) => played.rows.extend((0..block.len()).map(|row| {
                let at = Timestamp::from_nanos(block.source_time[row]).millis() - NOW;
                let status = Status(block.status[row]);
                (block.point[row] as usize, block.exact(row), at, status)
            })),
        }
    }
    played
}

impl Played {
    /// Values of a point with their times, bad ones left out.
    fn of(&self, point: usize) -> Vec<(Value, i64)> {
        let good = self.rows.iter().filter(|(of, _, _, status)| *of == point && !status.is_bad());
        good.map(|(_, value, at, _)| (value.clone(), *at)).collect()
    }

    fn told(&self, code: Code) -> String {
        let events = self.events.recent(99);
        let told = events.iter().find(|event| event.code == code);
        told.map(|event| event.message.to_string()).unwrap_or_default()
    }
}

fn floats(of: &[(f64, i64)]) -> Vec<(Value, i64)> {
    of.iter().map(|(value, at)| (Value::Float(*value), *at)).collect()
}

#[tokio::test(start_paused = true)]
async fn rows_are_played_in_the_time_in_which_they_were_recorded() {
    let text = b"\xef\xbb\xbftime,load,state\n10,1.5,off\n10.5,,on\n12.5,2.5,\n";
    let played = play(text, "time_column = 'time'\nspeed = 2.0", 60).await;
    assert_eq!(played.of(0), floats(&[(1.5, 0), (2.5, 1_250)]));
    assert_eq!(played.of(1), [(Value::Int(0), 0), (Value::Int(1), 250)]);
    assert_eq!(played.of(2)[0], (Value::Text("1.5".into()), 0), "a column feeds several points");
    let unknown = Status::BAD_NODE_ID_UNKNOWN;
    assert!(played.rows.iter().any(|(of, _, _, status)| *of == 3 && *status == unknown));
    assert!(played.told(Code::PointUnknown).contains("no such column"));
    // At its end nothing is a machine's value any more.
    let last = played.rows.iter().rev().take(4);
    assert!(last.clone().all(|(_, _, _, status)| *status == Status::BAD_NO_COMMUNICATION));
    assert_eq!(played.sessions, [SessionState::Alive, SessionState::Lost]);
    assert_eq!(played.connection, Connection::Stopped);
    let told = played.told(Code::SourceDisconnected);
    assert!(told.contains("3 rows were played") && told.contains("repeat = true"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_recording_can_begin_anew() {
    // The clock stands, so each row is waited for from the beginning: 0, 1, 3, 6, 10 s.
    let played = play(b"load\n1\n2\n", "period_ms = 1000\nrepeat = true", 8).await;
    let expected = floats(&[(1.0, 0), (2.0, 1_000), (1.0, 2_000), (2.0, 3_000)]);
    assert_eq!(played.of(0), expected);
    assert_eq!(played.connection, Connection::Connected);
}

#[tokio::test(start_paused = true)]
async fn observations_can_carry_the_recorded_time() {
    let text = b"at,load\n2026-11-21T08:00:00Z,1\n2026-11-21T08:00:00.5Z,2\n";
    let more = "time_column = 'at'\ntime_unit = 'rfc3339'\ntime = 'recorded'";
    let played = play(text, more, 60).await;
    let first = Timestamp::parse_rfc3339("2026-11-21T08:00:00Z").unwrap().millis() - NOW;
    assert_eq!(played.of(0), floats(&[(1.0, first), (2.0, first + 500)]));
}

#[tokio::test(start_paused = true)]
async fn rows_that_cannot_be_read_are_gaps_and_the_others_are_played() {
    let mut text = b"time,load\n0,1\n1,2,3\nsoon,4\n2,\xff\n2,\"\n3,many\n1,6\n".to_vec();
    text.extend(b"4,".iter().chain([b'9'; 2 << 20].iter()).chain(b"\n5,7\n"));
    let played = play(&text, "time_column = 'time'\nperiod_ms = 100", 60).await;
    // A time that goes back is followed by the usual period.
    assert_eq!(played.of(0), floats(&[(1.0, 0), (6.0, 3_100), (7.0, 7_100)]));
    assert_eq!(played.gaps, [GapReason::Unreadable; 5]);
    let mismatch = Status::BAD_TYPE_MISMATCH;
    assert!(
        played
            .rows
            .iter()
            .any(|(of, _, at, status)| { (*of, *at, *status) == (0, 3_000, mismatch) })
    );
    let told = played.told(Code::DataGap);
    assert!(told.contains("line ") && told.contains("run.csv"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn files_that_are_no_recordings_are_told_and_tried_again() {
    for (text, more, says) in [
        (&b""[..], "", "it is empty"),
        (b"load,load\n1,2\n", "", "two columns are called \"load\""),
        (b"load\n1\n", "time_column = 'zeit'", "no column is called \"zeit\""),
    ] {
        let played = play(text, more, 5).await;
        let told = played.told(Code::SourceRefused);
        assert!(told.contains(says) && told.contains("trying again"), "{told}");
        assert_eq!(played.connection, Connection::Connecting);
    }
}

/// A Parquet file of instants, texts, numbers and lists.
fn parquet() -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    let schema = "message m { required int64 at (TIMESTAMP(MILLIS,true)); \
                  required binary load (UTF8); required binary state (UTF8); \
                  repeated double speed; }";
    let schema = Arc::new(parquet::schema::parser::parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer =
        parquet::file::writer::SerializedFileWriter::new(&mut bytes, schema, Arc::default())
            .unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[NOW, NOW + 250], None, None).unwrap();
    column.close().unwrap();
    for texts in [["much", "1.5"], ["off", "on"]] {
        let texts = texts.map(ByteArray::from);
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&[], Some(&[0, 0]), Some(&[0, 0])).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn columns_of_parquet_with_other_types_are_named_and_the_others_are_played() {
    let played = play(&parquet(), "time_column = 'at'\ntime = 'recorded'", 60).await;
    assert_eq!(played.of(1), [(Value::Int(0), 0), (Value::Int(1), 250)], "by their labels");
    assert_eq!(played.of(2)[0], (Value::Text("much".into()), 0), "a text may be any column");
    for point in [0, 3] {
        let statuses = played.rows.iter().filter(|(of, ..)| *of == point).map(|row| row.3);
        assert_eq!(statuses.collect::<Vec<_>>()[0], Status::BAD_TYPE_MISMATCH, "{point}");
    }
    let told: Vec<String> = played
        .events
        .recent(99)
        .iter()
        .filter(|event| event.code == Code::PointTypeChanged)
        .map(|event| event.message.to_string())
        .collect();
    assert!(told.iter().any(|text| text.contains("load") && text.contains("holds string")));
    assert!(told.iter().any(|text| text.contains("speed") && text.contains("lists of DOUBLE")));
}
