//! Builds the one who tells people how it goes, from a configuration.
//!
//! Must not know: when anything is told.

use std::sync::Arc;

use crate::config::Config;
use crate::notify::Notifier;
use crate::notify::NotifyOptions;

/// Whom the configuration wants told. Nothing is sent or run.
///
/// # Errors
/// TLS cannot be set up.
pub fn notifier(config: &Config) -> anyhow::Result<Arc<Notifier>> {
    let notify = config.notify.clone();
    Ok(Notifier::new(NotifyOptions {
        url: notify.url,
        command: notify.command,
        timeout: notify.timeout,
        events: notify.events,
        roots: config.tls.extra_roots.clone(),
    })?)
}
