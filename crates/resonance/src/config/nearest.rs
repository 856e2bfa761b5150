//! The valid name that was most likely meant.

/// Names longer than this are not compared: the effort grows with the square of the length.
const COMPARED_CHARS_MAX: usize = 128;

/// The name nearest to `wanted`: equal but for case, or few enough edits away. `None` where no
/// name is near.
pub(crate) fn nearest<'n>(
    wanted: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let wanted = wanted.to_lowercase();
    let length = wanted.chars().count();
    if length == 0 || length > COMPARED_CHARS_MAX {
        return None;
    }
    // One edit in three characters, at least one: `unit` is near `units`, `x` is near nothing long.
    let edits_max = (length / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for name in names {
        if name.chars().count().abs_diff(length) > edits_max {
            continue;
        }
        let edits = strsim::osa_distance(&wanted, &name.to_lowercase());
        if edits <= edits_max && best.is_none_or(|(least, _)| edits < least) {
            best = Some((edits, name));
        }
    }
    best.map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_mended_and_strangers_are_not() {
        let names = ["asset", "source", "deployment", "sink", "server"];
        assert_eq!(nearest("assets", names), Some("asset"));
        assert_eq!(nearest("Source", names), Some("source"));
        assert_eq!(nearest("deplyoment", names), Some("deployment"));
        assert_eq!(nearest("robot", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest(&"a".repeat(10_000), names), None);
    }
}
