//! Reads a workspace's key file again when its key is refused, so that a rotated key needs no restart.
//!
//! Must not know: when that happens, what the key opens.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::api::SecretSource;
use crate::config;
use crate::telemetry;

/// How long a file may take that is a few bytes long.
const LONGEST_READING: Duration = Duration::from_secs(10);

/// A key file of the configuration.
pub(super) struct KeyFile {
    credential: config::Credential,
    path: PathBuf,
    /// One permit, which the reading itself holds: a file system that hangs costs one thread, however often it is asked.
    idle: Arc<Semaphore>,
    /// Whether it was said what is unwise about the file.
    warned: AtomicBool,
}

impl KeyFile {
    /// The file that a credential came from, if it came from one.
    pub(super) fn of(credential: &config::Credential) -> Option<Arc<dyn SecretSource>> {
        Some(Arc::new(Self {
            path: credential.file.clone()?,
            credential: credential.clone(),
            idle: Arc::new(Semaphore::new(1)),
            warned: AtomicBool::new(false),
        }))
    }

    async fn read_now(&self) -> Result<Option<SecretString>, String> {
        let shown = self.path.display();
        let Ok(permit) = Arc::clone(&self.idle).try_acquire_owned() else {
            return Err(format!("{shown} is being read and does not come to its end"));
        };
        let credential = self.credential.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let read = credential.read_again();
            drop(permit);
            read
        });
        let read = tokio::time::timeout(LONGEST_READING, reading)
            .await
            .map_err(|_| format!("{shown} is being read and does not come to its end"))?
            .map_err(|_| format!("{shown} could not be read; this is a fault in birdkeep"))??;
        let Some((secret, warning)) = read else {
            return Ok(None);
        };
        telemetry::hide(secret.clone());
        if let Some(warning) = warning
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(remark = warning, "a key file is read again that is unwise");
        }
        Ok(Some(secret))
    }
}

impl SecretSource for KeyFile {
    fn read(&self) -> BoxFuture<'_, Result<Option<SecretString>, String>> {
        self.read_now().boxed()
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}
