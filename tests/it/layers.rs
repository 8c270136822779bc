//! Holds the layer rule: which module may use which, read from the `use crate::` lines of the sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// What each module may use besides itself; nothing on its own floor, nothing above.
pub(crate) const RULES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("lifecycle", &[]),
    ("telemetry", &["domain"]),
    ("http", &["domain"]),
    ("catalog", &["domain"]),
    ("store", &["domain"]),
    ("api", &["domain", "http"]),
    ("lister", &["domain", "api", "catalog"]),
    ("fetcher", &["domain", "http", "api", "store"]),
    ("rebuild", &["domain", "api", "catalog", "store"]),
    ("sweep", &["domain", "catalog", "store"]),
    ("verify", &["domain", "catalog", "store"]),
    ("queue", &["domain", "catalog", "fetcher"]),
    ("scheduler", &["domain", "lister", "sweep", "verify"]),
    ("standing", &["domain", "catalog", "store"]),
    ("metrics", &["domain", "standing"]),
    ("web", &["domain", "telemetry", "standing", "metrics"]),
    ("notify", &["domain", "telemetry", "http", "catalog", "standing"]),
    (
        "config",
        &[
            "domain",
            "http",
            "catalog",
            "store",
            "api",
            "lister",
            "fetcher",
            "queue",
            "scheduler",
            "notify",
        ],
    ),
    (
        "app",
        &[
            "domain",
            "lifecycle",
            "telemetry",
            "http",
            "catalog",
            "store",
            "api",
            "lister",
            "fetcher",
            "rebuild",
            "sweep",
            "verify",
            "queue",
            "scheduler",
            "standing",
            "web",
            "notify",
            "config",
        ],
    ),
    (
        "cli",
        &["domain", "config", "app", "lifecycle", "telemetry", "catalog", "verify"],
    ),
];

/// Lines a source file may have, its tests included.
const LONGEST_FILE: usize = 480;

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The sources of the library, by top-level module.
fn modules() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut modules: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&root).unwrap();
        let module = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = module.trim_end_matches(".rs").to_owned();
        if module != "lib" && module != "main" {
            modules
                .entry(module)
                .or_default()
                .push((relative.to_owned(), fs::read_to_string(&file).unwrap()));
        }
    }
    modules
}

/// The modules a line of source names by `crate::`.
fn named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::")
        .map(|(at, prefix)| {
            let rest = &code[at + prefix.len()..];
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn every_module_uses_only_what_stands_below_it() {
    let mut faults = Vec::new();
    for (module, files) in modules() {
        let Some((_, allowed)) = RULES.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{module} has no line in the table"));
            continue;
        };
        for (path, text) in &files {
            for (number, line) in text.lines().enumerate() {
                let at = format!("{}:{}", path.display(), number + 1);
                if line.trim_start().starts_with("use crate::{") {
                    faults.push(format!("{at}: one path a line, so that this test can read it"));
                }
                if path.components().count() == 1 && line.contains("super::") && !line.starts_with("    ") {
                    faults.push(format!("{at}: super is the crate here; say crate::"));
                }
                for used in named(line) {
                    if used != module && !allowed.contains(&used.as_str()) {
                        faults.push(format!("{at}: {module} may not use {used}"));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_itself_has_no_arrow_upward() {
    for (at, (module, allowed)) in RULES.iter().enumerate() {
        for used in *allowed {
            let below = RULES.iter().position(|(name, _)| name == used).unwrap();
            assert!(below < at, "{module} uses {used}, which stands above it");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    let mut faults = Vec::new();
    for (path, text) in modules().into_values().flatten() {
        if !text.starts_with("//!") {
            faults.push(format!("{} does not open with what it owns", path.display()));
        }
        if text.lines().count() > LONGEST_FILE {
            faults.push(format!("{} has {} lines", path.display(), text.lines().count()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What only one room may touch. Words are looked for outside comments and tests.
#[test]
fn what_only_one_room_may_touch_stays_there() {
    const OWNED: &[(&str, &[&str])] = &[
        ("sqlx::", &["catalog"]),
        ("spawn_blocking", &["store", "app", "catalog"]),
        ("println!", &[]),
        ("eprintln!", &[]),
        // What the kernel says of this process lies in files too.
        ("std::fs::", &["store", "config", "catalog", "metrics/process.rs"]),
        ("process::exit", &[]),
    ];
    let mut faults = Vec::new();
    for (module, files) in modules() {
        for (path, text) in files {
            let production = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in production.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for (word, owners) in OWNED {
                    let is_owner =
                        owners.contains(&module.as_str()) || owners.iter().any(|owner| path == Path::new(owner));
                    if code.contains(word) && !is_owner {
                        faults.push(format!(
                            "{}:{}: {word} belongs to {owners:?}",
                            path.display(),
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
