//! Finds the key that was meant by a key that does not exist.
//!
//! Must not know: which keys exist.

use std::collections::BTreeSet;

/// What to do about an unknown key: the nearest known one, else those that are known beside it. `by_variable`: it was
/// set by a variable of the environment, and is to be named as one.
pub(super) fn nearest<'k>(unknown: &str, known: impl Iterator<Item = &'k str>, by_variable: bool) -> String {
    let known: BTreeSet<&str> = known.collect();
    if let Some(key) = closest(unknown, &known) {
        let meant = match (by_variable, has_children(key, &known)) {
            (true, true) => format!("{}__…", variable(key)),
            (true, false) => variable(key),
            (false, _) => key.to_owned(),
        };
        return format!("is not a known key; did you mean {meant}?");
    }
    let (section, _) = split(unknown);
    let beside = |section| {
        known
            .iter()
            .filter(move |key| split(key).0 == section)
            .map(|key| split(key).1)
    };
    let names: Vec<&str> = beside(section).collect();
    if section.is_empty() || names.is_empty() {
        let sections: Vec<&str> = beside("").collect();
        let how = if by_variable {
            "; a variable is called BIRDKEEP_<SECTION>__<KEY>"
        } else {
            ""
        };
        return format!("is not a known key; the sections are: {}{how}", sections.join(", "));
    }
    format!("is not a known key; known here: {}", names.join(", "))
}

fn has_children(section: &str, known: &BTreeSet<&str>) -> bool {
    known
        .iter()
        .any(|key| key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')))
}

/// A key's section and its own name.
fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// The variable that sets a key.
fn variable(key: &str) -> String {
    format!("BIRDKEEP_{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn closest<'k>(unknown: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    let (section, name) = split(unknown);
    let within = |distance: usize, length: usize| distance <= (length / 3).max(1);
    let by_distance = |a: &str, b: &str| strsim::damerau_levenshtein(&folded(a), &folded(b));

    let beside = known.iter().copied().filter(|key| split(key).0 == section);
    let sibling = beside
        .map(|key| (by_distance(name, split(key).1), key))
        .min()
        .filter(|&(distance, key)| within(distance, split(key).1.len()));
    // A key is not meant by a section of the same name.
    let is_kin = |key: &str| section.is_empty() || !has_children(key, known);
    let same_name = || {
        known
            .iter()
            .copied()
            .find(|key| folded(split(key).1) == folded(name) && *key != unknown && is_kin(key))
    };
    let anywhere = || {
        known
            .iter()
            .filter(|key| split(key).0 != section)
            .map(|&key| (by_distance(unknown, key), key))
            .min()
            .filter(|&(distance, _)| within(distance, name.len()))
            .map(|(_, key)| key)
    };
    sibling.map(|(_, key)| key).or_else(same_name).or_else(anywhere)
}

/// Spelling differences that people make: case, `-` for `_`, and one `_` or a `.` between levels. Cut, because the
/// comparison costs the product of the lengths.
fn folded(key: &str) -> String {
    let folded: String = key.chars().take(100).collect::<String>().to_lowercase();
    folded.replace("__", "_").replace(['-', '.'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 7] = [
        "api",
        "archive",
        "archive.dir",
        "download",
        "download.concurrency",
        "download.max_bytes",
        "workspaces.support.access_key",
    ];

    #[test]
    fn the_key_that_was_meant_is_named() {
        for (unknown, meant) in [
            ("download.concurency", "download.concurrency"),
            ("download.max-bytes", "download.max_bytes"),
            ("archives", "archive"),
            ("api.concurrency", "download.concurrency"),
            ("concurrency", "download.concurrency"),
            ("access_key", "workspaces.support.access_key"),
            ("download_concurrency", "download.concurrency"),
        ] {
            let remedy = nearest(unknown, KNOWN.into_iter(), false);
            assert_eq!(
                remedy,
                format!("is not a known key; did you mean {meant}?"),
                "{unknown}"
            );
        }
    }

    #[test]
    fn a_variable_is_answered_with_a_variable() {
        let remedy = nearest("download_concurrency", KNOWN.into_iter(), true);
        assert!(
            remedy.contains("did you mean BIRDKEEP_DOWNLOAD__CONCURRENCY?"),
            "{remedy}"
        );
    }

    #[test]
    fn without_a_near_one_the_known_ones_are_listed() {
        let remedy = nearest("download.zzzzzzzz", KNOWN.into_iter(), false);
        assert_eq!(remedy, "is not a known key; known here: concurrency, max_bytes");
        let remedy = nearest("zzzzzzzz", KNOWN.into_iter(), false);
        assert_eq!(remedy, "is not a known key; the sections are: api, archive, download");
    }
}
