//! The Debian package: what it holds, and the pages and completions that are made for it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::render;
use crate::docs::load;
use crate::docs::root;
use crate::docs::text;

/// Where the pages are made for the package, as `Cargo.toml` names it.
const MADE: &str = "target/cli/";

/// The package's files: where each comes from, where it goes, its mode.
fn assets() -> Vec<[String; 3]> {
    let manifest = text("Cargo.toml");
    let (_, package) = manifest.split_once("[package.metadata.deb]").unwrap();
    let (_, list) = package.split_once("\nassets = [\n").unwrap();
    let (list, _) = list.split_once("\n]\n").unwrap();
    list.lines()
        .map(|line| serde_json::from_str(line.trim().trim_end_matches(',')).unwrap_or_else(|_| panic!("{line}")))
        .collect()
}

/// Every file that is made, below a folder of its own.
fn made() -> (tempfile::TempDir, BTreeSet<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    render::write(folder.path()).unwrap();
    let mut files = BTreeSet::new();
    for dir in fs::read_dir(folder.path()).unwrap() {
        for file in fs::read_dir(dir.unwrap().path()).unwrap() {
            files.insert(file.unwrap().path().strip_prefix(folder.path()).unwrap().to_owned());
        }
    }
    (folder, files)
}

fn commands() -> Vec<String> {
    let mut command = birdkeep::cli::command().disable_help_subcommand(true);
    command.build();
    command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect()
}

/// Whether a source, with at most one `*` in its last part, names a file.
fn names(source: &str, file: &str) -> bool {
    match source.split_once('*') {
        Some((begin, end)) => {
            let rest = file.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
            rest.is_some_and(|middle| !middle.contains('/'))
        }
        None => source == file,
    }
}

#[test]
fn every_file_of_the_package_is_there_and_every_unit_and_page_is_in_it() {
    let (_folder, made) = made();
    let made: BTreeSet<String> = made.iter().map(|file| format!("{MADE}{}", file.display())).collect();
    let assets = assets();
    let sources: Vec<&str> = assets.iter().map(|[source, ..]| source.as_str()).collect();
    for file in &made {
        assert!(
            sources.iter().any(|source| names(source, file)),
            "{file} is in no package"
        );
    }
    let units = fs::read_dir(root().join("systemd")).unwrap();
    let units: Vec<String> = units
        .map(|unit| format!("systemd/{}", unit.unwrap().file_name().to_string_lossy()))
        .collect();
    for unit in &units {
        assert!(
            sources.iter().any(|source| names(source, unit)),
            "{unit} is in no package"
        );
    }
    for source in sources {
        let there = root().join(source).is_file()
            || source == "target/release/birdkeep"
            || made.iter().chain(&units).any(|file| names(source, file));
        assert!(there, "{source} does not exist");
    }
}

#[test]
fn nothing_in_the_package_but_the_program_is_a_program() {
    for [source, to, mode] in assets() {
        let wanted = if to == "usr/bin/" { "755" } else { "644" };
        assert_eq!(mode, wanted, "{source}");
        // Neither a configuration nor a key: without a workspace every command would end with 78.
        assert!(to.starts_with("usr/"), "{to}");
    }
}

#[test]
fn there_is_a_page_for_every_command_and_it_tells_of_its_options() {
    let (folder, made) = made();
    let pages: BTreeSet<String> = made
        .iter()
        .filter(|file| file.starts_with("man"))
        .map(|file| file.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let commands = commands();
    assert!(commands.len() > 7, "{commands:?}");
    let wanted = commands.iter().map(|command| format!("birdkeep-{command}"));
    assert_eq!(pages, wanted.chain(["birdkeep".to_owned()]).collect());
    let page = |name: &str| fs::read_to_string(folder.path().join("man").join(name)).unwrap();
    let plain = |page: String| page.replace("\\-", "-");
    assert!(plain(page("birdkeep-verify.1")).contains("--sample"));
    let whole = plain(page("birdkeep.1"));
    assert!(whole.contains("--once") && whole.contains("Exit codes"), "{whole}");
}

#[test]
fn the_shells_complete_every_command() {
    let (folder, _) = made();
    for file in ["bash/birdkeep.bash", "zsh/_birdkeep", "fish/birdkeep.fish"] {
        let script = fs::read_to_string(folder.path().join(file)).unwrap();
        for command in commands() {
            assert!(script.contains(&command), "{file}: {command}");
        }
    }
    let bash = folder.path().join("bash/birdkeep.bash");
    let read = Command::new("bash").arg("-n").arg(bash).output().unwrap();
    assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
}

/// The words of the lines of a file that are no comments.
fn lines(path: &str) -> Vec<Vec<String>> {
    let text = text(path);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

#[test]
fn the_user_and_the_folders_are_those_of_the_units() {
    let users = lines("debian/birdkeep.sysusers");
    assert_eq!(users.len(), 1);
    assert_eq!(users[0][..2], ["u", "birdkeep"]);
    let folders = lines("debian/birdkeep.tmpfiles");
    assert_eq!(folders.len(), 2);
    assert_eq!(folders[0].join(" "), "d /etc/birdkeep 0750 root birdkeep -");
    assert_eq!(folders[1].join(" "), "d /var/lib/birdkeep 0700 birdkeep birdkeep -");
}

#[test]
fn nothing_is_started_or_enabled_by_the_installation() {
    let manifest = text("Cargo.toml");
    let (_, units) = manifest.split_once("\nsystemd-units = [\n").unwrap();
    let (units, _) = units.split_once("\n]\n").unwrap();
    assert_eq!(units.lines().count(), 3, "{units}");
    for unit in units.lines() {
        assert!(
            unit.contains("enable = false") && unit.contains("start = false"),
            "{unit}"
        );
    }
}

/// What is removed by no script of ours: the archive, the keys, the user.
#[test]
fn the_scripts_remove_nothing() {
    let scripts: Vec<_> = ["preinst", "prerm", "postrm", "config"]
        .into_iter()
        .filter(|name| root().join("debian").join(name).exists())
        .collect();
    assert!(scripts.is_empty(), "{scripts:?}");
    let postinst = text("debian/postinst");
    assert!(
        postinst.contains("\n#DEBHELPER#\n") && !postinst.contains("rm "),
        "{postinst}"
    );
    assert!(postinst.starts_with("#!/bin/sh\nset -e\n"));
}

#[test]
fn the_change_that_debian_is_told_of_is_this_version() {
    let changelog = text("debian/changelog");
    let first = changelog.lines().next().unwrap();
    let version = format!("birdkeep ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(first.starts_with(&version), "{first}");
}

#[test]
fn the_configuration_in_the_readme_for_debian_is_valid() {
    let readme = text("debian/README.Debian");
    let (_, rest) = readme.split_once("birdkeep.toml:\n").unwrap();
    let block: Vec<&str> = rest
        .lines()
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with("  "))
        .collect();
    let loaded = load(&block.join("\n"), Vec::new());
    assert_eq!(loaded.config.archive.dir, PathBuf::from("/var/lib/birdkeep"));
    assert_eq!(loaded.config.workspaces.len(), 1);
}

/// What is held by tools and not by these tests is run where every change is tried.
#[test]
fn the_tools_are_run_for_every_change() {
    let run = text(".ci/run");
    for step in [
        "systemd-analyze security",
        "systemd-analyze verify",
        "hadolint Dockerfile",
        "--example cli_files",
        ".ci/install-test",
    ] {
        assert!(run.contains(step), "{step}");
    }
    assert!(text(".ci/install-test").contains("lintian"));
}
