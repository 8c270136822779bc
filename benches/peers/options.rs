//! The command line of the benchmark.
//!
//! Must not know: how anything is measured.

use std::path::Path;
use std::path::PathBuf;

use clap::Parser;

use super::measures;
use super::measures::Measure;

/// Measures birdkeep beside its peers.
#[derive(Debug, Parser)]
#[command(name = "peers", bin_name = "cargo bench --bench peers --")]
struct Line {
    /// What to measure; without it, everything
    measures: Vec<String>,

    /// How often each contender runs
    #[arg(long, default_value_t = 3)]
    rounds: u32,

    /// Small sets and one round: to see that everything works, not to measure
    #[arg(long)]
    quick: bool,

    /// Only peers whose name contains one of these; birdkeep always runs
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,

    /// The birdkeep to measure [default: what `cargo build --release` makes of this tree]
    #[arg(long, value_name = "PROGRAM")]
    birdkeep: Option<PathBuf>,

    /// A second birdkeep to measure beside it, such as an earlier build
    #[arg(long, value_name = "PROGRAM")]
    beside: Option<PathBuf>,

    /// Where every figure is written, in JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Names the measures
    #[arg(long)]
    list: bool,
}

/// What is to be measured, and how.
pub struct Options {
    pub measures: Vec<Measure>,
    pub rounds: u32,
    pub quick: bool,
    pub peers: Vec<String>,
    pub birdkeep: Option<PathBuf>,
    pub beside: Option<PathBuf>,
    pub out: PathBuf,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// They cannot be understood, or ask for help.
    pub fn read(args: &[String]) -> anyhow::Result<Self> {
        let name = "peers".to_owned();
        let line = Line::try_parse_from(std::iter::once(&name).chain(args))?;
        if line.list {
            for measure in measures::ALL {
                super::say(&format!("{:16} {}", measure.name, measure.about));
            }
        }
        let mut chosen = Vec::new();
        for name in &line.measures {
            let found = measures::ALL.iter().find(|measure| measure.name == *name);
            chosen.push(*found.ok_or_else(|| anyhow::anyhow!("no measure is called {name}; --list names them"))?);
        }
        if line.measures.is_empty() && !line.list {
            chosen = measures::ALL.to_vec();
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .unwrap_or(Path::new("."));
        Ok(Self {
            measures: chosen,
            rounds: if line.quick { 1 } else { line.rounds.max(1) },
            quick: line.quick,
            peers: line.peers,
            birdkeep: line.birdkeep,
            beside: line.beside,
            out: line.out.unwrap_or_else(|| target.join("peers.json")),
        })
    }
}
