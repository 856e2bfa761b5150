//! Observations: answers to `current` and `sample` (Part 3), read one at a time and borrowed from
//! the document.

use std::borrow::Cow;

use resonance_plant::Timestamp;

use super::conditions::{Activation, Level};
use super::devices::Category;
use super::error::WireError;
use super::header::{Header, begin};
use super::xml::{Tag, Token, Xml, append};
use super::{Kind, Limits};

/// Entries and cells of one observation of a data set or table.
const ENTRIES_MAX: usize = 100_000;

/// The text of an observation whose value the agent does not have.
const UNAVAILABLE: &str = "UNAVAILABLE";

/// Depths of elements, the root's being 1.
const DEVICE_STREAM: usize = 3;
const COMPONENT_STREAM: usize = 4;
const CATEGORY: usize = 5;
const OBSERVATION: usize = 6;

/// A document of observations under way.
///
/// Observations stand by component and category, not in the order of their sequence numbers.
pub struct Streams<'a> {
    xml: Xml<'a>,
    header: Header,
    device: Cow<'a, str>,
    component: Cow<'a, str>,
    category: Option<Category>,
    dates: Dates,
}

/// What was observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Sample, event or condition.
    pub category: Category,
    /// The element's name, such as `PathFeedrate`; of a condition, its level.
    pub element: &'a str,
    /// Which data item.
    pub data_item_id: Cow<'a, str>,
    /// Its number; grows by one with each observation of the agent.
    pub sequence: u64,
    /// When it was so, by the machine's clock; `None` where it is no RFC 3339 date-time.
    pub time: Option<Timestamp>,
    /// Why a counter began anew, such as `DAY` or `MANUAL`; empty: it did not.
    pub reset: Cow<'a, str>,
    /// The value.
    pub reading: Reading<'a>,
}

/// What an observation says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading<'a> {
    /// The agent does not have a value.
    Unavailable,
    /// A number, word or text, as sent; several numbers for `_3D` units.
    Text(Cow<'a, str>),
    /// A time series.
    Series(Series<'a>),
    /// The changed entries of a data set or table.
    Entries(Vec<Entry<'a>>),
    /// An activation of a condition, or the end of one.
    Condition(Activation<'a>),
}

/// Numbers at a fixed rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<'a> {
    /// How many the agent says there are.
    pub count: u64,
    /// Per second; `None`: see the data item.
    pub rate: Option<f64>,
    /// The numbers, separated by spaces.
    pub text: Cow<'a, str>,
}

impl Series<'_> {
    /// The numbers; `None` where one is none, or their count is another than announced.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let numbers = numbers(&self.text)?;
        (numbers.len() as u64 == self.count).then_some(numbers)
    }
}

/// Numbers separated by spaces; `None` where one is none.
fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
}

impl Reading<'_> {
    /// The value as one number, if it is one.
    #[inline]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The value as a list of numbers: of a time series or a vector.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Self::Text(text) => numbers(text),
            Self::Series(series) => series.numbers(),
            _ => None,
        }
    }
}

/// An entry of a data set or table.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Its key.
    pub key: Cow<'a, str>,
    /// Whether it no longer exists.
    pub removed: bool,
    /// What it holds.
    pub content: Content<'a>,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// Of a data set.
    Text(Cow<'a, str>),
    /// Of a table.
    Cells(Vec<Cell<'a>>),
}

/// A cell of a table's entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell<'a> {
    /// Its key.
    pub key: Cow<'a, str>,
    /// Its value.
    pub text: Cow<'a, str>,
}

impl<'a> Streams<'a> {
    /// Reads a document's header.
    ///
    /// # Errors
    /// Where it is no document of observations, or breaks off before its header's end.
    pub fn open(document: &'a [u8], limits: Limits) -> Result<Self, WireError> {
        let (xml, header) = begin(document, limits, Kind::Streams)?;
        let (device, component) = (Cow::Borrowed(""), Cow::Borrowed(""));
        Ok(Self { xml, header, device, component, category: None, dates: Dates::default() })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The uuid of the device that the last observation is of.
    pub fn device_uuid(&self) -> &str {
        &self.device
    }

    /// The id of the component that the last observation is of.
    pub fn component_id(&self) -> &str {
        &self.component
    }

    /// The next observation; `None` at the end of a complete document.
    ///
    /// # Errors
    /// Where the document is malformed, cut off or not as the standard says. Nothing can be read
    /// after an error; observations before it were good.
    #[inline]
    pub fn next_observation(&mut self) -> Result<Option<Observation<'a>>, WireError> {
        while let Some(token) = self.xml.next()? {
            let Token::Open(tag) = token else { continue };
            match (self.xml.depth(), self.category) {
                (OBSERVATION, Some(category)) => return self.observation(tag, category).map(Some),
                (DEVICE_STREAM, _) => self.device = attribute(tag, "uuid")?,
                (COMPONENT_STREAM, _) => self.component = attribute(tag, "componentId")?,
                (CATEGORY, _) => {
                    self.category = match tag.name() {
                        "Samples" => Some(Category::Sample),
                        "Events" => Some(Category::Event),
                        "Condition" => Some(Category::Condition),
                        _ => None,
                    };
                }
                // Extensions, and what later versions may add.
                (OBSERVATION.., _) => self.xml.skip()?,
                _ => {}
            }
        }
        Ok(None)
    }

    #[inline]
    fn observation(
        &mut self,
        tag: Tag<'a>,
        category: Category,
    ) -> Result<Observation<'a>, WireError> {
        let mut seen = Attributes::default();
        tag.attributes(|name, value| match name {
            "dataItemId" => seen.data_item_id = Some(value),
            "timestamp" => seen.timestamp = value,
            "sequence" => seen.sequence = Some(value),
            "resetTriggered" => seen.reset = value,
            "sampleCount" => seen.sample_count = Some(value),
            "sampleRate" => seen.sample_rate = value,
            "count" => seen.is_set = true,
            "type" => seen.kind = value,
            "nativeCode" => seen.native_code = value,
            "conditionId" => seen.condition_id = value,
            "nativeSeverity" => seen.native_severity = value,
            "qualifier" => seen.qualifier = value,
            _ => {}
        })?;
        let Some(sequence) = &seen.sequence else { return Err(tag.missing("sequence")) };
        let sequence = sequence.parse::<u64>().map_err(|_| {
            tag.invalid("sequence", sequence, "it must be a whole number from 1 to 2^64 - 1")
        })?;
        let data_item_id = seen.data_item_id.take().ok_or_else(|| tag.missing("dataItemId"))?;
        let time = self.dates.time(&seen.timestamp);
        let reset = std::mem::take(&mut seen.reset);
        let element = tag.name();
        let reading = self.reading(tag, category, seen)?;
        Ok(Observation { category, element, data_item_id, sequence, time, reset, reading })
    }

    #[inline]
    fn reading(
        &mut self,
        tag: Tag<'a>,
        category: Category,
        seen: Attributes<'a>,
    ) -> Result<Reading<'a>, WireError> {
        let mut text = Cow::Borrowed("");
        let mut entries = Vec::new();
        loop {
            match self.xml.expect()? {
                Token::Close => break,
                Token::Open(inner) => {
                    if entries.len() >= ENTRIES_MAX {
                        return Err(too_many(inner));
                    }
                    entries.push(entry(&mut self.xml, inner)?);
                }
                token => append(&mut text, token),
            }
        }
        if category == Category::Condition {
            let Some(level) = Level::from_name(tag.name()) else {
                let expected = "it must be Normal, Warning, Fault or Unavailable";
                return Err(tag.invalid("the name", tag.name(), expected));
            };
            return Ok(Reading::Condition(Activation {
                level,
                kind: seen.kind,
                native_code: seen.native_code,
                condition_id: seen.condition_id,
                native_severity: seen.native_severity,
                qualifier: seen.qualifier,
                message: text,
            }));
        }
        if text.trim_ascii() == UNAVAILABLE {
            return Ok(Reading::Unavailable);
        }
        if let Some(count) = seen.sample_count {
            let count = count.trim().parse().map_err(|_| {
                tag.invalid("sampleCount", &count, "it must be how many numbers follow")
            })?;
            return Ok(Reading::Series(Series {
                count,
                rate: seen.sample_rate.parse().ok(),
                text,
            }));
        }
        if seen.is_set || !entries.is_empty() {
            return Ok(Reading::Entries(entries));
        }
        Ok(Reading::Text(text))
    }
}

/// What is looked at of an observation's attributes.
#[derive(Default)]
struct Attributes<'a> {
    data_item_id: Option<Cow<'a, str>>,
    timestamp: Cow<'a, str>,
    sequence: Option<Cow<'a, str>>,
    reset: Cow<'a, str>,
    sample_count: Option<Cow<'a, str>>,
    sample_rate: Cow<'a, str>,
    is_set: bool,
    kind: Cow<'a, str>,
    native_code: Cow<'a, str>,
    condition_id: Cow<'a, str>,
    native_severity: Cow<'a, str>,
    qualifier: Cow<'a, str>,
}

fn entry<'a>(xml: &mut Xml<'a>, tag: Tag<'a>) -> Result<Entry<'a>, WireError> {
    let (mut key, mut removed) = (None, false);
    tag.attributes(|name, value| match name {
        "key" => key = Some(value),
        "removed" => removed = matches!(&*value, "true" | "1"),
        _ => {}
    })?;
    let key = key.ok_or_else(|| tag.missing("key"))?;
    let (mut text, mut cells) = (Cow::Borrowed(""), Vec::new());
    loop {
        match xml.expect()? {
            Token::Close => break,
            Token::Open(inner) => {
                if cells.len() >= ENTRIES_MAX {
                    return Err(too_many(inner));
                }
                let key = attribute(inner, "key")?;
                cells.push(Cell { key, text: xml.text()? });
            }
            token => append(&mut text, token),
        }
    }
    let content = if cells.is_empty() { Content::Text(text) } else { Content::Cells(cells) };
    Ok(Entry { key, removed, content })
}

fn too_many(tag: Tag<'_>) -> WireError {
    WireError::TooMany { offset: tag.offset, what: "entries of one value", limit: ENTRIES_MAX }
}

fn attribute<'a>(tag: Tag<'a>, wanted: &'static str) -> Result<Cow<'a, str>, WireError> {
    let mut found = None;
    tag.attributes(|name, value| {
        if name == wanted {
            found = Some(value);
        }
    })?;
    found.ok_or_else(|| tag.missing(wanted))
}

/// Reads times; remembers the last date, since most are of one day.
#[derive(Default)]
struct Dates {
    /// `2026-11-21T` and the like.
    date: Option<String>,
    midnight: i64,
}

/// Bytes of `2026-11-21T`.
const DATE: usize = 11;

impl Dates {
    #[inline]
    fn time(&mut self, text: &str) -> Option<Timestamp> {
        // Before 2.0 a duration could follow: 2010-01-01T00:00:00Z@10.5
        let text = text.split_once('@').map_or(text, |(time, _)| time);
        if let Some(date) = &self.date
            && let Some(rest) = text.strip_prefix(&**date)
            && let Some(nanos) = time_of_day(rest.as_bytes())
        {
            return Some(Timestamp::from_nanos(self.midnight.saturating_add(nanos)));
        }
        let time = Timestamp::parse_rfc3339(text)?;
        let date = text.get(..DATE)?;
        self.midnight = Timestamp::parse_rfc3339(&format!("{date}00:00:00Z"))?.nanos();
        self.date = Some(date.to_owned());
        Some(time)
    }
}

/// Nanoseconds since midnight of `12:34:56.789Z`; `None` where it is not of that form, though it
/// may be a time.
#[inline]
fn time_of_day(text: &[u8]) -> Option<i64> {
    let two = |tens: &u8, ones: &u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
    };
    let [h1, h2, b':', m1, m2, b':', s1, s2, fraction @ .., b'Z'] = text else { return None };
    let (hours, minutes, seconds) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let mut nanos = 0_i64;
    match fraction {
        [] => {}
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            let mut scale = 100_000_000;
            for digit in digits {
                let digit = digit.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                nanos += i64::from(digit) * scale;
                scale /= 10;
            }
        }
        _ => return None,
    }
    Some((hours * 3_600 + minutes * 60 + seconds) * 1_000_000_000 + nanos)
}
