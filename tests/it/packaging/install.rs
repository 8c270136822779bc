//! The page on installing: what it tells people to type and to write, held to the program and the files.

use std::collections::BTreeSet;

use super::is_taken;
use super::key_of;
use super::time_to_end;
use crate::docs::blocks;
use crate::docs::documented_keys;
use crate::docs::load;
use crate::docs::root;
use crate::docs::text;

const PAGE: &str = "docs/install.md";

fn is_of_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_-".contains(letter)
}

#[test]
fn its_configurations_are_valid() {
    let blocks = blocks(&text(PAGE), "toml");
    assert!(!blocks.is_empty());
    for block in blocks {
        assert_eq!(load(&block, Vec::new()).config.workspaces.len(), 1);
    }
}

#[test]
fn its_variables_are_keys() {
    let (page, keys) = (text(PAGE), documented_keys());
    let named: BTreeSet<&str> = page
        .split(|letter| !is_of_a_name(letter))
        .filter(|word| word.starts_with("BIRDKEEP_"))
        .collect();
    assert!(named.len() >= 3, "{named:?}");
    for variable in named {
        let key = key_of(variable).unwrap();
        assert!(keys.contains(&key), "{variable}");
    }
}

/// The lines that begin with the program, or hand over to it as another user.
#[test]
fn its_commands_are_taken() {
    let page = text(PAGE);
    let mut tried = 0;
    let scripts = blocks(&page, "sh").into_iter().chain(blocks(&page, "text"));
    for line in scripts.flat_map(|script| script.lines().map(str::to_owned).collect::<Vec<_>>()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(handed_over) = words.windows(2).rposition(|pair| {
            let to_it = ["--", "birdkeep", "3"].contains(&pair[0]) || pair[0] == "exec";
            to_it && pair[1] == "birdkeep"
        }) else {
            continue;
        };
        let rest = &words[handed_over + 1..];
        let rest = rest.split(|word| *word == "&&").next().unwrap();
        is_taken(rest).unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
        tried += 1;
    }
    assert!(tried >= 5, "{tried}");
    for drop_in in blocks(&page, "ini") {
        for line in drop_in.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
            let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
            assert!(words.is_empty() || is_taken(&words).is_ok(), "{line}");
        }
    }
}

#[test]
fn its_files_are_there() {
    let page = text(PAGE);
    for script in blocks(&page, "sh") {
        for word in script.split_whitespace() {
            if ["debian/", "systemd/"].iter().any(|folder| word.starts_with(folder)) {
                assert!(root().join(word.trim_end_matches('*')).exists(), "{word}");
            }
        }
    }
    let package = format!("./birdkeep_{}-1_amd64.deb", env!("CARGO_PKG_VERSION"));
    assert!(page.contains(&package), "{package}");
}

#[test]
fn its_kubernetes_runs_one_and_lets_it_end() {
    let page = text(PAGE);
    let manifest = blocks(&page, "yaml").pop().unwrap();
    for line in [
        "replicas: 1",
        "strategy: {type: Recreate}",
        "mountPath: /data",
        "runAsUser: 65532",
    ] {
        assert!(manifest.contains(line), "{line}");
    }
    let (_, seconds) = manifest.split_once("terminationGracePeriodSeconds: ").unwrap();
    let seconds: u64 = seconds.lines().next().unwrap().parse().unwrap();
    assert!(seconds > time_to_end().as_secs(), "{seconds} s");
    for probe in ["[birdkeep, health]", "[birdkeep, health, --ready]"] {
        assert!(manifest.contains(probe), "{probe}");
        let words: Vec<&str> = probe.trim_matches(['[', ']']).split(", ").collect();
        is_taken(&words).unwrap_or_else(|refusal| panic!("{probe}: {refusal}"));
    }
}
