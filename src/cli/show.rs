//! `birdkeep show ID`: one recording, all that is known.

use anyhow::Context;
use anyhow::Result;
use serde_json::json;
use serde_json::value::RawValue;

use super::Outcome;
use super::ReportFormat;
use super::output;
use super::output::or_dash;
use crate::app::ArchiveView;
use crate::catalog::RecordingDetail;
use crate::catalog::RepairEntry;
use crate::config::Config;
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
    let repairs = view.reader.repairs_of(&id).await.context("cannot read the catalog")?;
    for detail in &found {
        let of_it: Vec<&RepairEntry> = repairs
            .iter()
            .filter(|(workspace, _)| *workspace == detail.row.workspace)
            .map(|(_, repair)| repair)
            .collect();
        match format {
            ReportFormat::Json => print_json(detail, &of_it)?,
            ReportFormat::Table => print(&view, detail, &of_it)?,
        }
    }
    Ok(Outcome::Well)
}

fn print(view: &ArchiveView, detail: &RecordingDetail, repairs: &[&RepairEntry]) -> Result<()> {
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
        ("last re-read", or_dash(detail.verified_at)),
        ("found wrong", or_dash(detail.finding.as_ref())),
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
    for repair in repairs {
        let text = format!("{}; what stood there is kept in {}", repair.finding, repair.kept_path);
        let line = format!(
            "{:<16} {}",
            format!("repaired {}", repair.begun_at),
            one_line(&text, usize::MAX)
        );
        output::line(&line)?;
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

fn print_json(detail: &RecordingDetail, repairs: &[&RepairEntry]) -> Result<()> {
    let row = &detail.row;
    let raw = |text: &str| RawValue::from_string(text.to_owned()).ok();
    let versions: Vec<_> = detail
        .metadata_versions
        .iter()
        .map(|version| json!({"superseded_at": version.superseded_at, "metadata": raw(&version.metadata)}))
        .collect();
    let repairs: Vec<_> = repairs
        .iter()
        .map(|repair| {
            json!({
                "begun_at": repair.begun_at,
                "finished_at": repair.finished_at,
                "kind": repair.finding.kind.as_str(),
                "detail": repair.finding.detail,
                "path": repair.path,
                "size_bytes": repair.size_bytes,
                "sha256": repair.sha256.to_string(),
                "kept_path": repair.kept_path,
            })
        })
        .collect();
    output::json(&json!({
        "workspace": row.workspace.as_str(),
        "id": row.id.to_string(),
        "state": row.state.as_str(),
        "status": row.status,
        "created_at": row.created_at,
        "direction": row.direction,
        "from": row.from,
        "to": row.to,
        "duration_seconds": row.duration_seconds,
        "format": detail.format,
        "path": row.path,
        "size_bytes": row.size_bytes,
        "sha256": row.sha256.map(|digest| digest.to_string()),
        "content_type": detail.content_type,
        "etag": detail.etag,
        "archived_at": row.archived_at,
        "remark": detail.remark,
        "verified_at": detail.verified_at,
        "finding": detail.finding.as_ref().map(|finding| json!({"kind": finding.kind.as_str(), "detail": finding.detail})),
        "repairs": repairs,
        "attempts": row.attempts,
        "last_error": row.last_error,
        "not_before": detail.not_before,
        "first_seen_at": detail.first_seen_at,
        "last_seen_at": detail.last_seen_at,
        "metadata": raw(&detail.metadata),
        "metadata_versions": versions,
    }))
}
