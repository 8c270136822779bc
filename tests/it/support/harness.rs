//! An archive in a directory of its own, with a configuration that points at a simulator, for the real binary.
//!
//! Must not know: what birdkeep does inside; it is a program with arguments, files and an exit code.

mod process;
mod secrets;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

pub use process::Finished;
pub use process::Running;

use super::bird::Bird;
use super::bird::WorkspaceHandle;

/// How long a run may take before it is killed and the test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// A birdkeep installation: binary, configuration, archive directory. Everything is gone when dropped.
pub struct Archive {
    root: TempDir,
    binary: PathBuf,
    settings: BTreeMap<String, BTreeMap<String, String>>,
    env: BTreeMap<OsString, OsString>,
    captured: Arc<Mutex<Vec<u8>>>,
}

impl Archive {
    /// An archive for these workspaces of a simulator, each under the name given with it. The binary is
    /// `env!("CARGO_BIN_EXE_birdkeep")` in a test.
    pub fn new(binary: impl Into<PathBuf>, bird: &Bird, workspaces: &[(&str, &WorkspaceHandle)]) -> Self {
        let mut archive = Self {
            root: TempDir::with_prefix("birdkeep-test-").expect("a temporary directory"),
            binary: binary.into(),
            settings: BTreeMap::new(),
            env: BTreeMap::new(),
            captured: Arc::default(),
        };
        let dir = archive.dir();
        archive.set_text("archive.dir", &dir.to_string_lossy());
        archive.set_text("archive.min_free", "0 B");
        archive.set_text("api.base_url", bird.base_url());
        // Tests run side by side: none may insist on a port.
        archive.set_text("http.listen", "127.0.0.1:0");
        archive.set("download.allowed_hosts", "[\"127.0.0.1\"]");
        for (name, workspace) in workspaces {
            archive.set_text(&format!("workspaces.{name}.id"), workspace.id());
            archive.set_text(&format!("workspaces.{name}.access_key"), &workspace.key());
        }
        archive
    }

    /// Sets one key, `section.key`, to a value in TOML, and writes the configuration anew.
    pub fn set(&mut self, key: &str, toml: &str) -> &mut Self {
        let (section, key) = key.rsplit_once('.').expect("a key is `section.key`");
        self.settings
            .entry(section.to_owned())
            .or_default()
            .insert(key.to_owned(), toml.to_owned());
        self.write_config();
        self
    }

    /// Sets one key to a text.
    pub fn set_text(&mut self, key: &str, text: &str) -> &mut Self {
        // A JSON string is a TOML basic string as well.
        let quoted = serde_json::Value::from(text).to_string();
        self.set(key, &quoted)
    }

    /// Takes one key out of the configuration.
    pub fn unset(&mut self, key: &str) -> &mut Self {
        let (section, key) = key.rsplit_once('.').expect("a key is `section.key`");
        if let Some(section) = self.settings.get_mut(section) {
            section.remove(key);
        }
        self.write_config();
        self
    }

    /// Sets an environment variable for all runs from now on.
    pub fn env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The archive directory. Made by birdkeep, not by this.
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("archive")
    }

    /// The configuration file; it holds the access keys, so it lies beside the archive.
    pub fn config_path(&self) -> PathBuf {
        self.root.path().join("birdkeep.toml")
    }

    /// The directory that holds configuration and archive, for what a test wants to put there.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The catalog.
    pub fn catalog_path(&self) -> PathBuf {
        let given = self.settings.get("catalog").and_then(|section| section.get("path"));
        given.map_or_else(
            || self.dir().join("catalog.sqlite"),
            |quoted| serde_json::from_str::<PathBuf>(quoted).expect("a path in quotes"),
        )
    }

    /// Runs this program in birdkeep's place from now on: one that runs birdkeep in a place of its own.
    pub fn run_as(&mut self, program: impl Into<PathBuf>) {
        self.binary = program.into();
    }

    /// Runs birdkeep with `--config` and these arguments to its end.
    ///
    /// # Panics
    /// After two minutes, with what it had printed.
    pub async fn run(&self, args: &[&str]) -> Finished {
        let mut running = self.spawn(args);
        match running.exit_within(PATIENCE).await {
            Some(finished) => finished,
            None => panic!("birdkeep {args:?} ran for {PATIENCE:?}; it said:\n{}", running.stderr()),
        }
    }

    /// Starts birdkeep with `--config` and these arguments. It is killed when dropped.
    pub fn spawn(&self, args: &[&str]) -> Running {
        let mut command = Command::new(&self.binary);
        command
            .arg("--config")
            .arg(self.config_path())
            .args(args)
            .current_dir(self.root.path());
        self.clean(&mut command);
        Running::start(command, Arc::clone(&self.captured))
    }

    /// Nothing of the caller's environment reaches a run, but for what measures coverage.
    fn clean(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.root.path());
        let kept = |name: &OsString| name.to_string_lossy().starts_with("LLVM_PROFILE");
        command.envs(std::env::vars_os().filter(|(name, _)| kept(name)));
        command.envs(&self.env);
    }

    /// All files below `recordings/`, relative to it, sorted. Empty where there is no such directory.
    pub fn files(&self) -> Vec<String> {
        files_below(&self.dir().join("recordings"))
    }

    /// Those of `files` that are media, not sidecars.
    pub fn media_files(&self) -> Vec<String> {
        let mut files = self.files();
        files.retain(|name| Path::new(name).extension() != Some("json".as_ref()));
        files
    }

    /// All files below `staging/`, relative to it, sorted.
    pub fn staging_files(&self) -> Vec<String> {
        files_below(&self.dir().join("staging"))
    }

    /// The bytes of one of `files`.
    pub fn read(&self, file: &str) -> Vec<u8> {
        let path = self.dir().join("recordings").join(file);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The one media file of a recording, relative to `recordings/`, if it is there.
    ///
    /// # Panics
    /// If there are several.
    pub fn media_file_of(&self, id: impl std::fmt::Display) -> Option<String> {
        let id = id.to_string();
        let mut found = self.media_files();
        found.retain(|name| name.contains(&id));
        assert!(found.len() < 2, "several files for one recording: {found:?}");
        found.pop()
    }

    /// What every run has printed so far, both streams.
    pub fn output(&self) -> Vec<u8> {
        self.captured.lock().unwrap().clone()
    }

    /// Every place below the archive directory, and every run's output, that holds one of the simulator's secrets.
    pub fn grep_secrets(&self, bird: &Bird) -> Vec<(PathBuf, String)> {
        let secrets = secrets::Secrets::of(bird);
        let mut found = Vec::new();
        for file in files_below(&self.dir()) {
            let path = self.dir().join(&file);
            // A file may go while we look: staging does.
            let bytes = fs::read(&path).unwrap_or_default();
            found.extend(secrets.in_bytes(&bytes).into_iter().map(|what| (path.clone(), what)));
            found.extend(
                secrets
                    .in_bytes(file.as_bytes())
                    .into_iter()
                    .map(|what| (path.clone(), format!("{what}, in the name"))),
            );
        }
        let output = secrets.in_bytes(&self.output());
        found.extend(output.into_iter().map(|what| (PathBuf::from("<output>"), what)));
        found
    }

    fn write_config(&self) {
        let mut toml = String::new();
        for (section, keys) in &self.settings {
            toml.extend(["[", section, "]\n"]);
            for (key, value) in keys {
                toml.extend([key, " = ", value, "\n"]);
            }
        }
        let path = self.config_path();
        fs::write(&path, toml).expect("the configuration can be written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, private).expect("the configuration can be made private");
    }
}

fn files_below(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}
