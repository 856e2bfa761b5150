//! Topic templates.

/// A topic with places for what a result is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Asset,
    Deployment,
    Model,
}

/// The longest topic, bytes (MQTT 5.0, 4.7.3).
const BYTES_MAX: usize = 65_535;

/// Why a template cannot be used: the configuration's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The braces hold another word.
    #[error("{{{0}}} is unknown; use {{asset}}, {{deployment}} or {{model}}")]
    Unknown(String),
    /// A brace is missing.
    #[error("a brace is not closed or not opened")]
    Brace,
    /// A character that topics must not have.
    #[error("{0:?} is not allowed in a topic that is published to; leave it out")]
    Character(char),
    /// Nothing at all, or too much.
    #[error("a topic has between 1 and 65,535 bytes")]
    Length,
    /// A topic that belongs to the broker.
    #[error("topics that begin with $ belong to the broker; begin with another character")]
    Reserved,
}

impl TopicTemplate {
    /// Reads a template such as `plant/{asset}/{deployment}`.
    ///
    /// # Errors
    /// Where no topic can come of it.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err(TopicError::Length);
        }
        if text.starts_with('$') {
            return Err(TopicError::Reserved);
        }
        if let Some(bad) = text.chars().find(|c| matches!(c, '+' | '#') || c.is_control()) {
            return Err(TopicError::Character(bad));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            let inside = brace.strip_prefix('{').ok_or(TopicError::Brace)?;
            let (name, after) = inside.split_once('}').ok_or(TopicError::Brace)?;
            parts.push(Part::Text(before.into()));
            parts.push(match name {
                "asset" => Part::Asset,
                "deployment" => Part::Deployment,
                "model" => Part::Model,
                other => return Err(TopicError::Unknown(other.into())),
            });
            rest = after;
        }
        parts.push(Part::Text(rest.into()));
        Ok(Self(parts))
    }

    /// The topic for a result. Names stay within their level: characters that mean something to
    /// MQTT, controls and the percent sign are written as in URLs, `a/b` as `a%2Fb`.
    pub fn topic(&self, asset: &str, deployment: &str, model: &str) -> String {
        let mut topic = String::with_capacity(64);
        for part in &self.0 {
            match part {
                Part::Text(text) => topic.push_str(text),
                Part::Asset => escape(asset, &mut topic),
                Part::Deployment => escape(deployment, &mut topic),
                Part::Model => escape(model, &mut topic),
            }
        }
        topic
    }
}

fn escape(name: &str, topic: &mut String) {
    use std::fmt::Write;
    for character in name.chars() {
        // A dollar sign matters only where the topic begins.
        let dollar = character == '$' && topic.is_empty();
        if dollar || matches!(character, '/' | '+' | '#' | '%') || character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                // Writing to a String does not fail.
                let _ = write!(topic, "%{byte:02X}");
            }
        } else {
            topic.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_their_level() {
        let template = TopicTemplate::parse("plant/{asset}/{deployment}/{model}").unwrap();
        assert_eq!(template.topic("mill-1", "wear", "tool"), "plant/mill-1/wear/tool");
        assert_eq!(template.topic("a/b", "+#", "50%\u{0}"), "plant/a%2Fb/%2B%23/50%25%00");
        assert_eq!(template.topic("Fräse $1", "ß", "m"), "plant/Fräse $1/ß/m");
        let bare = TopicTemplate::parse("{asset}").unwrap();
        assert_eq!(bare.topic("$SYS", "", ""), "%24SYS");
    }

    #[test]
    fn templates_no_topic_can_come_of_are_refused() {
        let refused = |text: &str| TopicTemplate::parse(text).unwrap_err();
        assert_eq!(refused("a/{line}"), TopicError::Unknown("line".into()));
        assert_eq!(refused("a/{asset"), TopicError::Brace);
        assert_eq!(refused("a}/{asset}"), TopicError::Brace);
        assert_eq!(refused("a/#"), TopicError::Character('#'));
        assert_eq!(refused("a/\u{0}"), TopicError::Character('\u{0}'));
        assert_eq!(refused(""), TopicError::Length);
        assert_eq!(refused(&"x".repeat(70_000)), TopicError::Length);
        assert_eq!(refused("$SYS/x"), TopicError::Reserved);
    }
}
