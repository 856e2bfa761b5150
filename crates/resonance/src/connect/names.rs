//! Names for the plant file from browse names.

use std::collections::{HashMap, HashSet};

/// Names that are given already, and the number that was last put behind each.
#[derive(Debug, Default)]
pub(super) struct Taken {
    names: HashSet<String>,
    numbers: HashMap<String, usize>,
}

impl Taken {
    /// An id for something of this name, unlike all others.
    pub(super) fn id(&mut self, name: &str) -> String {
        self.unlike(slug(name), '-')
    }

    fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The name, with a number behind it where it is given already.
    fn unlike(&mut self, base: String, between: char) -> String {
        let mut name = base.clone();
        let number = self.numbers.entry(base.clone()).or_insert(1);
        while !self.names.insert(name.clone()) {
            *number += 1;
            name = format!("{base}{between}{number}");
        }
        name
    }
}

/// Lower-case words with `-` between: `Mill 3 (left)` becomes `mill-3-left`.
pub(super) fn slug(name: &str) -> String {
    joined(name, '-')
}

/// Lower-case words with `_` between: `SpindleTorque` becomes `spindle_torque`.
fn snake(name: &str) -> String {
    joined(name, '_')
}

fn joined(name: &str, between: char) -> String {
    let words = words(name);
    if words.is_empty() { "unnamed".to_owned() } else { words.join(&between.to_string()) }
}

/// The lower-case words of a name in any of the usual spellings.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        if !letter.is_alphanumeric() {
            before = None;
            continue;
        }
        // `ActSpeed` is two words, `RPMLimit` too, `X1` one.
        let begins = before.is_none_or(|before| {
            letter.is_uppercase()
                && (!before.is_uppercase()
                    || letters.peek().is_some_and(|next| next.is_lowercase()))
        });
        match words.last_mut().filter(|_| !begins) {
            Some(word) => word.extend(letter.to_lowercase()),
            None => words.push(letter.to_lowercase().collect()),
        }
        before = Some(letter);
    }
    words
}

/// Names points within an asset: by their own name, or, where several have it, with as many of
/// the names above as tell them apart; a number where even these are the same.
pub(super) fn points<'n>(named: impl Iterator<Item = (&'n mut String, Vec<&'n str>)>) {
    let mut open: Vec<(&mut String, Vec<&str>)> = named.collect();
    let deepest = open.iter().map(|(_, path)| path.len()).max().unwrap_or(0);
    let mut taken = Taken::default();
    for depth in 1..=deepest {
        let mut count: HashMap<String, usize> = HashMap::new();
        for (_, path) in &open {
            *count.entry(tail(path, depth)).or_default() += 1;
        }
        let (unique, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(|(_, path)| {
            let name = tail(path, depth);
            count[&name] == 1 && !taken.contains(&name)
        });
        for (name, path) in unique {
            *name = taken.unlike(tail(&path, depth), '_');
        }
        open = rest;
    }
    for (name, path) in open {
        *name = taken.unlike(tail(&path, path.len()), '_');
    }
}

/// The last names of a path, joined.
fn tail(path: &[&str], depth: usize) -> String {
    let from = path.len().saturating_sub(depth);
    let names: Vec<String> = path[from..].iter().map(|name| snake(name)).collect();
    names.join(".")
}
