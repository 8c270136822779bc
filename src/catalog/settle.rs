//! How claims end: many in one transaction, so that a flush of the disk is shared.
//!
//! Must not know: why a claim ended the way it did.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::claims::Claim;
use super::error::CatalogError;
use super::history;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::count_column;
use super::rows::not_before_column;
use super::rows::rows_parameter;
use crate::domain::clock::Timestamp;
use crate::domain::recording::Status;
use crate::domain::recording::StatusClass;
use crate::domain::report::StoredObject;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

pub(super) const OPERATION: &str = "settle claims";

/// How a claim ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once a recording, and most recordings end as the large one"
)]
pub enum ClaimEnd {
    /// The body is stored, synced and under its name.
    Completed(StoredObject),
    /// The fetch failed and counts.
    Failed {
        /// Why, without secrets.
        reason: String,
        /// The attempts so far, this one included.
        attempts: u32,
        /// Whether no attempts are left.
        spent: bool,
        /// Left alone until then.
        not_before: Timestamp,
    },
    /// Upstream has no media.
    Gone {
        /// How that was learnt, without secrets.
        reason: String,
        /// The attempts so far, this one included.
        attempts: u32,
        /// Left alone until then, should upstream list it as available all the same.
        not_before: Timestamp,
    },
    /// Given back without a result; no attempt is counted.
    Released {
        /// Why, without secrets; the earlier reason stays where there is none.
        reason: Option<String>,
        /// Left alone until then; as before where there is none.
        not_before: Option<Timestamp>,
    },
}

impl Catalog {
    /// Ends claims, all of them or, on an error, none.
    ///
    /// # Errors
    /// [`CatalogError::LostClaim`] where a row is not claimed by this run any more, or what SQLite says. The claims are
    /// still held by the caller and may be settled again.
    pub async fn settle(&self, ends: &[(Claim, ClaimEnd)]) -> Result<(), CatalogError> {
        if ends.is_empty() {
            return Ok(());
        }
        let seqs = rows_parameter(&ends.iter().map(|(claim, _)| claim.seq).collect::<Vec<_>>());
        let (mut completed, mut unfinished) = (Vec::new(), Vec::new());
        let now = self.clock.now().as_microseconds();
        let mut tx = self.begin_small(OPERATION).await?;
        let mut all_held = held(&mut tx, &seqs, self.run_id).await?;
        for (claim, end) in ends {
            let state = all_held
                .remove(&claim.seq)
                .filter(|_| claim.run_id == self.run_id)
                .and_then(|held| after(Some(State::Claimed), held.event(end)))
                .ok_or_else(|| CatalogError::LostClaim {
                    recording: claim.recording.clone(),
                })?
                .as_str();
            match end {
                ClaimEnd::Completed(object) => completed.push(CompletedRow::new(claim, state, object)),
                _ => unfinished.push(UnfinishedRow::new(claim, state, end)),
            }
        }
        complete(&mut tx, &completed).await?;
        for (claim, end) in ends {
            if let ClaimEnd::Completed(StoredObject {
                earlier: Some(earlier), ..
            }) = end
            {
                history::import(&mut tx, claim.seq, earlier, now).await?;
            }
        }
        end_unfinished(&mut tx, &unfinished, OPERATION).await?;
        commit(tx, OPERATION).await
    }
}

/// What the end of a claim depends on.
pub(super) struct Held {
    /// The status it was last listed with, maybe after it was claimed.
    pub(super) listed: StatusClass,
    /// The state it was claimed from.
    pub(super) from: State,
}

impl Held {
    fn event(&self, end: &ClaimEnd) -> Event {
        match end {
            ClaimEnd::Completed(_) => Event::Completed,
            ClaimEnd::Failed { spent, .. } => Event::Failed {
                spent: *spent,
                listed: self.listed,
            },
            ClaimEnd::Gone { .. } => Event::FoundGone,
            ClaimEnd::Released { .. } => self.released(),
        }
    }

    /// The event of a claim given back: its attempts were spent before if it was claimed from `given_up`.
    pub(super) fn released(&self) -> Event {
        Event::Released {
            spent: self.from == State::GivenUp,
            listed: self.listed,
        }
    }
}

/// Those of the given rows that this run holds.
async fn held(connection: &mut SqliteConnection, seqs: &str, run_id: i64) -> Result<HashMap<i64, Held>, CatalogError> {
    let rows = sqlx::query!(
        r#"-- catalog.held
        SELECT r.seq AS "seq!: i64", r.status AS "status!: String", r.claimed_from AS "claimed_from!: String"
        FROM json_each(?1) AS wanted
        CROSS JOIN recordings AS r ON r.seq = wanted.value
        WHERE r.state = 'claimed' AND r.claimed_by = ?2"#,
        seqs,
        run_id
    )
    .fetch_all(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    rows.into_iter()
        .map(|row| {
            let listed = Status::from_upstream(&row.status).class();
            let from = Columns::of_recording(row.seq).state("claimed_from", &row.claimed_from)?;
            Ok((row.seq, Held { listed, from }))
        })
        .collect()
}

#[derive(serde::Serialize)]
struct CompletedRow<'a> {
    seq: i64,
    claimed_by: i64,
    state: &'static str,
    path: String,
    size_bytes: i64,
    sha256: String,
    content_type: Option<&'a str>,
    etag: Option<&'a str>,
    archived_at: i64,
    remark: Option<&'a str>,
    /// What the sidecar holds; `None` where it was there before, so that it is written again.
    revision: Option<i64>,
}

impl<'a> CompletedRow<'a> {
    fn new(claim: &Claim, state: &'static str, object: &'a StoredObject) -> Self {
        Self {
            seq: claim.seq,
            claimed_by: claim.run_id,
            state,
            path: object.key.to_string(),
            size_bytes: count_column(object.size_bytes),
            sha256: object.sha256.to_string(),
            content_type: object.content_type.as_deref(),
            etag: object.etag.as_deref(),
            archived_at: object.archived_at.as_microseconds(),
            remark: object.remark.as_deref(),
            revision: object.earlier.is_none().then_some(claim.revision),
        }
    }
}

async fn complete(connection: &mut SqliteConnection, rows: &[CompletedRow<'_>]) -> Result<(), CatalogError> {
    if rows.is_empty() {
        return Ok(());
    }
    let parameter = rows_parameter(rows);
    let done = sqlx::query!(
        "-- catalog.complete
        UPDATE recordings NOT INDEXED
        SET state = ended.value ->> 'state', claimed_by = NULL, claimed_from = NULL, last_error = NULL, not_before = 0,
            path = ended.value ->> 'path', size_bytes = ended.value ->> 'size_bytes',
            sha256 = unhex(ended.value ->> 'sha256'), content_type = ended.value ->> 'content_type',
            etag = ended.value ->> 'etag', archived_at = ended.value ->> 'archived_at',
            remark = ended.value ->> 'remark', verified_at = NULL,
            sidecar_revision = CASE
                WHEN NOT EXISTS (SELECT 1 FROM metadata_versions AS v WHERE v.seq = recordings.seq)
                THEN ended.value ->> 'revision' END
        FROM json_each(?1) AS ended
        WHERE recordings.seq = ended.value ->> 'seq' AND recordings.state = 'claimed'
            AND recordings.claimed_by = ended.value ->> 'claimed_by'",
        parameter
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    all_ended(done.rows_affected(), rows.len(), OPERATION)
}

/// What is written where no body was stored. What is `None` stays.
#[derive(serde::Serialize)]
pub(super) struct UnfinishedRow<'a> {
    seq: i64,
    claimed_by: i64,
    state: &'static str,
    reason: Option<&'a str>,
    attempts: Option<u32>,
    not_before: Option<i64>,
}

impl<'a> UnfinishedRow<'a> {
    /// A claim given back without a word.
    pub(super) const fn given_back(seq: i64, claimed_by: i64, state: &'static str) -> Self {
        Self {
            seq,
            claimed_by,
            state,
            reason: None,
            attempts: None,
            not_before: None,
        }
    }

    fn new(claim: &Claim, state: &'static str, end: &'a ClaimEnd) -> Self {
        let (reason, attempts, not_before) = match end {
            ClaimEnd::Completed(_) => (None, None, None),
            ClaimEnd::Failed {
                reason,
                attempts,
                not_before,
                ..
            }
            | ClaimEnd::Gone {
                reason,
                attempts,
                not_before,
            } => (Some(reason.as_str()), Some(*attempts), Some(*not_before)),
            ClaimEnd::Released { reason, not_before } => (reason.as_deref(), None, *not_before),
        };
        Self {
            reason,
            attempts,
            not_before: not_before.map(not_before_column),
            ..Self::given_back(claim.seq, claim.run_id, state)
        }
    }
}

/// Ends claims without a body.
pub(super) async fn end_unfinished(
    connection: &mut SqliteConnection,
    rows: &[UnfinishedRow<'_>],
    operation: &'static str,
) -> Result<(), CatalogError> {
    if rows.is_empty() {
        return Ok(());
    }
    let parameter = rows_parameter(rows);
    let done = sqlx::query!(
        "-- catalog.end_unfinished
        UPDATE recordings NOT INDEXED
        SET state = ended.value ->> 'state', claimed_by = NULL, claimed_from = NULL,
            last_error = coalesce(ended.value ->> 'reason', last_error),
            attempts = coalesce(ended.value ->> 'attempts', attempts),
            not_before = coalesce(ended.value ->> 'not_before', not_before)
        FROM json_each(?1) AS ended
        WHERE recordings.seq = ended.value ->> 'seq' AND recordings.state = 'claimed'
            AND recordings.claimed_by = ended.value ->> 'claimed_by'",
        parameter
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(operation))?;
    all_ended(done.rows_affected(), rows.len(), operation)
}

/// Each row was seen to be held in this very transaction, so that each must have been written.
fn all_ended(written: u64, wanted: usize, operation: &'static str) -> Result<(), CatalogError> {
    if u64::try_from(wanted) == Ok(written) {
        return Ok(());
    }
    Err(CatalogError::Sql {
        operation,
        source: sqlx::Error::RowNotFound,
    })
}
