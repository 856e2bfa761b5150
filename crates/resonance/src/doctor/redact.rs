//! Keeps secrets out of what is given away.

use std::path::Path;

use resonance_gateway::secret::{self, SecretRef};

use crate::config::{PlantText, userinfo};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Fewer characters are no secret that could be told from any other text.
const SECRET_CHARS_MIN: usize = 3;

/// Knows every secret that a plant file refers to.
#[derive(Default)]
pub(super) struct Redactor {
    forms: Vec<String>,
    unread: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

impl Redactor {
    /// Reads the secrets that a plant file refers to, and those that stand in it.
    pub(super) fn of(plant: &PlantText) -> Self {
        let mut known = Self::default();
        for text in plant.secrets_inside() {
            if let Some((_, password)) = userinfo(&text).and_then(|user| user.split_once(':')) {
                known.add(password);
            }
            known.add(&text);
        }
        for reference in plant.secret_references() {
            let reference = match reference.strip_prefix("file:") {
                Some(file) => format!("file:{}", plant.folder().join(Path::new(file)).display()),
                None => reference,
            };
            match secret::read(&SecretRef(reference.clone())) {
                Ok(value) => known.add(value.trim()),
                Err(_) => known.unread.push(reference),
            }
        }
        known
    }

    /// Where secrets are that could not be read here. The gateway may know them, and what it wrote
    /// may have them.
    pub(super) fn unread(&self) -> &[String] {
        &self.unread
    }

    /// One secret more.
    pub(super) fn add(&mut self, value: &str) {
        if value.chars().count() < SECRET_CHARS_MIN {
            return;
        }
        // As it stands in JSON, too.
        let escaped = serde_json::Value::from(value).to_string();
        let within_quotes = escaped.get(1..escaped.len() - 1).unwrap_or_default();
        self.forms.extend([value.to_owned(), within_quotes.to_owned()]);
        self.forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.forms.dedup();
    }

    /// The text without any secret.
    pub(super) fn clean(&self, text: &str) -> String {
        let hide = |text: String, secret: &String| text.replace(secret.as_str(), HIDDEN);
        self.forms.iter().fold(text.to_owned(), hide)
    }
}

/// A valid plant file with nothing in the place of its comments, line for line: whoever wrote them
/// may have noted a secret.
pub(super) fn without_comments(toml: &str) -> String {
    let mut out = String::with_capacity(toml.len());
    let mut rest = toml;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '"' | '\'' => string_length(rest, first),
            other => other.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// The length of the TOML string that a text begins with.
fn string_length(text: &str, quote: char) -> usize {
    let triple: String = [quote; 3].iter().collect();
    let is_long = text.starts_with(&triple);
    let closing = if is_long { &triple[..] } else { &triple[..1] };
    let mut at = closing.len();
    while at < text.len() {
        let left = &text[at..];
        if quote == '"' && left.starts_with('\\') {
            at += 1 + left.chars().nth(1).map_or(0, char::len_utf8);
        } else if let Some(after) = left.strip_prefix(closing) {
            // Up to two quotes more may stand before the three that close.
            let more = after.chars().take_while(|c| *c == quote).count();
            return at + closing.len() + if is_long { more.min(2) } else { 0 };
        } else {
            at += left.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_strings_stay() {
        let toml = r####"a = "x # y" # hunter2
# whole
b = 'z\' # "
c = """
# in
\""""" # out
d = '''it's # in''''' # ü
e = "q\"# in" # out
f = "" # out
"####;
        let expected = r####"a = "x # y" 

b = 'z\' 
c = """
# in
\""""" 
d = '''it's # in''''' 
e = "q\"# in" 
f = "" 
"####;
        let kept = without_comments(toml);
        assert_eq!(kept, expected);
        let parsed = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        assert_eq!(parsed(&kept), parsed(toml));
    }

    #[test]
    fn every_secret_is_replaced_in_both_forms() {
        let mut known = Redactor::default();
        known.add("se\"cret");
        known.add("se\"cret and more");
        known.add("x");
        let told = known.clean(r#"{"a": "se\"cret and more", "x": "se"cret"}"#);
        assert_eq!(told, r#"{"a": "***", "x": "***"}"#);
    }
}
