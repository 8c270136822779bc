//! The configuration: any text and any environment gives a configuration within its ranges or faults, and the secret
//! in it is never repeated.
//!
//! Input: a file's text, then a line `%%` and variables, one a line. `@` is the secret, where it stands behind the name
//! of a key that holds one. Must not know: which faults there are.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use birdkeep::config::Config;
use birdkeep::config::FileSource;
use birdkeep::config::Origin;
use birdkeep::config::Sources;

const SECRET: &str = "q7ZsecretKJw81mNxT04vYbR2pLcEdUg5hAo";
const HOLDERS: [&str; 2] = ["access_key", "bearer_token"];
const MARK: &str = "\n%%\n";

/// Panics if what is accepted is out of its range, or if the secret is repeated.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (file, variables) = text.split_once(MARK).unwrap_or((&text, ""));
    let file = with_secret(file) + &format!("\n[workspaces.zz-last]\nid = \"zz\"\naccess_key = \"{SECRET}\"\n");
    let mut env: Vec<(OsString, OsString)> = with_secret(variables)
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    env.push(("BIRDKEEP_WORKSPACES__ENV__BEARER_TOKEN".into(), SECRET.into()));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("birdkeep.toml");
    std::fs::write(&path, &file).expect("a file");
    let sources = Sources {
        file: Some(FileSource {
            path,
            named_by: Origin::Option("--config"),
        }),
        env,
        current_dir: Some(folder.path().to_owned()),
        // Names of devices and pipes would be opened otherwise.
        skip_key_files: true,
        ..Sources::default()
    };
    check_loaded(&sources, folder.path());
}

fn check_loaded(sources: &Sources, folder: &Path) {
    let shown = match Config::load(sources) {
        Ok(loaded) => {
            check_ranges(&loaded.config);
            assert!(loaded.config.archive.dir.is_absolute());
            assert!(loaded.warnings.iter().all(|warning| !warning.contains('\n')));
            format!("{loaded:?} {:#?} {}", loaded.config, loaded.warnings.join(" "))
        }
        Err(faults) => {
            assert!(!faults.faults().is_empty());
            let text = faults.to_string();
            assert_eq!(text.lines().count(), faults.faults().len() + 1, "{text}");
            assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
            format!("{text} {faults:?}")
        }
    };
    let shown = format!("{shown} {sources:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    // What was refused was refused by looking at it, not by making something of it.
    assert_eq!(std::fs::read_dir(folder).expect("the folder").count(), 1);
}

/// `@` becomes the secret where it is the value of a key that holds one.
fn with_secret(text: &str) -> String {
    let lines = text.split('\n').map(|line| match line.split_once('=') {
        Some((name, value)) if holds_secret(name) => format!("{name}={}", value.replace('@', SECRET)),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn holds_secret(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    HOLDERS.iter().any(|holder| name.ends_with(holder))
}

fn check_ranges(config: &Config) {
    let second = Duration::from_secs(1);
    let hour = 3600 * second;
    let years = 10 * 365 * 24 * hour;
    let within = |length: Duration, most: Duration| !length.is_zero() && length <= most;

    let api = &config.api;
    assert!((1..=99).contains(&api.page_size) && (1..=1000).contains(&api.requests_per_second));
    assert!(within(api.timeout, hour) && (1024..=1 << 60).contains(&api.max_page_bytes));
    let root = api.base_url.as_str();
    assert!(root.starts_with("https://") || root.starts_with("http://"), "{root}");
    assert!(!root.contains(['@', '?', '#', ' ', '\\']), "{root}");

    let sync = &config.sync;
    assert!(sync.interval >= second && sync.interval <= sync.full_walk_interval);
    assert!(sync.full_walk_interval <= years && within(sync.overlap, years) && sync.max_pages >= 1);

    let download = &config.download;
    assert!((1..=256).contains(&download.concurrency.most()) && (1..=1000).contains(&download.max_attempts));
    assert!(within(download.expiry_margin, hour) && within(download.total_timeout, years));
    assert!(within(download.stall_timeout, 24 * hour) && download.stall_timeout <= download.total_timeout);
    assert!((1..=1 << 60).contains(&download.max_bytes) && download.max_redirects <= 10);
    assert!(!download.allowed_hosts.is_empty());

    assert!(within(config.shutdown.grace, hour) && config.archive.min_free_bytes <= 1 << 60);
    assert!(
        config
            .archive
            .id
            .as_ref()
            .is_none_or(|id| id.len() <= 128 && !id.contains(char::is_control))
    );
    let mut ids: Vec<String> = config.workspaces.iter().map(|w| w.id.as_str().to_lowercase()).collect();
    ids.sort();
    ids.dedup();
    assert!(!ids.is_empty() && ids.len() == config.workspaces.len(), "{ids:?}");
}
