//! The inputs that engines are compared on.

use resonance_plant::tensor::Dim;
use resonance_plant::{ElementType, Tensor, TensorBuf};

use crate::engines::{check_inputs, signature_of};
use crate::package::VerifiedModel;
use crate::package::golden::{GoldenError, parse_request};
use crate::package::manifest::{InputSpec, Manifest};

/// Rows of one inference where the model takes several.
const ROWS_AT_ONCE: usize = 64;

/// What stands for an open dimension that is not the first: enough for a sequence to have a
/// direction.
const OPEN_SIZE: usize = 5;

/// Vectors made up where the user gives none; some have one row, some several.
const GENERATED: usize = 16;

/// Inputs with a name, for one comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSet {
    /// `golden vectors`, `rows.csv`, `generated`.
    pub name: String,
    /// What is asked, each with a name for people.
    pub vectors: Vec<(String, TensorBuf)>,
    /// Which rows of the user's file each vector holds, from one; empty otherwise.
    pub rows: Vec<std::ops::Range<usize>>,
}

/// Why inputs are refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VectorError {
    /// A row is too short or too long.
    #[error(
        "row {row} has {actual} values, the model takes {expected}: {inputs} in this order, \
         row-major"
    )]
    Columns {
        /// Which row, from one.
        row: usize,
        /// How many it has.
        actual: usize,
        /// How many it needs.
        expected: usize,
        /// The inputs.
        inputs: String,
    },
    /// A value that the input's type lacks.
    #[error("row {row}: input {input:?} is {element}, which is not made of numbers")]
    Type {
        /// Which row, from one.
        row: usize,
        /// Which input.
        input: String,
        /// Its type.
        element: ElementType,
    },
    /// Inputs of text cannot be made up.
    #[error("values of the input {0:?} cannot be made up; give them with --data")]
    Text(String),
    /// There is no row.
    #[error("there is no row in the data")]
    Empty,
    /// A request that is not understood.
    #[error(transparent)]
    Request(#[from] GoldenError),
    /// A tensor cannot be made.
    #[error("{0}")]
    Tensor(String),
}

/// The package's golden vectors.
pub fn golden(model: &VerifiedModel) -> VectorSet {
    let vectors = model.golden.iter().map(|vector| (vector.name.clone(), vector.inputs.clone()));
    VectorSet { name: "golden vectors".into(), vectors: vectors.collect(), rows: Vec::new() }
}

/// An inference request of the Open Inference Protocol v2.
///
/// # Errors
/// Names the tensor that is wrong.
pub fn of_request(name: &str, bytes: &[u8], manifest: &Manifest) -> Result<VectorSet, VectorError> {
    let inputs = parse_request(bytes, manifest)?;
    Ok(VectorSet { name: name.into(), vectors: vec![("request".into(), inputs)], rows: Vec::new() })
}

/// Rows of numbers, each the elements of all inputs of one row in the manifest's order. Rows go
/// together where the model takes several at once.
///
/// # Errors
/// Names the row and what it should hold.
pub fn from_rows(
    name: &str,
    rows: &[Vec<f64>],
    manifest: &Manifest,
) -> Result<VectorSet, VectorError> {
    if rows.is_empty() {
        return Err(VectorError::Empty);
    }
    let takes_rows = takes_rows(manifest);
    let shapes: Vec<Vec<usize>> = manifest.inputs.iter().map(|input| sized(input, 1)).collect();
    let sizes: Vec<usize> = shapes.iter().map(|shape| shape.iter().product()).collect();
    let expected: usize = sizes.iter().sum();
    for (at, row) in rows.iter().enumerate() {
        if row.len() != expected {
            let shown = |(input, shape): (&InputSpec, &Vec<usize>)| {
                format!("{} {}{shape:?}", input.name, input.element)
            };
            let inputs: Vec<String> = manifest.inputs.iter().zip(&shapes).map(shown).collect();
            let (row, actual, inputs) = (at + 1, row.len(), inputs.join(", "));
            return Err(VectorError::Columns { row, actual, expected, inputs });
        }
    }
    let mut set = VectorSet { name: name.into(), vectors: Vec::new(), rows: Vec::new() };
    let at_once = if takes_rows { ROWS_AT_ONCE } else { 1 };
    for (chunk, rows) in rows.chunks(at_once).enumerate() {
        let first = chunk * at_once + 1;
        let mut tensors = Vec::new();
        let mut column = 0;
        for (input, size) in manifest.inputs.iter().zip(&sizes) {
            let values = rows.iter().flat_map(|row| &row[column..column + size]).copied();
            tensors.push(filled(input, &sized(input, rows.len()), values, first)?);
            column += size;
        }
        let last = first + rows.len();
        let name = if rows.len() == 1 {
            format!("row {first}")
        } else {
            format!("rows {first} to {}", last - 1)
        };
        set.vectors.push((name, TensorBuf { tensors }));
        set.rows.push(first..last);
    }
    Ok(set)
}

/// Inputs made up, the same each time: numbers from -2 to 2, small whole numbers.
///
/// # Errors
/// Where an input is text.
pub fn generated(manifest: &Manifest) -> Result<VectorSet, VectorError> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut set = VectorSet { name: "generated".into(), vectors: Vec::new(), rows: Vec::new() };
    let takes_rows = takes_rows(manifest);
    for at in 0..GENERATED {
        let rows = if takes_rows && at % 4 == 3 { 7 } else { 1 };
        let mut tensors = Vec::new();
        for input in &manifest.inputs {
            if input.element == ElementType::Bytes {
                return Err(VectorError::Text(input.name.to_string()));
            }
            let shape = sized(input, rows);
            let is_real = matches!(
                input.element,
                ElementType::Fp16 | ElementType::Bf16 | ElementType::Fp32 | ElementType::Fp64
            );
            let count = shape.iter().product();
            let values = (0..count).map(|_| {
                let unit = random.unit();
                if is_real { unit * 4.0 - 2.0 } else { (unit * 4.0).floor() }
            });
            let values: Vec<f64> = values.collect();
            tensors.push(filled(input, &shape, values.into_iter(), at + 1)?);
        }
        let inputs = TensorBuf { tensors };
        check_inputs(&signature_of(manifest).inputs, &inputs)
            .map_err(|error| VectorError::Tensor(error.to_string()))?;
        set.vectors.push((format!("{}", at + 1), inputs));
    }
    Ok(set)
}

fn takes_rows(manifest: &Manifest) -> bool {
    manifest.inputs.iter().all(|input| matches!(input.shape.first(), Some(Dim::Any)))
}

fn sized(input: &InputSpec, rows: usize) -> Vec<usize> {
    let size = |(at, dim): (usize, &Dim)| match dim {
        Dim::Fixed(size) => *size,
        Dim::Any if at == 0 => rows,
        Dim::Any => OPEN_SIZE,
    };
    input.shape.iter().enumerate().map(size).collect()
}

fn filled(
    input: &InputSpec,
    shape: &[usize],
    values: impl Iterator<Item = f64>,
    row: usize,
) -> Result<Tensor, VectorError> {
    let mut tensor = Tensor::zeros(input.element, shape)
        .map_err(|error| VectorError::Tensor(format!("input {:?}: {error}", input.name)))?;
    for (at, value) in values.enumerate() {
        if !tensor.set_number(at, value) {
            let (input, element) = (input.name.to_string(), input.element);
            return Err(VectorError::Type { row, input, element });
        }
    }
    Ok(tensor)
}

/// Numbers that look random and are the same each time (xorshift64*).
struct Random(u64);

impl Random {
    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}
