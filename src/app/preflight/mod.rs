//! The preflight: everything that a pass needs, tried for real and left as it was. A file for each subject.
//!
//! Must not know: how findings are shown.

mod catalog;
mod configuration;
mod place;
mod process;
mod space;
mod upstream;

use tokio_util::sync::CancellationToken;

use crate::config::Loaded;
use crate::domain::clock::SharedClock;
use crate::domain::ids::WorkspaceName;

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and should be looked at.
    Warn,
    /// A pass cannot do its work like this.
    Fail,
}

impl Level {
    /// The level's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One thing that was tried.
#[derive(Debug, Clone)]
pub struct Finding {
    /// How good it is.
    pub level: Level,
    /// What was tried.
    pub subject: &'static str,
    /// The workspace it is about; `None` where it is about all.
    pub workspace: Option<WorkspaceName>,
    /// What was found.
    pub found: String,
    /// What to do about it; `None` where nothing needs doing.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(subject: &'static str, found: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            subject,
            workspace: None,
            found: found.into(),
            remedy: None,
        }
    }

    fn warn(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            remedy: Some(remedy.into()),
            ..Self::ok(subject, found)
        }
    }

    fn fail(subject: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            remedy: Some(remedy.into()),
            ..Self::ok(subject, found)
        }
    }

    fn of(self, workspace: &WorkspaceName) -> Self {
        Self {
            workspace: Some(workspace.clone()),
            ..self
        }
    }
}

/// Where findings go, as soon as they are made.
type Tell<'a> = &'a mut dyn FnMut(Finding);

/// What a preflight may do besides what a pass does.
#[derive(Debug, Clone, Copy)]
pub struct PreflightOptions {
    /// Whether each key is tried for the right to delete, with the id of no recording.
    pub delete_probe: bool,
}

/// Tries everything, giving each finding to `tell` as soon as it is made.
///
/// # Errors
/// TLS cannot be set up.
pub async fn preflight(
    loaded: &Loaded,
    options: PreflightOptions,
    clock: SharedClock,
    soft: &CancellationToken,
    mut tell: impl FnMut(Finding),
) -> anyhow::Result<()> {
    let config = &loaded.config;
    configuration::look(loaded, &mut tell);
    process::look(config, &mut tell);
    if let Some(place) = place::look(config, &mut tell).await {
        let growth = catalog::look(config, &place, clock.now(), &mut tell).await;
        space::look(config, &place.facts.file_system, growth, &mut tell);
    }
    upstream::look(config, options, clock, soft, &mut tell).await
}
