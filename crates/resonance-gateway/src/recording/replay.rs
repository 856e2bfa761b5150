//! Recorded windows, run again: the same batches through the same model, compared bit for bit.

use std::path::Path;
use std::sync::Arc;

use resonance_plant::TensorBuf;
use serde::Serialize;

use super::RecordingError;
use super::folder::{MODELS, package_name};
use super::windows::{WindowsHeader, WindowsReader};
use crate::models::ServedModel;

/// A row that is answered otherwise than it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Which row of the file, from zero.
    pub row: usize,
    /// Whose.
    pub deployment: String,
    /// The result that was given; `None` where the deployment was suspended meanwhile.
    pub result_id: Option<String>,
    /// Which output.
    pub output: String,
    /// Which element of the row, from zero: the first that differs.
    pub element: usize,
    /// What was answered then.
    pub recorded: String,
    /// What is answered now.
    pub replayed: String,
}

/// A file of windows after it was run again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replayed {
    /// What the file says about itself.
    pub header: WindowsHeader,
    /// The digest of the package that ran now.
    pub digest: Arc<str>,
    /// What ran it now.
    pub engine: Arc<str>,
    /// Windows in the file.
    pub windows: usize,
    /// Inferences that they made up.
    pub batches: usize,
    /// Windows that are answered otherwise.
    pub different: usize,
}

impl WindowsHeader {
    /// The folder of the package's copy inside that of the recording.
    pub fn package_in(&self, recording: &Path) -> std::path::PathBuf {
        recording.join(MODELS).join(package_name(&self.model, &self.digest))
    }

    /// What a file of windows says about itself.
    ///
    /// # Errors
    /// Where it is no whole file of windows.
    pub fn read(file: &Path) -> Result<Self, RecordingError> {
        Ok(WindowsReader::open(file)?.header)
    }
}

/// Runs the windows of a file again. `differs` is given the first difference of every output of
/// every row that is answered otherwise, `progress` the number of rows done.
///
/// # Errors
/// Where the file cannot be read, the model takes other tensors, or the engine fails.
pub fn replay(
    file: &Path,
    served: &ServedModel,
    differs: &mut dyn FnMut(Difference),
    progress: &mut dyn FnMut(usize),
) -> Result<Replayed, RecordingError> {
    let reader = WindowsReader::open(file)?;
    let header = &reader.header;
    let wrong = |problem: String| RecordingError::Model { file: file.to_owned(), problem };
    if *served.signature() != header.signature {
        let model = &served.used.name;
        let problem =
            format!("its windows do not fit the tensors of {model}; name its own package");
        return Err(wrong(problem));
    }
    let failed = |error| wrong(format!("{} failed on its windows: {error}", served.used.name));
    let mut session = served.session().map_err(failed)?;
    let (mut outputs, mut windows, mut batches, mut different) = (TensorBuf::default(), 0, 0, 0);
    for group in 0..reader.groups() {
        let group = reader.group(group, windows)?;
        for batch in group.batches()? {
            let inputs = group.inputs(&batch)?;
            session.infer(&inputs, &mut outputs).map_err(failed)?;
            let mut last = None;
            for (row, output, element, recorded, replayed) in group.differences(&batch, &outputs) {
                different += usize::from(last != Some(row));
                last = Some(row);
                let (deployment, result_id) = group.whose(row);
                let output = header.signature.outputs.get(output);
                differs(Difference {
                    row: windows + row,
                    deployment,
                    result_id,
                    output: output.map_or_else(String::new, |spec| spec.name.to_string()),
                    element,
                    recorded,
                    replayed,
                });
            }
            batches += 1;
        }
        windows += group.len();
        progress(windows);
    }
    Ok(Replayed {
        digest: Arc::clone(&served.used.digest),
        engine: Arc::clone(&served.used.engine),
        windows,
        batches,
        different,
        header: header.clone(),
    })
}
