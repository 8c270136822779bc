//! The measures, by name.

mod again;
mod arrivals;
mod downloads;
mod durability;
mod expiry;
mod growth;
mod idle;

use std::path::Path;
use std::path::PathBuf;

use anyhow::Result;

use super::contenders::Peer;
use super::options::Options;
use super::report::Measured;
use super::sets::Kind;
use super::sets::Set;
use super::stage::Scratch;

/// Something to measure.
#[derive(Clone, Copy)]
pub struct Measure {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Bench<'_>) -> Result<Measured>,
}

/// All there are, in the order in which they run.
pub const ALL: &[Measure] = &[
    Measure {
        name: "mix",
        about: "4,000 files around 250 kB, 1 GB, over HTTP, 16 at once",
        run: downloads::mix,
    },
    Measure {
        name: "mix-latency",
        about: "the same behind 30 ms, 16 at once and at each one's best",
        run: downloads::mix_latency,
    },
    Measure {
        name: "mix-https",
        about: "the same over HTTPS, with an authority of our own",
        run: downloads::mix_https,
    },
    Measure {
        name: "tiny",
        about: "20,000 files of 16 KiB",
        run: downloads::tiny,
    },
    Measure {
        name: "large",
        about: "8 files of 128 MiB",
        run: downloads::large,
    },
    Measure {
        name: "large-latency",
        about: "the same behind 30 ms",
        run: downloads::large_latency,
    },
    Measure {
        name: "durability",
        about: "mix, durable and not: the same program",
        run: durability::price,
    },
    Measure {
        name: "flushes",
        about: "syncs and catalog commits a recording, as strace sees them",
        run: durability::flushes,
    },
    Measure {
        name: "second-pass",
        about: "nothing new, 4,000 kept",
        run: again::second_pass,
    },
    Measure {
        name: "requests",
        about: "100,000 recordings whose links died: requests to the API",
        run: expiry::requests,
    },
    Measure {
        name: "half-dead",
        about: "mix, with every second link dead when it is listed",
        run: expiry::half_dead,
    },
    Measure {
        name: "backfill",
        about: "a first walk over 10 k, 100 k and 1 M rows, and sqlite3 .import of the same",
        run: growth::backfill,
    },
    Measure {
        name: "walk-latency",
        about: "a walk over pages that take 30 ms each",
        run: growth::walk_latency,
    },
    Measure {
        name: "idle-poll",
        about: "polls that bring nothing, over 10 k and 1 M archived rows",
        run: idle::poll,
    },
    Measure {
        name: "startup",
        about: "from exec to the first request, over 10 k and 1 M archived rows",
        run: idle::startup,
    },
    Measure {
        name: "resume",
        about: "kill -9 in mid-mix, and the run that goes on",
        run: again::resume,
    },
    Measure {
        name: "fresh",
        about: "from available to archived, alone and beside a walk over 1 M rows",
        run: arrivals::fresh,
    },
    Measure {
        name: "queries",
        about: "list --number, list --since and status over 1 M rows",
        run: idle::queries,
    },
    Measure {
        name: "verify",
        about: "re-reading 1 GB, and sha256sum of the same files, two at a time",
        run: again::verify,
    },
];

/// What a measure is given.
pub struct Bench<'a> {
    /// The program that is measured.
    pub birdkeep: &'a Path,
    pub scratch: &'a Scratch,
    pub options: &'a Options,
}

impl Bench<'_> {
    /// A set, small where only a quick look is wanted.
    pub fn set(&self, kind: Kind, count: u64, quick: u64) -> Set {
        let kind = match kind {
            Kind::Large if self.options.quick => Kind::Largish,
            kind => kind,
        };
        let count = if self.options.quick { quick } else { count };
        Set { kind, count }
    }

    /// The birdkeeps to measure, each with its name.
    pub fn birdkeeps(&self) -> Vec<(&'static str, &Path)> {
        let beside = self.options.beside.as_deref().map(|path| (BESIDE, path));
        std::iter::once((BIRDKEEP, self.birdkeep)).chain(beside).collect()
    }

    /// Those of some peers that are asked for and installed; notes what is left out.
    pub fn peers(&self, wanted: &[Peer], measured: &mut Measured) -> Vec<Peer> {
        let asked = |peer: &Peer| {
            let names = &self.options.peers;
            names.is_empty() || names.iter().any(|name| peer.name().contains(name.as_str()))
        };
        let (here, missing): (Vec<Peer>, Vec<Peer>) =
            wanted.iter().copied().filter(asked).partition(|peer| peer.is_here());
        for peer in missing {
            measured
                .notes
                .push(format!("{} is not installed and was left out.", peer.name()));
        }
        here
    }

    /// A fresh folder for one run.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn folder(&self, measure: &str, round: u32, contender: &str) -> Result<PathBuf> {
        let contender = contender.replace(' ', "");
        self.scratch.folder(&format!("out-{measure}/{round}-{contender}"))
    }
}

/// The name of the birdkeep that is measured.
pub const BIRDKEEP: &str = "birdkeep";
/// The name of the one beside it.
pub const BESIDE: &str = "birdkeep beside";
