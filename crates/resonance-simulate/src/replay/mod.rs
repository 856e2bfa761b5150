//! Recorded rows served as a live machine.
//!
//! A recording is a text table or a Parquet file; a sidecar file in TOML says what its columns are. Without one,
//! columns are taken by what is in them, or what a Parquet file declares.

mod columns;
mod feed;
mod infer;
mod rows;
mod sidecar;

use std::path::{Path, PathBuf};

pub use columns::Missing;
pub use rows::{RowError, RowProblem};
pub use sidecar::{ColumnEntry, Separator, Sidecar, TimeUnit};

use columns::Column;
use feed::{Pace, Replay};
use rows::Rows;

use crate::machine::{Endpoint, MachineSpec, Running, SpecError, StartError, start};

/// Which recording, and how it is replayed.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The recording.
    pub file: PathBuf,
    /// What its columns are. `None`: `<file>.toml` with the same stem, or `replay.toml` beside
    /// the file; without either, what the rows show.
    pub describe: Option<PathBuf>,
    /// How many times faster than recorded; above 0.
    pub speed: f64,
    /// Begins anew at the end.
    pub repeat: bool,
    /// Only the rows of this group: the text in the sidecar's `group` column.
    pub group: Option<String>,
}

impl ReplayOptions {
    /// This recording, once, as fast as it was recorded.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), describe: None, speed: 1.0, repeat: false, group: None }
    }
}

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The sidecar is not what it should be.
    #[error("{}: {problem}", path.display())]
    Sidecar {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column where known, and what to do.
        problem: String,
    },
    /// The sidecar and the recording do not belong together.
    #[error("{}: {problem}", path.display())]
    Table {
        /// The recording.
        path: PathBuf,
        /// What does not fit and what to do.
        problem: String,
    },
    /// An option makes no sense.
    #[error("speed is {0}; it must be 0.001 to 100,000")]
    Speed(f64),
    /// The machine's description makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The machine does not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// A recording whose columns are understood, ready to be served.
#[derive(Debug)]
pub struct Recording {
    spec: MachineSpec,
    notices: Vec<String>,
    feed: Replay,
}

impl Recording {
    /// Reads the sidecar and as many rows as are needed to understand the columns.
    ///
    /// # Errors
    /// Names the file, and the line and column, that cannot be understood.
    pub fn open(options: ReplayOptions) -> Result<Self, ReplayError> {
        let ReplayOptions { file, describe, speed, repeat, group } = options;
        if !(0.001..=100_000.0).contains(&speed) {
            return Err(ReplayError::Speed(speed));
        }
        let mut notices = Vec::new();
        let sidecar = match describe.or_else(|| beside(&file)) {
            Some(path) => Sidecar::read(&path)?,
            None => {
                let inferred = infer::sidecar(&file)?;
                let pace = match &inferred.time_column {
                    Some(column) => format!("its time from {column}"),
                    None => format!("one row every {} ms", inferred.period_ms),
                };
                notices.push(format!(
                    "{}: no sidecar; {} columns taken from the file, without units and meaning, \
                     {pace}",
                    file.display(),
                    inferred.columns.len(),
                ));
                inferred
            }
        };
        let (rows, header) = Rows::open(&file, &sidecar)?;
        if !rows.left_out().is_empty() {
            notices.push(format!(
                "{}: columns without one number, text or time a row are left out: {}",
                file.display(),
                rows.left_out().join(", ")
            ));
        }
        let columns = Column::all(&file, &sidecar, header.as_deref(), &mut notices)?;
        let group = group_filter(&file, &sidecar, header.as_deref(), group)?;
        let spec = MachineSpec {
            name: sidecar.machine.as_str().into(),
            description: sidecar.description.as_str().into(),
            identification: vec![
                ("Model", format!("replay of {}", file_name(&file))),
                ("SerialNumber", "REPLAYED".into()),
            ],
            channels: columns.iter().map(|column| column.channel.clone()).collect(),
        };
        spec.address_space()?;
        let pace = Pace::new(&file, &sidecar, header.as_deref(), speed)?;
        let feed = Replay::new(rows, columns, pace, group, repeat, sidecar.missing);
        Ok(Self { spec, notices, feed })
    }

    /// What it will show.
    pub fn spec(&self) -> &MachineSpec {
        &self.spec
    }

    /// What the user should know: columns left out, types that were guessed.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Serves it. The first row is written at once.
    ///
    /// # Errors
    /// Where the machine cannot listen.
    pub async fn start(self, endpoint: Endpoint) -> Result<Running, ReplayError> {
        Ok(start(self.spec, endpoint, Box::new(self.feed)).await?)
    }
}

fn beside(file: &Path) -> Option<PathBuf> {
    [file.with_extension("toml"), file.with_file_name("replay.toml")]
        .into_iter()
        .find(|path| path.is_file())
}

fn file_name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// The place of the group column and the text wanted there.
fn group_filter(
    file: &Path,
    sidecar: &Sidecar,
    header: Option<&[String]>,
    wanted: Option<String>,
) -> Result<Option<(usize, String)>, ReplayError> {
    let Some(wanted) = wanted else { return Ok(None) };
    let refused = |problem| ReplayError::Table { path: file.to_owned(), problem };
    let group = sidecar.group.as_deref().ok_or_else(|| {
        refused("a group was asked for, but the sidecar names no group column".to_owned())
    })?;
    let place = sidecar.place(header, group).ok_or_else(|| {
        refused(format!("the sidecar's group column {group:?} is not in the table"))
    })?;
    Ok(Some((place, wanted)))
}

#[cfg(test)]
mod tests;
