//! The container: Dockerfile, `.dockerignore` and `compose.yaml`, held to each other and to the program.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use super::is_taken;
use super::key_of;
use super::time_to_end;
use crate::docs::documented_keys;
use crate::docs::load;
use crate::docs::root;
use crate::docs::text;

/// The instructions, with continued lines joined and comments left out.
fn instructions() -> Vec<(String, String)> {
    let text = text("Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    joined
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(word, rest)| (word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

fn all(word: &str) -> Vec<String> {
    let found = instructions().into_iter().filter(|(named, _)| named == word);
    found.map(|(_, rest)| rest).collect()
}

fn one(word: &str) -> String {
    let found = all(word);
    assert_eq!(found.len(), 1, "{word}: {found:?}");
    found.into_iter().next().unwrap()
}

/// The words of a JSON array in a text that ends with it.
fn words(exec_form: &str) -> Vec<String> {
    let at = exec_form
        .find('[')
        .unwrap_or_else(|| panic!("no exec form: {exec_form}"));
    serde_json::from_str(&exec_form[at..]).unwrap_or_else(|error| panic!("{exec_form}: {error}"))
}

/// What `compose.yaml` says after a key, by lines: it uses no more of YAML than this.
fn compose(key: &str) -> String {
    let text = text("compose.yaml");
    let mut found = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    let value = found.next().unwrap_or_else(|| panic!("compose.yaml has no {key}"));
    assert!(found.next().is_none(), "{key} stands twice");
    value.trim_matches('"').to_owned()
}

/// The variables that both files set.
fn variables() -> Vec<(String, String)> {
    let image = one("ENV");
    let of_image = image.split(' ').map(|pair| pair.split_once('=').unwrap());
    let compose = text("compose.yaml");
    let of_compose = compose
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(name, _)| name.starts_with("BIRDKEEP_"));
    let both = of_image.chain(of_compose);
    both.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn both_bases_are_pinned_by_digest() {
    let bases: Vec<String> = all("ARG").into_iter().filter(|arg| arg.contains("_IMAGE=")).collect();
    assert_eq!(bases.len(), 2);
    for base in bases {
        let (tagged, digest) = base.split_once("@sha256:").unwrap_or_else(|| panic!("{base}"));
        assert!(tagged.contains(':') && !tagged.ends_with(":latest"), "{base}");
        assert!(
            digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{base}"
        );
    }
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        all("ARG")[0].contains(&format!("/rust:{version}.")),
        "the toolchain that the crate asks for"
    );
    assert_eq!(all("FROM"), ["${RUST_IMAGE} AS build", "${RUNTIME_IMAGE}"]);
}

#[test]
fn the_build_is_locked_and_cached_and_gets_what_it_needs_and_no_more() {
    let run = one("RUN");
    assert!(run.contains("--locked") && run.contains("SQLX_OFFLINE=true"), "{run}");
    assert_eq!(run.matches("--mount=type=cache,").count(), 2, "{run}");
    let ignored = text(".dockerignore");
    let mut let_in: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let copied = all("COPY");
    let mut copied: Vec<&str> = copied
        .iter()
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' '))
        .collect();
    copied.sort_unstable();
    let_in.sort_unstable();
    assert_eq!(copied, let_in);
    assert!(ignored.lines().any(|line| line == "*"));
    for name in copied {
        assert!(root().join(name).exists(), "{name}");
    }
}

#[test]
fn signals_reach_the_program_and_nobody_is_root() {
    assert_eq!(words(&one("ENTRYPOINT")), ["/usr/bin/birdkeep"]);
    assert!(all("CMD").is_empty());
    assert_eq!(one("STOPSIGNAL"), "SIGTERM");
    assert_eq!(one("USER"), "65532:65532");
    assert_eq!(compose("user"), one("USER"));
    assert_eq!(compose("read_only"), "true");
    assert_eq!(compose("cap_drop"), "[ALL]");
    assert!(compose("security_opt").contains("no-new-privileges:true"));
    let seconds: u64 = compose("stop_grace_period").trim_end_matches('s').parse().unwrap();
    assert!(Duration::from_secs(seconds) > time_to_end(), "{seconds} s");
}

#[test]
fn the_health_check_is_the_program_itself() {
    let of_image = words(&one("HEALTHCHECK"));
    let of_compose = words(&compose("test"));
    assert_eq!(of_compose[0], "CMD");
    assert_eq!(of_image, of_compose[1..]);
    assert_eq!(of_image, ["/usr/bin/birdkeep", "health"]);
    is_taken(&["birdkeep", "health"]).unwrap();
}

#[test]
fn there_is_one_volume_and_the_archive_lies_in_it() {
    let volume = one("VOLUME");
    assert_eq!(compose("volumes"), format!("[\"archive:{volume}\"]"));
    let archive = variables()
        .into_iter()
        .find(|(name, _)| name == "BIRDKEEP_ARCHIVE__DIR")
        .unwrap()
        .1;
    // Below it, not at it: everybody may write to the volume, and an archive there would be refused.
    assert!(
        archive.strip_prefix(&volume).is_some_and(|below| below.len() > 1),
        "{archive}"
    );
    assert!(one("RUN").contains(&format!("-m 1777 /image{volume}")));
}

#[test]
fn what_the_files_set_is_a_configuration() {
    let keys = documented_keys();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("support.key"), "a-key").unwrap();
    fs::write(dir.path().join("http.token"), "0".repeat(64)).unwrap();
    let mut env: Vec<(OsString, OsString)> = Vec::new();
    for (name, value) in variables() {
        let Some(key) = key_of(&name) else {
            assert!(!name.starts_with("BIRDKEEP_"), "{name}");
            continue;
        };
        assert!(keys.contains(&key), "{name}: no such key");
        let value = value.replace("/run/secrets", &dir.path().to_string_lossy());
        env.push((name.into(), value.into()));
    }
    let loaded = load("", env);
    assert_eq!(loaded.config.workspaces.len(), 1);
    assert_eq!(compose("ports"), "[\"127.0.0.1:8460:8460\"]");
    assert_eq!(one("EXPOSE"), loaded.config.http.listen.port().to_string());
}
