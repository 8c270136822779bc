//! The daemon's listener, wired; and the question that a probe asks it.
//!
//! Must not know: what is served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::standing::Observer;
use crate::web;
use crate::web::AskError;
use crate::web::Reply;
use crate::web::Rules;
use crate::web::Web;

/// How long a probe waits.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);

/// Listens where the configuration says, until what is returned is closed.
///
/// # Errors
/// The address is in use, not ours, or not allowed.
pub(super) async fn listen(config: &Config, observer: &Arc<Observer>) -> anyhow::Result<Web> {
    let web = Web::listen(config.http.listen, rules(config), Arc::clone(observer)).await?;
    tracing::info!(address = %web.address(), "metrics and health are served");
    Ok(web)
}

/// Who may ask.
pub(super) fn rules(config: &Config) -> Rules {
    Rules {
        token: config.http.token.clone(),
        allowed_hosts: config.http.allowed_hosts.clone(),
    }
}

/// Asks whoever listens there whether it lives.
///
/// # Errors
/// No answer came within three seconds.
pub async fn probe_life(listen: SocketAddr) -> Result<Reply, AskError> {
    web::ask(listen, "/healthz", None, PROBE_PATIENCE).await
}

/// Asks the running daemon of this configuration whether it is ready.
///
/// # Errors
/// No answer came within three seconds.
pub async fn probe_readiness(config: &Config) -> Result<Reply, AskError> {
    web::ask(
        config.http.listen,
        "/readyz",
        config.http.token.as_ref(),
        PROBE_PATIENCE,
    )
    .await
}
