//! The command line: what can be said, and which exit code comes of it.
//!
//! Results go to stdout, logs and progress to stderr. Must not know: how anything is done.

mod backup;
mod check;
mod daemon;
mod health;
mod list;
mod once;
mod output;
mod progress;
mod rebuild;
mod report;
mod report_json;
mod report_text;
mod retry;
mod show;
mod status;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::config::Config;
use crate::config::ConfigFaults;
use crate::config::Loaded;
use crate::config::Sources;
use crate::domain::clock::SharedClock;
use crate::domain::clock::SystemClock;
use crate::domain::ids::InvalidId;
use crate::domain::ids::RecordingId;
use crate::domain::ids::WorkspaceName;
use crate::lifecycle;
use crate::telemetry;
use crate::telemetry::LogFormat;

/// Keeps the call recordings of Bird (MessageBird) workspaces on your own disk: complete, unaltered, in time.
///
/// Without a command it runs as a daemon until SIGTERM or SIGINT.
#[derive(Debug, Parser)]
#[command(name = "birdkeep", version, after_help = EXIT_CODES, args_conflicts_with_subcommands = false)]
struct CommandLine {
    #[command(flatten)]
    global: Global,

    /// One pass over each workspace: fetch what is due, print a summary, exit
    #[arg(long)]
    once: bool,

    /// With --once: list and report what would be archived; write nothing
    #[arg(long, requires = "once")]
    dry_run: bool,

    /// With --once: sync nothing. For measuring what syncs cost; what is stored so may be lost with the power
    #[arg(long, requires = "once", hide = true)]
    not_durable: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes: 0 all well; 1 the work could not be done; 3 finished, but some recordings or \
workspaces failed, damage was found, or the report has a gap; 64 usage; 78 configuration.";

#[derive(Debug, Args)]
struct Global {
    /// Configuration file [default: $BIRDKEEP_CONFIG, else /etc/birdkeep/birdkeep.toml if present, else environment]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Only this workspace; may be given several times
    #[arg(long, global = true, value_name = "NAME")]
    workspace: Vec<WorkspaceName>,

    /// error, warn, info, debug, trace, or a list of target=level
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    log_level: String,

    /// How log lines look [default: journald where systemd connects stderr to its journal, else text]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try everything a pass needs, and say how to mend what is wrong: configuration, keys and rights, clock, directory,
    /// file system, space, catalog, one media byte
    Check(check::CheckArgs),
    /// Copy the catalog beside a running daemon, consistent and tested, to a new file or into a directory
    Backup(backup::BackupArgs),
    /// Ask the running daemon whether it lives: exit 0 if it does; for container probes
    Health(health::HealthArgs),
    /// How each workspace stands: counts by state, bytes, last complete walk, oldest due
    Status {
        /// How to print it
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        format: ReportFormat,
    },
    /// The statement of completeness: what became of every recording listed, day by day
    Report(report::ReportArgs),
    /// Recordings, newest first
    List(list::ListArgs),
    /// One recording, all that is known
    Show {
        /// The recording's id
        #[arg(value_parser = recording_id)]
        id: RecordingId,
        /// How to print it
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        format: ReportFormat,
    },
    /// Make recordings due again that were given up or gone; end the wait of those that failed
    Retry(retry::RetryArgs),
    /// Make the catalog again from the sidecars, where there is none
    Rebuild(rebuild::RebuildArgs),
    /// Re-read the archive and tell what is not as it was archived: missing, damaged, unreadable, unknown
    Verify(verify::VerifyArgs),
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

/// Threads that drive what waits for the network, on however many cores. Files and hashes have threads of their own, so that
/// half of the cores are enough; one thread alone wakes no other for what it does next.
const MOST_WORKERS: usize = 4;

/// Threads that wait for the disk or for a name: more work than this waits its turn, whatever `download.concurrency` says.
const MOST_BLOCKING: usize = 64;

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Well,
    Failed,
    Partly,
    Usage,
    Configuration,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Well => 0,
            Outcome::Failed => 1,
            Outcome::Partly => 3,
            Outcome::Usage => 64,
            Outcome::Configuration => 78,
        })
    }
}

/// The command line as clap knows it: what man pages and completions are made from.
#[must_use]
pub fn command() -> clap::Command {
    <CommandLine as clap::CommandFactory>::command()
}

/// Reads the command line, runs what it says, and returns the exit code.
#[must_use]
pub fn run() -> ExitCode {
    run_outcome().into()
}

fn run_outcome() -> Outcome {
    telemetry::watch_panics();
    let dumps_forbidden = lifecycle::forbid_core_dumps();
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version are errors to clap, of a kind that does not use stderr.
            drop(error.print());
            return if error.use_stderr() {
                Outcome::Usage
            } else {
                Outcome::Well
            };
        }
    };
    if line.command.is_some() && line.once {
        output::complain("--once runs a pass and takes no command");
        return Outcome::Usage;
    }
    if matches!(line.command, Some(Command::Rebuild(_))) && !line.global.workspace.is_empty() {
        output::complain("rebuild makes the whole catalog and takes no --workspace");
        return Outcome::Usage;
    }
    if let Err(error) = telemetry::init(&line.global.log_level, line.global.log_format) {
        output::complain(&error.to_string());
        return Outcome::Usage;
    }
    if let Err(error) = dumps_forbidden {
        tracing::warn!(%error, "a crash may leave an image of the memory behind: core dumps could not be forbidden");
    }
    let sources = Sources::from_process(line.global.config.clone());
    if let Some(Command::Health(args)) = &line.command
        && !args.wants_readiness()
    {
        return on_runtime(health::alive(Config::listen_address(&sources)));
    }
    let (mut loaded, keys) = match load(&sources, line.command.as_ref()) {
        Ok(loaded) => loaded,
        Err(faults) => {
            output::complain(&faults.to_string());
            return Outcome::Configuration;
        }
    };
    if let Err(complaint) = select_workspaces(&mut loaded.config, &line.global.workspace) {
        output::complain(&complaint);
        return Outcome::Usage;
    }
    loaded.config.archive.durable = !line.not_durable;
    hide_secrets(&loaded.config);
    on_runtime(dispatch(line, loaded, sources, keys))
}

fn on_runtime(work: impl Future<Output = Outcome>) -> Outcome {
    let workers = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, MOST_WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .max_blocking_threads(MOST_BLOCKING)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            output::complain(&format!("cannot start: {error}"));
            return Outcome::Failed;
        }
    };
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}

/// Whether the files that hold keys were read.
enum KeyFiles {
    Read,
    /// They were not, and this is why.
    Unread(String),
}

/// Loads the configuration, with key files where the command cannot do without. Commands that only read the archive must
/// work for people who cannot read the keys.
fn load(sources: &Sources, command: Option<&Command>) -> Result<(Loaded, KeyFiles), ConfigFaults> {
    let (wanted, needed) = match command {
        None | Some(Command::Check(_)) => (true, true),
        Some(Command::Report(args)) => (args.wants_witness(), false),
        Some(_) => (false, false),
    };
    let why = if wanted {
        match Config::load(sources) {
            Ok(loaded) => return Ok((loaded, KeyFiles::Read)),
            Err(faults) if needed => return Err(faults),
            Err(faults) => match faults.faults() {
                [first, rest @ ..] if !rest.is_empty() => format!("{first}; and {} more", rest.len()),
                faults => faults.iter().map(ToString::to_string).collect(),
            },
        }
    } else {
        "--no-witness".to_owned()
    };
    let sources = sources.clone();
    let sources = match command {
        Some(Command::Health(_)) => sources.with_http_token_alone(),
        _ => sources.without_key_files(),
    };
    let loaded = Config::load(&sources)?;
    Ok((loaded, KeyFiles::Unread(why)))
}

async fn dispatch(line: CommandLine, loaded: Loaded, sources: Sources, keys: KeyFiles) -> Outcome {
    let clock: SharedClock = Arc::new(SystemClock);
    let selected = line.global.workspace;
    let config = &loaded.config;
    let result = match line.command {
        None if line.dry_run => once::dry_run(config, clock).await,
        None if line.once => once::once(&loaded, clock).await,
        None => daemon::run(&loaded, sources, selected, clock).await,
        Some(Command::Check(args)) => check::run(&loaded, clock, &args).await,
        Some(Command::Health(_)) => health::ready(config).await,
        Some(Command::Backup(args)) => backup::run(config, clock, &selected, args).await,
        Some(Command::Status { format }) => status::run(config, &selected, format).await,
        Some(Command::Report(args)) => report::run(config, clock, &selected, args, keys).await,
        Some(Command::List(args)) => list::run(config, selected, args).await,
        Some(Command::Show { id, format }) => show::run(config, &selected, id, format).await,
        Some(Command::Verify(args)) => verify::run(config, clock, selected, args).await,
        Some(Command::Retry(args)) => retry::run(config, &selected, args).await,
        Some(Command::Rebuild(args)) => rebuild::run(config, clock, args).await,
    };
    result.unwrap_or_else(|error| {
        output::complain(&format!("{error:#}"));
        Outcome::Failed
    })
}

/// An id as people paste it: case does not matter on the command line.
fn recording_id(text: &str) -> Result<RecordingId, InvalidId> {
    text.trim().to_ascii_lowercase().parse()
}

/// Sees to it that no secret of the configuration gets into a log line.
fn hide_secrets(config: &Config) {
    for workspace in &config.workspaces {
        telemetry::hide(workspace.credential.secret.clone());
    }
    if let Some(token) = &config.http.token {
        telemetry::hide(token.clone());
    }
    config.notify.secrets().into_iter().for_each(telemetry::hide);
}

/// Keeps only the workspaces that were named, if any were.
fn select_workspaces(config: &mut Config, selected: &[WorkspaceName]) -> Result<(), String> {
    for name in selected {
        if !config.workspaces.iter().any(|workspace| workspace.name == *name) {
            let known: Vec<&str> = config
                .workspaces
                .iter()
                .map(|workspace| workspace.name.as_str())
                .collect();
            return Err(format!(
                "--workspace {name}: no such workspace; configured are: {}",
                known.join(", ")
            ));
        }
    }
    if !selected.is_empty() {
        config.workspaces.retain(|workspace| selected.contains(&workspace.name));
    }
    Ok(())
}
