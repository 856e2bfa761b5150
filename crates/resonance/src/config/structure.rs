//! A document against the schema: unknown and missing keys, types, closed lists, bounds.
//!
//! It knows the part of JSON Schema that [`super::schema`] generates, and a test holds it to
//! that. Unlike a general validator it points at the very text and names the nearest valid one.

use serde_json::{Map, Value};
use toml::de::DeValue;

use super::diagnostic::{Diagnostic, Diagnostics, Mistake};
use super::document::Node;
use super::element::{ID_PATTERN, NAME_PATTERN};

/// Names listed in a remedy; past that, the schema lists them.
const LISTED_MAX: usize = 16;

/// Checks a document.
pub(crate) fn check(schema: &Value, root: &Node<'_>, out: &mut Diagnostics) {
    Walk { root: schema, out }.value(schema, root);
}

/// Checks what could be understood of a document that is not TOML throughout: only what cannot be
/// a consequence of that. Where a table's header is broken, nothing is where it seems to be.
pub(crate) fn check_fragments(schema: &Value, root: &Node<'_>, out: &mut Diagnostics) {
    let mut found = Diagnostics::default();
    check(schema, root, &mut found);
    let consequence =
        |mistake| matches!(mistake, Mistake::MissingKey | Mistake::WrongType | Mistake::UnknownKey);
    found.in_order().into_iter().filter(|d| !consequence(d.mistake)).for_each(|d| out.push(d));
}

struct Walk<'s, 'o> {
    root: &'s Value,
    out: &'o mut Diagnostics,
}

impl<'s> Walk<'s, '_> {
    fn value(&mut self, schema: &'s Value, node: &Node<'_>) {
        let schema = self.resolve(schema);
        if let Some(variants) = schema["oneOf"].as_array() {
            match choices(variants) {
                Some(names) => self.closed_list(schema, &names, node),
                None => self.tagged(variants, node),
            }
            return;
        }
        if !self.has_type(schema, node) {
            return;
        }
        if let Some(names) = schema["enum"].as_array() {
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            return self.closed_list(schema, &names, node);
        }
        match node.value.as_ref() {
            DeValue::Table(_) => self.table(schema, node, None),
            DeValue::Array(_) => self.array(schema, node),
            DeValue::String(text) => self.string(schema, text, node),
            DeValue::Integer(_) | DeValue::Float(_) => self.number(schema, node),
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/"));
        name.map_or(schema, |name| &self.root["$defs"][name])
    }

    fn has_type(&mut self, schema: &Value, node: &Node<'_>) -> bool {
        let expected: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        let actual = match node.value.as_ref() {
            DeValue::String(_) => "string",
            DeValue::Integer(_) => "integer",
            DeValue::Float(_) => "number",
            DeValue::Boolean(_) => "boolean",
            DeValue::Array(_) => "array",
            DeValue::Table(_) => "object",
            DeValue::Datetime(_) => "date",
        };
        let fits =
            expected.contains(&actual) || (actual == "integer" && expected.contains(&"number"));
        if !fits {
            let expected: Vec<&str> = expected.into_iter().map(in_words).collect();
            let expected = expected.join(" or ");
            let key = node.place.path.rsplit('.').next().unwrap_or_default();
            let message = format!("`{key}` must be {expected}, not {}", in_words(actual));
            let remedy = match (expected.as_str(), actual) {
                ("a text", _) => "put the value in quotes".to_owned(),
                ("a whole number", "string") => "write the number without quotes".to_owned(),
                ("a whole number", "number") => "write it without a decimal point".to_owned(),
                ("a number", "string") => "write the number without quotes".to_owned(),
                ("true or false", _) => "write true or false without quotes".to_owned(),
                ("a list", "object") => format!("write [[{key}]], with two brackets"),
                ("a table", "array") => format!("write [{key}], with one bracket"),
                _ => format!("write {expected}"),
            };
            let wrong = Diagnostic::error(Mistake::WrongType, &node.place, message);
            self.out.push(wrong.remedy(remedy));
        }
        fits
    }

    fn closed_list(&mut self, schema: &Value, names: &[&str], node: &Node<'_>) {
        let Some(text) = node.text() else {
            let message = format!("one of {} names is needed here", names.len());
            let wrong = Diagnostic::error(Mistake::WrongType, &node.place, message);
            return self.out.push(wrong.remedy(listed(names)));
        };
        if names.contains(&text) {
            return;
        }
        let nearest = synonym(schema, text).or_else(|| self.out.nearest(text, names.to_vec()));
        let key = node.place.path.rsplit('.').next().unwrap_or_default();
        let message = format!("{text:?} is not a valid `{key}`");
        self.out.push(
            Diagnostic::error(Mistake::InvalidValue, &node.place, message)
                .nearest(nearest)
                .remedy(listed(names)),
        );
    }

    /// A table in which a key with a constant value says which of several kinds it is.
    fn tagged(&mut self, variants: &'s [Value], node: &Node<'_>) {
        let variants: Vec<&Value> = variants.iter().map(|v| self.resolve(v)).collect();
        let Some(tag) = variants.first().and_then(|v| tag_of(v)).map(|(key, _)| key) else {
            return;
        };
        if node.value.as_ref().as_table().is_none() {
            let message = format!("a table is needed here, with `{tag}`");
            let wrong = Diagnostic::error(Mistake::WrongType, &node.place, message);
            return self.out.push(wrong.remedy(format!("write {{ {tag} = \"...\" }}")));
        }
        let kinds: Vec<(&str, &Value)> =
            variants.iter().filter_map(|v| tag_of(v).map(|(_, kind)| (kind, *v))).collect();
        let names: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
        let stated = node.get(tag);
        let kind = match &stated {
            None => {
                let message = format!("`{tag}` is missing");
                let missing = Diagnostic::error(Mistake::MissingKey, &node.place, message);
                self.out.push(missing.remedy(format!("add `{tag}`: {}", listed(&names))));
                None
            }
            Some(stated) => {
                self.closed_list(&Value::Null, &names, stated);
                stated.text()
            }
        };
        // Where it is misspelt, the other keys are checked as those of the kind that is meant.
        let is = |wanted: &str| kinds.iter().find(|(name, _)| *name == wanted);
        let meant = kind.and_then(|kind| {
            is(kind).or_else(|| is(self.out.nearest(kind, names.iter().copied())?))
        });
        let only = (kinds.len() == 1).then(|| kinds.first()).flatten();
        if let Some((_, schema)) = meant.or(only) {
            self.table(schema, node, Some(tag));
        }
    }

    fn table(&mut self, schema: &'s Value, node: &Node<'_>, checked: Option<&str>) {
        let none = Map::new();
        let properties = schema["properties"].as_object();
        let known = properties.unwrap_or(&none);
        for (key, at_key, value) in node.entries() {
            if checked == Some(key) {
                continue;
            }
            if let Some(schema) = properties.and_then(|known| known.get(key)) {
                self.value(schema, &value);
            } else if schema["additionalProperties"] == Value::Bool(false) {
                let nearest = self.out.nearest(key, known.keys().map(String::as_str));
                let keys: Vec<&str> = known.keys().map(String::as_str).collect();
                let unknown = Diagnostic::error(
                    Mistake::UnknownKey,
                    &at_key,
                    format!("the key `{key}` means nothing in {}", in_table(node)),
                );
                self.out.push(unknown.nearest(nearest).remedy(listed(&keys)));
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if checked != Some(key) && !node.has(key) {
                let message = format!("`{key}` is missing in {}", in_table(node));
                let missing = Diagnostic::error(Mistake::MissingKey, &node.place, message);
                let means = known.get(key).map(|s| self.resolve(s)).and_then(description);
                let remedy = means.map_or(format!("add `{key}`"), |m| format!("add `{key}`: {m}"));
                self.out.push(missing.remedy(remedy));
            }
        }
    }

    fn array(&mut self, schema: &'s Value, node: &Node<'_>) {
        let count = node.items().count() as u64;
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
        if count < least || count > most {
            let wanted = match (least, most) {
                (least, most) if least == most => format!("exactly {least}"),
                (least, u64::MAX) => format!("at least {least}"),
                (least, most) => format!("{least} to {most}"),
            };
            let message = format!("{count} values stand here where {wanted} are needed");
            let wrong = Diagnostic::error(Mistake::OutOfBounds, &node.place, message);
            self.out.push(wrong.remedy(format!("write {wanted}, separated by commas")));
        }
        for item in node.items() {
            self.value(&schema["items"], &item);
        }
    }

    fn string(&mut self, schema: &Value, text: &str, node: &Node<'_>) {
        let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        let length = text.chars().count() as u64;
        if length > most {
            let message = format!("{length} characters are more than the {most} allowed");
            let wrong = Diagnostic::error(Mistake::OutOfBounds, &node.place, message);
            self.out.push(wrong.remedy("shorten it"));
        }
        let Some(form) = schema["pattern"].as_str().and_then(Form::of_pattern) else { return };
        if !form.fits(text) {
            self.out.push(form.refuse(text, node));
        }
    }

    fn number(&mut self, schema: &Value, node: &Node<'_>) {
        let Some(number) = node.number() else {
            let message = "the number is larger than any that can be kept";
            let wrong = Diagnostic::error(Mistake::OutOfBounds, &node.place, message);
            return self.out.push(wrong.remedy("write a smaller number"));
        };
        let whole = matches!(node.value.as_ref(), DeValue::Integer(_));
        if !whole && !number.is_finite() {
            let message = "the number must be finite";
            let wrong = Diagnostic::error(Mistake::OutOfBounds, &node.place, message);
            return self.out.push(wrong.remedy("write a number, neither nan nor inf"));
        }
        let (format_least, format_most) = format_bounds(schema["format"].as_str());
        let least = schema["minimum"].as_f64().unwrap_or(f64::MIN).max(format_least);
        let most = schema["maximum"].as_f64().unwrap_or(f64::MAX).min(format_most);
        if number < least || number > most {
            let message = format!("{number} is not between {least} and {most}");
            let wrong = Diagnostic::error(Mistake::OutOfBounds, &node.place, message);
            self.out.push(wrong.remedy(format!("write a number from {least} to {most}")));
        }
    }
}

/// The bounds of number formats; those of 64 bits are TOML's own.
fn format_bounds(format: Option<&str>) -> (f64, f64) {
    match format {
        Some("uint8") => (0.0, f64::from(u8::MAX)),
        Some("uint16") => (0.0, f64::from(u16::MAX)),
        Some("uint32") => (0.0, f64::from(u32::MAX)),
        // The largest number below 2^63 that a double holds: TOML's integers end there.
        Some("uint64" | "uint") => (0.0, 9_223_372_036_854_774_784.0),
        _ => (f64::MIN, f64::MAX),
    }
}

/// The forms of texts that the schema knows by pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Id,
    Name,
    Secret,
}

impl Form {
    /// The form that a pattern of the schema stands for.
    pub(super) fn of_pattern(pattern: &str) -> Option<Self> {
        match pattern {
            ID_PATTERN => Some(Self::Id),
            NAME_PATTERN => Some(Self::Name),
            "^(env|file):.+$" => Some(Self::Secret),
            _ => None,
        }
    }

    fn fits(self, text: &str) -> bool {
        let letter = |c: char| c.is_alphanumeric() || c == '_';
        let begins = text.starts_with(letter);
        match self {
            Self::Id => begins && text.chars().all(|c| letter(c) || c == '-'),
            Self::Name => begins && text.chars().all(|c| letter(c) || "-.".contains(c)),
            Self::Secret => ["env:", "file:"]
                .iter()
                .any(|kind| text.strip_prefix(kind).is_some_and(|rest| !rest.is_empty())),
        }
    }

    fn refuse(self, text: &str, node: &Node<'_>) -> Diagnostic {
        let key = node.place.path.rsplit('.').next().unwrap_or_default();
        if self == Self::Secret {
            let message = format!("`{key}` must say where the secret is, not what it is");
            return Diagnostic::error(Mistake::InlineSecret, &node.place, message).remedy(
                "write \"env:NAME\" or \"file:PATH\", and change the secret: it was in a file",
            );
        }
        let allowed = |c: &char| {
            c.is_alphanumeric() || "_-".contains(*c) || (self == Self::Name && *c == '.')
        };
        let mended: String = text
            .trim()
            .trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_')
            .chars()
            .map(|c| if allowed(&c) { c } else { '_' })
            .collect();
        let characters = match self {
            Self::Name => "letters, digits, `_`, `-` and `.`",
            _ => "letters, digits, `_` and `-`",
        };
        Diagnostic::error(Mistake::InvalidValue, &node.place, format!("{text:?} is not a name"))
            .nearest((!mended.is_empty()).then_some(mended))
            .remedy(format!("use {characters}, and begin with a letter or digit"))
    }
}

/// The names of a closed list; `None` where the variants are tables.
fn choices(variants: &[Value]) -> Option<Vec<&str>> {
    variants.iter().map(|variant| variant["const"].as_str()).collect()
}

/// The key whose constant value tells a table's kind, and that value.
fn tag_of(variant: &Value) -> Option<(&str, &str)> {
    let properties = variant["properties"].as_object()?;
    properties.iter().find_map(|(key, s)| s["const"].as_str().map(|kind| (key.as_str(), kind)))
}

fn synonym<'s>(schema: &'s Value, text: &str) -> Option<&'s str> {
    let synonyms = schema["x-synonyms"].as_object()?;
    let exact = synonyms.get(text);
    let found = exact.or_else(|| {
        let same = |key: &str| key.to_lowercase() == text.to_lowercase();
        synonyms.iter().find(|(key, _)| same(key)).map(|(_, name)| name)
    });
    found.and_then(Value::as_str)
}

/// The first sentence of a schema's description.
fn description(schema: &Value) -> Option<String> {
    let text = schema["description"].as_str()?.replace('\n', " ");
    let sentence = text.split(". ").next()?;
    Some(sentence.trim_end_matches('.').to_owned())
}

fn in_table(node: &Node<'_>) -> String {
    if node.place.path.is_empty() { "a plant file".into() } else { node.place.path.clone() }
}

fn listed(names: &[&str]) -> String {
    if names.len() > LISTED_MAX {
        return format!("`resonance plant schema` lists all {}", names.len());
    }
    format!("valid: {}", names.join(", "))
}

fn in_words(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "a date",
    }
}
