//! Any history of the catalog, against a small model of it: lists that slide and end early, changes and deletions
//! upstream, a clock that jumps by up to ten years, a process that dies in the middle of a call, a disk that is full.
//!
//! Which histories are tried is decided by a seed. `BIRDKEEP_MODEL_SEED` tries one again, `BIRDKEEP_MODEL_CASES` says
//! how many are tried. One that fails is told with its seed, in the fewest steps that still fail.

mod calls;
mod drive;
mod history;
mod look;
mod place;
mod rules;
mod steps;
mod upstream;
mod world;

use std::fmt::Debug;
use std::ops::Range;

use proptest::strategy::Strategy;
use proptest::test_runner::Config;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestCaseError;
use proptest::test_runner::TestError;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;

use place::Volume;
use steps::steps;

/// Histories of an ordinary run.
const CASES: u64 = 40;
/// And of the whole house.
const UPSTREAM_CASES: u64 = 12;
/// The seed of the first one.
const FIRST_SEED: u64 = 1;

#[expect(
    clippy::disallowed_methods,
    reason = "what is tested is up to whoever runs the tests"
)]
fn number_from(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The seeds to try: so many from the first, or what the environment asks for.
fn seeds(cases: u64) -> Range<u64> {
    let asked = number_from("BIRDKEEP_MODEL_SEED");
    let cases = number_from("BIRDKEEP_MODEL_CASES").unwrap_or(if asked.is_some() { 1 } else { cases });
    let first = asked.unwrap_or(FIRST_SEED);
    first..first + cases
}

/// Tries the histories of these seeds; tells the first that fails.
fn try_histories<S: Debug>(
    seeds: Range<u64>,
    histories: &impl Strategy<Value = Vec<S>>,
    go_through: impl Fn(&[S]) -> anyhow::Result<()>,
) {
    for seed in seeds {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 3_000,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        let tried = runner.run(histories, |steps| {
            go_through(&steps).map_err(|error| TestCaseError::fail(format!("{error:#}")))
        });
        match tried {
            Ok(()) => {}
            Err(TestError::Fail(why, steps)) => {
                let steps: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
                panic!(
                    "BIRDKEEP_MODEL_SEED={seed} fails after these steps:\n{}\n{why}",
                    steps.join("\n")
                );
            }
            Err(TestError::Abort(why)) => panic!("BIRDKEEP_MODEL_SEED={seed}: {why}"),
        }
    }
}

#[test]
fn any_history_of_the_catalog_is_one_of_the_model() {
    let volume = Volume::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    try_histories(seeds(CASES), &steps(), |steps| {
        runtime.block_on(history::go_through(&volume, steps))
    });
}

#[test]
fn any_history_upstream_is_followed() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    try_histories(seeds(UPSTREAM_CASES), &upstream::turns(), |turns| {
        runtime.block_on(upstream::go_through(turns))
    });
}
