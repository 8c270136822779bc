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
use crate::catalog::RecordingDetail;
use crate::catalog::RepairEntry;
use crate::config::Config;
use crate::domain::clock::Timestamp;
use crate::domain::finding::Finding;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::domain::recording::MetadataVersion;
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
    verified_at: Option<Timestamp>,
    finding: Option<ShownFinding<'a>>,
    repairs: Vec<ShownRepair<'a>>,
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

#[derive(Serialize)]
struct ShownFinding<'a> {
    kind: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
struct ShownRepair<'a> {
    begun_at: Timestamp,
    finished_at: Option<Timestamp>,
    #[serde(flatten)]
    finding: ShownFinding<'a>,
    path: &'a str,
    size_bytes: u64,
    sha256: String,
    kept_path: &'a str,
}

impl<'a> ShownFinding<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            kind: finding.kind.as_str(),
            detail: &finding.detail,
        }
    }
}

impl<'a> ShownRepair<'a> {
    fn new(repair: &'a RepairEntry) -> Self {
        Self {
            begun_at: repair.begun_at,
            finished_at: repair.finished_at,
            finding: ShownFinding::new(&repair.finding),
            path: &repair.path,
            size_bytes: repair.size_bytes,
            sha256: repair.sha256.to_string(),
            kept_path: &repair.kept_path,
        }
    }
}

fn print_json(detail: &RecordingDetail, repairs: &[&RepairEntry]) -> Result<()> {
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
        verified_at: detail.verified_at,
        finding: detail.finding.as_ref().map(ShownFinding::new),
        repairs: repairs.iter().map(|repair| ShownRepair::new(repair)).collect(),
        attempts: row.attempts,
        last_error: row.last_error.as_deref(),
        not_before: detail.not_before,
        first_seen_at: detail.first_seen_at,
        last_seen_at: detail.last_seen_at,
        metadata: raw(&detail.metadata),
        metadata_versions: detail.metadata_versions.iter().map(version).collect(),
    })
}
