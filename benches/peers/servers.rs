//! Our own servers as processes of their own: this very program, started again with a sub-command.
//!
//! Must not know: what they serve, beyond their command line.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;

use super::api;
use super::api::Counters;
use super::items::Links;
use super::sets::Set;

/// The sub-command of the API.
pub const SERVE_API: &str = "serve-api";
/// The sub-command of the link with latency.
pub const SERVE_LATENCY: &str = "serve-latency";

/// A server. Killed when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Server {
    /// The API over a set; links begin with `media`, and every reply is held back for `delay`.
    ///
    /// # Errors
    /// It does not start.
    pub fn api(set: Set, media: &str, links: Links, delay: Duration) -> Result<Self> {
        let delay = delay.as_millis().to_string();
        Self::start(&[SERVE_API, &set.to_string(), media, links.name(), &delay])
    }

    /// A link of 30 ms to a port of loopback.
    ///
    /// # Errors
    /// It does not start.
    pub fn latency(port: u16) -> Result<Self> {
        Self::start(&[SERVE_LATENCY, &format!("127.0.0.1:{port}")])
    }

    fn start(args: &[&str]) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let printed = child.stdout.take().context("no stdout")?;
        BufReader::new(printed).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("{args:?} did not start"))?;
        Ok(Self { child, port })
    }

    /// What the API was asked so far.
    ///
    /// # Errors
    /// It does not answer.
    pub fn counters(&self) -> Result<Counters> {
        Ok(serde_json::from_slice(&api::ask(self.port, "/counters")?)?)
    }

    /// Has the API take every recording for one that it never listed.
    ///
    /// # Errors
    /// It does not answer.
    pub fn forget(&self) -> Result<()> {
        api::ask(self.port, "/forget").map(drop)
    }

    /// Lists one more recording, created now; returns its id.
    ///
    /// # Errors
    /// It does not answer.
    pub fn publish(&self) -> Result<String> {
        Ok(String::from_utf8(api::ask(self.port, "/publish")?)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
