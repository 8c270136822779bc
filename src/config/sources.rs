//! What a configuration is made from, and the only place that reads the process environment for it.
//!
//! Must not know: which keys exist.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;

use super::fault::Origin;

/// The file that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "/etc/birdkeep/birdkeep.toml";
/// The variable that names the file.
pub const FILE_VARIABLE: &str = "BIRDKEEP_CONFIG";

/// Everything a configuration depends on besides the files it names.
#[derive(Clone, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<FileSource>,
    /// The environment, all of it; what does not begin with `BIRDKEEP_` is not looked at.
    pub env: Vec<(OsString, OsString)>,
    /// Where systemd puts credentials (`$CREDENTIALS_DIRECTORY`).
    pub credentials_dir: Option<PathBuf>,
    /// Where systemd wants state (the first entry of `$STATE_DIRECTORY`).
    pub state_dir: Option<PathBuf>,
    /// The directory that relative paths begin at; absent when the process has none that exists.
    pub current_dir: Option<PathBuf>,
    /// Whether key files are left unread: their secrets are empty then. For those who only look at an archive, and
    /// may not be allowed to read the keys.
    pub skip_key_files: bool,
    /// Whether the token of our own listener is read even so.
    pub keep_http_token: bool,
}

/// A configuration file, and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSource {
    /// Its path, as named.
    pub path: PathBuf,
    /// Who named it.
    pub named_by: Origin,
}

impl Sources {
    /// The sources of this process: `cli_file`, else `$BIRDKEEP_CONFIG`, else [`DEFAULT_FILE`] if it is there, else
    /// the environment alone.
    #[must_use]
    pub fn from_process(cli_file: Option<PathBuf>) -> Self {
        let env = std::env::vars_os().collect();
        Self::from_environment(cli_file, env, std::env::current_dir().ok(), Path::new(DEFAULT_FILE))
    }

    /// As [`Sources::from_process`], with the environment, the current directory and the default file given.
    #[must_use]
    pub fn from_environment(
        cli_file: Option<PathBuf>,
        env: Vec<(OsString, OsString)>,
        current_dir: Option<PathBuf>,
        default_file: &Path,
    ) -> Self {
        let value_of = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let file = match (cli_file, value_of(FILE_VARIABLE)) {
            (Some(path), _) => Some(FileSource {
                path,
                named_by: Origin::Option("--config"),
            }),
            (None, Some(path)) => Some(FileSource {
                path: path.into(),
                named_by: Origin::Variable(FILE_VARIABLE.to_owned()),
            }),
            (None, None) => may_exist(default_file).then(|| FileSource {
                path: default_file.to_owned(),
                named_by: Origin::Default,
            }),
        };
        let dir = |name| value_of(name).and_then(|list| first_of_list(list));
        Self {
            file,
            credentials_dir: dir("CREDENTIALS_DIRECTORY"),
            state_dir: dir("STATE_DIRECTORY"),
            env,
            current_dir,
            skip_key_files: false,
            keep_http_token: false,
        }
    }

    /// The same sources, with key files left unread.
    #[must_use]
    pub fn without_key_files(self) -> Self {
        Self {
            skip_key_files: true,
            ..self
        }
    }

    /// The same sources, with key files left unread but for the token of our own listener.
    #[must_use]
    pub fn with_http_token_alone(self) -> Self {
        Self {
            skip_key_files: true,
            keep_http_token: true,
            ..self
        }
    }

    /// `path` as an absolute path without `.` parts, if that can be told.
    pub(super) fn absolute(&self, path: &Path) -> Option<PathBuf> {
        let whole = match (&self.current_dir, path.is_absolute()) {
            (_, true) => path.to_owned(),
            (Some(dir), false) => dir.join(path),
            (None, false) => return None,
        };
        Some(whole.components().collect())
    }
}

/// A file that cannot be looked at counts as being there, so that the lack of rights is told and not passed over.
fn may_exist(file: &Path) -> bool {
    match file.metadata() {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

fn first_of_list(list: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(list)
        .next()
        .filter(|path| !path.as_os_str().is_empty())
}

/// The environment holds secrets: only the names of our own variables are shown.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.env.iter().map(|(name, _)| name);
        let ours: Vec<_> = names.filter(|name| super::layers::is_ours(name)).collect();
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("env", &ours)
            .field("credentials_dir", &self.credentials_dir)
            .field("state_dir", &self.state_dir)
            .field("current_dir", &self.current_dir)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn the_option_wins_over_the_variable_and_that_over_the_default_file() {
        let folder = tempfile::tempdir().unwrap();
        let default_file = folder.path().join("birdkeep.toml");
        let choose = |cli: Option<&str>, pairs: &[(&str, &str)]| {
            Sources::from_environment(cli.map(PathBuf::from), env(pairs), None, &default_file).file
        };
        let variable = [(FILE_VARIABLE, "/v.toml")];
        assert_eq!(choose(None, &[]), None);
        std::fs::write(&default_file, "").unwrap();
        assert_eq!(choose(None, &[]).unwrap().path, default_file);
        assert_eq!(choose(None, &variable).unwrap().path, Path::new("/v.toml"));
        let named = choose(Some("/c.toml"), &variable).unwrap();
        assert_eq!(
            (named.path.as_path(), named.named_by),
            (Path::new("/c.toml"), Origin::Option("--config"))
        );
    }

    #[test]
    fn of_a_list_of_state_directories_the_first_counts_and_an_empty_one_does_not() {
        let nowhere = Path::new("/nonexistent/birdkeep.toml");
        let state_dir =
            |list| Sources::from_environment(None, env(&[("STATE_DIRECTORY", list)]), None, nowhere).state_dir;
        assert_eq!(state_dir("/var/lib/a:/var/lib/b"), Some("/var/lib/a".into()));
        assert_eq!(state_dir("/var/lib/a"), Some("/var/lib/a".into()));
        assert_eq!(state_dir(""), None);
    }

    #[test]
    fn debug_shows_no_values() {
        let shown = format!(
            "{:?}",
            Sources {
                env: env(&[("BIRDKEEP_X", "hunter2"), ("OTHER", "x")]),
                ..Sources::default()
            }
        );
        assert!(
            shown.contains("BIRDKEEP_X") && !shown.contains("hunter2") && !shown.contains("OTHER"),
            "{shown}"
        );
    }
}
