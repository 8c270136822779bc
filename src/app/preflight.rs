//! The preflight: everything that a pass needs, tried for real and left as it was.
//!
//! Must not know: how findings are shown.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::build::api_options;
use super::build::fetcher_options;
use super::build::workspace_apis;
use crate::api::Api;
use crate::api::ApiErrorKind;
use crate::api::Item;
use crate::api::ListQuery;
use crate::api::Listed;
use crate::api::WorkspaceApi;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::explain::chain;
use crate::domain::recording::StatusClass;
use crate::fetcher::first_byte;
use crate::store::Store;

/// The clock offset from which on the operator should be told, in seconds.
const TELLING_OFFSET_SECONDS: f64 = 30.0;

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and should be looked at.
    Warn,
    /// A pass cannot do its work like this.
    Fail,
}

/// One thing that was tried.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How good it is.
    pub level: Level,
    /// What was tried.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What to do about it; empty where nothing needs doing.
    pub remedy: String,
}

impl Finding {
    fn ok(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            subject: subject.into(),
            found: found.into(),
            remedy: String::new(),
        }
    }

    fn warn(subject: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            subject: subject.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    fn fail(subject: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            subject: subject.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }
}

/// Tries everything, giving each finding to `tell` as soon as it is made.
///
/// # Errors
/// TLS cannot be set up.
pub async fn preflight(
    config: &Config,
    warnings: &[String],
    clock: SharedClock,
    soft: &CancellationToken,
    mut tell: impl FnMut(Finding),
) -> anyhow::Result<()> {
    tell(Finding::ok(
        "configuration",
        format!("{} workspace(s)", config.workspaces.len()),
    ));
    for warning in warnings {
        tell(Finding::warn("configuration", warning, ""));
    }
    archive(config, &mut tell).await;
    let api = Api::new(api_options(config), clock, Arc::default())?;
    let workspaces = workspace_apis(config, &api);
    for workspace in &config.workspaces {
        if soft.is_cancelled() {
            break;
        }
        if let Some(api) = workspaces.get(&workspace.name) {
            check_workspace(api, config, &mut tell).await;
        }
    }
    tell(match api.clock().offset_seconds() {
        None => Finding::warn("clock", "the API sent no time to compare with", ""),
        Some(offset) if offset.abs() >= TELLING_OFFSET_SECONDS => Finding::warn(
            "clock",
            format!(
                "this machine is {:.0} s {} upstream",
                offset.abs(),
                if offset > 0.0 { "behind" } else { "ahead of" }
            ),
            "links are judged by upstream's clock, so nothing is lost; set this machine's clock (NTP)",
        ),
        Some(offset) => Finding::ok("clock", format!("within {:.1} s of upstream", offset.abs())),
    });
    Ok(())
}

async fn archive(config: &Config, tell: &mut impl FnMut(Finding)) {
    let dir = config.archive.dir.clone();
    let shown = dir.display().to_string();
    if !dir.exists() {
        tell(match &config.archive.id {
            Some(id) => Finding::fail(
                "archive",
                format!("{shown} does not exist, and the configuration expects archive {id} there"),
                "mount the volume",
            ),
            None => Finding::warn(
                "archive",
                format!("{shown} does not exist yet"),
                "it is made at the first run",
            ),
        });
        return;
    }
    let probe = dir.clone();
    let probed = tokio::task::spawn_blocking(move || Store::try_place(&probe)).await;
    tell(match probed {
        Ok(Ok(Some(remark))) => Finding::warn("archive", format!("{shown}: usable; {remark}"), ""),
        Ok(Ok(None)) => Finding::ok("archive", format!("{shown}: write, sync, rename and remove work")),
        Ok(Err(error)) => Finding::fail("archive", chain(&error), "give this user the directory, mode 0700"),
        Err(error) => Finding::fail("archive", error.to_string(), ""),
    });
    let looked = tokio::task::spawn_blocking(move || Store::look(&dir)).await;
    let Ok(Ok(glance)) = looked else {
        if let Ok(Err(error)) = looked {
            tell(Finding::fail(
                "archive",
                chain(&error),
                "see the README, \"Is everything there?\"",
            ));
        }
        return;
    };
    if let Some(expected) = &config.archive.id
        && glance.id.as_ref() != Some(expected)
    {
        tell(Finding::fail(
            "archive id",
            format!(
                "expected {expected}, found {}",
                glance.id.as_deref().unwrap_or("no marker")
            ),
            "mount the right volume, or correct archive.id",
        ));
    }
    let (free, reserve) = (
        bytesize::ByteSize(glance.free_bytes),
        bytesize::ByteSize(config.archive.min_free_bytes),
    );
    tell(if free <= reserve {
        Finding::fail(
            "free space",
            format!("{free}, the reserve is {reserve}"),
            "make room or lower archive.min_free",
        )
    } else {
        Finding::ok("free space", format!("{free}, the reserve is {reserve}"))
    });
}

async fn check_workspace(api: &WorkspaceApi, config: &Config, tell: &mut impl FnMut(Finding)) {
    let subject = |what: &str| format!("{}: {what}", api.name());
    let begun = Instant::now();
    let page = match api.list_page(ListQuery::default(), None).await {
        Ok(page) => page,
        Err(error) => {
            let remedy = match error.kind {
                ApiErrorKind::Denied => "check the key, and that its role allows View on /workspaces/<id>/recordings",
                ApiErrorKind::NotFound => "check the workspace id",
                _ => "check api.base_url and the network",
            };
            tell(Finding::fail(subject("list"), error.to_string(), remedy));
            return;
        }
    };
    let set_aside = page
        .items
        .iter()
        .filter(|item| matches!(item, Item::SetAside(_)))
        .count();
    tell(Finding::ok(
        subject("list"),
        format!("{} item(s) in {}", page.items.len(), ms(begun.elapsed())),
    ));
    if set_aside > 0 {
        tell(Finding::warn(
            subject("list"),
            format!("{set_aside} item(s) of the first page are not understood"),
            "birdkeep status counts them; please report their shape",
        ));
    }
    let available = page.items.into_iter().find_map(|item| match item {
        Item::Understood(listed) if listed.recording.status.class() == StatusClass::Available => Some(listed),
        _ => None,
    });
    match available {
        None => tell(Finding::warn(
            subject("media"),
            "the first page has no available recording to try",
            "run the check again when there is one",
        )),
        Some(listed) => check_media(api, config, *listed, tell).await,
    }
}

async fn check_media(api: &WorkspaceApi, config: &Config, listed: Listed, tell: &mut impl FnMut(Finding)) {
    let subject = |what: &str| format!("{}: {what}", api.name());
    let begun = Instant::now();
    let ticket = match api.recording(listed.recording.id).await {
        Ok(fresh) => {
            tell(Finding::ok(
                subject("item"),
                format!("a fresh link in {}", ms(begun.elapsed())),
            ));
            fresh.ticket.or(listed.ticket)
        }
        Err(error) => {
            tell(Finding::fail(
                subject("item"),
                error.to_string(),
                "the key's role must allow View on /workspaces/<id>/recordings/*",
            ));
            listed.ticket
        }
    };
    let Some(ticket) = ticket else {
        tell(Finding::fail(subject("media"), "upstream gives no link", ""));
        return;
    };
    tell(match first_byte(&fetcher_options(config), &ticket).await {
        Ok(elapsed) => Finding::ok(subject("media"), format!("first byte after {}", ms(elapsed))),
        Err(error) => Finding::fail(
            subject("media"),
            error.to_string(),
            "check download.allowed_hosts and that this machine may reach the media host",
        ),
    });
}

fn ms(elapsed: Duration) -> String {
    format!("{} ms", elapsed.as_millis())
}
