//! The program that is measured: what operators run.
//!
//! Cargo builds the program that goes with a benchmark with all that tests want of the libraries, a clock that can be
//! stopped among it. That is not what is released, so it is built once more, as `cargo build --release` does.
//! Must not know: what is measured.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// Builds it and copies it to `dir`, where no later build can change it.
///
/// # Errors
/// It cannot be built.
pub fn release(dir: &Path) -> Result<PathBuf> {
    super::tell("building birdkeep as it is released");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .context("no target directory")?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--bin", "birdkeep", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .status()?;
    ensure!(built.success(), "it could not be built");
    let program = dir.join("birdkeep");
    fs::copy(target.join("release/birdkeep"), &program)?;
    Ok(program)
}
