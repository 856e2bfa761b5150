//! Rows in, values out, in the recording's own time.

use std::path::Path;
use std::time::Duration;

use resonance_plant::{Status, Timestamp, Value};

use super::columns::{Column, UNREADABLE};
use super::rows::{RowProblem, Rows};
use super::{Missing, ReplayError, Sidecar, TimeUnit};
use crate::machine::{Feed, Next, Writer};

/// Moves a machine by a recording.
#[derive(Debug)]
pub(super) struct Replay {
    rows: Rows,
    columns: Vec<Column>,
    pace: Pace,
    group: Option<(usize, String)>,
    repeat: bool,
    missing: Missing,
    /// Rows found since the file was begun.
    found: u64,
    /// The row that comes next, read ahead to know when.
    ahead: Option<Row>,
    is_done: bool,
}

#[derive(Debug)]
struct Row {
    line: u64,
    fields: Vec<String>,
}

impl Replay {
    pub(super) fn new(
        rows: Rows,
        columns: Vec<Column>,
        pace: Pace,
        group: Option<(usize, String)>,
        repeat: bool,
        missing: Missing,
    ) -> Self {
        Self { rows, columns, pace, group, repeat, missing, found: 0, ahead: None, is_done: false }
    }

    /// Lets a test not wait for the usual period.
    #[cfg(test)]
    pub(super) fn hurry(&mut self) {
        self.pace.period = Duration::from_millis(1);
    }

    /// The next row of the group that can be read.
    fn read(&mut self, out: &mut Writer<'_>) -> Option<Row> {
        loop {
            match self.rows.next() {
                Some(Ok(fields)) => {
                    let is_wanted = self.group.as_ref().is_none_or(|(place, wanted)| {
                        fields.get(*place).is_some_and(|text| text.trim() == wanted)
                    });
                    if is_wanted {
                        let fields = fields.to_vec();
                        self.found += 1;
                        return Some(Row { line: self.rows.line(), fields });
                    }
                }
                Some(Err(error)) => {
                    out.bad_row(&error.to_string());
                    if matches!(error.problem, RowProblem::File(_)) {
                        return None;
                    }
                }
                // A table in which nothing can be served would be read for ever.
                None if !self.repeat || self.found == 0 => return None,
                None => {
                    if let Err(error) = self.rows.rewind() {
                        let problem = RowProblem::File(error.to_string());
                        out.bad_row(&self.rows.error_at(self.rows.line(), problem).to_string());
                        return None;
                    }
                    self.found = 0;
                    self.pace.restart();
                }
            }
        }
    }

    fn serve(&self, row: &Row, out: &mut Writer<'_>) {
        for (channel, column) in self.columns.iter().enumerate() {
            let field = row.fields.get(column.place).map_or("", String::as_str);
            match (column.value(field), self.missing) {
                (Ok(Some(value)), _) => out.value(channel, &value),
                (Ok(None), Missing::Hold) => {}
                (Ok(None), Missing::BadNoData) => {
                    out.value_with(channel, &Value::Empty, Status::BAD_NO_DATA);
                }
                (Err(problem), _) => {
                    out.value_with(channel, &Value::Empty, UNREADABLE);
                    let problem = RowProblem::Field {
                        column: column.place + 1,
                        name: column.channel.path(),
                        problem,
                    };
                    out.bad_row(&self.rows.error_at(row.line, problem).to_string());
                }
            }
        }
    }

    /// How long after the row before it this one is due.
    fn until(&mut self, row: &Row, out: &mut Writer<'_>) -> Duration {
        self.pace.until(&row.fields).unwrap_or_else(|problem| {
            out.bad_row(&self.rows.error_at(row.line, problem).to_string());
            self.pace.period
        })
    }
}

impl Feed for Replay {
    fn step(&mut self, out: &mut Writer<'_>) -> Next {
        let row = match self.ahead.take() {
            Some(row) => row,
            None if self.is_done => return Next::Ended,
            None => {
                let Some(first) = self.read(out) else { return Next::Ended };
                // The time of the first row is where the others count from.
                self.until(&first, out);
                first
            }
        };
        self.serve(&row, out);
        match self.read(out) {
            Some(next) => {
                let wait = self.until(&next, out);
                self.ahead = Some(next);
                Next::After(wait)
            }
            None => {
                // The last row holds as long as any other.
                self.is_done = true;
                Next::After(self.pace.period)
            }
        }
    }
}

/// How long it is from row to row.
#[derive(Debug)]
pub(super) struct Pace {
    period: Duration,
    speed: f64,
    column: Option<(usize, TimeUnit)>,
    /// Seconds of the row before.
    last_s: Option<f64>,
}

/// Longer pauses in a recording are cut to the usual period.
const PAUSE_S_MAX: f64 = 86_400.0;

impl Pace {
    pub(super) fn new(
        file: &Path,
        sidecar: &Sidecar,
        header: Option<&[String]>,
        speed: f64,
    ) -> Result<Self, ReplayError> {
        let column = sidecar.time_column.as_deref().map(|name| {
            let place = sidecar.place(header, name).ok_or_else(|| ReplayError::Table {
                path: file.to_owned(),
                problem: format!("the sidecar's time column {name:?} is not in the table"),
            })?;
            Ok::<_, ReplayError>((place, sidecar.time_unit))
        });
        Ok(Self {
            period: Duration::from_secs_f64(sidecar.period_ms / 1e3 / speed),
            speed,
            column: column.transpose()?,
            last_s: None,
        })
    }

    fn restart(&mut self) {
        self.last_s = None;
    }

    /// How long after the row before it this one is due.
    fn until(&mut self, row: &[String]) -> Result<Duration, RowProblem> {
        let Some((place, unit)) = self.column else { return Ok(self.period) };
        let bad = |problem: String| RowProblem::Time { column: place + 1, problem };
        let field = row.get(place).map_or("", String::as_str).trim();
        let now_s = seconds(field, unit).ok_or_else(|| bad(format!("{field:?} is no time")))?;
        let Some(last_s) = self.last_s.replace(now_s) else { return Ok(self.period) };
        let pause_s = now_s - last_s;
        if !(0.0..=PAUSE_S_MAX).contains(&pause_s) {
            return Err(bad(format!("time moves by {pause_s} s from row to row")));
        }
        Ok(Duration::from_secs_f64(pause_s / self.speed))
    }
}

fn seconds(field: &str, unit: TimeUnit) -> Option<f64> {
    let number = || field.parse::<f64>().ok().filter(|x| x.is_finite());
    match unit {
        TimeUnit::Seconds => number(),
        TimeUnit::Milliseconds => number().map(|ms| ms / 1e3),
        TimeUnit::Rfc3339 => Timestamp::parse_rfc3339(field).map(|at| at.nanos() as f64 / 1e9),
    }
}
