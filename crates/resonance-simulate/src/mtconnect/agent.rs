//! What an agent keeps: its device model, the latest of everything and a buffer of observations
//! with sequence numbers (Part 1, 5).

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use resonance_plant::Timestamp;
use resonance_wire::mtconnect::emit::{self, StreamsWriter};
use resonance_wire::mtconnect::{
    Activation, AgentError, Category, Content, DataItem, Device, Devices, Entry, Header, Level,
    Observation, Reading, Refusal, Sequences, Series, element_name,
};

/// What a machine says of one data item.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Nothing: it cannot be had.
    Unavailable,
    /// A number, word or text.
    Text(String),
    /// Numbers at a fixed rate, per second.
    Series(Vec<f64>, f64),
    /// Entries of a data set; `None`: removed.
    Entries(Vec<(String, Option<String>)>),
    /// An activation of a condition, or the end of one or all.
    Condition {
        /// How bad it is; Normal ends the activation with this code, or all.
        level: Level,
        /// The machine's code.
        code: String,
        /// For people.
        message: String,
    },
}

#[derive(Clone, Debug)]
struct Stored {
    sequence: u64,
    time: Timestamp,
    /// Device and data item.
    place: (usize, usize),
    said: Said,
}

/// An agent without any IO.
#[derive(Debug)]
pub struct Agent {
    model: Devices,
    places: HashMap<String, (usize, usize)>,
    buffer: VecDeque<Stored>,
    next: u64,
    /// The latest observation of each data item; of a condition, all that is active.
    latest: HashMap<(usize, usize), Vec<Stored>>,
}

impl Agent {
    /// An agent of these devices, each of whose data items is unavailable. The model's header
    /// says version, instance and size of the buffer.
    pub fn new(model: Devices, now: Timestamp) -> Self {
        let mut places = HashMap::new();
        for (device, at) in model.devices.iter().zip(0..) {
            for (item, number) in device.data_items.iter().zip(0..) {
                places.insert(item.id.clone(), (at, number));
            }
        }
        let mut agent =
            Self { model, places, buffer: VecDeque::new(), next: 1, latest: HashMap::new() };
        agent.forget(now);
        agent
    }

    /// Begins anew with another instance: sequence numbers begin at 1, all is unavailable.
    pub fn restart(&mut self, now: Timestamp) {
        self.model.header.instance_id += 1;
        self.buffer.clear();
        self.latest.clear();
        self.next = 1;
        self.forget(now);
    }

    /// Takes what a machine said. What is no change is not kept. Returns whether it was kept;
    /// never for an id that the model does not have.
    pub fn observe(&mut self, id: &str, time: Timestamp, said: Said) -> bool {
        let Some(place) = self.places.get(id).copied() else { return false };
        let sequence = self.next;
        let stored = Stored { sequence, time, place, said };
        let latest = self.latest.entry(place).or_default();
        match &stored.said {
            Said::Condition { level, code, .. } => {
                if !take_condition(latest, *level, code, &stored) {
                    return false;
                }
            }
            said => {
                let discrete = item_at(&self.model, place).is_some_and(|(_, item)| item.discrete);
                if !discrete && latest.iter().any(|kept| kept.said == *said) {
                    return false;
                }
                latest.clear();
                latest.push(stored.clone());
            }
        }
        self.buffer.push_back(stored);
        self.next += 1;
        while self.buffer.len() as u64 > self.model.header.buffer_size {
            self.buffer.pop_front();
        }
        true
    }

    /// The device model.
    pub fn model(&self) -> &Devices {
        &self.model
    }

    /// The number that the next observation will get.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The answer to `probe`; of one device or all.
    pub fn probe(&self, device: Option<usize>, now: Timestamp) -> String {
        let all = self.model.devices.iter().zip(0..);
        let devices = all.filter(|(_, at)| device.is_none_or(|one| one == *at));
        let devices = devices.map(|(device, _)| device.clone()).collect();
        emit::devices(&Devices { header: self.header(now), devices })
    }

    /// The answer to `current`.
    pub fn current(&self, device: Option<usize>, now: Timestamp) -> String {
        let stored: Vec<&Stored> = self.latest.values().flatten().collect();
        self.streams(stored, device, self.next, now)
    }

    /// The answer to `sample`, and from where to go on; `from` 0 is the oldest.
    ///
    /// # Errors
    /// OUT_OF_RANGE where `from` is no longer, or not yet, in the buffer, or `count` is absurd.
    pub fn sample(
        &self,
        device: Option<usize>,
        from: u64,
        count: u64,
        now: Timestamp,
    ) -> Result<(String, u64), Box<Refusal>> {
        let first = self.first();
        let from = if from == 0 { first } else { from };
        if from < first || from > self.next {
            let message = format!("'from' must be between {first} and {}, it is {from}", self.next);
            return Err(Box::new(self.refuse("OUT_OF_RANGE", &message, now)));
        }
        if count == 0 || count > self.model.header.buffer_size {
            let most = self.model.header.buffer_size;
            let message = format!("'count' must be between 1 and {most}, it is {count}");
            return Err(Box::new(self.refuse("OUT_OF_RANGE", &message, now)));
        }
        let skipped = usize::try_from(from - first).unwrap_or(usize::MAX);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let of_device = |stored: &&Stored| device.is_none_or(|one| one == stored.place.0);
        let taken: Vec<&Stored> =
            self.buffer.iter().skip(skipped).filter(of_device).take(count).collect();
        let full = taken.len() == count;
        let last = taken.last().map(|stored| stored.sequence + 1);
        let next = last.filter(|_| full).unwrap_or(self.next);
        Ok((self.streams(taken, device, next, now), next))
    }

    /// An error document.
    pub fn refuse(&self, code: &str, message: &str, now: Timestamp) -> Refusal {
        let errors = vec![AgentError { code: code.into(), message: message.into() }];
        Refusal { header: self.header(now), errors }
    }

    fn first(&self) -> u64 {
        self.buffer.front().map_or(self.next, |stored| stored.sequence)
    }

    fn header(&self, now: Timestamp) -> Header {
        Header { creation_time: Some(now), sequences: None, ..self.model.header.clone() }
    }

    /// Everything is unavailable.
    fn forget(&mut self, now: Timestamp) {
        let mut ids: Vec<(String, bool)> = self
            .model
            .data_items()
            .map(|(_, item)| (item.id.clone(), item.category == Category::Condition))
            .collect();
        ids.sort();
        for (id, is_condition) in ids {
            let said = if is_condition {
                let (code, message) = (String::new(), String::new());
                Said::Condition { level: Level::Unavailable, code, message }
            } else {
                Said::Unavailable
            };
            self.observe(&id, now, said);
        }
    }

    fn streams(
        &self,
        mut stored: Vec<&Stored>,
        device: Option<usize>,
        next: u64,
        now: Timestamp,
    ) -> String {
        stored.retain(|stored| device.is_none_or(|one| one == stored.place.0));
        stored.sort_by_key(|stored| {
            let of = item_at(&self.model, stored.place);
            let (component, category) =
                of.map_or((0, Category::Sample), |(_, item)| (item.component, item.category));
            (stored.place.0, component, category, stored.sequence)
        });
        let sequences = Sequences { first: self.first(), last: self.next - 1, next };
        let header = Header { sequences: Some(sequences), ..self.header(now) };
        let mut writer = StreamsWriter::new(&header);
        let mut at = (None, None);
        for stored in stored {
            let Some((device, item)) = item_at(&self.model, stored.place) else { continue };
            let place = (Some(stored.place.0), Some(item.component));
            if place.0 != at.0 {
                writer.device(device);
            }
            if place != at
                && let Some(component) = device.components.get(item.component)
            {
                writer.component(component);
            }
            at = place;
            let element = element_name(&item.kind, item.representation);
            writer.observation(item, &observation(stored, item, &element));
        }
        writer.finish()
    }
}

/// Brings the set of what is active up to date. Returns whether that was news.
fn take_condition(latest: &mut Vec<Stored>, level: Level, code: &str, stored: &Stored) -> bool {
    let said = |kept: &Stored| match &kept.said {
        Said::Condition { level, code, .. } => (*level, code.clone()),
        _ => (Level::Unavailable, String::new()),
    };
    let before: Vec<(Level, String)> = latest.iter().map(said).collect();
    let is_active = |(level, _): &(Level, String)| matches!(level, Level::Warning | Level::Fault);
    match level {
        Level::Warning | Level::Fault => {
            if before.iter().any(|(was, active)| *was == level && active == code) {
                return false;
            }
            latest.retain(|kept| is_active(&said(kept)) && said(kept).1 != code);
            latest.push(stored.clone());
        }
        Level::Normal => {
            let ends = |(was, active): &(Level, String)| {
                *was != Level::Normal
                    && (code.is_empty() || active == code || !is_active(&(*was, String::new())))
            };
            if !before.is_empty() && !before.iter().any(ends) {
                return false;
            }
            latest.retain(|kept| is_active(&said(kept)) && !ends(&said(kept)));
            if latest.is_empty() {
                latest.push(stored.clone());
            }
        }
        Level::Unavailable => {
            if before.iter().any(|(was, _)| *was == Level::Unavailable) {
                return false;
            }
            *latest = vec![stored.clone()];
        }
    }
    true
}

fn item_at(model: &Devices, place: (usize, usize)) -> Option<(&Device, &DataItem)> {
    let device = model.devices.get(place.0)?;
    Some((device, device.data_items.get(place.1)?))
}

fn observation<'a>(stored: &'a Stored, item: &'a DataItem, element: &'a str) -> Observation<'a> {
    let reading = match &stored.said {
        Said::Unavailable => Reading::Unavailable,
        Said::Text(text) => Reading::Text(Cow::Borrowed(text)),
        Said::Series(numbers, rate) => {
            let text: Vec<String> = numbers.iter().map(f64::to_string).collect();
            let (count, text) = (numbers.len() as u64, text.join(" ").into());
            Reading::Series(Series { count, rate: Some(*rate), text })
        }
        Said::Entries(entries) => Reading::Entries(
            entries
                .iter()
                .map(|(key, value)| Entry {
                    key: Cow::Borrowed(key),
                    removed: value.is_none(),
                    content: Content::Text(value.as_deref().unwrap_or_default().into()),
                })
                .collect(),
        ),
        Said::Condition { level, code, message } => Reading::Condition(Activation {
            level: *level,
            kind: Cow::Borrowed(&item.kind),
            native_code: Cow::Borrowed(code),
            condition_id: "".into(),
            native_severity: "".into(),
            qualifier: "".into(),
            message: Cow::Borrowed(message),
        }),
    };
    Observation {
        category: item.category,
        element,
        data_item_id: Cow::Borrowed(&item.id),
        sequence: stored.sequence,
        time: Some(stored.time),
        reset: "".into(),
        reading,
    }
}
