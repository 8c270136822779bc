//! The catalog: whether it is sound and this archive's, what it says should be looked at, how fast it grows.
//!
//! Must not know: files and their places.

use std::time::Duration;

use bytesize::ByteSize;

use super::Finding;
use super::Tell;
use super::place::Place;
use super::space::DAYS;
use super::space::Rate;
use crate::catalog::CatalogError;
use crate::catalog::CatalogReader;
use crate::catalog::Checkup;
use crate::catalog::Growth;
use crate::catalog::QuickCheck;
use crate::catalog::WorkspaceSummary;
use crate::config::Config;
use crate::domain::clock::Timestamp;
use crate::domain::explain::chain;
use crate::domain::state::State;
use crate::store::Holder;

const SUBJECT: &str = "catalog";

/// How long a catalog is read for damage. What is not read by then is met when it is used.
const CHECK_TIME: Duration = Duration::from_secs(20);

/// How long what was archived lately is summed up.
const SUM_TIME: Duration = Duration::from_secs(10);

const DAY_SECONDS: f64 = 86_400.0;

/// Looks at the catalog; how fast the archive grew, where that is known.
pub(super) async fn look(config: &Config, place: &Place, now: Timestamp, tell: Tell<'_>) -> Option<Rate> {
    let path = config.catalog_path(&config.archive.dir);
    let in_use = place.facts.holder != Holder::Nobody;
    let checkup = match Checkup::open(&path, in_use).await {
        Ok(Some(checkup)) => checkup,
        Ok(None) if place.facts.has_recordings => {
            tell(Finding::fail(
                SUBJECT,
                format!("{} is missing or empty although recordings exist", path.display()),
                "put it back from a backup, or run `birdkeep rebuild` to make it again from the archive",
            ));
            return None;
        }
        Ok(None) => {
            tell(Finding::ok(SUBJECT, "none yet; it is made at the first run"));
            return None;
        }
        Err(error) => {
            tell(refused(&error));
            return None;
        }
    };
    if let Some(expected) = place.id.as_ref().filter(|id| **id != checkup.archive_id) {
        tell(Finding::fail(
            SUBJECT,
            format!(
                "{} belongs to archive {} and this is archive {expected}",
                path.display(),
                checkup.archive_id
            ),
            "correct archive.dir or catalog.path, or move it aside and run `birdkeep rebuild`",
        ));
        return None;
    }
    let grown = if look_inside(&checkup, tell).await {
        look_at_rows(config, &checkup.reader, now, tell).await
    } else {
        None
    };
    checkup.reader.close().await;
    grown
}

/// Reads it for damage; whether its rows can be trusted.
async fn look_inside(checkup: &Checkup, tell: Tell<'_>) -> bool {
    let about = format!("schema {}, {}", checkup.schema, ByteSize(checkup.size_bytes));
    match checkup.reader.quick_check(CHECK_TIME).await {
        Ok(QuickCheck::Sound) => tell(Finding::ok(SUBJECT, format!("{about}, every page read and sound"))),
        Ok(QuickCheck::OutOfTime) => tell(Finding::ok(
            SUBJECT,
            format!(
                "{about}; no damage in what could be read in {} s, the rest was not read",
                CHECK_TIME.as_secs()
            ),
        )),
        Ok(QuickCheck::Damaged(detail)) => {
            tell(Finding::fail(
                SUBJECT,
                format!("{about}, damaged: {detail}"),
                "stop birdkeep, move the catalog and its -wal and -shm files aside, and restore it or run `birdkeep rebuild`",
            ));
            return false;
        }
        Err(error) => {
            tell(refused(&error));
            return false;
        }
    }
    if !checkup.is_current {
        tell(Finding::warn(
            SUBJECT,
            format!("schema {} is older than this birdkeep's", checkup.schema),
            "start the new birdkeep's daemon once; it brings the catalog up to date",
        ));
    }
    checkup.is_current
}

async fn look_at_rows(config: &Config, reader: &CatalogReader, now: Timestamp, tell: Tell<'_>) -> Option<Rate> {
    match reader.workspaces().await {
        Ok(summaries) => {
            let configured = summaries.iter().filter(|summary| {
                let mut workspaces = config.workspaces.iter();
                workspaces.any(|workspace| workspace.name == summary.name)
            });
            for summary in configured {
                tell_rows(summary, tell);
            }
        }
        Err(error) => tell(refused(&error)),
    }
    match reader.soundness().await {
        Ok(soundness) => {
            let kinds = soundness.findings.iter().filter(|(_, count)| **count > 0);
            let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{count} {kind}")).collect();
            if !kinds.is_empty() {
                tell(Finding::warn(
                    "recordings",
                    format!("what is archived is not all as it was archived: {}", kinds.join(", ")),
                    "`birdkeep verify` names them, `birdkeep verify --repair` fetches them again",
                ));
            }
        }
        Err(error) => tell(refused(&error)),
    }
    let since = now.before(Duration::from_secs(u64::from(DAYS) * 86_400));
    match reader.growth_since(since, SUM_TIME).await {
        Ok(grown) => grown.map(|grown| rate(grown, now)),
        Err(error) => {
            tell(refused(&error));
            None
        }
    }
}

fn tell_rows(summary: &WorkspaceSummary, tell: Tell<'_>) {
    let (name, count) = (&summary.name, |state| {
        summary.counts.get(&state).copied().unwrap_or_default()
    });
    let (archived, due) = (count(State::Archived), count(State::Due) + count(State::Claimed));
    let told = format!("{archived} archived, {due} due, {} gone", count(State::Gone));
    tell(Finding::ok("recordings", told).of(name));
    let given_up = count(State::GivenUp);
    if given_up > 0 {
        let remedy =
            format!("see why with `birdkeep list --workspace {name} --state given_up`, then `birdkeep retry --all`");
        tell(Finding::warn("recordings", format!("{given_up} given up"), remedy).of(name));
    }
    if summary.set_aside > 0 {
        let found = format!("{} list items are not understood and set aside", summary.set_aside);
        tell(
            Finding::warn(
                "recordings",
                found,
                "`birdkeep status` counts them; please report their shape",
            )
            .of(name),
        );
    }
}

fn rate(grown: Growth, now: Timestamp) -> Rate {
    let days = grown
        .first_at
        .map_or(0.0, |first| now.since(first).as_secs_f64() / DAY_SECONDS);
    Rate {
        // What came within an hour says little of a day: at least one is looked back on.
        days: days.clamp(1.0, f64::from(DAYS)),
        bytes: grown.bytes,
        recordings: grown.recordings,
    }
}

fn refused(error: &CatalogError) -> Finding {
    let remedy = match error {
        CatalogError::Refused { .. } => "do what it says; docs/troubleshooting.md tells more",
        CatalogError::File { .. } => "let this user read the catalog, or run check as the user the daemon runs as",
        _ if error.is_local() => "look at the disk and its rights, and run check again",
        _ => "stop birdkeep and restore the catalog, or run `birdkeep rebuild`",
    };
    Finding::fail(SUBJECT, chain(error), remedy)
}
