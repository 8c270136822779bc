//! `birdkeep show ID`: one recording, all that is known.

use anyhow::Context;
use anyhow::Result;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Outcome;
use super::ReportFormat;
use super::output;
use super::output::or_dash;
use crate::app::ArchiveView;
use crate::catalog::MetadataVersion;
use crate::catalog::RecordingDetail;
use crate::config::Config;
use crate::domain::clock::Timestamp;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::redact::one_line;

pub(super) async fn run(
    config: &Config,
    selected: &[WorkspaceName],
    id: RecordingId,
    format: ReportFormat,
) -> Result<Outcome> {
    let view = ArchiveView::open(config).await?;
    let mut found = view.reader.show(&id).await.context("cannot read the catalog")?;
    if !selected.is_empty() {
        found.retain(|detail| selected.contains(&detail.row.workspace));
    }
    if found.is_empty() {
        output::complain(&format!(
            "no recording {id} is known; it may not have been listed yet (birdkeep status)"
        ));
        return Ok(Outcome::Failed);
    }
    for detail in &found {
        match format {
            ReportFormat::Json => print_json(detail)?,
            ReportFormat::Table => print(&view, detail)?,
        }
    }
    Ok(Outcome::Well)
}

fn print(view: &ArchiveView, detail: &RecordingDetail) -> Result<()> {
    let row = &detail.row;
    let lines = [
        ("workspace", row.workspace.to_string()),
        ("id", row.id.to_string()),
        ("state", row.state.to_string()),
        ("status upstream", row.status.clone()),
        ("created", row.created_at.to_string()),
        ("direction", or_dash(row.direction.as_deref())),
        ("from", or_dash(row.from.as_deref())),
        ("to", or_dash(row.to.as_deref())),
        (
            "duration",
            row.duration_seconds
                .map_or_else(|| "-".to_owned(), |seconds| format!("{seconds} s")),
        ),
        ("format", detail.format.clone()),
        (
            "file",
            row.path
                .as_ref()
                .map_or_else(|| "-".to_owned(), |path| view.dir.join(path).display().to_string()),
        ),
        (
            "size",
            row.size_bytes
                .map_or_else(|| "-".to_owned(), |size| format!("{size} bytes")),
        ),
        ("sha256", or_dash(row.sha256)),
        ("content type", or_dash(detail.content_type.as_deref())),
        ("etag", or_dash(detail.etag.as_deref())),
        ("archived", or_dash(row.archived_at)),
        ("remark", or_dash(detail.remark.as_deref())),
        ("attempts", row.attempts.to_string()),
        ("last error", or_dash(row.last_error.as_deref())),
        ("not before", or_dash(detail.not_before)),
        ("first seen", detail.first_seen_at.to_string()),
        ("last seen", detail.last_seen_at.to_string()),
        ("metadata", detail.metadata.clone()),
    ];
    for (name, value) in lines {
        output::line(&format!("{name:<16} {}", one_line(&value, usize::MAX)))?;
    }
    for version in &detail.metadata_versions {
        let until = version.superseded_at;
        output::line(&format!(
            "{:<16} {}",
            format!("until {until}"),
            one_line(&version.metadata, usize::MAX)
        ))?;
    }
    Ok(())
}

/// What `show --format json` prints. Upstream's own text goes out as it came in: not every number or text that JSON
/// can spell has a value here.
#[derive(Serialize)]
struct Shown<'a> {
    workspace: &'a str,
    id: String,
    state: &'a str,
    status: &'a str,
    created_at: Timestamp,
    direction: Option<&'a str>,
    from: Option<&'a str>,
    to: Option<&'a str>,
    duration_seconds: Option<i64>,
    format: &'a str,
    path: Option<&'a str>,
    size_bytes: Option<u64>,
    sha256: Option<String>,
    content_type: Option<&'a str>,
    etag: Option<&'a str>,
    archived_at: Option<Timestamp>,
    remark: Option<&'a str>,
    attempts: u32,
    last_error: Option<&'a str>,
    not_before: Option<Timestamp>,
    first_seen_at: Timestamp,
    last_seen_at: Timestamp,
    metadata: Option<Box<RawValue>>,
    metadata_versions: Vec<ShownVersion>,
}

#[derive(Serialize)]
struct ShownVersion {
    superseded_at: Timestamp,
    metadata: Option<Box<RawValue>>,
}

fn print_json(detail: &RecordingDetail) -> Result<()> {
    let row = &detail.row;
    let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
    let version = |version: &MetadataVersion| ShownVersion {
        superseded_at: version.superseded_at,
        metadata: raw(&version.metadata),
    };
    output::json(&Shown {
        workspace: row.workspace.as_str(),
        id: row.id.to_string(),
        state: row.state.as_str(),
        status: &row.status,
        created_at: row.created_at,
        direction: row.direction.as_deref(),
        from: row.from.as_deref(),
        to: row.to.as_deref(),
        duration_seconds: row.duration_seconds,
        format: &detail.format,
        path: row.path.as_deref(),
        size_bytes: row.size_bytes,
        sha256: row.sha256.map(|digest| digest.to_string()),
        content_type: detail.content_type.as_deref(),
        etag: detail.etag.as_deref(),
        archived_at: row.archived_at,
        remark: detail.remark.as_deref(),
        attempts: row.attempts,
        last_error: row.last_error.as_deref(),
        not_before: detail.not_before,
        first_seen_at: detail.first_seen_at,
        last_seen_at: detail.last_seen_at,
        metadata: raw(&detail.metadata),
        metadata_versions: detail.metadata_versions.iter().map(version).collect(),
    })
}
