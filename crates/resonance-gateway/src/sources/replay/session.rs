//! The run loop: rows at their time, again from the start where that is wanted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use resonance_plant::{Code, DataType, Status, Timestamp, Value};

use super::config::{ReplayConfig, ReplayTime, TimeUnit};
use super::pace::{Pace, parse};
use super::rows::{RowError, Rows};
use crate::hub::ingest::{BlockSender, Gap, GapReason};
use crate::sources::backoff::{Backoff, random};
use crate::sources::contact::Contact;
use crate::sources::failure::Failure;
use crate::sources::opcua::config::TimeFrom;
use crate::sources::outlet::Outlet;
use crate::sources::{Link, Source, SourceError, SourcePoint, Stop, Visit, text, told};
use crate::status::Connection;

/// The longest wait until a file is tried again that could not be read.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What `speed` may be.
const SPEEDS: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

/// A recording.
#[derive(Debug)]
pub struct ReplaySource {
    config: ReplayConfig,
}

impl ReplaySource {
    /// A source with this configuration.
    pub fn new(config: ReplayConfig) -> Self {
        Self { config }
    }
}

impl Source for ReplaySource {
    fn run(
        self: Box<Self>,
        link: Link,
        mut out: BlockSender,
        mut stop: Stop,
    ) -> Pin<Box<dyn Future<Output = Result<(), SourceError>>>> {
        Box::pin(async move {
            if !SPEEDS.contains(&self.config.speed) {
                let (least, most) = (SPEEDS.start(), SPEEDS.end());
                let problem = format!("it is {}; write {least} to {most}", self.config.speed);
                return Err(SourceError::Configuration { key: "speed".into(), problem });
            }
            let mut player = Player::new(self.config, &link);
            tokio::select! {
                () = told(&mut stop) => {}
                () = player.run(&mut out) => told(&mut stop).await,
            }
            link.counters.connection.set(Connection::Stopped);
            Ok(())
        })
    }
}

/// Whether there is a recording that can be played.
///
/// # Errors
/// Why not.
pub(in crate::sources) fn visit(config: &ReplayConfig) -> Result<Visit, String> {
    let opened = Rows::open(&config.file, config.separator);
    opened.map_err(|error| format!("{}: {error}", config.file.display()))?;
    Ok(Visit::default())
}

/// What outlives a round.
struct Player {
    config: ReplayConfig,
    contact: Contact,
    outlet: Outlet,
    pace: Pace,
    /// When the last row was played, by its observations' time.
    last: Option<Timestamp>,
}

/// Which points each column feeds.
struct Layout {
    targets: Vec<Vec<usize>>,
    time: Option<usize>,
    time_unit: TimeUnit,
}

/// Whether what a column holds can be what a point is: else none of its rows would be.
fn fits(column: DataType, point: &SourcePoint) -> bool {
    use DataType as T;
    match (column, point.data_type) {
        (_, T::String) => true,
        (T::String, T::Datetime | T::Float64Array) => true,
        (T::String, _) => !point.labels.is_empty(),
        (T::Datetime, declared) => declared == T::Datetime,
        (_, T::Datetime) => false,
        (T::Boolean, declared) => declared == T::Boolean,
        (_, declared) => !matches!(declared, T::Bytes),
    }
}

impl Player {
    fn new(config: ReplayConfig, link: &Link) -> Self {
        let usual = Duration::from_millis(config.period_ms.max(1).into());
        let time = match config.time {
            ReplayTime::Now => TimeFrom::Receive,
            ReplayTime::Recorded => TimeFrom::Source,
        };
        Self {
            contact: Contact::new(link, &config.file.display().to_string()),
            outlet: Outlet::new(link, time),
            pace: Pace::new(config.speed, usual),
            last: None,
            config,
        }
    }

    /// Ends with the recording.
    async fn run(&mut self, out: &mut BlockSender) {
        let mut backoff = Backoff::new(BACKOFF_MAX);
        loop {
            match self.round(out).await {
                Ok(rows) if self.config.repeat && rows > 0 => self.pace.rewind(),
                Ok(rows) => return self.end(rows, out).await,
                Err(failure) => {
                    self.contact.failed(&failure, out).await;
                    tokio::time::sleep(backoff.wait(random())).await;
                }
            }
        }
    }

    /// Plays the file once; returns how many rows were played.
    async fn round(&mut self, out: &mut BlockSender) -> Result<u64, Failure> {
        let file = self.config.file.display().to_string();
        let failure = |error: RowError| Failure::Refused(format!("{file}: {error}"));
        let mut rows = Rows::open(&self.config.file, self.config.separator).map_err(failure)?;
        let layout = self.layout(&rows, out).await?;
        let (mut row, mut played) = (csv::StringRecord::new(), 0_u64);
        loop {
            match rows.next(&mut row) {
                Ok(true) => {}
                Ok(false) => break,
                Err(RowError::Row(line, problem)) => {
                    self.unreadable(rows.word(), line, &problem, out).await;
                    continue;
                }
                Err(error) => return Err(failure(error)),
            }
            let field = layout.time.and_then(|column| row.get(column)).map(str::trim);
            let recorded = field.and_then(|field| parse(field, layout.time_unit));
            if let (Some(field), None) = (field, recorded) {
                let problem =
                    format!("{:?} is no time", field.chars().take(40).collect::<String>());
                self.unreadable(rows.word(), rows.line(), &problem, out).await;
                continue;
            }
            self.wait(recorded, out).await;
            self.play(&layout, &row, recorded, out).await;
            played += 1;
        }
        self.outlet.flush(out);
        Ok(played)
    }

    async fn layout(&mut self, rows: &Rows, out: &mut BlockSender) -> Result<Layout, Failure> {
        let position = |name: &str| rows.header.iter().position(|column| column == name);
        let time = match &self.config.time_column {
            None => None,
            Some(name) => Some(position(name).ok_or_else(|| {
                Failure::Refused(format!(
                    "{}: no column is called {name:?}, as time_column says; there are {}",
                    self.config.file.display(),
                    rows.header.iter().collect::<Vec<_>>().join(", ")
                ))
            })?),
        };
        // A column of instants says itself what it holds.
        let is_instant = time.and_then(|column| rows.type_of(column)) == Some(DataType::Datetime);
        let time_unit = if is_instant { TimeUnit::Rfc3339 } else { self.config.time_unit };
        let targets = vec![Vec::new(); rows.header.len()];
        let mut layout = Layout { targets, time, time_unit };
        let points = Arc::clone(&self.outlet.link.points);
        let now = self.outlet.link.clock.now();
        for (index, point) in points.iter().enumerate() {
            let refused = match position(&point.address) {
                Some(column) => match rows.type_of(column).filter(|of| !fits(*of, point)) {
                    None => {
                        layout.targets[column].push(index);
                        continue;
                    }
                    Some(holds) => Some(holds.name().to_owned()),
                },
                None => rows.left_out(&point.address).map(str::to_owned),
            };
            let (code, status, text) = match refused {
                Some(holds) => (
                    Code::PointTypeChanged,
                    Status::BAD_TYPE_MISMATCH,
                    format!(
                        "the recording's column holds {holds}; the point's type is {}",
                        point.data_type.name()
                    ),
                ),
                None => (
                    Code::PointUnknown,
                    Status::BAD_NODE_ID_UNKNOWN,
                    "the recording has no such column".to_owned(),
                ),
            };
            self.outlet.tell(code, index, now, || (text, Value::Empty));
            self.outlet.without_value(index, status, now, out).await;
        }
        Ok(layout)
    }

    /// Waits until a row is due that was recorded then.
    async fn wait(&mut self, recorded: Option<Timestamp>, out: &mut BlockSender) {
        let now = self.outlet.link.clock.now();
        let due = self.pace.due(recorded, now);
        let left = due.since(now);
        if let Ok(left @ 1..) = u64::try_from(left) {
            self.outlet.flush(out);
            tokio::time::sleep(Duration::from_nanos(left)).await;
        } else {
            // Behind its pace, it still has to hear that it is to stop.
            tokio::task::yield_now().await;
        }
        self.contact.heard(&mut self.outlet, out).await;
        self.outlet.begin(due.max(now));
    }

    async fn play(
        &mut self,
        layout: &Layout,
        row: &csv::StringRecord,
        recorded: Option<Timestamp>,
        out: &mut BlockSender,
    ) {
        let points = Arc::clone(&self.outlet.link.points);
        for (field, targets) in row.iter().zip(&layout.targets) {
            let field = field.trim();
            if field.is_empty() {
                continue;
            }
            for &index in targets {
                let point = &points[index];
                let at = match self.outlet.time {
                    TimeFrom::Receive => self.outlet.received(),
                    _ => self.outlet.plausible(index, recorded, || None),
                };
                let value = text::read(field, point.data_type, &point.labels);
                let made = self.outlet.row(index, point.data_type, value);
                self.outlet.push(point.point, made, at, out).await;
                self.last = Some(at);
            }
        }
    }

    /// A row that is missing is a gap.
    async fn unreadable(&mut self, word: &str, line: u64, problem: &str, out: &mut BlockSender) {
        self.outlet.flush(out);
        self.outlet.link.counters.refused.add(1);
        let now = self.contact.heard(&mut self.outlet, out).await;
        let file = self.config.file.display();
        self.contact.row_refused(&format!("{file}: {word} {line}: {problem}; the row is left out"));
        let to = match self.outlet.time {
            TimeFrom::Receive => now,
            _ => self.last.unwrap_or(now),
        };
        let (from, reason) = (self.last.unwrap_or(to).min(to), GapReason::Unreadable);
        self.outlet.gap(Gap { points: Arc::from([]), from, to, reason }, out);
    }

    /// Nothing more comes: the values at the end are no machine's any more.
    async fn end(&mut self, rows: u64, out: &mut BlockSender) {
        let now = self.outlet.link.clock.now();
        for index in 0..self.outlet.link.points.len() {
            let status = Status::BAD_NO_COMMUNICATION;
            self.outlet.without_value(index, status, now, out).await;
        }
        let more = match rows {
            0 => "it has no rows",
            _ => "the recording ended; write repeat = true to have it begin anew",
        };
        self.contact.ended(&format!("{rows} rows were played; {more}"), out).await;
    }
}
