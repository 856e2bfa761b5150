//! Columns of a table: their schema in Parquet, and some rows of them in memory.

use std::ops::Range;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::schema::types::{ColumnDescriptor, Type, TypePtr};
use resonance_plant::{ElementType, Tensor};

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holds {
    Boolean,
    Integer {
        bits: i8,
        signed: bool,
    },
    Float,
    Double,
    /// Two bytes; `Fp16` as Parquet knows it, or else `Bf16`, which it does not.
    Half {
        is_bf16: bool,
    },
    Text,
    Binary,
    /// Nanoseconds since the Unix epoch.
    Time,
}

/// How many cells a row has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cardinality {
    One,
    AtMostOne,
    List,
}

/// A column as a schema declares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ColumnSpec {
    pub(super) name: String,
    pub(super) holds: Holds,
    pub(super) cardinality: Cardinality,
}

/// Some rows of a column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) cells: Cells,
    /// What the texts among the cells have, kept here so that nobody has to count them.
    text_bytes: usize,
    /// Of every cell, and of every absent one: whether it is there.
    pub(super) there: Vec<i16>,
    /// Of every cell: zero where it begins a row.
    pub(super) follows: Vec<i16>,
}

/// Cells one after the other, as Parquet stores them: small and unsigned integers in their bits.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cells {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Fixed(Vec<FixedLenByteArray>),
    Bytes(Vec<ByteArray>),
}

impl Holds {
    pub(super) fn of(element: ElementType) -> Self {
        use ElementType as E;
        let integer = |bits, signed| Self::Integer { bits, signed };
        match element {
            E::Bool => Self::Boolean,
            E::Uint8 => integer(8, false),
            E::Uint16 => integer(16, false),
            E::Uint32 => integer(32, false),
            E::Uint64 => integer(64, false),
            E::Int8 => integer(8, true),
            E::Int16 => integer(16, true),
            E::Int32 => integer(32, true),
            E::Int64 => integer(64, true),
            E::Fp16 => Self::Half { is_bf16: false },
            E::Bf16 => Self::Half { is_bf16: true },
            E::Fp32 => Self::Float,
            E::Fp64 => Self::Double,
            E::Bytes => Self::Binary,
        }
    }

    fn physical(self) -> Physical {
        match self {
            Self::Boolean => Physical::BOOLEAN,
            Self::Integer { bits: 64, .. } | Self::Time => Physical::INT64,
            Self::Integer { .. } => Physical::INT32,
            Self::Float => Physical::FLOAT,
            Self::Double => Physical::DOUBLE,
            Self::Half { .. } => Physical::FIXED_LEN_BYTE_ARRAY,
            Self::Text | Self::Binary => Physical::BYTE_ARRAY,
        }
    }

    fn logical(self) -> Option<LogicalType> {
        match self {
            Self::Integer { bits, signed } => Some(LogicalType::integer(bits, signed)),
            Self::Half { is_bf16: false } => Some(LogicalType::Float16),
            Self::Text => Some(LogicalType::String),
            Self::Time => Some(LogicalType::timestamp(true, TimeUnit::NANOS)),
            _ => None,
        }
    }
}

impl ColumnSpec {
    pub(super) fn new(name: impl Into<String>, holds: Holds, cardinality: Cardinality) -> Self {
        Self { name: name.into(), holds, cardinality }
    }

    pub(super) fn schema(&self) -> Result<TypePtr, ParquetError> {
        let leaf = |name: &str, repetition| {
            Type::primitive_type_builder(name, self.holds.physical())
                .with_repetition(repetition)
                .with_logical_type(self.holds.logical())
                .with_length(if matches!(self.holds, Holds::Half { .. }) { 2 } else { 0 })
                .build()
        };
        Ok(Arc::new(match self.cardinality {
            Cardinality::One => leaf(&self.name, Repetition::REQUIRED)?,
            Cardinality::AtMostOne => leaf(&self.name, Repetition::OPTIONAL)?,
            Cardinality::List => {
                let element = leaf("element", Repetition::REQUIRED)?;
                let list = Type::group_type_builder("list")
                    .with_repetition(Repetition::REPEATED)
                    .with_fields(vec![Arc::new(element)])
                    .build()?;
                Type::group_type_builder(&self.name)
                    .with_repetition(Repetition::REQUIRED)
                    .with_logical_type(Some(LogicalType::List))
                    .with_fields(vec![Arc::new(list)])
                    .build()?
            }
        }))
    }

    /// What is wrong with a file's column, if anything.
    pub(super) fn differs(&self, found: &ColumnDescriptor) -> Option<String> {
        let (def, rep) = match self.cardinality {
            Cardinality::One => (0, 0),
            Cardinality::AtMostOne => (1, 0),
            Cardinality::List => (1, 1),
        };
        let wanted = self.holds.physical();
        if found.physical_type() != wanted {
            return Some(format!("it must be {wanted}, not {}", found.physical_type()));
        }
        let logical = self.holds.logical();
        // Parquet takes whole numbers for signed ones where nothing is said.
        let is_plain = found.logical_type_ref().is_none()
            && matches!(self.holds, Holds::Integer { bits: 32 | 64, signed: true });
        if !is_plain
            && matches!(self.holds, Holds::Integer { .. } | Holds::Time | Holds::Half { .. })
            && found.logical_type_ref() != logical.as_ref()
        {
            let told = |logical: Option<&LogicalType>| {
                logical.map_or_else(|| "a plain number".to_owned(), |l| format!("{l:?}"))
            };
            let (wanted, found) = (told(logical.as_ref()), told(found.logical_type_ref()));
            return Some(format!("it must be annotated as {wanted}, not {found}"));
        }
        if wanted == Physical::FIXED_LEN_BYTE_ARRAY && found.type_length() != 2 {
            return Some(format!("its cells must be 2 bytes, not {}", found.type_length()));
        }
        let levels = (found.max_def_level(), found.max_rep_level());
        let is = |levels| match levels {
            (0, 0) => "one cell a row",
            (1, 0) => "at most one cell a row",
            (_, 1) => "a list a row",
            _ => "nested lists",
        };
        (levels != (def, rep))
            .then(|| format!("it must have {}, not {}", is((def, rep)), is(levels)))
    }
}

impl Column {
    pub(super) fn of(holds: Holds) -> Self {
        let cells = match holds.physical() {
            Physical::BOOLEAN => Cells::Boolean(Vec::new()),
            Physical::INT32 => Cells::Int32(Vec::new()),
            Physical::FLOAT => Cells::Float(Vec::new()),
            Physical::DOUBLE => Cells::Double(Vec::new()),
            Physical::FIXED_LEN_BYTE_ARRAY => Cells::Fixed(Vec::new()),
            Physical::BYTE_ARRAY => Cells::Bytes(Vec::new()),
            // `physical` gives no INT96.
            Physical::INT64 | Physical::INT96 => Cells::Int64(Vec::new()),
        };
        Self { cells, text_bytes: 0, there: Vec::new(), follows: Vec::new() }
    }

    /// A row without a cell.
    pub(super) fn push_none(&mut self) {
        self.there.push(0);
        self.follows.push(0);
    }

    pub(super) fn push_i32(&mut self, value: i32) {
        if let Cells::Int32(cells) = &mut self.cells {
            cells.push(value);
            self.begin_row(1);
        }
    }

    pub(super) fn push_i64(&mut self, value: i64) {
        if let Cells::Int64(cells) = &mut self.cells {
            cells.push(value);
            self.begin_row(1);
        }
    }

    pub(super) fn push_f64(&mut self, value: f64) {
        if let Cells::Double(cells) = &mut self.cells {
            cells.push(value);
            self.begin_row(1);
        }
    }

    pub(super) fn push_bytes(&mut self, value: ByteArray) {
        if let Cells::Bytes(cells) = &mut self.cells {
            self.text_bytes += value.len();
            cells.push(value);
            self.begin_row(1);
        }
    }

    /// A row that is a list: these elements of a tensor.
    pub(super) fn push_elements(&mut self, tensor: &Tensor, range: Range<usize>) {
        let before = self.cells.len();
        self.cells.append(tensor, range);
        if let Cells::Bytes(cells) = &self.cells {
            let new = cells.get(before..).unwrap_or_default();
            self.text_bytes += new.iter().map(ByteArray::len).sum::<usize>();
        }
        self.begin_row(self.cells.len() - before);
    }

    fn begin_row(&mut self, cells: usize) {
        if cells == 0 {
            return self.push_none();
        }
        self.there.resize(self.there.len() + cells, 1);
        self.follows.push(0);
        self.follows.resize(self.follows.len() + cells - 1, 1);
    }

    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.text_bytes = 0;
        self.there.clear();
        self.follows.clear();
    }

    /// Bytes of the cells in memory, roughly those in a file.
    pub(super) fn bytes(&self) -> usize {
        self.text_bytes + self.cells.bytes()
    }

    /// The cells of every row.
    pub(super) fn rows(&self) -> Vec<Range<usize>> {
        let (mut rows, mut next) = (Vec::new(), 0);
        for (there, follows) in self.there.iter().zip(&self.follows) {
            if *follows == 0 {
                rows.push(next..next);
            }
            if *there > 0 {
                next += 1;
                if let Some(row) = rows.last_mut() {
                    row.end = next;
                }
            }
        }
        rows
    }
}

impl Cells {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Boolean(cells) => cells.len(),
            Self::Int32(cells) => cells.len(),
            Self::Int64(cells) => cells.len(),
            Self::Float(cells) => cells.len(),
            Self::Double(cells) => cells.len(),
            Self::Fixed(cells) => cells.len(),
            Self::Bytes(cells) => cells.len(),
        }
    }

    fn clear(&mut self) {
        match self {
            Self::Boolean(cells) => cells.clear(),
            Self::Int32(cells) => cells.clear(),
            Self::Int64(cells) => cells.clear(),
            Self::Float(cells) => cells.clear(),
            Self::Double(cells) => cells.clear(),
            Self::Fixed(cells) => cells.clear(),
            Self::Bytes(cells) => cells.clear(),
        }
    }

    /// Bytes in memory, but for what texts have; roughly those in a file.
    fn bytes(&self) -> usize {
        match self {
            Self::Boolean(cells) => cells.len(),
            Self::Int32(cells) => cells.len() * 4,
            Self::Int64(cells) => cells.len() * 8,
            Self::Float(cells) => cells.len() * 4,
            Self::Double(cells) => cells.len() * 8,
            Self::Fixed(cells) => cells.len() * 2,
            Self::Bytes(cells) => cells.len() * 4,
        }
    }

    /// The elements of a tensor as cells of the column that [`Holds::of`] its type.
    fn append(&mut self, tensor: &Tensor, range: Range<usize>) {
        fn of<T: bytemuck::Pod>(tensor: &Tensor, range: Range<usize>) -> &[T] {
            tensor.as_slice::<T>().get(range).unwrap_or_default()
        }
        macro_rules! widen {
            ($cells:ident, $from:ty, $to:ty) => {
                $cells.extend(of::<$from>(tensor, range).iter().map(|cell| *cell as $to))
            };
        }
        match (self, tensor.element) {
            (Self::Boolean(cells), _) => {
                cells.extend(of::<u8>(tensor, range).iter().map(|cell| *cell != 0));
            }
            (Self::Int32(cells), ElementType::Uint8) => widen!(cells, u8, i32),
            (Self::Int32(cells), ElementType::Uint16) => widen!(cells, u16, i32),
            (Self::Int32(cells), ElementType::Int8) => widen!(cells, i8, i32),
            (Self::Int32(cells), ElementType::Int16) => widen!(cells, i16, i32),
            (Self::Int32(cells), _) => cells.extend_from_slice(of::<i32>(tensor, range)),
            (Self::Int64(cells), _) => cells.extend_from_slice(of::<i64>(tensor, range)),
            (Self::Float(cells), _) => cells.extend_from_slice(of::<f32>(tensor, range)),
            (Self::Double(cells), _) => cells.extend_from_slice(of::<f64>(tensor, range)),
            (Self::Fixed(cells), _) => {
                let halves = of::<[u8; 2]>(tensor, range).iter();
                cells.extend(halves.map(|half| FixedLenByteArray::from(half.to_vec())));
            }
            (Self::Bytes(cells), _) => {
                let strings = tensor.strings().get(range).unwrap_or_default().iter();
                cells.extend(strings.map(|string| ByteArray::from(string.as_slice())));
            }
        }
    }

    /// Some cells as the elements of a tensor of this shape. `None` where they do not fit.
    pub(super) fn tensor(
        &self,
        range: Range<usize>,
        element: ElementType,
        shape: &[usize],
    ) -> Option<Tensor> {
        if let Self::Bytes(cells) = self {
            let strings = cells.get(range)?.iter().map(|cell| cell.data().to_vec()).collect();
            return Tensor::from_strings(shape, strings).ok();
        }
        macro_rules! narrow {
            ($cells:ident, $to:ty) => {
                $cells.get(range)?.iter().flat_map(|cell| (*cell as $to).to_le_bytes()).collect()
            };
        }
        let bytes: Vec<u8> = match (self, element) {
            (Self::Boolean(cells), _) => narrow!(cells, u8),
            (Self::Int32(cells), ElementType::Uint8 | ElementType::Int8) => narrow!(cells, u8),
            (Self::Int32(cells), ElementType::Uint16 | ElementType::Int16) => narrow!(cells, u16),
            (Self::Int32(cells), _) => narrow!(cells, i32),
            (Self::Int64(cells), _) => narrow!(cells, i64),
            (Self::Float(cells), _) => narrow!(cells, f32),
            (Self::Double(cells), _) => narrow!(cells, f64),
            (Self::Fixed(cells), _) => {
                cells.get(range)?.iter().flat_map(|cell| cell.data().to_vec()).collect()
            }
            (Self::Bytes(_), _) => return None,
        };
        Tensor::from_bytes(element, shape, &bytes).ok()
    }

    /// The first cell that is not bit for bit that of another column, and both as texts.
    pub(super) fn first_difference(
        &self,
        range: Range<usize>,
        other: &Self,
        at: usize,
    ) -> Option<(usize, String, String)> {
        range.clone().enumerate().find_map(|(nth, mine)| {
            let theirs = at + nth;
            let same = match (self, other) {
                (Self::Boolean(a), Self::Boolean(b)) => a.get(mine) == b.get(theirs),
                (Self::Int32(a), Self::Int32(b)) => a.get(mine) == b.get(theirs),
                (Self::Int64(a), Self::Int64(b)) => a.get(mine) == b.get(theirs),
                (Self::Float(a), Self::Float(b)) => {
                    a.get(mine).map(|x| x.to_bits()) == b.get(theirs).map(|x| x.to_bits())
                }
                (Self::Double(a), Self::Double(b)) => {
                    a.get(mine).map(|x| x.to_bits()) == b.get(theirs).map(|x| x.to_bits())
                }
                (Self::Fixed(a), Self::Fixed(b)) => a.get(mine) == b.get(theirs),
                (Self::Bytes(a), Self::Bytes(b)) => a.get(mine) == b.get(theirs),
                _ => false,
            };
            (!same).then(|| (nth, self.shown(mine), other.shown(theirs)))
        })
    }

    /// A cell for people. Real numbers with all their digits.
    fn shown(&self, at: usize) -> String {
        let shown = match self {
            Self::Boolean(cells) => cells.get(at).map(ToString::to_string),
            Self::Int32(cells) => cells.get(at).map(ToString::to_string),
            Self::Int64(cells) => cells.get(at).map(ToString::to_string),
            Self::Float(cells) => cells.get(at).map(|cell| format!("{cell:?}")),
            Self::Double(cells) => cells.get(at).map(|cell| format!("{cell:?}")),
            Self::Fixed(cells) => cells.get(at).map(|cell| format!("{:02x?}", cell.data())),
            Self::Bytes(cells) => {
                cells.get(at).map(|cell| String::from_utf8_lossy(cell.data()).into_owned())
            }
        };
        shown.unwrap_or_else(|| "nothing".into())
    }
}
