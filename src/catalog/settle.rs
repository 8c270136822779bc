//! How claims end: many in one transaction, so that a flush of the disk is shared.
//!
//! Must not know: why a claim ended the way it did.

use sqlx::SqliteConnection;

use super::claims::Claim;
use super::error::CatalogError;
use super::open::Catalog;
use super::open::commit;
use super::rows::Columns;
use super::rows::count_column;
use super::rows::not_before_column;
use crate::domain::clock::Timestamp;
use crate::domain::recording::Status;
use crate::domain::recording::StatusClass;
use crate::domain::report::StoredObject;
use crate::domain::state::Event;
use crate::domain::state::State;
use crate::domain::state::after;

const OPERATION: &str = "settle claims";

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

/// What is written where no body was stored. What is `None` stays.
pub(super) struct Unfinished<'a> {
    pub(super) state: State,
    pub(super) reason: Option<&'a str>,
    pub(super) attempts: Option<u32>,
    pub(super) not_before: Option<Timestamp>,
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
        let mut tx = self.begin(OPERATION).await?;
        for (claim, end) in ends {
            let held = settle_one(&mut tx, claim, end).await?;
            if !held {
                return Err(CatalogError::LostClaim {
                    recording: claim.recording.clone(),
                });
            }
        }
        commit(tx, OPERATION).await
    }
}

/// Returns whether the claim was still held.
async fn settle_one(connection: &mut SqliteConnection, claim: &Claim, end: &ClaimEnd) -> Result<bool, CatalogError> {
    let Some(row) = sqlx::query!(
        r#"-- catalog.claimed_row
        SELECT status AS "status!: String", claimed_from AS "claimed_from!: String"
        FROM recordings WHERE seq = ?1 AND state = 'claimed' AND claimed_by = ?2"#,
        claim.seq,
        claim.run_id
    )
    .fetch_optional(&mut *connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?
    else {
        return Ok(false);
    };
    let listed = Status::from_upstream(&row.status).class();
    let event = match end {
        ClaimEnd::Completed(_) => Event::Completed,
        ClaimEnd::Failed { spent, .. } => Event::Failed { spent: *spent, listed },
        ClaimEnd::Gone { .. } => Event::FoundGone,
        ClaimEnd::Released { .. } => released(claim.seq, &row.claimed_from, listed)?,
    };
    let Some(state) = after(Some(State::Claimed), event) else {
        return Ok(false);
    };
    let unfinished = |reason, attempts, not_before| Unfinished {
        state,
        reason,
        attempts,
        not_before,
    };
    let unfinished = match end {
        ClaimEnd::Completed(object) => return complete(connection, claim, state, object).await,
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
        } => unfinished(Some(reason.as_str()), Some(*attempts), Some(*not_before)),
        ClaimEnd::Released { reason, not_before } => unfinished(reason.as_deref(), None, *not_before),
    };
    end_unfinished(connection, claim.seq, claim.run_id, &unfinished, OPERATION).await
}

/// The event of a claim given back: its attempts were spent before if it was claimed from `given_up`.
pub(super) fn released(seq: i64, claimed_from: &str, listed: StatusClass) -> Result<Event, CatalogError> {
    let from = Columns::of_recording(seq).state("claimed_from", claimed_from)?;
    Ok(Event::Released {
        spent: from == State::GivenUp,
        listed,
    })
}

async fn complete(
    connection: &mut SqliteConnection,
    claim: &Claim,
    state: State,
    object: &StoredObject,
) -> Result<bool, CatalogError> {
    let (state, path, size_bytes) = (state.as_str(), object.key.to_string(), count_column(object.size_bytes));
    let (sha256, archived_at) = (object.sha256.0.as_slice(), object.archived_at.as_microseconds());
    let done = sqlx::query!(
        "-- catalog.complete
        UPDATE recordings
        SET state = ?3, claimed_by = NULL, claimed_from = NULL, last_error = NULL, not_before = 0, path = ?4,
            size_bytes = ?5, sha256 = ?6, content_type = ?7, etag = ?8, archived_at = ?9, remark = ?10
        WHERE seq = ?1 AND state = 'claimed' AND claimed_by = ?2",
        claim.seq,
        claim.run_id,
        state,
        path,
        size_bytes,
        sha256,
        object.content_type,
        object.etag,
        archived_at,
        object.remark
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(OPERATION))?;
    Ok(done.rows_affected() == 1)
}

/// Ends a claim of the run `run_id` without a body. Returns whether it was held.
pub(super) async fn end_unfinished(
    connection: &mut SqliteConnection,
    seq: i64,
    run_id: i64,
    end: &Unfinished<'_>,
    operation: &'static str,
) -> Result<bool, CatalogError> {
    let (state, not_before) = (end.state.as_str(), end.not_before.map(not_before_column));
    let done = sqlx::query!(
        "-- catalog.end_unfinished
        UPDATE recordings
        SET state = ?3, claimed_by = NULL, claimed_from = NULL, last_error = coalesce(?4, last_error),
            attempts = coalesce(?5, attempts), not_before = coalesce(?6, not_before)
        WHERE seq = ?1 AND state = 'claimed' AND claimed_by = ?2",
        seq,
        run_id,
        state,
        end.reason,
        end.attempts,
        not_before
    )
    .execute(connection)
    .await
    .map_err(CatalogError::sql(operation))?;
    Ok(done.rows_affected() == 1)
}
