//! The catalog's calls as values: what the real one does with each, and what the model says it must do.
//!
//! Must not know: in what order they come, or what goes wrong meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use anyhow::ensure;
use birdkeep::catalog::Catalog;
use birdkeep::catalog::CatalogError;
use birdkeep::catalog::Claim;
use birdkeep::catalog::ClaimEnd;
use birdkeep::catalog::Page;
use birdkeep::catalog::RetryReport;
use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::digest::Sha256Digest;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::ids::RecordingRef;
use birdkeep::domain::ids::WorkspaceName;
use birdkeep::domain::key::StoreKey;
use birdkeep::domain::recording::Format;
use birdkeep::domain::recording::Recording;
use birdkeep::domain::recording::SetAside;
use birdkeep::domain::recording::Status;
use birdkeep::domain::report::StoredObject;
use birdkeep::domain::report::UpsertCounts;
use birdkeep::domain::report::WalkKind;
use birdkeep::domain::report::WalkOutcome;
use birdkeep::domain::report::WalkReport;

use super::rules::Body;
use super::rules::End;
use super::rules::Key;
use super::rules::Listing;
use super::rules::Model;
use super::rules::PageDid;
use super::rules::Walked;
use super::world::time;

/// The workspaces, in the order of their names.
pub(super) const SPACES: [&str; 2] = ["sales", "support"];
/// Longer than any wait that a right clock sets here.
pub(super) const LONGEST_WAIT: i64 = 36 * 3_600 * 1_000_000;
/// Why an item that makes no sense is set aside.
pub(super) const REASON: &str = "it makes no sense";

#[derive(Debug, Clone)]
pub(super) enum Call {
    Page(usize, Listing),
    Finish(usize, Walked),
    NoteDeleted(usize, u8),
    Claim(Vec<Key>),
    ClaimDue(u32),
    Settle(Vec<(Key, End)>),
    Retry(Vec<u8>, Option<usize>),
    RetryAll(Option<usize>),
    Reclaim,
    HealWaits,
}

/// What a call answers, in the model's words. Claims come in the order in which they were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    Page(PageDid),
    Taken(Vec<Key>),
    Number(u64),
    Retry {
        retried: u64,
        archived: Vec<u8>,
        unknown: Vec<u8>,
        untouched: Vec<u8>,
    },
}

pub(super) fn workspace(space: usize) -> WorkspaceName {
    SPACES[space].parse().expect("a name")
}

pub(super) fn id(n: u8) -> RecordingId {
    RecordingId::from_bytes([n; 16])
}

pub(super) fn number(id: &RecordingId) -> u8 {
    id.as_bytes()[0]
}

fn named(space: Option<usize>) -> Option<Vec<WorkspaceName>> {
    space.map(|space| vec![workspace(space)])
}

pub(super) fn key_of(claim: &Claim) -> Key {
    let name = claim.recording.workspace.as_str();
    (
        SPACES.iter().position(|space| *space == name).expect("one of ours"),
        number(&claim.recording.id),
    )
}

/// Has the real catalog do it. `ends` are the claims that a settlement ends.
pub(super) async fn perform(
    catalog: &Catalog,
    call: &Call,
    ends: &[(Claim, ClaimEnd)],
    now: i64,
) -> Result<(Answer, Vec<Claim>), CatalogError> {
    let nothing = (Answer::Nothing, Vec::new());
    Ok(match call {
        Call::Page(space, page) => (list(catalog, *space, page).await?, Vec::new()),
        Call::Finish(space, walk) => {
            catalog.finish_walk(&workspace(*space), &report(walk)).await?;
            nothing
        }
        Call::NoteDeleted(space, n) => {
            catalog.note_deleted(&workspace(*space), id(*n), "deleted").await?;
            nothing
        }
        Call::Claim(keys) => {
            let refs = keys.iter().map(|(space, n)| RecordingRef {
                workspace: workspace(*space),
                id: id(*n),
            });
            taken(catalog.claim(&refs.collect::<Vec<_>>()).await?)
        }
        Call::ClaimDue(limit) => taken(catalog.claim_due(&[workspace(0), workspace(1)], *limit).await?),
        Call::Settle(_) => {
            catalog.settle(ends).await?;
            nothing
        }
        Call::Retry(numbers, space) => {
            let ids: Vec<_> = numbers.iter().map(|n| id(*n)).collect();
            (
                retried(&catalog.retry(&ids, named(*space).as_deref()).await?),
                Vec::new(),
            )
        }
        Call::RetryAll(space) => (retried(&catalog.retry_all(named(*space).as_deref()).await?), Vec::new()),
        Call::Reclaim => (Answer::Number(catalog.reclaim().await?), Vec::new()),
        Call::HealWaits => {
            let longest = Duration::from_micros(LONGEST_WAIT.cast_unsigned());
            (
                Answer::Number(catalog.heal_waits(time(now), longest).await?),
                Vec::new(),
            )
        }
    })
}

async fn list(catalog: &Catalog, space: usize, page: &Listing) -> Result<Answer, CatalogError> {
    let recordings: Vec<Recording> = page
        .items
        .iter()
        .map(|item| Recording {
            id: id(item.n),
            status: Status::from_upstream(item.status),
            created_at: time(item.created_at),
            direction: Some("incoming".to_owned()),
            from: Some(format!("+31 6 000{:05}", item.n)),
            to: None,
            duration_seconds: Some(3),
            format: "mp3".to_owned(),
            metadata: item.text.clone(),
        })
        .collect();
    let odd = page.odd.iter().map(|odd| SetAside {
        raw: odd.raw.clone(),
        reason: REASON.to_owned(),
        id: odd.n.map(id),
    });
    let page = Page {
        recordings: &recordings,
        set_aside: &odd.collect::<Vec<_>>(),
        seen_at: time(page.seen_at),
        touch_before: time(page.touch_before),
    };
    let outcome = catalog.upsert_page(&workspace(space), page).await?;
    let UpsertCounts {
        new,
        changed,
        unchanged,
        set_aside,
    } = outcome.counts;
    Ok(Answer::Page((
        [new, changed, unchanged, set_aside],
        outcome.claimable.iter().map(number).collect(),
    )))
}

fn taken(claims: Vec<Claim>) -> (Answer, Vec<Claim>) {
    (Answer::Taken(claims.iter().map(key_of).collect()), claims)
}

fn retried(report: &RetryReport) -> Answer {
    let numbers = |ids: &[RecordingId]| ids.iter().map(number).collect();
    Answer::Retry {
        retried: report.retried,
        archived: numbers(&report.already_archived),
        unknown: numbers(&report.not_known),
        untouched: numbers(&report.untouched),
    }
}

pub(super) fn report(walk: &Walked) -> WalkReport {
    WalkReport {
        kind: if walk.full { WalkKind::Full } else { WalkKind::Poll },
        started_at: time(walk.started_at),
        finished_at: time(walk.finished_at),
        asked_at: time(walk.asked_at),
        since: None,
        outcome: match walk.outcome {
            "complete" => WalkOutcome::Complete,
            "stopped" => WalkOutcome::Stopped,
            other => WalkOutcome::Failed(other.trim_start_matches("failed: ").to_owned()),
        },
        listed: walk.listed,
        pages: 1,
        changes: UpsertCounts::default(),
    }
}

/// How a claim ends, in the catalog's words.
pub(super) fn claim_end(claim: &Claim, end: &End) -> ClaimEnd {
    match end.clone() {
        End::Stored(body) => ClaimEnd::Completed(StoredObject {
            key: StoreKey::new(&claim.recording, claim.history.created_at, Format::Mp3),
            size_bytes: body.size_bytes,
            sha256: Sha256Digest(body.sha256),
            content_type: Some("audio/mpeg".to_owned()),
            etag: None,
            archived_at: time(body.archived_at),
            remark: body.remark,
            earlier: None,
        }),
        End::Failed {
            attempts,
            spent,
            not_before,
        } => ClaimEnd::Failed {
            reason: "failed".to_owned(),
            attempts,
            spent,
            not_before: time(not_before),
        },
        End::Gone { attempts, not_before } => ClaimEnd::Gone {
            reason: "gone".to_owned(),
            attempts,
            not_before: time(not_before),
        },
        End::GivenBack { why, not_before } => ClaimEnd::Released {
            reason: why,
            not_before: not_before.map(time),
        },
    }
}

/// The body that a claim ends with when it is stored now.
pub(super) fn body_of(claim: &Claim, now: i64, size_bytes: u64) -> Body {
    let at = claim.history.created_at.civil();
    let (year, month, day, hour, minute, second) = at;
    let (name, id) = (&claim.recording.workspace, claim.recording.id);
    Body {
        path: format!(
            "recordings/{name}/{year:04}/{month:02}/{day:02}/\
             {year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z_{id}.mp3"
        ),
        size_bytes,
        sha256: [u8::try_from(size_bytes % 251).unwrap_or(0); 32],
        archived_at: now,
        remark: size_bytes.is_multiple_of(2).then(|| "shorter than stated".to_owned()),
    }
}

impl Model {
    /// What the call must do. Which of several that are due are taken is the catalog's choice within its rules:
    /// `taken` is what it chose.
    pub(super) fn apply(&mut self, call: &Call, now: i64, taken: &[Key]) -> Result<Answer> {
        Ok(match call {
            Call::Page(space, page) => Answer::Page(self.spaces[*space].list(page, now)),
            Call::Finish(space, walk) => {
                self.spaces[*space].finish(walk);
                Answer::Nothing
            }
            Call::NoteDeleted(space, n) => {
                self.spaces[*space].note_deleted(*n, "deleted");
                Answer::Nothing
            }
            Call::Claim(wanted) => {
                let mut done = Vec::new();
                for key in wanted {
                    let due = self.state(*key) == Some(birdkeep::domain::state::State::Due);
                    if due && self.spaces[key.0].may_be_taken(key.1, now) {
                        self.spaces[key.0].take(key.1);
                        done.push(*key);
                    }
                }
                Answer::Taken(done)
            }
            Call::ClaimDue(limit) => {
                self.may_choose(*limit, taken, now)?;
                for (space, n) in taken {
                    self.spaces[*space].take(*n);
                }
                Answer::Taken(taken.to_vec())
            }
            Call::Settle(ends) => {
                for ((space, n), end) in ends {
                    self.spaces[*space].end(*n, end);
                }
                Answer::Nothing
            }
            Call::Retry(numbers, space) => self.retry(numbers, *space, now),
            Call::RetryAll(space) => {
                let chosen = self
                    .spaces
                    .iter_mut()
                    .enumerate()
                    .filter(|(at, _)| space.is_none_or(|space| space == *at));
                let mut retried = 0;
                for (_, space) in chosen {
                    let all: Vec<u8> = space.rows.keys().copied().collect();
                    retried += all.into_iter().filter(|n| space.retry(*n, now) == Some(true)).count() as u64;
                }
                Answer::Retry {
                    retried,
                    archived: Vec::new(),
                    unknown: Vec::new(),
                    untouched: Vec::new(),
                }
            }
            // Within a run nobody else's claims are there to be given back.
            Call::Reclaim => Answer::Number(0),
            Call::HealWaits => Answer::Number(
                self.spaces
                    .iter_mut()
                    .map(|space| space.heal_waits(now, LONGEST_WAIT))
                    .sum(),
            ),
        })
    }

    fn state(&self, (space, n): Key) -> Option<birdkeep::domain::state::State> {
        self.spaces[space].rows.get(&n).map(|row| row.state)
    }

    fn retry(&mut self, numbers: &[u8], only: Option<usize>, now: i64) -> Answer {
        use birdkeep::domain::state::State;
        let (mut retried, mut archived, mut unknown, mut untouched) = (0, Vec::new(), Vec::new(), Vec::new());
        for (at, n) in numbers.iter().enumerate() {
            if numbers[..at].contains(n) {
                continue;
            }
            let spaces = (0..2).filter(|space| only.is_none_or(|only| only == *space));
            let did: Vec<(bool, Option<State>)> = spaces
                .filter_map(|space| Some((self.spaces[space].retry(*n, now)?, self.state((space, *n)))))
                .collect();
            let hits = did.iter().filter(|(hit, _)| *hit).count() as u64;
            retried += hits;
            let left = |did: &(bool, Option<State>)| !did.0 && did.1 != Some(State::Archived);
            match () {
                () if did.is_empty() => unknown.push(*n),
                () if hits > 0 => {}
                () if did.iter().any(left) => untouched.push(*n),
                () => archived.push(*n),
            }
        }
        Answer::Retry {
            retried,
            archived,
            unknown,
            untouched,
        }
    }

    /// As many as there are up to the limit; of each workspace those that may be fetched the longest and then those
    /// created first; and no workspace gets more than its share while another has something left.
    fn may_choose(&self, limit: u32, taken: &[Key], now: i64) -> Result<()> {
        let may = |space: usize| {
            let rows = self.spaces[space].rows.iter();
            let fit: BTreeMap<u8, (i64, i64)> = rows
                .filter(|(n, _)| self.spaces[space].may_be_taken(**n, now))
                .map(|(n, row)| (*n, (row.not_before, row.created_at)))
                .collect();
            fit
        };
        let all = [may(0), may(1)];
        let wanted = (all[0].len() + all[1].len()).min(limit as usize);
        ensure!(taken.len() == wanted, "{taken:?} were taken, of {all:?} up to {limit}");
        ensure!(
            taken.iter().all(|(space, n)| all[*space].contains_key(n)),
            "{taken:?} were taken, of {all:?}"
        );
        let counts = [0, 1].map(|space| taken.iter().filter(|key| key.0 == space).count());
        for (space, fit) in all.iter().enumerate() {
            let last = taken.iter().filter(|key| key.0 == space).map(|key| fit[&key.1]).max();
            let left = fit.iter().filter(|(n, _)| !taken.contains(&(space, **n)));
            ensure!(
                left.clone().all(|(_, order)| Some(*order) >= last),
                "{taken:?} were taken before others of {fit:?}"
            );
            let others = counts[1 - space];
            ensure!(
                left.count() == 0 || counts[space] + 1 >= others,
                "{taken:?} are not shared fairly, of {all:?}"
            );
        }
        Ok(())
    }
}

/// A time as a number.
pub(super) const fn micros(at: Timestamp) -> i64 {
    at.as_microseconds()
}
