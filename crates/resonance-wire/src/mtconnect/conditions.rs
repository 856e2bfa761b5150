//! Conditions: a data item's condition is a set of activations, not one value (Part 3, 4.8).

/// How bad a condition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing, or the activation it names has ended.
    Normal,
    /// It may need attention.
    Warning,
    /// It needs attention for operation to go on.
    Fault,
    /// The agent cannot know.
    Unavailable,
}

impl Level {
    /// The name in documents: `Normal`, `Warning`, `Fault` or `Unavailable`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
            Self::Fault => "Fault",
            Self::Unavailable => "Unavailable",
        }
    }

    /// Whether it is an activation rather than the end of one.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Warning | Self::Fault)
    }

    /// The level with this name, in any case: agents send `Fault` and `FAULT`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Normal, Self::Warning, Self::Fault, Self::Unavailable]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(name))
    }
}

/// An activation, or the end of one or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation<'a> {
    /// How bad it is.
    pub level: Level,
    /// The data item's type, such as `TEMPERATURE`.
    pub kind: std::borrow::Cow<'a, str>,
    /// The machine's own code; empty: none.
    pub native_code: std::borrow::Cow<'a, str>,
    /// The activation's identity since 2.3; empty: the native code is it.
    pub condition_id: std::borrow::Cow<'a, str>,
    /// The machine's own severity; empty: none.
    pub native_severity: std::borrow::Cow<'a, str>,
    /// `HIGH` or `LOW`; empty: none.
    pub qualifier: std::borrow::Cow<'a, str>,
    /// For people.
    pub message: std::borrow::Cow<'a, str>,
}

impl Activation<'_> {
    /// What tells it from others of its data item.
    pub fn key(&self) -> &str {
        if self.condition_id.is_empty() { &self.native_code } else { &self.condition_id }
    }
}

/// Activations of one data item at once; further ones push out the least bad and oldest.
const ACTIVE_MAX: usize = 256;

/// Which activations of one data item are active.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    known: bool,
    /// In the order of activation.
    active: Vec<Active>,
}

#[derive(Clone, Debug, PartialEq)]
struct Active {
    level: Level,
    key: String,
    native_code: String,
    message: String,
}

impl Conditions {
    /// Takes an activation, or the end of one (Normal with a code) or of all (Normal without).
    pub fn apply(&mut self, activation: &Activation<'_>) {
        let key = activation.key();
        self.known = activation.level != Level::Unavailable;
        match activation.level {
            Level::Unavailable => self.active.clear(),
            Level::Normal if key.is_empty() => self.active.clear(),
            // The schemas give Normal no id, so it may name an activation by native code alone.
            Level::Normal if activation.condition_id.is_empty() => {
                self.active.retain(|active| active.key != key && active.native_code != key);
            }
            Level::Normal => self.active.retain(|active| active.key != key),
            level => {
                self.active.retain(|active| active.key != key);
                if self.active.len() >= ACTIVE_MAX {
                    let least = self.active.iter().map(|active| active.level).min();
                    let oldest = self.active.iter().position(|active| Some(active.level) == least);
                    self.active.remove(oldest.unwrap_or(0));
                }
                self.active.push(Active {
                    level,
                    key: key.into(),
                    native_code: activation.native_code.clone().into_owned(),
                    message: activation.message.trim().into(),
                });
            }
        }
    }

    /// Forgets all: what follows is the complete state.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The worst of all; `None` while the agent cannot know.
    pub fn level(&self) -> Option<Level> {
        let worst = self.active.iter().map(|active| active.level).max();
        self.known.then(|| worst.unwrap_or(Level::Normal))
    }

    /// What is active: level, key, message; in the order of activation.
    pub fn active(&self) -> impl Iterator<Item = (Level, &str, &str)> {
        self.active.iter().map(|active| (active.level, &*active.key, &*active.message))
    }

    /// All in one line, the worst first: `Fault E101: spindle drive; Warning W7`, or `Normal`.
    pub fn summary(&self) -> String {
        let mut active: Vec<_> = self.active().collect();
        active.sort_by_key(|(level, ..)| std::cmp::Reverse(*level));
        let lines: Vec<String> = active
            .into_iter()
            .map(|(level, key, message)| {
                let key = if key.is_empty() { String::new() } else { format!(" {key}") };
                let message =
                    if message.is_empty() { String::new() } else { format!(": {message}") };
                format!("{}{key}{message}", level.name())
            })
            .collect();
        if lines.is_empty() { Level::Normal.name().into() } else { lines.join("; ") }
    }
}
