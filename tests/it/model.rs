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
mod world;

use proptest::test_runner::Config;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestCaseError;
use proptest::test_runner::TestError;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;

use place::Volume;
use steps::Step;
use steps::steps;

/// Histories of an ordinary run.
const CASES: u64 = 60;
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

/// Tries the histories of these seeds; tells the first that fails.
fn try_histories(seeds: impl Iterator<Item = u64>, go_through: impl Fn(&[Step]) -> anyhow::Result<()>) {
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
        let tried = runner.run(&steps(), |steps| {
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
            Err(other) => panic!("BIRDKEEP_MODEL_SEED={seed}: {other}"),
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
    let first = number_from("BIRDKEEP_MODEL_SEED");
    let cases = number_from("BIRDKEEP_MODEL_CASES").unwrap_or(if first.is_some() { 1 } else { CASES });
    let first = first.unwrap_or(FIRST_SEED);
    try_histories(first..first + cases, |steps| {
        runtime.block_on(history::go_through(&volume, steps))
    });
}
