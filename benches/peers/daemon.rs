//! A birdkeep that runs on while it is watched.
//!
//! Must not know: what is measured.

use std::fs;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Result;
use anyhow::bail;

use super::archiver::Archiver;

/// How long a daemon may take for what is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running daemon. Killed when dropped.
pub struct Daemon {
    child: Child,
    log: std::path::PathBuf,
}

impl Daemon {
    /// Starts it; what it says goes to a file beside the archive.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(archiver: &Archiver, args: &[&str]) -> Result<Self> {
        let log = archiver.dir().with_extension("log");
        let out = fs::File::create(&log)?;
        let child = archiver
            .command(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { child, log })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something is so.
    ///
    /// # Errors
    /// It is not within five minutes, or the daemon has ended.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !is_so()? {
            if let Some(status) = self.child.try_wait()? {
                bail!("birdkeep ended with {status}: {}", fs::read_to_string(&self.log)?);
            }
            if begun.elapsed() > PATIENCE {
                bail!("{what}: not within {PATIENCE:?}; {}", fs::read_to_string(&self.log)?);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Kills it as a crash would.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
