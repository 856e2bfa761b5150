//! The walk through an ONNX file.

use std::collections::BTreeSet;

use super::wire::{Field, Fields, Malformed, integers};
use super::{OnnxDim, OnnxKind, OnnxSummary, OnnxValue, element_type};
use crate::{EngineError, Limits};

/// How deep graphs may lie in attributes of nodes of graphs.
const DEPTH_MAX: usize = 32;

/// Nodes of all graphs together.
const NODES_MAX: usize = 1 << 20;

/// Dimensions of one tensor.
const RANK_MAX: usize = 64;

/// Other files that one model refers to.
const FILES_MAX: usize = 256;

/// Names, metadata and operators kept for the summary.
const NAMED_MAX: usize = 1 << 16;

/// Reads what an ONNX file says about itself and refuses what no engine should see.
///
/// # Errors
/// [`EngineError::NotAModel`] for bytes that are no ONNX model, and [`EngineError::OverLimit`]
/// for tensors, graphs or files larger than `limits`; both name what they are about.
pub fn inspect(file: &str, bytes: &[u8], limits: &Limits) -> Result<OnnxSummary, EngineError> {
    let actual = bytes.len() as u64;
    if actual > limits.model_bytes_max {
        let what = format!("the model file {file}");
        return Err(EngineError::OverLimit { what, actual, limit: limits.model_bytes_max });
    }
    let mut walk = Walk {
        file,
        limits,
        summary: OnnxSummary::default(),
        nodes: 0,
        initializers: BTreeSet::new(),
    };
    walk.model(bytes)?;
    let Walk { mut summary, initializers, .. } = walk;
    summary.inputs.retain(|input| !initializers.contains(&input.name));
    Ok(summary)
}

struct Walk<'a> {
    file: &'a str,
    limits: &'a Limits,
    summary: OnnxSummary,
    nodes: usize,
    /// Names of the main graph's weights, which old files list as inputs too.
    initializers: BTreeSet<String>,
}

/// Where a tensor's data lies if not in the ONNX file: its external_data entries.
#[derive(Default)]
struct Elsewhere {
    location: String,
    /// `None`: not there. `Some(None)`: no number.
    offset: Option<Option<u64>>,
    length: Option<Option<u64>>,
}

impl Elsewhere {
    fn take(&mut self, key: &str, value: String) {
        match key {
            "location" => self.location = value,
            "offset" => self.offset = Some(value.parse().ok()),
            "length" => self.length = Some(value.parse().ok()),
            _ => {}
        }
    }

    /// Where the data of a tensor of this size ends in the file; `None` where that makes no sense.
    fn end(&self, size: u64) -> Option<u64> {
        let length = self.length.unwrap_or(Some(size))?;
        let offset = self.offset.unwrap_or(Some(0))?;
        // Engines count in signed numbers of 64 bits.
        let end = offset.checked_add(size).filter(|end| i64::try_from(*end).is_ok())?;
        (length == size).then_some(end)
    }
}

impl Walk<'_> {
    fn bad(&self, reason: impl Into<String>) -> EngineError {
        EngineError::NotAModel { file: self.file.into(), reason: reason.into() }
    }

    fn field<'b>(
        &self,
        what: &str,
        field: Result<(u64, Field<'b>), Malformed>,
    ) -> Result<(u64, Field<'b>), EngineError> {
        field.map_err(|Malformed| self.bad(format!("its {what} is no protobuf message")))
    }

    fn model(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        let mut graph = None;
        let (mut producer, mut version) = (String::new(), String::new());
        for field in Fields::of(bytes) {
            match self.field("content", field)? {
                (1, field) => self.summary.ir_version = field.int(),
                (2, field) => producer = field.text(),
                (3, field) => version = field.text(),
                (7, field) => graph = Some(field.bytes()),
                (8, field) => self.opset(field.bytes())?,
                (14, field) => {
                    let (key, value) = self.pair(field.bytes())?;
                    if self.summary.metadata.len() < NAMED_MAX {
                        self.summary.metadata.insert(key, value);
                    }
                }
                (25, field) => self.function(field.bytes())?,
                _ => {}
            }
        }
        let Some(graph) = graph else { return Err(self.bad("it holds no graph")) };
        if self.summary.ir_version < 1 || self.summary.opsets.is_empty() {
            return Err(self.bad("it states no IR version or no operator set"));
        }
        self.summary.producer = format!("{producer} {version}").trim().to_owned();
        self.graph(graph, 0)
    }

    /// OperatorSetIdProto: domain 1, version 2.
    fn opset(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        let (mut domain, mut version) = (String::new(), 0);
        for field in Fields::of(bytes) {
            match self.field("operator set", field)? {
                (1, field) => domain = field.text(),
                (2, field) => version = field.int(),
                _ => {}
            }
        }
        if self.summary.opsets.len() < NAMED_MAX {
            self.summary.opsets.insert(domain_name(domain), version);
        }
        Ok(())
    }

    /// StringStringEntryProto: key 1, value 2.
    fn pair(&self, bytes: &[u8]) -> Result<(String, String), EngineError> {
        let (mut key, mut value) = (String::new(), String::new());
        for field in Fields::of(bytes) {
            match self.field("metadata", field)? {
                (1, field) => key = field.text(),
                (2, field) => value = field.text(),
                _ => {}
            }
        }
        Ok((key, value))
    }

    /// FunctionProto: name 1, node 7, domain 10.
    fn function(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        let (mut name, mut domain) = (String::new(), String::new());
        for field in Fields::of(bytes) {
            match self.field("function", field)? {
                (1, field) => name = field.text(),
                (7, field) => self.node(field.bytes(), 1)?,
                (10, field) => domain = field.text(),
                _ => {}
            }
        }
        if self.summary.functions.len() < NAMED_MAX {
            self.summary.functions.insert(format!("{}:{name}", domain_name(domain)));
        }
        Ok(())
    }

    /// GraphProto: node 1, initializer 5, input 11, output 12, sparse_initializer 15.
    fn graph(&mut self, bytes: &[u8], depth: usize) -> Result<(), EngineError> {
        if depth > DEPTH_MAX {
            let what = "the nesting of graphs".into();
            return Err(EngineError::OverLimit {
                what,
                actual: depth as u64,
                limit: DEPTH_MAX as u64,
            });
        }
        for field in Fields::of(bytes) {
            match self.field("graph", field)? {
                (1, field) => self.node(field.bytes(), depth)?,
                (5, field) => {
                    let name = self.tensor(field.bytes(), depth == 0)?;
                    if depth == 0 {
                        self.initializers.insert(name);
                    }
                }
                (number @ (11 | 12), field) => {
                    let value = self.value(field.bytes())?;
                    let summary = &mut self.summary;
                    let values =
                        if number == 11 { &mut summary.inputs } else { &mut summary.outputs };
                    if depth == 0 {
                        values.push(value);
                    }
                }
                (15, field) => self.sparse(field.bytes())?,
                _ => {}
            }
        }
        Ok(())
    }

    /// NodeProto: op_type 4, attribute 5, domain 7.
    fn node(&mut self, bytes: &[u8], depth: usize) -> Result<(), EngineError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let (actual, limit) = (self.nodes as u64, NODES_MAX as u64);
            return Err(EngineError::OverLimit {
                what: "the number of nodes".into(),
                actual,
                limit,
            });
        }
        let (mut operator, mut domain) = (String::new(), String::new());
        for field in Fields::of(bytes) {
            match self.field("node", field)? {
                (4, field) => operator = field.text(),
                (5, field) => self.attribute(field.bytes(), depth)?,
                (7, field) => domain = field.text(),
                _ => {}
            }
        }
        let operators = &mut self.summary.operators;
        let operator = format!("{}:{operator}", domain_name(domain));
        if operators.len() < NAMED_MAX || operators.contains_key(&operator) {
            *operators.entry(operator).or_default() += 1;
        }
        Ok(())
    }

    /// AttributeProto: t 5, g 6, tensors 10, graphs 11, sparse_tensor 22, sparse_tensors 23.
    fn attribute(&mut self, bytes: &[u8], depth: usize) -> Result<(), EngineError> {
        for field in Fields::of(bytes) {
            match self.field("attribute", field)? {
                (5 | 10, field) => {
                    self.tensor(field.bytes(), false)?;
                }
                (6 | 11, field) => self.graph(field.bytes(), depth + 1)?,
                (22 | 23, field) => self.sparse(field.bytes())?,
                _ => {}
            }
        }
        Ok(())
    }

    /// SparseTensorProto: values 1, indices 2, dims 3.
    fn sparse(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        let mut dims = Vec::new();
        for field in Fields::of(bytes) {
            match self.field("sparse tensor", field)? {
                (1 | 2, field) => {
                    self.tensor(field.bytes(), false)?;
                }
                (3, field) => self.dims(field, &mut dims)?,
                _ => {}
            }
        }
        self.elements("a sparse tensor", &dims).map(|_| ())
    }

    /// TensorProto: dims 1, data_type 2, name 8, raw_data 9, external_data 13, data_location 14.
    fn tensor(&mut self, bytes: &[u8], is_weight: bool) -> Result<String, EngineError> {
        let (mut dims, mut kind, mut name) = (Vec::new(), 0, String::new());
        let (mut raw, mut external) = (None, false);
        let mut elsewhere = Elsewhere::default();
        for field in Fields::of(bytes) {
            match self.field("tensor", field)? {
                (1, field) => self.dims(field, &mut dims)?,
                (2, field) => kind = field.int(),
                (8, field) => name = field.text(),
                (9, field) => raw = Some(field.bytes().len()),
                (13, field) => {
                    let (key, value) = self.pair(field.bytes())?;
                    elsewhere.take(&key, value);
                }
                (14, field) => external = field.int() != 0,
                _ => {}
            }
        }
        let elements = self.elements(&format!("tensor {name:?}"), &dims)?;
        if external || !elsewhere.location.is_empty() {
            let size = element_type(kind).and_then(|element| element.size());
            let bytes = size.and_then(|size| elsewhere.end(elements.checked_mul(size as u64)?));
            let Some(bytes) = bytes else {
                return Err(self.bad(format!(
                    "tensor {name:?} says of the file {:?} neither an offset nor a length that fit \
                     its shape {dims:?}",
                    elsewhere.location
                )));
            };
            self.refer(elsewhere.location, bytes, !is_weight)?;
        } else if let (Some(actual), Some(size)) =
            (raw, element_type(kind).and_then(|element| element.size()))
            && elements.checked_mul(size as u64) != Some(actual as u64)
        {
            return Err(self.bad(format!(
                "tensor {name:?} has {actual} bytes, but its shape {dims:?} needs {}",
                elements.saturating_mul(size as u64)
            )));
        }
        self.summary.weights += 1;
        self.summary.parameters = self.summary.parameters.saturating_add(elements);
        Ok(name)
    }

    fn refer(&mut self, location: String, bytes: u64, is_inner: bool) -> Result<(), EngineError> {
        let known = self.summary.external.len();
        if known >= FILES_MAX && !self.summary.external.contains_key(&location) {
            let (actual, limit) = (known as u64 + 1, FILES_MAX as u64);
            let what = "the number of files the model refers to".into();
            return Err(EngineError::OverLimit { what, actual, limit });
        }
        let file = self.summary.external.entry(location).or_default();
        file.bytes = file.bytes.max(bytes);
        file.is_inner |= is_inner;
        Ok(())
    }

    fn dims(&self, field: Field<'_>, into: &mut Vec<i64>) -> Result<(), EngineError> {
        integers(field, into).map_err(|Malformed| self.bad("a shape is no list of numbers"))?;
        self.rank(into.len())
    }

    fn rank(&self, rank: usize) -> Result<(), EngineError> {
        if rank > RANK_MAX {
            let (actual, limit) = (rank as u64, RANK_MAX as u64);
            let what = "the number of dimensions of a tensor".into();
            return Err(EngineError::OverLimit { what, actual, limit });
        }
        Ok(())
    }

    /// The number of elements of a shape, within the limit.
    fn elements(&self, what: &str, dims: &[i64]) -> Result<u64, EngineError> {
        let mut product = 1_u64;
        for dim in dims {
            let dim = u64::try_from(*dim)
                .map_err(|_| self.bad(format!("{what} has the dimension {dim}")))?;
            product = product.saturating_mul(dim);
        }
        let limit = self.limits.tensor_elements_max as u64;
        if product > limit {
            let what = format!("the number of elements of {what}, of shape {dims:?},");
            return Err(EngineError::OverLimit { what, actual: product, limit });
        }
        Ok(product)
    }

    /// ValueInfoProto: name 1, type 2. TypeProto: tensor 1, sequence 4, map 5, sparse 8, optional 9.
    fn value(&self, bytes: &[u8]) -> Result<OnnxValue, EngineError> {
        let (mut name, mut of) = (String::new(), None);
        for field in Fields::of(bytes) {
            match self.field("list of inputs and outputs", field)? {
                (1, field) => name = field.text(),
                (2, field) => of = Some(field.bytes()),
                _ => {}
            }
        }
        let mut kind = OnnxKind::Other("a value of no stated type");
        for field in Fields::of(of.unwrap_or_default()) {
            kind = match self.field("type", field)? {
                (1, field) => self.tensor_type(&name, field.bytes())?,
                (4, _) => OnnxKind::Other("a sequence"),
                (5, _) => OnnxKind::Other("a map"),
                (8, _) => OnnxKind::Other("a sparse tensor"),
                (9, _) => OnnxKind::Other("an optional value"),
                _ => continue,
            };
        }
        Ok(OnnxValue { name, kind })
    }

    /// TypeProto.Tensor: elem_type 1, shape 2. TensorShapeProto: dim 1.
    fn tensor_type(&self, name: &str, bytes: &[u8]) -> Result<OnnxKind, EngineError> {
        let (mut element, mut shape) = (None, None);
        for field in Fields::of(bytes) {
            match self.field("type", field)? {
                (1, field) => element = element_type(field.int()),
                (2, field) => {
                    let mut dims = Vec::new();
                    for dim in Fields::of(field.bytes()) {
                        if let (1, dim) = self.field("shape", dim)? {
                            dims.push(self.dim(name, dim.bytes())?);
                        }
                        self.rank(dims.len())?;
                    }
                    shape = Some(dims);
                }
                _ => {}
            }
        }
        if let Some(shape) = &shape {
            let fixed: Vec<i64> = shape
                .iter()
                .filter_map(|dim| match dim {
                    OnnxDim::Fixed(size) => Some(i64::try_from(*size).unwrap_or(i64::MAX)),
                    OnnxDim::Any(_) => None,
                })
                .collect();
            self.elements(&format!("{name:?}"), &fixed)?;
        }
        Ok(OnnxKind::Tensor { element, shape })
    }

    /// TensorShapeProto.Dimension: dim_value 1, dim_param 2.
    fn dim(&self, name: &str, bytes: &[u8]) -> Result<OnnxDim, EngineError> {
        let mut dim = OnnxDim::Any(String::new());
        for field in Fields::of(bytes) {
            match self.field("shape", field)? {
                (1, field) => {
                    dim =
                        match field.int() {
                            // Some exporters write -1 for what the format leaves out.
                            -1 => OnnxDim::Any(String::new()),
                            size => OnnxDim::Fixed(u64::try_from(size).map_err(|_| {
                                self.bad(format!("{name:?} has the dimension {size}"))
                            })?),
                        }
                }
                (2, field) => dim = OnnxDim::Any(field.text()),
                _ => {}
            }
        }
        Ok(dim)
    }
}

/// The default operator set has two names, one of them empty.
fn domain_name(domain: String) -> String {
    if domain.is_empty() { "ai.onnx".into() } else { domain }
}
