//! The configuration: what is accepted, and what the example says of it.

mod cases;
mod faults;
mod secrets;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use birdkeep::config::Config;
use birdkeep::config::ConfigFaults;
use birdkeep::config::FileSource;
use birdkeep::config::Loaded;
use birdkeep::config::Origin;
use birdkeep::config::Scheme;
use birdkeep::config::Sources;
use birdkeep::fetcher::Concurrency;
use secrecy::ExposeSecret;

const SECRET: &str = "q7ZsecretKJw81mNxT04vYbR2pLcEdUg5hAo";
const WORKSPACE: &str = "[workspaces.support]\nid = \"w-1\"\naccess_key_file = \"support.key\"\n";
const EXAMPLE: &str = include_str!("../../config/birdkeep.toml");

/// A folder with a key file and, where there is one, a configuration file.
struct Place {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Place {
    fn new(toml: Option<&str>, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = Sources {
            env: env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            current_dir: Some(folder.path().to_owned()),
            ..Sources::default()
        };
        write(&folder.path().join("support.key"), &format!("{SECRET}\n"), 0o600);
        if let Some(toml) = toml {
            let path = folder.path().join("birdkeep.toml");
            write(&path, toml, 0o600);
            sources.file = Some(FileSource {
                path,
                named_by: Origin::Option("--config"),
            });
        }
        Self { folder, sources }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self) -> Result<Loaded, ConfigFaults> {
        Config::load(&self.sources)
    }

    /// The faults; no secret may be in them.
    fn faults(&self) -> ConfigFaults {
        let faults = self.load().unwrap_err();
        assert!(!format!("{faults} {faults:?}").contains(SECRET), "{faults}");
        faults
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

const ENV_ALONE: [(&str, &str); 2] = [
    ("BIRDKEEP_WORKSPACES__SUPPORT__ID", "w-1"),
    ("BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY", SECRET),
];

#[test]
fn the_environment_alone_is_enough() {
    let place = Place::new(None, &ENV_ALONE);
    let loaded = place.load().unwrap();
    let workspace = &loaded.config.workspaces[0];
    assert_eq!((workspace.name.as_str(), workspace.id.as_str()), ("support", "w-1"));
    assert_eq!(workspace.credential.scheme, Scheme::AccessKey);
    assert_eq!(workspace.credential.secret.expose_secret(), SECRET);
    assert_eq!(loaded.config.archive.dir, place.path("birdkeep-archive"));
    assert_eq!((loaded.file, loaded.warnings), (None, vec![]));
}

#[test]
fn the_example_states_the_defaults() {
    let example = Place::new(Some(EXAMPLE), &[]).load().unwrap();
    let bare = Place::new(None, &ENV_ALONE).load().unwrap().config;
    assert_eq!(example.warnings, Vec::<String>::new());
    let mut stated = example.config;
    assert_eq!(stated.archive.dir, Path::new("/var/lib/birdkeep"));
    stated.archive.dir.clone_from(&bare.archive.dir);
    assert_eq!(stated.archive, bare.archive);
    assert_eq!(stated.catalog, bare.catalog);
    assert_eq!(stated.api, bare.api);
    assert_eq!(stated.sync, bare.sync);
    assert_eq!(stated.download, bare.download);
    assert_eq!(stated.verify, bare.verify);
    assert_eq!(stated.http.listen, bare.http.listen);
    assert_eq!(stated.http.allowed_hosts, bare.http.allowed_hosts);
    assert!(stated.http.token.is_none() && bare.http.token.is_none());
    assert_eq!(stated.stale_after(), bare.stale_after());
    assert_eq!(stated.shutdown, bare.shutdown);
    let told = |config: &Config| (config.notify.timeout, config.notify.events.clone());
    assert_eq!(told(&stated), told(&bare));
}

/// The known keys as the program names them when it meets one that is like none of them.
fn known_keys(section: &str) -> BTreeSet<String> {
    let place = Place::new(Some(&format!("[{section}]\nqqqqqqqqqqqqqqqqqqqqqqqq = 1")), &[]);
    let faults = place.faults();
    let known = faults
        .faults()
        .iter()
        .find_map(|fault| fault.remedy.split_once("known here: "))
        .unwrap()
        .1;
    known.split(", ").map(|name| format!("{section}.{name}")).collect()
}

#[test]
fn the_example_names_every_key_and_no_other() {
    let mut section = String::new();
    let mut named = BTreeSet::new();
    for line in EXAMPLE.lines() {
        if let Some(header) = line.strip_prefix('[') {
            header.trim_end_matches(']').clone_into(&mut section);
        } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ")
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        {
            named.insert(format!("{section}.{name}"));
        }
    }
    let sections = [
        "archive",
        "catalog",
        "api",
        "sync",
        "download",
        "verify",
        "tls",
        "http",
        "shutdown",
        "notify",
        "workspaces.support",
    ];
    let known: BTreeSet<String> = sections.into_iter().flat_map(known_keys).collect();
    assert_eq!(named, known);
    assert_eq!(known.len(), 48, "{known:?}");
}

#[test]
fn the_environment_wins_and_stays_text() {
    let toml = "[download]\nconcurrency = 4\nmax_attempts = 5\n[sync]\nsince = 2024-01-01T00:00:00Z\n";
    let place = Place::new(
        Some(toml),
        &[
            ("BIRDKEEP_DOWNLOAD__CONCURRENCY", "8"),
            ("BIRDKEEP_DOWNLOAD__ALLOWED_HOSTS", "*.amazonaws.com, 127.0.0.1:9000"),
            ("BIRDKEEP_DOWNLOAD__PRIVATE_HOSTS", "media.intern.example"),
            ("https_proxy", "http://proxy.intern:3128"),
            ("BIRDKEEP_ARCHIVE__GROUP_READABLE", "true"),
            ("BIRDKEEP_ARCHIVE__ID", "0012"),
            ("BIRDKEEP_ARCHIVE__MIN_FREE", "0"),
            ("BIRDKEEP_SYNC__INTERVAL", "1m 30s"),
            ("birdkeep_workspaces__support__id", "0012e5"),
            ("BIRDKEEP_WORKSPACES__SUPPORT__BEARER_TOKEN", "0012e5"),
            ("BIRDKEEP_CONFIG", "/not/read/here.toml"),
            ("BIRDKEEP_PORT", "tcp://10.0.0.1:8460"),
            ("BIRDKEEP_PORT_8460_TCP_ADDR", "10.0.0.1"),
            ("BIRDKEEP_SERVICE_HOST", "10.0.0.1"),
            ("BIRDKEEP_WEB_SERVICE_PORT_HTTP", "8460"),
            ("OTHER_VARIABLE", "x"),
        ],
    );
    let config = place.load().unwrap().config;
    assert_eq!(
        (config.download.concurrency, config.download.max_attempts),
        (Concurrency::AtMost(8), 5)
    );
    assert_eq!(config.proxy_hosts, ["proxy.intern"]);
    let private: Vec<String> = config.download.private_hosts.iter().map(ToString::to_string).collect();
    assert_eq!(private, ["media.intern.example"]);
    let hosts: Vec<String> = config.download.allowed_hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["*.amazonaws.com", "127.0.0.1:9000"]);
    assert_eq!(
        (config.archive.group_readable, config.archive.min_free_bytes),
        (true, 0)
    );
    assert_eq!(config.archive.id.as_deref(), Some("0012"));
    assert_eq!(config.sync.interval, Duration::from_secs(90));
    assert_eq!(config.sync.since.unwrap().to_string(), "2024-01-01T00:00:00Z");
    assert_eq!(config.workspaces[0].id.as_str(), "0012e5");
    assert_eq!(config.workspaces[0].credential.scheme, Scheme::Bearer);
    assert_eq!(config.workspaces[0].credential.secret.expose_secret(), "0012e5");
}

#[test]
fn the_archive_lies_where_systemd_wants_it_unless_told_otherwise() {
    let mut place = Place::new(None, &ENV_ALONE);
    place.sources.state_dir = Some("/var/lib/elsewhere".into());
    assert_eq!(
        place.load().unwrap().config.archive.dir,
        Path::new("/var/lib/elsewhere")
    );
    place
        .sources
        .env
        .push(("BIRDKEEP_ARCHIVE__DIR".into(), "./calls/".into()));
    assert_eq!(place.load().unwrap().config.archive.dir, place.path("calls"));
    place.sources.current_dir = None;
    assert_eq!(place.faults().faults()[0].key, "archive.dir");
}

#[test]
fn workspaces_come_in_the_order_of_their_names() {
    let toml = format!("[workspaces.zulu]\nid = \"w-2\"\nbearer_token = \"t\"\n{WORKSPACE}");
    let env = [
        ("BIRDKEEP_WORKSPACES__ALPHA-1__ID", "w-3"),
        ("BIRDKEEP_WORKSPACES__ALPHA-1__ACCESS_KEY", "k"),
    ];
    let config = Place::new(Some(&toml), &env).load().unwrap().config;
    let names: Vec<&str> = config
        .workspaces
        .iter()
        .map(|workspace| workspace.name.as_str())
        .collect();
    assert_eq!(names, ["alpha-1", "support", "zulu"]);
}

#[test]
fn a_key_file_lies_among_the_credentials_else_beside_the_configuration() {
    let mut place = Place::new(Some(WORKSPACE), &[]);
    let credential = place.load().unwrap().config.workspaces.remove(0).credential;
    assert_eq!(credential.file, Some(place.path("support.key")));
    assert_eq!(credential.secret.expose_secret(), SECRET);

    place.sources.credentials_dir = Some(place.path("credentials"));
    let fault = place.faults().faults()[0].clone();
    assert_eq!(fault.key, "workspaces.support.access_key_file");
    assert!(
        fault
            .remedy
            .contains(&place.path("credentials/support.key").display().to_string()),
        "{fault}"
    );
    std::fs::create_dir(place.path("credentials")).unwrap();
    write(&place.path("credentials/support.key"), "other\r\n", 0o400);
    assert_eq!(
        place.load().unwrap().config.workspaces[0]
            .credential
            .secret
            .expose_secret(),
        "other"
    );
}

#[test]
fn secrets_that_others_may_read_are_warned_of() {
    let place = Place::new(Some(WORKSPACE), &[]);
    write(&place.path("support.key"), SECRET, 0o604);
    write(&place.path("birdkeep.toml"), WORKSPACE, 0o644);
    let warnings = place.load().unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("support.key") && warnings[0].contains("chmod o-r"),
        "{warnings:?}"
    );

    let inline = WORKSPACE.replace(
        "access_key_file = \"support.key\"",
        &format!("access_key = \"{SECRET}\""),
    );
    write(&place.path("birdkeep.toml"), &inline, 0o644);
    let warnings = place.load().unwrap().warnings;
    assert!(
        warnings.len() == 1 && warnings[0].contains("birdkeep.toml holds a secret"),
        "{warnings:?}"
    );
    assert!(!warnings[0].contains(SECRET));
    write(&place.path("birdkeep.toml"), &inline, 0o640);
    assert_eq!(place.load().unwrap().warnings, Vec::<String>::new());
}

#[test]
fn a_margin_as_long_as_a_links_life_is_warned_of() {
    let place = Place::new(Some(&format!("download.expiry_margin = \"10m\"\n{WORKSPACE}")), &[]);
    let warnings = place.load().unwrap().warnings;
    assert!(
        warnings.len() == 1 && warnings[0].contains("expiry_margin"),
        "{warnings:?}"
    );
}
