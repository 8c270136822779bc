//! A Bird on loopback and nothing else, until Ctrl-C or SIGTERM: for trying commands, units and images by hand.
//!
//! `cargo run --example simulator -- FOLDER` writes `birdkeep.toml` and `support.key` into the folder, a configuration
//! that names this Bird. It has recordings of the past days, and gets a new one every few seconds.

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use support::bird::Bird;
use support::bird::BirdOptions;
use support::bird::RecordingSpec;
use support::bird::WorkspaceHandle;

/// How often a call ends.
const BETWEEN_CALLS: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        drop(writeln!(std::io::stderr(), "usage: simulator FOLDER"));
        return ExitCode::from(64);
    };
    match run(Path::new(&folder)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "simulator: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(folder: &Path) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let bird = Bird::start(BirdOptions::default()).await;
    let support = bird.add_workspace("8bc02f53-87ac-48d2-b4fd-c2cf856a305f", "key-of-the-simulator");
    let first = bird.now().before(Duration::from_hours(3 * 24)).to_string();
    support.add_many(12, &first, Duration::from_hours(5));
    write_config(folder, &bird, &support)?;
    drop(writeln!(std::io::stdout(), "a Bird at {}", bird.base_url()));
    let mut calls = tokio::time::interval(BETWEEN_CALLS);
    loop {
        tokio::select! {
            _ = calls.tick() => drop(support.add(RecordingSpec::new().created_at(bird.now()))),
            _ = terminate.recv() => return Ok(()),
            ended = tokio::signal::ctrl_c() => return ended.context("cannot wait for Ctrl-C"),
        }
    }
}

fn write_config(folder: &Path, bird: &Bird, support: &WorkspaceHandle) -> anyhow::Result<()> {
    let toml = format!(
        "[api]\nbase_url = \"{}\"\n\n[sync]\ninterval = \"2s\"\n\n[download]\nallowed_hosts = [\"127.0.0.1\"]\n\n\
         [workspaces.support]\nid = \"{}\"\naccess_key_file = \"support.key\"\n",
        bird.base_url(),
        support.id()
    );
    fs::create_dir_all(folder).context("cannot make the folder")?;
    let key = folder.join("support.key");
    fs::write(&key, support.key()).context("cannot write the key")?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    fs::write(folder.join("birdkeep.toml"), toml).context("cannot write the configuration")?;
    Ok(())
}
