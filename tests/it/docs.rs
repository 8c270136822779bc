//! Holds the documents to the program: commands, exit codes, keys, the layer table, the service unit, links.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use birdkeep::config::Config;
use birdkeep::config::Loaded;
use birdkeep::config::Sources;

use crate::layers::RULES;

const DOCUMENTS: &[&str] = &[
    "README.md",
    "docs/architecture.md",
    "docs/bird-access.md",
    "docs/completeness.md",
    "docs/install.md",
    "docs/logging.md",
    "docs/notify.md",
    "docs/operate.md",
    "docs/performance.md",
    "docs/restore.md",
    "docs/troubleshooting.md",
    "docs/upgrade.md",
    "docs/upstream-limits.md",
    "docs/reliability.md",
    "SECURITY.md",
    "CHANGELOG.md",
];

/// How long what cannot be broken off may take after the grace.
const LAST_WAIT: Duration = Duration::from_secs(10);

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The fenced blocks of one language.
pub(crate) fn blocks(markdown: &str, language: &str) -> Vec<String> {
    markdown
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix(&format!("{language}\n")))
        .map(str::to_owned)
        .collect()
}

/// The cells of all table rows of a text.
fn table_rows(markdown: &str) -> Vec<Vec<String>> {
    let rows = markdown.lines().filter(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// Loads a configuration from a file's text and variables, with a key file beside it.
pub(crate) fn load(toml: &str, env: Vec<(OsString, OsString)>) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("birdkeep.toml");
    fs::write(&file, toml).unwrap();
    fs::write(dir.path().join("support.key"), "a-key").unwrap();
    let sources = Sources::from_environment(Some(file), env, Some(dir.path().to_owned()), Path::new("/nonexistent"));
    Config::load(&sources).unwrap_or_else(|faults| panic!("{faults}\nin\n{toml}"))
}

pub(crate) fn minimal() -> String {
    let blocks = blocks(&text("README.md"), "toml");
    let minimal = blocks.into_iter().find(|block| block.contains("[workspaces."));
    minimal.expect("the README shows a minimal configuration")
}

fn help() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_birdkeep"))
        .arg("--help")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_readme_names_every_command_and_option_of_a_pass() {
    let (help, readme) = (help(), text("README.md"));
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        // Names stand two spaces in; what a long description is wrapped to, further.
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 3, "{help}");
    for command in commands {
        assert!(readme.contains(&format!("birdkeep {command}")), "birdkeep {command}");
    }
    for option in ["--once", "--dry-run", "--config"] {
        assert!(help.contains(option) && readme.contains(option), "{option}");
    }
}

#[test]
fn the_readme_has_a_row_for_every_exit_code_and_no_other() {
    let help = help().split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, codes) = help.split_once("Exit codes: ").unwrap();
    let told: BTreeSet<u8> = codes
        .split("; ")
        .filter_map(|code| code.split(' ').next()?.parse().ok())
        .collect();
    assert_eq!(told, BTreeSet::from([0, 1, 3, 64, 78]));
    let rows = table_rows(&text("README.md"));
    let shown: BTreeSet<u8> = rows.iter().filter_map(|row| row.first()?.parse().ok()).collect();
    assert_eq!(shown, told);
}

#[test]
fn the_configurations_in_the_readme_are_valid() {
    let loaded = load(&minimal(), Vec::new());
    assert_eq!(loaded.config.workspaces.len(), 1);
    for block in blocks(&text("README.md"), "toml") {
        let whole = if block.contains("[workspaces.") {
            block
        } else {
            block + &minimal()
        };
        load(&whole, Vec::new());
    }
}

#[test]
fn the_environment_in_the_readme_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("support.key"), "a-key").unwrap();
    let blocks = blocks(&text("README.md"), "sh");
    let env: Vec<(OsString, OsString)> = blocks
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
        .map(|(name, value)| {
            let value = value.replace("$PWD", &dir.path().to_string_lossy());
            (name.into(), value.into())
        })
        .collect();
    assert!(env.len() >= 3, "{env:?}");
    assert_eq!(load("", env).config.workspaces.len(), 1);
}

/// `section.key` for every key of the documented configuration, those commented out included.
pub(crate) fn documented_keys() -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text("config/birdkeep.toml").lines() {
        let line = line.trim_start_matches("# ");
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            name.clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(" = ") {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

#[test]
fn every_key_that_the_documents_name_exists() {
    const SECTIONS: [&str; 8] = [
        "archive", "catalog", "api", "sync", "download", "verify", "http", "shutdown",
    ];
    let keys = documented_keys();
    assert!(
        keys.contains("shutdown.grace") && keys.contains("archive.id"),
        "{keys:?}"
    );
    let mut named = BTreeSet::new();
    for document in [
        "README.md",
        "docs/architecture.md",
        "docs/install.md",
        "docs/completeness.md",
        "docs/operate.md",
        "docs/performance.md",
        "docs/reliability.md",
        "SECURITY.md",
    ] {
        for code in text(document).split('`').skip(1).step_by(2) {
            let is_key = code
                .split_once('.')
                .is_some_and(|(section, key)| SECTIONS.contains(&section) && !key.contains(['.', '/', ' ']));
            if is_key && code != "archive.json" && !code.starts_with("catalog.sqlite") {
                named.insert(code.to_owned());
            }
        }
    }
    assert!(named.contains("sync.full_walk_interval"), "{named:?}");
    let unknown: Vec<_> = named.difference(&keys).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_layer_table_is_the_one_that_is_held() {
    let document = text("docs/architecture.md");
    let (_, section) = document.split_once("## Who may use whom").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let written: Vec<(String, Vec<String>)> = table_rows(section)
        .into_iter()
        .skip(2)
        .map(|row| {
            let used = row[1].split(", ").filter(|name| !name.is_empty());
            (row[0].trim_matches('`').to_owned(), used.map(str::to_owned).collect())
        })
        .collect();
    let held: Vec<(String, Vec<String>)> = RULES
        .iter()
        .map(|(module, used)| {
            (
                (*module).to_owned(),
                used.iter().map(|name| (*name).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(written, held);
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let at = root().join(document);
        let text = text(document);
        for (link, _) in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            if !link.starts_with('#')
                && !link.contains("://")
                && !at.with_file_name(link.split('#').next().unwrap()).exists()
            {
                missing.push(format!("{document}: {link}"));
            }
        }
        for code in text.split('`').skip(1).step_by(2) {
            let is_source = Path::new(code).extension().is_some_and(|extension| extension == "rs");
            if is_source && !root().join("src").join(code).exists() && !root().join(code).exists() {
                missing.push(format!("{document}: {code}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// The values of a key of the service unit.
fn unit(key: &str) -> Vec<String> {
    let unit = text("systemd/birdkeep.service");
    let values = unit
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

#[test]
fn the_service_unit_fits_the_program() {
    let grace = load(&minimal(), Vec::new()).config.shutdown.grace;
    let stop: u64 = unit("TimeoutStopSec")[0].parse().unwrap();
    assert!(Duration::from_secs(stop) > grace + LAST_WAIT, "{stop} s, {grace:?}");
    assert_eq!(unit("RestartPreventExitStatus"), ["64 78"]);
    assert_eq!(unit("Type"), ["notify"]);
    // The unit's state directory is the place that the README and the documented configuration name.
    assert_eq!(unit("StateDirectory"), ["birdkeep"]);
    assert!(text("config/birdkeep.toml").contains("dir = \"/var/lib/birdkeep\""));
    assert!(text("README.md").contains("dir = \"/var/lib/birdkeep\""));
    assert_eq!(unit("LoadCredential"), ["support.key:/etc/birdkeep/support.key"]);
    assert!(minimal().contains("access_key_file = \"support.key\""));
}

/// Every test by its path below `tests/it/`, as a filter of `cargo test` takes it, and every module.
fn tests_by_path() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![(root().join("tests/it"), String::new())];
    while let Some((dir, prefix)) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let module = format!("{prefix}{stem}");
            found.insert(module.clone());
            if path.is_dir() {
                open.push((path, format!("{module}::")));
            } else {
                let source = fs::read_to_string(&path).unwrap();
                let names = source.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
                found.extend(names.map(|name| format!("{module}::{name}")));
            }
        }
    }
    found
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let tests = tests_by_path();
    for document in ["docs/reliability.md", "SECURITY.md"] {
        let text = text(document);
        let (_, promises) = text.split_once("\n## Promises\n").unwrap();
        let (promises, _) = promises.split_once("\n## ").unwrap();
        let rows = table_rows(promises).into_iter().skip(2);
        let mut named = 0;
        for row in rows {
            let held_by = row[2].split('`').skip(1).step_by(2);
            let here: Vec<&str> = held_by
                .filter(|code| code.contains("::") || !code.contains([' ', '/']))
                .collect();
            for test in &here {
                assert!(tests.contains(*test), "{document}: {test}");
            }
            assert!(!row[2].is_empty(), "{document}: nothing holds {row:?}");
            named += here.len();
        }
        assert!(named > 10, "{document}");
        for code in text.split('`').skip(1).step_by(2) {
            let is_test = code.contains("::") && !code.contains([' ', '/', '<']) && !code.ends_with("::");
            assert!(!is_test || tests.contains(code), "{document}: {code}");
        }
    }
}

#[test]
fn the_bounds_in_the_readme_are_the_defaults() {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let readme = text("README.md");
    let (_, bounds) = readme.split_once("### Bounds\n").unwrap();
    let (bounds, _) = bounds.split_once("\n### ").unwrap();
    let mut held = 0;
    for row in table_rows(bounds).into_iter().skip(2) {
        let Some(key) = row[2].split('`').nth(1) else {
            continue;
        };
        let (section, name) = key.split_once('.').unwrap();
        let example = text("config/birdkeep.toml");
        let (_, lines) = example.split_once(&format!("[{section}]\n")).unwrap();
        let line = lines
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} = ")))
            .unwrap_or_else(|| panic!("{key}"));
        let default = line.split('#').next().unwrap();
        assert_eq!(digits(row[1].split(" over ").next().unwrap()), digits(default), "{key}");
        held += 1;
    }
    assert!(held > 8, "{held}");
}
