//! From the samples of a window to the row of a tensor.
//!
//! A [`RowPlan`] is made once for each input of a model; [`RowPlan::write`] then runs for every
//! feature of every inference. It allocates nothing.

use std::ops::Range;

use resonance_plant::tensor::Dim;
use resonance_plant::{ElementType, Tensor};

use crate::package::manifest::{FeatureSpec, InputSpec, Order, Statistic, WindowSpec};

/// Samples of which [`Statistic::MeanLast5`] takes the mean.
const LAST: usize = 5;

/// Where each feature's numbers go in a row of one input tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct RowPlan {
    samples: usize,
    row_elements: usize,
    features: Vec<FeaturePlan>,
}

#[derive(Clone, Debug, PartialEq)]
struct FeaturePlan {
    /// Its first element in the row.
    first: usize,
    /// From one of its elements to the next.
    stride: usize,
    /// Numbers it writes.
    elements: usize,
    /// Numbers it is made of: the window's samples, or the elements of one value.
    samples: usize,
    /// Empty for raw samples.
    statistics: Vec<Statistic>,
    needs: Needs,
    scale: f64,
    offset: f64,
}

/// Which passes over the samples a feature's statistics ask for.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
struct Needs {
    deviation: bool,
    slope: bool,
    last: bool,
}

/// Why features do not make up a row. Always the package's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowPlanError {
    /// A window without samples.
    #[error("the window has no samples; it needs at least one")]
    NoSamples,
    /// Numbers cannot be written to strings.
    #[error("input {input:?} is BYTES; features are numbers")]
    Strings {
        /// Which input.
        input: String,
    },
    /// Raw samples and statistics in one row, sample by sample.
    #[error(
        "input {input:?} mixes raw samples and statistics, which order = \"time_feature\" cannot \
         place; use order = \"feature_time\", or two inputs"
    )]
    Mixed {
        /// Which input.
        input: String,
    },
    /// A feature asks for nothing, or for raw samples and statistics at once.
    #[error(
        "feature {feature} of input {input:?} must ask for `raw` alone or for at least one \
         statistic, each once"
    )]
    Statistics {
        /// Which input.
        input: String,
        /// Its semantic id.
        feature: String,
    },
    /// The shape has a dimension besides the batch that is not fixed.
    #[error("input {input:?} needs a batch dimension first and fixed dimensions after it")]
    Shape {
        /// Which input.
        input: String,
    },
    /// A profile without numbers.
    #[error("feature {feature} of input {input:?} has no elements; it needs at least one")]
    NoElements {
        /// Which input.
        input: String,
        /// Its semantic id.
        feature: String,
    },
    /// The features give more or fewer numbers than a row has.
    #[error("a row of input {input:?} has {row} elements, but its features give {features}")]
    Elements {
        /// Which input.
        input: String,
        /// Elements by the shape.
        row: usize,
        /// Elements by the features.
        features: usize,
    },
}

impl RowPlan {
    /// Lays the features of an input out in its row.
    ///
    /// # Errors
    /// Where the features do not make up exactly the row that the shape states.
    pub fn new(input: &InputSpec, window: &WindowSpec) -> Result<Self, RowPlanError> {
        let name = || input.name.to_string();
        let samples = window.samples as usize;
        if samples == 0 {
            return Err(RowPlanError::NoSamples);
        }
        if input.element == ElementType::Bytes {
            return Err(RowPlanError::Strings { input: name() });
        }
        let row =
            row_elements(&input.shape).ok_or_else(|| RowPlanError::Shape { input: name() })?;
        let features = &input.features;
        for feature in features {
            if !is_sound(&feature.statistics) {
                let feature = feature.meaning.semantic_id.to_string();
                return Err(RowPlanError::Statistics { input: name(), feature });
            }
            if feature.elements == Some(0) {
                let feature = feature.meaning.semantic_id.to_string();
                return Err(RowPlanError::NoElements { input: name(), feature });
            }
        }
        let in_time = |feature: &&FeatureSpec| is_raw(feature) && feature.elements.is_none();
        let raw = features.iter().filter(in_time).count();
        let interleaved = input.order == Order::TimeFeature && raw > 0 && samples > 1;
        if interleaved && raw < features.len() {
            return Err(RowPlanError::Mixed { input: name() });
        }
        let mut first = 0;
        let features: Vec<FeaturePlan> = features
            .iter()
            .map(|feature| {
                let stride = if interleaved { features.len() } else { 1 };
                let plan = FeaturePlan::new(feature, samples, first, stride);
                first += if interleaved { 1 } else { plan.elements };
                plan
            })
            .collect();
        let total = features.iter().map(|feature| feature.elements).sum();
        if total != row {
            return Err(RowPlanError::Elements { input: name(), row, features: total });
        }
        Ok(Self { samples, row_elements: row, features })
    }

    /// Elements of one row.
    pub fn row_elements(&self) -> usize {
        self.row_elements
    }

    /// Samples that each feature takes, profiles excepted.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Number of features.
    pub fn features(&self) -> usize {
        self.features.len()
    }

    /// Writes one feature of one row.
    ///
    /// `samples` are the window's samples in the model's unit, the oldest first; there are exactly
    /// [`RowPlan::samples`] of them. For a profile they are the elements of its newest value. Missing ones count as NaN, so that no number of an earlier
    /// row is mistaken for this one's. A row past the tensor's end is not written.
    pub fn write(
        &self,
        feature: usize,
        samples: impl Iterator<Item = f64> + Clone,
        row: usize,
        tensor: &mut Tensor,
    ) {
        let Some(plan) = self.features.get(feature) else { return };
        let Some(start) = row.checked_mul(self.row_elements) else { return };
        let range = start..start.saturating_add(self.row_elements);
        if tensor.element != ElementType::Fp32 {
            plan.write(samples, |at, value| {
                tensor.set_number(range.start + at, value);
            });
            return;
        }
        let Some(row) = tensor.as_mut_slice::<f32>().get_mut(range) else { return };
        plan.write(samples, |at, value| {
            if let Some(element) = row.get_mut(at) {
                *element = value as f32;
            }
        });
    }
}

impl FeaturePlan {
    fn new(feature: &FeatureSpec, samples: usize, first: usize, stride: usize) -> Self {
        let raw = is_raw(feature);
        let samples = feature.elements.map_or(samples, |elements| elements as usize);
        let statistics = if raw { Vec::new() } else { feature.statistics.clone() };
        let needs = Needs {
            deviation: statistics.contains(&Statistic::StdDev),
            slope: statistics.contains(&Statistic::Slope),
            last: statistics.contains(&Statistic::MeanLast5),
        };
        let elements = if raw { samples } else { statistics.len() };
        let FeatureSpec { scale, offset, .. } = *feature;
        Self { first, stride, elements, samples, statistics, needs, scale, offset }
    }

    fn write(&self, samples: impl Iterator<Item = f64> + Clone, mut put: impl FnMut(usize, f64)) {
        let count = self.samples;
        let samples = samples.chain(std::iter::repeat(f64::NAN)).take(count);
        let places = (self.first..).step_by(self.stride);
        if self.statistics.is_empty() {
            for (at, sample) in places.zip(samples) {
                put(at, sample * self.scale + self.offset);
            }
            return;
        }
        let summary = Summary::of(samples, count, self.needs);
        for (at, statistic) in places.zip(&self.statistics) {
            put(at, summary.number(*statistic) * self.scale + self.offset);
        }
    }
}

/// What statistics are made of. Any sample that is NaN makes all but the first and last NaN.
struct Summary {
    count: f64,
    first: f64,
    last: f64,
    min: f64,
    max: f64,
    mean: f64,
    squares: f64,
    variance: f64,
    slope: f64,
    mean_last: f64,
}

impl Summary {
    fn of(samples: impl Iterator<Item = f64> + Clone, count: usize, needs: Needs) -> Self {
        let mut summary = Self {
            count: count as f64,
            first: f64::NAN,
            last: f64::NAN,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: 0.0,
            squares: 0.0,
            variance: 0.0,
            slope: 0.0,
            mean_last: f64::NAN,
        };
        let mut sum = 0.0;
        for (at, sample) in samples.clone().enumerate() {
            if at == 0 {
                summary.first = sample;
            }
            summary.last = sample;
            // f64::min ignores NaN; the sum does not, and decides below.
            summary.min = summary.min.min(sample);
            summary.max = summary.max.max(sample);
            sum += sample;
            summary.squares += sample * sample;
        }
        summary.mean = sum / summary.count;
        if sum.is_nan() {
            summary.min = f64::NAN;
            summary.max = f64::NAN;
        }
        if needs.deviation {
            let mean = summary.mean;
            let squares: f64 =
                samples.clone().map(|sample| (sample - mean) * (sample - mean)).sum();
            summary.variance = squares / summary.count;
        }
        if needs.slope {
            summary.slope = slope(samples.clone(), summary.mean, summary.count);
        }
        if needs.last {
            let newest = samples.skip(count.saturating_sub(LAST));
            summary.mean_last = newest.sum::<f64>() / count.min(LAST) as f64;
        }
        summary
    }

    fn number(&self, statistic: Statistic) -> f64 {
        match statistic {
            // `raw` never stands among statistics: RowPlan::new refuses it.
            Statistic::Raw | Statistic::Last => self.last,
            Statistic::First => self.first,
            Statistic::Mean => self.mean,
            Statistic::StdDev => self.variance.sqrt(),
            Statistic::Min => self.min,
            Statistic::Max => self.max,
            Statistic::Range => self.max - self.min,
            Statistic::Rms => (self.squares / self.count).sqrt(),
            Statistic::Slope => self.slope,
            Statistic::MeanLast5 => self.mean_last,
        }
    }
}

/// The slope of the least-squares line per step; zero for a single sample.
fn slope(samples: impl Iterator<Item = f64>, mean: f64, count: f64) -> f64 {
    if count < 2.0 {
        return 0.0;
    }
    let middle = (count - 1.0) / 2.0;
    let products: f64 =
        samples.enumerate().map(|(at, sample)| (at as f64 - middle) * (sample - mean)).sum();
    // The sum of the squared distances of 0..n from their middle.
    products / (count * (count * count - 1.0) / 12.0)
}

/// Elements of a row: the product of all dimensions after the batch.
pub(crate) fn row_elements(shape: &[Dim]) -> Option<usize> {
    let (_, row) = shape.split_first()?;
    row.iter().try_fold(1_usize, |product, dim| match dim {
        Dim::Fixed(size) => product.checked_mul(*size),
        Dim::Any => None,
    })
}

fn is_raw(feature: &FeatureSpec) -> bool {
    feature.statistics == [Statistic::Raw]
}

fn is_sound(statistics: &[Statistic]) -> bool {
    let alone = statistics == [Statistic::Raw];
    let repeated = |at: usize| statistics[..at].contains(&statistics[at]);
    alone
        || (!statistics.is_empty()
            && !statistics.contains(&Statistic::Raw)
            && !(0..statistics.len()).any(repeated))
}

/// The elements of `row` in a tensor whose first dimension is the batch.
pub(crate) fn row_range(tensor: &Tensor, row: usize) -> Option<Range<usize>> {
    let rows = *tensor.shape.first()?;
    if row >= rows {
        return None;
    }
    let elements = tensor.len() / rows;
    Some(row * elements..(row + 1) * elements)
}

#[cfg(test)]
mod tests;
