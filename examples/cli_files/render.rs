//! The man pages and completions, as they lie below a folder: `man/NAME.1`, `bash/`, `zsh/`, `fish/`.
//!
//! Shared with the tests. Must not know: where a package puts them.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

const PROGRAM: &str = "birdkeep";

/// Writes all of them anew.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    let man = folder.join("man");
    if man.exists() {
        // A command that is no more leaves no page behind.
        fs::remove_dir_all(&man)?;
    }
    fs::create_dir_all(&man)?;
    let mut command = birdkeep::cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, &man)?;
    for (shell, name) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
        let dir = folder.join(name);
        fs::create_dir_all(&dir)?;
        clap_complete::generate_to(shell, &mut birdkeep::cli::command(), PROGRAM, dir)?;
    }
    Ok(())
}

/// A page for a command, and one for each below it.
fn write_pages(command: &Command, dir: &Path) -> io::Result<()> {
    let page = Man::new(command.clone())
        .manual("User Commands")
        .source(format!("{PROGRAM} {}", env!("CARGO_PKG_VERSION")));
    page.generate_to(dir)?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below, dir)?;
    }
    Ok(())
}
