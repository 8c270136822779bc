//! What a measure is played on: a set's bodies, the servers before them, and fresh folders for whoever fetches.
//!
//! Must not know: what is measured.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::contenders::Lists;
use super::items::Links;
use super::media;
use super::media::Media;
use super::servers::Server;
use super::sets::Kind;
use super::sets::Set;
use super::tls::Authority;

/// The scratch of one whole run; everything is gone when it is dropped.
pub struct Scratch {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Scratch {
    /// A new one in Cargo's directory for such things.
    ///
    /// # Errors
    /// The disk refuses, or there is no `openssl`.
    pub fn new() -> Result<Self> {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(base)?;
        let dir = tempfile::Builder::new().prefix("peers-").tempdir_in(base)?;
        // The workers of nginx may be somebody else.
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let authority = Authority::make(dir.path())?;
        Ok(Self { dir, authority })
    }

    /// Where everything of this run lies.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A fresh folder.
    ///
    /// # Errors
    /// The disk refuses, or it is there already.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::create_dir(&path)?;
        Ok(path)
    }

    /// A folder that was made before.
    pub fn existing(&self, name: &str) -> Option<PathBuf> {
        let path = self.dir.path().join(name);
        path.exists().then_some(path)
    }

    /// The folder of the bodies of a set, which are written where they are not there yet.
    fn bodies(&self, set: Set) -> Result<PathBuf> {
        let dir = self.dir.path().join(format!("bodies-{set}"));
        if !dir.exists() {
            super::tell(&format!("writing the bodies of {set}"));
            // What is published while a set without bodies is served has some of the mix.
            let published = Set {
                kind: Kind::Mix,
                count: 100,
            };
            media::write_bodies(if set.bodies() == 0 { published } else { set }, &dir)?;
        }
        Ok(dir)
    }
}

/// Over what the bodies come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// HTTP on loopback.
    Plain,
    /// HTTPS on loopback.
    Tls,
    /// HTTP, behind 30 ms, the API too.
    Far,
}

/// Servers over one set.
pub struct Stage {
    pub set: Set,
    pub api: Server,
    /// Where birdkeep finds the API: the API itself, or the link before it.
    pub api_url: String,
    pub lists: Lists,
    /// The authority to trust, where the bodies come by HTTPS.
    pub root: Option<PathBuf>,
    _links: Vec<Server>,
    _media: Media,
}

impl Stage {
    /// Starts everything. `links`: which links of a walk are dead; `delay`: of each reply of the API.
    ///
    /// # Errors
    /// Something does not start.
    pub fn set_up(scratch: &Scratch, name: &str, set: Set, way: Way, links: Links, delay: Duration) -> Result<Self> {
        let dir = scratch.folder(name)?;
        let bodies = scratch.bodies(set)?;
        let served = Media::start(&bodies, &dir, &scratch.authority)?;
        let mut relays = Vec::new();
        let mut far = |port: u16| -> Result<u16> {
            let relay = Server::latency(port)?;
            relays.push(relay);
            Ok(relays.last().map_or(0, |relay| relay.port))
        };
        let base = match way {
            Way::Plain => format!("http://127.0.0.1:{}", served.plain_port),
            Way::Tls => format!("https://127.0.0.1:{}", served.tls_port),
            Way::Far => format!("http://127.0.0.1:{}", far(served.plain_port)?),
        };
        let api = Server::api(set, &base, links, delay)?;
        let api_port = if way == Way::Far { far(api.port)? } else { api.port };
        let root = (way == Way::Tls).then(|| scratch.authority.root());
        Ok(Self {
            set,
            api_url: format!("http://127.0.0.1:{api_port}"),
            api,
            lists: Lists::write(&dir.join("lists"), set, &base, root.clone())?,
            root,
            _links: relays,
            _media: served,
        })
    }
}
