//! Two minutes of everything at once: one daemon over three workspaces whose recordings come in all the time, one in a
//! hundred requests going wrong in each way there is, `kill -9` every ten seconds, and a clock that jumps by up to ten
//! years. Then the faults end, and all of it must be there.
//!
//! Left out of an ordinary `cargo test`, as it takes its time whatever the machine:
//!
//!     cargo test --test it soak -- --ignored --nocapture
//!     BIRDKEEP_SOAK_SECONDS=28800 cargo test --release --test it soak -- --ignored --nocapture
//!
//! The last third, and no less than forty seconds of it, is one life without a kill, in which memory, descriptors and
//! threads must stay level; the lives before it must not begin heavier one after the other.

mod faults;
mod outages;
mod traffic;
mod watch;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use birdkeep::domain::ids::RecordingId;

use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::PageOrder;
use crate::support::faultio;
use crate::support::harness::Archive;
use crate::support::harness::Running;
use crate::support::invariants::Demand;
use crate::support::invariants::Ledger;
use crate::support::invariants::Place;
use crate::support::random::Random;
use crate::surviving::kit::BINARY;
use crate::surviving::kit::rows;

use traffic::Traffic;
use watch::Bounds;
use watch::Life;
use watch::middle;

/// How long faults last where nobody says otherwise.
const SECONDS: u64 = 120;
const KILL_EVERY: Duration = Duration::from_secs(10);
const JUMP_EVERY: Duration = Duration::from_secs(7);
const CHANGE_EVERY: Duration = Duration::from_millis(900);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The one long life at the end is at least this long.
const LONG_LIFE: Duration = Duration::from_secs(40);
/// A life has taken what it takes by then: caches are full, every thread has begun.
const WARM: Duration = Duration::from_secs(6);
/// Within this all must be there once the faults are over.
const RECOVERY: Duration = Duration::from_secs(120);

const DOWNLOADS: u64 = 8;
const MAX_BODY_BYTES: u64 = 2 << 20;
/// What may come without being a leak: the caches of five connections to the catalog, and the book of tickets.
const SLACK_KIB: u64 = 12 << 10;

const BOUNDS: Bounds = Bounds {
    rss_kib: (128 << 10) + DOWNLOADS * (4 << 10),
    files: 128,
    threads: 64,
    log_bytes: 32 << 20,
    // Each download may have its body and its sidecar there, and a killed one leaves both to the next start.
    staged_files: 4 * DOWNLOADS,
    staged_bytes: 2 * DOWNLOADS * MAX_BODY_BYTES,
};

/// By how many seconds the clock is wrong, in turn.
const JUMPS: [i64; 9] = [0, 700, -3_600, 86_400, 0, -86_400, 315_360_000, -315_360_000, 86_400];

struct Soak {
    bird: Bird,
    traffic: Traffic,
    archive: Archive,
    place: Place,
    ledger: Ledger,
    clock: PathBuf,
    jumps: usize,
    random: Random,
    begun: Instant,
}

impl Soak {
    async fn set_up(whole: Duration) -> Self {
        let bird = Bird::start(BirdOptions {
            url_life: Duration::from_mins(1),
            page_order: PageOrder::Shuffled,
            ..BirdOptions::default()
        })
        .await;
        let traffic = Traffic::new(&bird, whole);
        let spaces = [0, 1, 2].map(|at| (traffic.spaces[at].0, &traffic.spaces[at].1));
        let mut archive = Archive::new(BINARY, &bird, &spaces);
        for (key, value) in [
            ("sync.interval", "1s"),
            ("sync.full_walk_interval", "15s"),
            ("api.timeout", "1s"),
            ("download.stall_timeout", "1s"),
            ("download.total_timeout", "15s"),
            ("download.expiry_margin", "2s"),
            ("shutdown.grace", "3s"),
        ] {
            archive.set_text(key, value);
        }
        archive.set("api.requests_per_second", "200");
        archive.set("download.concurrency", &DOWNLOADS.to_string());
        archive.set("download.max_bytes", &MAX_BODY_BYTES.to_string());
        let clock = archive.root().join("clock");
        fs::write(&clock, "0").unwrap();
        archive.env(
            "LD_PRELOAD",
            faultio::library().expect("a library that shifts the clock"),
        );
        archive.env("FAULTIO_CLOCK", &clock);
        Self {
            place: Place::new(archive.dir()),
            bird,
            traffic,
            archive,
            ledger: Ledger::default(),
            clock,
            jumps: 0,
            random: Random::new(7),
            begun: Instant::now(),
        }
    }

    /// The clock is wrong by something else from now on. Written aside first: it is read at any moment.
    fn jump(&mut self) {
        self.jumps += 1;
        self.set_clock(JUMPS[self.jumps % JUMPS.len()]);
    }

    fn set_clock(&self, ahead_seconds: i64) {
        let aside = self.clock.with_extension("new");
        fs::write(&aside, ahead_seconds.to_string()).unwrap();
        fs::rename(aside, &self.clock).unwrap();
    }

    /// Has the daemon live so long, upstream going on, and looks at what it takes.
    async fn live(&mut self, running: &Running, lasting: Duration) -> Life {
        let born = Instant::now();
        let mut life = Life::new(running.pid().expect("it runs"), born);
        let (mut next_change, mut next_jump) = (born + CHANGE_EVERY, born + JUMP_EVERY.mul_f64(0.6));
        while born.elapsed() < lasting {
            self.traffic.go_on(&self.bird);
            life.look(&self.archive.dir(), &BOUNDS);
            let now = Instant::now();
            if now >= next_change {
                let kept = self.kept();
                self.traffic.change_one_of(&kept);
                next_change = now + CHANGE_EVERY;
            }
            if now >= next_jump {
                self.jump();
                next_jump = now + JUMP_EVERY;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            assert!(running.pid().is_some(), "it ended by itself:\n{}", running.stderr());
        }
        eprintln!("{:>6.1} s  {life}", self.begun.elapsed().as_secs_f64());
        life
    }

    /// The recordings that have a file here.
    fn kept(&self) -> Vec<(String, RecordingId)> {
        let read = |name: &String| -> Option<(String, RecordingId)> {
            let stem = name.strip_suffix(".json")?.rsplit_once('_')?.1;
            Some((name.split_once('/')?.0.to_owned(), stem.parse().ok()?))
        };
        self.archive.files().iter().filter_map(read).collect()
    }

    /// Holds everything that must hold of what a killed process has left.
    async fn hold(&mut self, demand: Demand) {
        let findings = self.place.check(demand, Some(&self.traffic.offered)).await;
        assert!(findings.violations.is_empty(), "{:#?}", findings.violations);
        let changed = self.ledger.observe(&findings);
        assert!(changed.is_empty(), "{changed:#?}");
    }

    /// The faults end; a daemon and an operator's word are all it takes.
    async fn recover(&mut self) {
        self.bird.clear_faults();
        self.traffic.hang_up();
        self.set_clock(0);
        let (running, begun) = (self.archive.spawn(&[]), Instant::now());
        let now = self.bird.now().to_string();
        loop {
            self.archive.run(&["retry", "--all"]).await.expect_code(0);
            let rows = rows(&self.archive).await;
            let missing = self.missing(&rows);
            if missing.is_empty() {
                let jumped =
                    |row: &serde_json::Value| row["archived_at"].as_str().is_some_and(|at| at[..4] != now[..4]);
                assert!(rows.iter().any(jumped), "the clock never jumped");
                eprintln!(
                    "all {} were there after {:.1} s",
                    rows.len(),
                    begun.elapsed().as_secs_f64()
                );
                break;
            }
            assert!(
                begun.elapsed() < RECOVERY,
                "{} of {} are not archived, such as {:?}\n{}",
                missing.len(),
                self.traffic.offered.len(),
                &missing[..missing.len().min(5)],
                running.stderr()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let mut running = running;
        running.sigterm();
        let ended = running.exit_within(Duration::from_secs(10)).await;
        ended.expect("it ends in time").expect_code(0);
    }

    /// What is on offer and not archived.
    fn missing(&self, rows: &[serde_json::Value]) -> Vec<String> {
        let archived: std::collections::HashSet<&str> = rows
            .iter()
            .filter(|row| row["state"] == "archived")
            .filter_map(|row| row["id"].as_str())
            .collect();
        let available = self.traffic.spaces.iter().flat_map(|(_, space)| space.available());
        available
            .map(|id| id.to_string())
            .filter(|id| !archived.contains(id.as_str()))
            .collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is up to whoever runs it")]
fn seconds() -> u64 {
    let seconds = std::env::var("BIRDKEEP_SOAK_SECONDS");
    seconds.map_or(SECONDS, |text| {
        text.parse().expect("BIRDKEEP_SOAK_SECONDS is a number of seconds")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; .ci/run has it as a step of its own"]
async fn soak() {
    let whole = Duration::from_secs(seconds());
    let long_life = LONG_LIFE.max(whole / 3);
    let mut soak = Soak::set_up(whole).await;
    let kinds = faults::arm(&soak.bird);
    eprintln!("{} kinds of faults, {whole:?}", kinds.len());
    let mut lives = Vec::new();
    while soak.begun.elapsed() + long_life < whole {
        let mut running = soak.archive.spawn(&[]);
        let lasting = KILL_EVERY.mul_f64(0.9 + 0.002 * f64::from(u8::try_from(soak.random.below(100)).unwrap_or(0)));
        lives.push(soak.live(&running, lasting).await);
        running.kill_9().await;
        soak.hold(Demand::Crashed).await;
    }
    let mut running = soak.archive.spawn(&[]);
    let long = soak.live(&running, long_life).await;
    running.kill_9().await;
    soak.hold(Demand::Crashed).await;
    let strikes: Vec<u32> = kinds.iter().map(|kind| soak.bird.fault_strikes(*kind)).collect();
    let struck = strikes.iter().filter(|strikes| **strikes > 0).count();
    eprintln!("{} faults struck, of {struck} kinds", strikes.iter().sum::<u32>());
    assert!(struck > kinds.len() / 2, "{strikes:?}");
    soak.recover().await;
    soak.archive.run(&["--once"]).await.expect_code(0);
    soak.hold(Demand::Rest).await;
    assert!(
        soak.ledger.len() > soak.traffic.offered.len() / 2,
        "{} archived",
        soak.ledger.len()
    );
    assert_eq!(soak.bird.foreign_requests(), 0);
    assert_eq!(soak.archive.grep_secrets(&soak.bird), []);
    let output = String::from_utf8_lossy(&soak.archive.output()).into_owned();
    assert!(!output.contains("panicked at"), "{output}");
    stay_level(&lives, &long, whole);
}

/// Memory, descriptors and threads do not grow: not from life to life, and not within a long one.
fn stay_level(lives: &[Life], long: &Life, whole: Duration) {
    let hours = whole.as_secs() / 3_600;
    let slack_kib = SLACK_KIB + hours * 1_024;
    let third = (long.age().saturating_sub(WARM)) / 3;
    let (first, last) = (WARM + third, WARM + third * 2);
    let long_ago = |of: fn(&watch::Sample) -> u64| (long.middle(WARM, first, of), long.middle(last, Duration::MAX, of));
    let memory = long_ago(|sample| sample.rss_kib);
    eprintln!("memory within the long life: {} KiB, then {} KiB", memory.0, memory.1);
    assert!(memory.1 <= memory.0 + slack_kib, "memory grows: {memory:?} KiB");
    let files = long_ago(|sample| sample.files);
    assert!(files.1 <= files.0 + 2 * DOWNLOADS, "descriptors grow: {files:?}");
    let threads = long_ago(|sample| sample.threads);
    // Each download may have one for its disk work, and one that has nothing to do stays for ten seconds.
    assert!(threads.1 <= threads.0 + 2 * DOWNLOADS, "threads grow: {threads:?}");
    let settled = |life: &Life| life.middle(WARM, Duration::MAX, |sample| sample.rss_kib);
    let (early, late) = lives.split_at(lives.len() / 2);
    let [early, late] = [early, late].map(|lives| middle(lives.iter().map(settled).collect()));
    eprintln!("memory of a warm life: {early} KiB in the first half, {late} KiB in the second");
    assert!(
        early == 0 || late <= early + slack_kib,
        "lives grow heavier: {early} KiB, then {late} KiB"
    );
}
