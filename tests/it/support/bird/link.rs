//! Links to media: where they lead, and how they can be wrong from birth.
//!
//! Must not know: what carries them.

use super::Shared;
use super::fault::Occasion;
use super::fault::Scene;
use super::record::Recording;

/// The bucket's name, like Bird's.
pub const BUCKET: &str = "regional--voice-recordings--637323691990--euw1";
/// `x-id` of links that the simulator redirected to.
pub const REDIRECTED: &str = "GetObject-redirected";

/// What is wrong with a link.
#[derive(Debug, Clone)]
pub enum LinkAction {
    /// Its time was over one second before it was made.
    ExpiredAtBirth,
    /// It lives so many seconds.
    LifeSeconds(u64),
    /// It was altered after it was signed.
    Altered,
    /// It leads to the host that must never be asked.
    Foreign,
    /// It is this text: another scheme, another host, no link at all.
    Replaced(String),
    /// There is none, though the recording is `available`.
    Missing,
}

/// A link as it goes into a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Made by the signer, or from what it made: nothing in it needs an escape in JSON.
    Signed(String),
    /// Any text.
    Other(String),
}

impl Link {
    /// The link as text.
    pub fn into_text(self) -> String {
        match self {
            Self::Signed(text) | Self::Other(text) => text,
        }
    }
}

impl Shared {
    /// The link that goes with a recording now, faults and all. `None` where there is none.
    pub fn link(&self, workspace: &str, recording: &Recording) -> Option<Link> {
        if !recording.takes_link() {
            return None;
        }
        let occasion = Occasion {
            scene: Scene::Link,
            workspace,
            recording: Some(recording.id),
            page: None,
            ranged: false,
            redirected: false,
        };
        let link = match self.faults.link(&occasion) {
            None => self.plain_link(workspace, recording),
            Some(LinkAction::ExpiredAtBirth) => {
                let life = self.options.url_life.as_secs();
                let born = self.clock.stamp().shifted(-1 - i64::try_from(life).unwrap_or(0));
                self.signer
                    .presign(&path(workspace, recording), &born, life, "GetObject")
            }
            Some(LinkAction::LifeSeconds(life)) => {
                self.signer
                    .presign(&path(workspace, recording), &self.clock.stamp(), life, "GetObject")
            }
            Some(LinkAction::Altered) => {
                let link = self.plain_link(workspace, recording);
                link.replace("X-Amz-Signature=", "X-Amz-Signature=0")
            }
            Some(LinkAction::Foreign) => {
                let link = self.plain_link(workspace, recording);
                link.replace(&self.media_host, &self.foreign_host)
            }
            Some(LinkAction::Replaced(text)) => return Some(Link::Other(text)),
            Some(LinkAction::Missing) => return None,
        };
        Some(Link::Signed(link))
    }

    /// A good link.
    pub fn plain_link(&self, workspace: &str, recording: &Recording) -> String {
        let life = self.options.url_life.as_secs();
        self.signer
            .presign(&path(workspace, recording), &self.clock.stamp(), life, "GetObject")
    }

    /// A good link that can be told from those the API gives out.
    pub fn redirected_link(&self, workspace: &str, recording: &Recording) -> String {
        let life = self.options.url_life.as_secs();
        self.signer
            .presign(&path(workspace, recording), &self.clock.stamp(), life, REDIRECTED)
    }
}

fn path(workspace: &str, recording: &Recording) -> String {
    format!("/{BUCKET}/{}", recording.object_key(workspace))
}
