//! One line of what the doctor says.

use serde::Serialize;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It works, and may not for long, or not as meant.
    Warn,
    /// It does not work.
    Fail,
}

impl State {
    /// The word for it, of four letters.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok  ",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was looked at, how it is, and what to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Check {
    /// What kind of thing: `clock`, `port`, `certificate` and so on.
    pub(crate) check: String,
    /// Which one; empty where there is but one.
    pub(crate) subject: String,
    /// How it is.
    pub(crate) state: State,
    /// What was seen.
    pub(crate) said: String,
    /// What to do; empty where there is nothing to do.
    pub(crate) remedy: String,
}

impl Check {
    fn new(state: State, check: &str, subject: &str, said: String) -> Self {
        let (check, subject) = (check.to_owned(), subject.to_owned());
        Self { check, subject, state, said, remedy: String::new() }
    }

    pub(super) fn ok(check: &str, subject: &str, said: impl Into<String>) -> Self {
        Self::new(State::Ok, check, subject, said.into())
    }

    pub(super) fn warn(check: &str, subject: &str, said: impl Into<String>) -> Self {
        Self::new(State::Warn, check, subject, said.into())
    }

    pub(super) fn fail(check: &str, subject: &str, said: impl Into<String>) -> Self {
        Self::new(State::Fail, check, subject, said.into())
    }

    pub(super) fn remedy(self, remedy: &str) -> Self {
        Self { remedy: remedy.to_owned(), ..self }
    }
}
