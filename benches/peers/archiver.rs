//! birdkeep as an operator would set it up, pointed at our servers.
//!
//! Defaults, but for what is said here. Must not know: how runs are measured.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

/// The id of the workspace that everything is kept of.
pub const WORKSPACE_ID: &str = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f";

/// A birdkeep with a configuration of its own.
#[derive(Debug, Clone)]
pub struct Archiver {
    program: PathBuf,
    config: PathBuf,
    archive: PathBuf,
}

/// What differs from the defaults.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where the API is.
    pub base_url: String,
    /// `download.concurrency`, where it is said.
    pub at_once: Option<u32>,
    /// `tls.extra_ca_file`.
    pub root: Option<PathBuf>,
    /// `sync.interval`.
    pub interval: Option<String>,
    /// Other lines, by section.
    pub more: Vec<(&'static str, String)>,
}

impl Archiver {
    /// Writes the configuration beside `dir`, which is to be the archive.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn set_up(program: &Path, dir: &Path, settings: &Settings) -> Result<Self> {
        let config = dir.with_extension("toml");
        fs::write(&config, settings.toml(dir))?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            program: program.to_owned(),
            config,
            archive: dir.to_owned(),
        })
    }

    /// birdkeep with these arguments. Nothing of our environment reaches it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--config")
            .arg(&self.config)
            .args(["--log-level", "warn"])
            .args(args)
            .env("NO_COLOR", "1");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BIRDKEEP_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// One pass.
    pub fn once(&self) -> Command {
        self.command(&["--once"])
    }

    /// The archive.
    pub fn dir(&self) -> &Path {
        &self.archive
    }

    /// The catalog.
    pub fn catalog(&self) -> PathBuf {
        self.archive.join("catalog.sqlite")
    }
}

impl Settings {
    fn toml(&self, dir: &Path) -> String {
        let mut sections: Vec<(&str, Vec<String>)> = vec![
            ("archive", vec![format!("dir = {:?}", dir.display().to_string())]),
            (
                "api",
                vec![
                    format!("base_url = \"{}\"", self.base_url),
                    // Bird allows 50 a second and more; here the list is not to be what is waited for.
                    "requests_per_second = 1000".to_owned(),
                ],
            ),
            ("download", vec!["allowed_hosts = [\"127.0.0.1\"]".to_owned()]),
            ("http", vec!["listen = \"127.0.0.1:0\"".to_owned()]),
            (
                "workspaces.bench",
                vec![
                    format!("id = \"{WORKSPACE_ID}\""),
                    "access_key = \"bench-key-0123456789\"".to_owned(),
                ],
            ),
        ];
        let mut add = |section: &'static str, line: String| match sections.iter_mut().find(|(name, _)| *name == section)
        {
            Some((_, lines)) => lines.push(line),
            None => sections.push((section, vec![line])),
        };
        if let Some(at_once) = self.at_once {
            add("download", format!("concurrency = {at_once}"));
        }
        if let Some(root) = &self.root {
            add("tls", format!("extra_ca_file = {:?}", root.display().to_string()));
        }
        if let Some(interval) = &self.interval {
            add("sync", format!("interval = \"{interval}\""));
        }
        for (section, line) in &self.more {
            add(section, line.clone());
        }
        let mut text = String::new();
        for (section, lines) in sections {
            text.push_str(&format!("[{section}]\n{}\n\n", lines.join("\n")));
        }
        text
    }
}
