//! Every section but the workspaces: its keys, their defaults and their ranges.
//!
//! The defaults are stated a second time, for operators, in `config/birdkeep.toml`; a test holds the two together.
//! Must not know: files, the environment.

use std::num::NonZeroU32;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ::config::ValueKind;
use url::Url;

use super::ApiConfig;
use super::ArchiveConfig;
use super::CatalogConfig;
use super::DownloadConfig;
use super::ShutdownConfig;
use super::SyncConfig;
use super::TlsConfig;
use super::VerifyConfig;
use super::fault::Origin;
use super::named_file;
use super::reader::Reader;
use super::reader::Section;
use super::sources::Sources;
use super::values;
use crate::fetcher::Concurrency;
use crate::http::roots::ExtraRoots;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// More than all public authorities take.
const LARGEST_CA_FILE_BYTES: u64 = 4 * MIB;
const HOUR: Duration = Duration::from_hours(1);

/// From a thousandth of a second: shorter is a slip of the pen.
fn up_to(longest: Duration) -> RangeInclusive<Duration> {
    Duration::from_millis(1)..=longest
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn archive(mut section: Section<'_>, sources: &Sources) -> ArchiveConfig {
    let resolve = |path: &Path| sources.absolute(path);
    let given = section.optional("dir", Origin::Default, |kind| {
        let path = dir(kind)?;
        resolve(&path).ok_or_else(|| "is relative, and there is no current directory; make it absolute".to_owned())
    });
    let default = sources.state_dir.as_deref().unwrap_or(Path::new("birdkeep-archive"));
    let dir = given.or_else(|| resolve(default)).unwrap_or_else(|| {
        section.refuse(
            "dir",
            Origin::Default,
            None,
            "there is no current directory; set it to an absolute path",
        );
        PathBuf::new()
    });
    let config = ArchiveConfig {
        dir,
        min_free_bytes: section.read("min_free", GIB, values::size(0)),
        id: section.optional("id", Origin::NotSet, archive_id),
        group_readable: section.read("group_readable", false, values::flag),
        durable: true,
    };
    section.finish();
    config
}

pub(super) fn catalog(mut section: Section<'_>, sources: &Sources) -> CatalogConfig {
    let path = section.optional("path", Origin::NotSet, |kind| {
        let path = dir(kind)?;
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err("is a directory; name the catalog's file, such as /srv/birdkeep/catalog.sqlite".to_owned());
        }
        sources
            .absolute(&path)
            .ok_or_else(|| "is relative, and there is no current directory; make it absolute".to_owned())
    });
    section.finish();
    CatalogConfig { path }
}

fn dir(kind: &ValueKind) -> Result<PathBuf, String> {
    let text = values::text(kind)?;
    if text.contains('\0') {
        return Err("a path holds no NUL".to_owned());
    }
    if text == "~" || text.starts_with("~/") {
        return Err("'~' is not expanded here; write the whole path".to_owned());
    }
    Ok(PathBuf::from(text))
}

fn archive_id(kind: &ValueKind) -> Result<String, String> {
    let id = values::text(kind)?.trim().to_owned();
    if id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(id)
    } else {
        Err("expected the id that archive.json holds, without spaces".to_owned())
    }
}

/// `None` where even the default URL is not one, which does not happen.
pub(super) fn api(mut section: Section<'_>) -> Option<ApiConfig> {
    let base_url = section.optional("base_url", Origin::Default, values::base_url);
    let config = ApiConfig {
        base_url: base_url.or_else(|| Url::parse("https://api.bird.com").ok())?,
        page_size: section.read("page_size", 99, values::whole(1..=99)),
        requests_per_second: section.read("requests_per_second", 20, values::whole(1..=1000)),
        timeout: section.read("timeout", seconds(30), values::duration(up_to(HOUR))),
        max_page_bytes: section.read("max_page_bytes", 16 * MIB, values::size_within(KIB..=64 * MIB)),
        max_page_items: section.read("max_page_items", 1_000, values::whole(99..=100_000)),
        max_item_bytes: section.read("max_item_bytes", 128 * KIB, values::size_within(4 * KIB..=MIB)),
        // Parsers of JSON take 128 as a rule, and sidecars and `show` put an item into objects of their own.
        max_json_depth: section.read("max_json_depth", 120, values::whole(8..=120)),
        kept_item_bytes: section.read("kept_item_bytes", 16 * KIB, values::size_within(KIB..=MIB)),
    };
    section.finish();
    Some(config)
}

pub(super) fn sync(mut section: Section<'_>) -> SyncConfig {
    let from_a_second = || values::duration(seconds(1)..=values::TEN_YEARS);
    let config = SyncConfig {
        interval: section.read("interval", seconds(60), from_a_second()),
        overlap: section.read("overlap", 2 * HOUR, values::duration(up_to(values::TEN_YEARS))),
        full_walk_interval: section.read("full_walk_interval", 24 * HOUR, from_a_second()),
        since: section.optional("since", Origin::NotSet, values::timestamp),
        max_pages: section.read("max_pages", 100_000, values::whole(1..=1_000_000_000)),
    };
    section.finish();
    config
}

pub(super) fn download(mut section: Section<'_>) -> DownloadConfig {
    let allowed_hosts = section.optional("allowed_hosts", Origin::Default, values::hosts);
    let config = DownloadConfig {
        concurrency: section.read("concurrency", Concurrency::Auto, values::concurrency),
        expiry_margin: section.read("expiry_margin", seconds(20), values::duration(up_to(HOUR))),
        stall_timeout: section.read("stall_timeout", seconds(30), values::duration(up_to(24 * HOUR))),
        total_timeout: section.read("total_timeout", 4 * HOUR, values::duration(up_to(values::TEN_YEARS))),
        min_rate_bytes_per_second: section.read("min_rate", KIB, values::size(0)),
        max_attempts: section.read("max_attempts", 12, values::whole(1..=1000)),
        max_bytes: section.read("max_bytes", 4 * GIB, values::size(1)),
        max_redirects: section.read("max_redirects", 3, values::whole(0..=10)),
        allowed_hosts: allowed_hosts.unwrap_or_else(|| "*.amazonaws.com".parse().into_iter().collect()),
        private_hosts: section.read("private_hosts", Vec::new(), values::hosts_or_none),
    };
    section.finish();
    config
}

pub(super) fn verify(mut section: Section<'_>) -> VerifyConfig {
    let config = VerifyConfig {
        parts: section.read("sample", NonZeroU32::new(30), part),
        bytes_per_second: section
            .read("rate", NonZeroU64::new(20 * MIB), |kind| {
                values::size(1)(kind).map(NonZeroU64::new)
            })
            .unwrap_or(NonZeroU64::MIN),
    };
    section.finish();
    config
}

fn part(kind: &ValueKind) -> Result<Option<NonZeroU32>, String> {
    let text = values::text(kind).unwrap_or_default();
    match text.trim() {
        "off" => Ok(None),
        part => match part.strip_prefix("1/").and_then(|parts| parts.parse().ok()) {
            Some(parts) => Ok(Some(parts)),
            None => Err("expected the part to re-read a day, such as \"1/30\", or \"off\"".to_owned()),
        },
    }
}

/// Where key files are left unread, this one is too: nothing is connected to then.
pub(super) fn tls(mut section: Section<'_>, sources: &Sources) -> TlsConfig {
    let read = section.optional("extra_ca_file", Origin::NotSet, |kind| {
        let path = named_file::locate(&values::text(kind)?, sources)?;
        if sources.skip_key_files {
            return Ok((ExtraRoots::default(), path));
        }
        let shown = path.display();
        let (pem, _) = named_file::read(&path, LARGEST_CA_FILE_BYTES)
            .map_err(|error| format!("cannot read {shown}: {error}; put certificates in PEM form there"))?;
        let roots = ExtraRoots::parse(&pem).map_err(|error| format!("{shown} {error}"))?;
        Ok((roots, path))
    });
    section.finish();
    read.map_or_else(TlsConfig::default, |(extra_roots, path)| TlsConfig {
        extra_roots,
        extra_ca_file: Some(path),
    })
}

pub(super) fn shutdown(mut section: Section<'_>) -> ShutdownConfig {
    let config = ShutdownConfig {
        grace: section.read("grace", seconds(8), values::duration(up_to(HOUR))),
    };
    section.finish();
    config
}

/// Holds pairs of values against each other that are each well by themselves.
pub(super) fn cross_check(reader: &mut Reader, sync: &SyncConfig, download: &DownloadConfig) {
    let not_longer = [
        (
            ("download.stall_timeout", download.stall_timeout),
            ("download.total_timeout", download.total_timeout),
        ),
        (
            ("sync.interval", sync.interval),
            ("sync.full_walk_interval", sync.full_walk_interval),
        ),
    ];
    for ((short_key, short), (long_key, long)) in not_longer {
        if short <= long || !reader.is_sound(&[short_key, long_key]) {
            continue;
        }
        // The fault stands at the one that was set: a default is nobody's mistake.
        let remedy = |other: &str, other_length: Duration, origin: &Origin| {
            format!(
                "{short_key} must not be longer than {long_key}; {other} is {} ({origin})",
                values::brief(other_length)
            )
        };
        let (short_origin, long_origin) = (reader.origin(short_key), reader.origin(long_key));
        if short_origin == Origin::Default {
            let remedy = remedy(short_key, short, &short_origin);
            reader.fault(long_key, long_origin, Some(values::brief(long)), remedy);
        } else {
            let remedy = remedy(long_key, long, &long_origin);
            reader.fault(short_key, short_origin, Some(values::brief(short)), remedy);
        }
    }
}
