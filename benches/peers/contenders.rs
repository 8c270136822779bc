//! The programs that people would use instead, as commands that fetch all of a stage's bodies into a folder.
//!
//! Must not know: how runs are measured, birdkeep.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Result;

use super::media::url_of;
use super::sets::Set;

/// A program that can be measured beside birdkeep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// `curl --parallel` over a list: the anchor of most goals.
    Curl,
    /// `wget2`.
    Wget2,
    /// `rclone copy` from its `http` remote.
    Rclone,
    /// `aria2c`, which syncs each file.
    Aria2,
    /// `aria2c` with four ranges a file.
    Aria2Ranges,
    /// A careful script: hash, fsync, rename, fsync of the folder, a row in SQLite.
    Careful,
}

/// What peers are given: a list of URLs in each one's own form, made once.
pub struct Lists {
    dir: PathBuf,
    base: String,
    root: Option<PathBuf>,
}

impl Lists {
    /// Writes the lists of a set whose bodies lie below `base`. `root`: the authority to trust, for HTTPS.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(dir: &Path, set: Set, base: &str, root: Option<PathBuf>) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let (mut curl, mut urls, mut aria2) = (String::new(), String::new(), String::new());
        for recording in set.recordings() {
            let url = url_of(base, &recording);
            curl.push_str(&format!("url = \"{url}\"\noutput = \"{}.mp3\"\n", recording.id));
            urls.push_str(&format!("{url}\n"));
            aria2.push_str(&format!("{url}\n out={}.mp3\n", recording.id));
        }
        fs::write(dir.join("curl"), curl)?;
        fs::write(dir.join("urls"), urls)?;
        fs::write(dir.join("aria2"), aria2)?;
        Ok(Self {
            dir: dir.to_owned(),
            base: base.to_owned(),
            root,
        })
    }
}

impl Peer {
    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Curl => "curl -Z",
            Self::Wget2 => "wget2",
            Self::Rclone => "rclone",
            Self::Aria2 => "aria2",
            Self::Aria2Ranges => "aria2 -x4",
            Self::Careful => "careful.py",
        }
    }

    /// Whether it is installed.
    pub fn is_here(self) -> bool {
        let mut probe = match self {
            Self::Curl => with_args("curl", &["--version"]),
            Self::Wget2 => with_args("wget2", &["--version"]),
            Self::Rclone => with_args("rclone", &["version"]),
            Self::Aria2 | Self::Aria2Ranges => with_args("aria2c", &["--version"]),
            Self::Careful => with_args("python3", &["-c", "import aiohttp"]),
        };
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }

    /// The command that fetches everything into `out`, so many at once.
    pub fn command(self, lists: &Lists, out: &Path, at_once: u32) -> Command {
        let at_once = at_once.to_string();
        let list = |name: &str| lists.dir.join(name);
        let mut command = match self {
            Self::Curl => {
                let mut command = with_args("curl", &["-q", "-Z", "--no-progress-meter", "--parallel-max", &at_once]);
                if let Some(root) = &lists.root {
                    command.arg("--cacert").arg(root);
                }
                command.arg("-K").arg(list("curl"));
                command
            }
            Self::Wget2 => {
                let mut command = with_args("wget2", &["--no-config", "-q", "--max-threads", &at_once]);
                if let Some(root) = &lists.root {
                    command.arg("--ca-certificate").arg(root);
                }
                command.arg("-i").arg(list("urls"));
                command
            }
            Self::Rclone => {
                let mut command = with_args("rclone", &["--config", "/dev/null", "-q", "--checkers", &at_once]);
                if let Some(root) = &lists.root {
                    command.arg("--ca-cert").arg(root);
                }
                command.args([
                    "--transfers",
                    &at_once,
                    "--http-url",
                    &lists.base,
                    "copy",
                    ":http:",
                    ".",
                ]);
                command
            }
            Self::Aria2 | Self::Aria2Ranges => {
                let ranges = if self == Self::Aria2 { "1" } else { "4" };
                let mut command = with_args(
                    "aria2c",
                    &["--no-conf", "-q", "-j", &at_once, "-x", ranges, "-s", ranges],
                );
                if let Some(root) = &lists.root {
                    command.arg("--ca-certificate").arg(root);
                }
                command.arg("-i").arg(list("aria2"));
                command
            }
            Self::Careful => {
                let mut command = with_args(
                    "python3",
                    &[concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/careful.py")],
                );
                command.arg(list("urls")).arg(&at_once).args(&lists.root);
                command
            }
        };
        command.current_dir(out);
        command
    }
}

fn with_args(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}
