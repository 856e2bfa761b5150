//! How far what engines answered lies apart, output by output.

use resonance_plant::{Tensor, TensorBuf};
use serde::{Serialize, Serializer};

use super::difference::{difference, element};
use super::job::{Answer, Outcome, VectorAnswer};
use super::vectors::VectorSet;
use crate::engines::EngineKind;
use crate::package::VerifiedModel;
use crate::package::manifest::{OutputSpec, Tolerance};

/// Differing labels that a report shows, for each output.
const SHOWN_MAX: usize = 10;

/// Several engines on one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// The digest of what was compared.
    pub digest: String,
    /// How far answers may lie apart.
    pub tolerance: Tolerance,
    /// Every engine and what became of it.
    pub engines: Vec<EngineColumn>,
    /// Every engine on every set of inputs.
    pub sets: Vec<SetComparison>,
    /// Whether all engines that know the model's operators answered, within the tolerance. With
    /// fewer than one that ran, they do not.
    pub agree: bool,
}

/// One engine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EngineColumn {
    /// Its name and version.
    pub engine: String,
    /// Whether it ran the model.
    pub ran: bool,
    /// Operators that the model needs and it lacks.
    pub lacks: Vec<String>,
    /// Why it did not run the model, or never answered, where that is not for an operator.
    pub problem: Option<String>,
    /// Whether the machine or the build has no such engine at all.
    pub absent: bool,
    /// The median time of an inference of the first vector, microseconds. A side note: the
    /// machine does other things meanwhile.
    pub median_us: Option<f64>,
}

/// One engine on one set of inputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetComparison {
    /// Which inputs.
    pub inputs: String,
    /// How many inferences.
    pub vectors: usize,
    /// Which engine.
    pub engine: String,
    /// What its answers are held against.
    pub reference: String,
    /// Every output.
    pub outputs: Vec<OutputDifference>,
    /// Vectors without an answer that could be compared.
    pub problems: Vec<Problem>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputDifference {
    /// Its name.
    pub output: String,
    /// Elements compared.
    pub elements: usize,
    /// Elements beyond the tolerance, or labels that differ.
    pub deviating: usize,
    /// Where the difference is greatest.
    pub greatest: Option<Place>,
    /// Where the difference is greatest as a share of what was expected.
    pub greatest_relative: Option<Place>,
    /// The first labels that differ, where the output is of labels or whole numbers.
    pub labels: Vec<LabelDiffers>,
}

/// A difference and where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// How much; text where it is infinite.
    #[serde(serialize_with = "number")]
    pub by: f64,
    /// Which vector.
    pub vector: String,
    /// Which element of it.
    pub element: usize,
    /// What was expected.
    pub expected: String,
    /// What was answered.
    pub actual: String,
}

/// A label that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelDiffers {
    /// Which vector.
    pub vector: String,
    /// Which element of it.
    pub element: usize,
    /// What was expected; by name where the package names its classes.
    pub expected: String,
    /// What was answered.
    pub actual: String,
}

/// A vector that cannot be compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// Which vector.
    pub vector: String,
    /// Why.
    pub reason: String,
}

/// JSON has no infinity.
fn number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.is_finite() {
        serializer.serialize_f64(*number)
    } else {
        serializer.serialize_str("Infinity")
    }
}

/// Compares what engines answered to `sets`, one after the other. An engine whose process ended
/// without an answer comes with the reason. Golden vectors are held against what the package
/// says, other inputs against the first engine that ran.
pub fn compare(
    model: &VerifiedModel,
    sets: &[VectorSet],
    answers: Vec<(EngineKind, Result<Answer, String>)>,
    tolerance: Tolerance,
) -> Comparison {
    let mut engines = Vec::new();
    let mut ran: Vec<(String, Vec<Result<TensorBuf, String>>)> = Vec::new();
    for (kind, answer) in answers {
        let (column, outputs) = column(kind, answer);
        if let Some(outputs) = outputs {
            ran.push((column.engine.clone(), outputs));
        }
        engines.push(column);
    }
    let mut compared = Vec::new();
    let mut from = 0;
    for (number, set) in sets.iter().enumerate() {
        let to = from + set.vectors.len();
        let is_golden = number == 0 && !model.golden.is_empty();
        for (at, (engine, answers)) in ran.iter().enumerate() {
            let (reference, expected) = match (is_golden, at) {
                (true, _) => ("the package", golden_answers(model)),
                (false, 0) => continue,
                (false, _) => (&*ran[0].0, engine_answers(&ran[0].1[from..to])),
            };
            let actual = answers[from..to].iter();
            let mut one = SetComparison {
                inputs: set.name.clone(),
                vectors: set.vectors.len(),
                engine: engine.clone(),
                reference: reference.to_owned(),
                outputs: model.manifest.outputs.iter().map(OutputDifference::of).collect(),
                problems: Vec::new(),
            };
            for ((expected, actual), (vector, _)) in expected.iter().zip(actual).zip(&set.vectors) {
                one.add(model, vector, expected, actual, tolerance);
            }
            one.outputs.retain(|output| output.elements > 0);
            compared.push(one);
        }
        from = to;
    }
    let failed = engines.iter().any(|engine| engine.problem.is_some() && !engine.absent);
    let agree = !ran.is_empty() && !failed && compared.iter().all(SetComparison::agrees);
    Comparison {
        model: model.manifest.name.to_string(),
        version: model.manifest.version.to_string(),
        digest: model.files.digest().to_string(),
        tolerance,
        engines,
        sets: compared,
        agree,
    }
}

fn column(
    kind: EngineKind,
    answer: Result<Answer, String>,
) -> (EngineColumn, Option<Vec<Result<TensorBuf, String>>>) {
    let mut column = EngineColumn {
        engine: kind.name().to_owned(),
        ran: false,
        lacks: Vec::new(),
        problem: None,
        absent: false,
        median_us: None,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(reason) => {
            column.problem = Some(reason);
            return (column, None);
        }
    };
    column.engine = answer.identity.unwrap_or(column.engine);
    match answer.outcome {
        Outcome::Absent(reason) => {
            column.problem = Some(reason);
            column.absent = true;
        }
        Outcome::Lacks(operators) => column.lacks = operators,
        Outcome::Refused(reason) => column.problem = Some(reason),
        Outcome::Ran { answers, median_us } => {
            column.ran = true;
            column.median_us = Some(median_us);
            let answers: Vec<_> = answers.into_iter().map(tensors).collect();
            if let Some(Err(reason)) = answers.first()
                && answers.iter().all(Result::is_err)
            {
                column.problem = Some(format!("it failed on every inference: {reason}"));
            }
            return (column, Some(answers));
        }
    }
    (column, None)
}

fn tensors(answer: VectorAnswer) -> Result<TensorBuf, String> {
    match answer {
        VectorAnswer::Failed(reason) => Err(reason),
        VectorAnswer::Outputs(outputs) => {
            let read = outputs.iter().map(|tensor| tensor.read().map_err(|e| e.to_string()));
            Ok(TensorBuf { tensors: read.collect::<Result<_, _>>()? })
        }
    }
}

/// Outputs by their number in the manifest; or why there are none.
type Expected = Result<Vec<(usize, Tensor)>, String>;

fn golden_answers(model: &VerifiedModel) -> Vec<Expected> {
    model.golden.iter().map(|vector| Ok(vector.outputs.clone())).collect()
}

fn engine_answers(answers: &[Result<TensorBuf, String>]) -> Vec<Expected> {
    let numbered = |outputs: &TensorBuf| outputs.tensors.iter().cloned().enumerate().collect();
    answers.iter().map(|answer| answer.as_ref().map(numbered).map_err(Clone::clone)).collect()
}

impl SetComparison {
    fn agrees(&self) -> bool {
        self.problems.is_empty() && self.outputs.iter().all(|output| output.deviating == 0)
    }

    fn add(
        &mut self,
        model: &VerifiedModel,
        vector: &str,
        expected: &Expected,
        actual: &Result<TensorBuf, String>,
        tolerance: Tolerance,
    ) {
        let (expected, actual) = match (expected, actual) {
            (Ok(expected), Ok(actual)) => (expected, actual),
            // That both fail is agreement: the input is to blame.
            (Err(_), Err(_)) => return,
            (Ok(_), Err(reason)) => return self.problem(vector, format!("it failed: {reason}")),
            (Err(reason), Ok(_)) => {
                let reason = format!("{} failed where it answers: {reason}", self.reference);
                return self.problem(vector, reason);
            }
        };
        for (number, expected) in expected {
            let Some(spec) = model.manifest.outputs.get(*number) else { continue };
            let Some(answer) = actual.tensors.get(*number) else {
                self.problem(vector, format!("output {:?} is absent", spec.name));
                continue;
            };
            if (answer.element, &answer.shape) != (expected.element, &expected.shape) {
                let reason = format!(
                    "output {:?} is {}{:?}, not {}{:?}",
                    spec.name, answer.element, answer.shape, expected.element, expected.shape
                );
                self.problem(vector, reason);
                continue;
            }
            if let Some(output) = self.outputs.get_mut(*number) {
                output.add(spec, vector, (expected, answer), tolerance);
            }
        }
    }

    fn problem(&mut self, vector: &str, reason: String) {
        self.problems.push(Problem { vector: vector.to_owned(), reason });
    }
}

impl OutputDifference {
    fn of(spec: &OutputSpec) -> Self {
        Self {
            output: spec.name.to_string(),
            elements: 0,
            deviating: 0,
            greatest: None,
            greatest_relative: None,
            labels: Vec::new(),
        }
    }

    fn add(
        &mut self,
        spec: &OutputSpec,
        vector: &str,
        (expected, actual): (&Tensor, &Tensor),
        tolerance: Tolerance,
    ) {
        let found = difference(expected, actual, tolerance);
        self.elements += expected.len();
        self.deviating += found.deviating;
        let place = |greatest: super::Greatest| Place {
            by: greatest.by,
            vector: vector.to_owned(),
            element: greatest.at,
            expected: element(expected, greatest.at),
            actual: element(actual, greatest.at),
        };
        let greater = |known: &Option<Place>, new: Option<super::Greatest>| {
            new.filter(|new| known.as_ref().is_none_or(|known| known.by < new.by)).map(place)
        };
        if let Some(new) = greater(&self.greatest, found.greatest) {
            self.greatest = Some(new);
        }
        if let Some(new) = greater(&self.greatest_relative, found.greatest_relative) {
            self.greatest_relative = Some(new);
        }
        self.add_labels(spec, vector, (expected, actual), found.deviating);
    }

    /// The first differing labels, by the names that the package gives to classes.
    fn add_labels(
        &mut self,
        spec: &OutputSpec,
        vector: &str,
        (expected, actual): (&Tensor, &Tensor),
        deviating: usize,
    ) {
        let rows = expected.shape.first().copied().unwrap_or(1).max(1);
        let row = (expected.len() / rows).max(1);
        let named = spec.values.iter().any(|value| !value.labels.is_empty());
        let is_label = named || !super::difference::is_real(expected);
        if deviating == 0 || !is_label {
            return;
        }
        let name = |tensor: &Tensor, at: usize| {
            let value = spec.values.iter().find(|value| value.element == at % row);
            let class = tensor.number(at).filter(|class| *class >= 0.0 && class.fract() == 0.0);
            let label =
                value.zip(class).and_then(|(value, class)| value.labels.get(class as usize));
            label.map_or_else(|| element(tensor, at), ToString::to_string)
        };
        for at in 0..expected.len() {
            if self.labels.len() == SHOWN_MAX {
                return;
            }
            let (expected, actual) = (name(expected, at), name(actual, at));
            if expected != actual {
                let (vector, element) = (vector.to_owned(), at);
                self.labels.push(LabelDiffers { vector, element, expected, actual });
            }
        }
    }
}
