//! Bird as each workspace's key sees it: what it may view, what it may do beyond that, how long answers take, what time it
//! is there, and one byte of a body.
//!
//! Must not know: the archive.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::build::api_options;
use super::super::build::fetcher_options;
use super::super::build::workspace_apis;
use super::Finding;
use super::PreflightOptions;
use super::Tell;
use crate::api::Api;
use crate::api::ApiError;
use crate::api::ApiErrorKind;
use crate::api::ApiOptions;
use crate::api::Item;
use crate::api::Lane;
use crate::api::ListQuery;
use crate::api::Listed;
use crate::api::Right;
use crate::api::WorkspaceApi;
use crate::config::Config;
use crate::domain::clock::SharedClock;
use crate::domain::ids::RecordingId;
use crate::domain::recording::StatusClass;
use crate::fetcher::first_byte;

/// The clock offset from which on the operator should be told, in seconds.
const TELLING_OFFSET_SECONDS: f64 = 30.0;

/// How many workspaces are looked at at the same time.
const AT_ONCE: usize = 8;

/// Looks at every workspace, until `soft`, several at a time: an API that does not answer holds up all of them no longer
/// than one. Their findings come in the configuration's order.
pub(super) async fn look(
    config: &Config,
    options: PreflightOptions,
    clock: SharedClock,
    soft: &CancellationToken,
    tell: Tell<'_>,
) -> anyhow::Result<()> {
    // Whoever waits in front of a terminal wants to know what went wrong, and not that it did so four times.
    let once = ApiOptions {
        tries_again: false,
        ..api_options(config)
    };
    let api = Api::new(once, clock, Arc::default())?;
    let workspaces = workspace_apis(config, &api);
    let looks = config.workspaces.iter().filter_map(|workspace| {
        let api = workspaces.get(&workspace.name)?;
        Some(async move {
            let mut found = Vec::new();
            look_at(api, config, options, &mut |finding: Finding| {
                found.push(finding.of(&workspace.name));
            })
            .await;
            found
        })
    });
    let mut looks = stream::iter(looks).buffered(AT_ONCE);
    loop {
        tokio::select! {
            biased;
            () = soft.cancelled() => {
                tell(Finding::fail("list", "interrupted: not every workspace was looked at", "run the check again"));
                return Ok(());
            }
            found = looks.next() => match found {
                Some(found) => found.into_iter().for_each(&mut *tell),
                None => break,
            },
        }
    }
    tell(offset(api.clock().offset_seconds()));
    Ok(())
}

fn offset(seconds: Option<f64>) -> Finding {
    match seconds {
        None => Finding::warn(
            "clock",
            "the API sent no time to compare with",
            "run the check again when the API answers; until then keep this machine's clock right (NTP)",
        ),
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
    }
}

async fn look_at(api: &WorkspaceApi, config: &Config, options: PreflightOptions, tell: Tell<'_>) {
    let begun = Instant::now();
    let asked = within(config, api.list_page(ListQuery::default(), None)).await;
    let page = match asked {
        Ok(page) => page,
        Err(error) => {
            let remedy = match error.kind {
                ApiErrorKind::Denied => {
                    "check the key, and that its role allows View on /workspaces/<id>/recordings (docs/bird-access.md)"
                }
                ApiErrorKind::NotFound => "check the workspace id",
                _ => "check api.base_url and the network",
            };
            tell(Finding::fail("list", error.to_string(), remedy));
            return;
        }
    };
    let set_aside = page
        .items
        .iter()
        .filter(|item| matches!(item, Item::SetAside(_)))
        .count();
    let listed = format!("View is allowed; {} item(s) in", page.items.len());
    tell(timed(
        "list",
        &listed,
        begun.elapsed(),
        config.api.timeout,
        "api.timeout",
    ));
    if set_aside > 0 {
        tell(Finding::warn(
            "list",
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
            "media",
            "the first page has no available recording to try",
            "run the check again when there is one",
        )),
        Some(listed) => look_at_media(api, config, *listed, tell).await,
    }
    look_at_rights(api, config, options, tell).await;
}

/// What an API says within `api.timeout`, the wait for its pace included.
async fn within<T>(config: &Config, asked: impl Future<Output = Result<T, ApiError>>) -> Result<T, ApiError> {
    let patience = config.api.timeout;
    tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| {
        Err(ApiError {
            kind: ApiErrorKind::Unavailable,
            what: unanswered(patience),
        })
    })
}

/// As [`within`], of a right: an answer before may have asked to wait for an hour.
async fn right_within(config: &Config, asked: impl Future<Output = Right>) -> Right {
    let patience = config.api.timeout;
    let right = tokio::time::timeout(patience, asked).await;
    right.unwrap_or_else(|_| Right::Unknown(unanswered(patience)))
}

fn unanswered(patience: Duration) -> String {
    format!("no answer within {patience:?} (api.timeout)")
}

async fn look_at_media(api: &WorkspaceApi, config: &Config, listed: Listed, tell: Tell<'_>) {
    let begun = Instant::now();
    let ticket = match within(config, api.recording(listed.recording.id, Lane::Backlog)).await {
        Ok(fresh) => {
            let told = "View is allowed; a fresh link in";
            tell(timed("item", told, begun.elapsed(), config.api.timeout, "api.timeout"));
            fresh.ticket.or(listed.ticket)
        }
        Err(error) => {
            let remedy = match error.kind {
                ApiErrorKind::Denied => {
                    "the key's role must allow View on /workspaces/<id>/recordings/* (docs/bird-access.md)"
                }
                ApiErrorKind::NotFound => "run the check again: the recording may have been deleted meanwhile",
                _ => "check api.base_url and the network",
            };
            tell(Finding::fail("item", error.to_string(), remedy));
            listed.ticket
        }
    };
    let Some(ticket) = ticket else {
        let remedy = "ask Bird: a recording that is available should come with a link";
        tell(Finding::fail("media", "upstream gives no link", remedy));
        return;
    };
    tell(match first_byte(&fetcher_options(config), &ticket).await {
        Ok(elapsed) => {
            let (told, limit) = ("first byte after", config.download.stall_timeout);
            timed("media", told, elapsed, limit, "download.stall_timeout")
        }
        Err(error) => Finding::fail(
            "media",
            error.to_string(),
            "check download.allowed_hosts and that this machine may reach the media host",
        ),
    });
}

async fn look_at_rights(api: &WorkspaceApi, config: &Config, options: PreflightOptions, tell: Tell<'_>) {
    tell(Finding::ok(
        "metrics right",
        match right_within(config, api.may_view_metrics()).await {
            Right::Allowed => "View on recording-metrics is allowed; only `birdkeep report` uses it".to_owned(),
            Right::Denied => {
                "View on recording-metrics is not allowed, and only `birdkeep report` would use it".to_owned()
            }
            Right::Unknown(why) => format!("not known: {why}; only `birdkeep report` uses it"),
        },
    ));
    if !options.delete_probe {
        tell(Finding::ok("delete right", "not tried (--no-delete-probe)"));
        return;
    }
    let nobody = RecordingId::from_bytes(random_id());
    tell(match right_within(config, api.may_delete(nobody)).await {
        Right::Denied => Finding::ok("delete right", "not allowed, and not needed"),
        Right::Allowed => Finding::warn(
            "delete right",
            "the key may delete recordings at Bird, which birdkeep never does",
            "give it a role without Delete (docs/bird-access.md)",
        ),
        Right::Unknown(why) => Finding::ok("delete right", format!("not known: {why}")),
    });
}

/// The bytes of a random UUID (version 4, RFC 9562).
fn random_id() -> [u8; 16] {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

/// What took this long is a warning where it took a quarter of what it may take.
fn timed(subject: &'static str, what: &str, elapsed: Duration, limit: Duration, key: &str) -> Finding {
    let told = format!("{what} {} ms", elapsed.as_millis());
    if elapsed.saturating_mul(4) < limit {
        return Finding::ok(subject, told);
    }
    let remedy = format!("look at the network between; what takes longer than {key} ({limit:?}) fails");
    Finding::warn(subject, told, remedy)
}
