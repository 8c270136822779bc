//! Any history of listings, claims, ends, retries and restarts, against a map from recording to state.

use std::collections::BTreeMap;

use birdkeep::catalog::Catalog;
use birdkeep::catalog::Claim;
use birdkeep::catalog::ClaimEnd;
use birdkeep::domain::recording::Status;
use birdkeep::domain::recording::StatusClass;
use birdkeep::domain::state::Event;
use birdkeep::domain::state::State;
use birdkeep::domain::state::after;
use proptest::prelude::*;

use super::harness::Bench;
use super::harness::failed;
use super::harness::id;
use super::harness::noon;
use super::harness::of_support;
use super::harness::recording;
use super::harness::stored;
use super::harness::workspace;

const RECORDINGS: u8 = 5;

#[derive(Debug, Clone, Copy)]
enum Ending {
    Completed,
    Failed { spent: bool },
    Gone,
    Released,
}

#[derive(Debug, Clone)]
enum Step {
    List(Vec<(u8, &'static str)>),
    Claim(Vec<u8>),
    ClaimDue(u32),
    Settle(Ending),
    Retry(u8),
    RetryAll,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..RECORDINGS;
    let status = prop::sample::select(vec!["available", "available", "ongoing", "absent", "new word"]);
    let ending = prop_oneof![
        Just(Ending::Completed),
        any::<bool>().prop_map(|spent| Ending::Failed { spent }),
        Just(Ending::Gone),
        Just(Ending::Released),
    ];
    prop_oneof![
        4 => prop::collection::vec((n(), status), 1..5).prop_map(Step::List),
        2 => prop::collection::vec(n(), 1..4).prop_map(Step::Claim),
        2 => (1..4_u32).prop_map(Step::ClaimDue),
        4 => ending.prop_map(Step::Settle),
        1 => n().prop_map(Step::Retry),
        1 => Just(Step::RetryAll),
        1 => Just(Step::Restart),
    ]
}

/// What should be known: of each recording its state and the class of its status, and what a claim took it from.
#[derive(Default)]
struct Model {
    known: BTreeMap<u8, (State, StatusClass)>,
    claimed_from: BTreeMap<u8, State>,
}

impl Model {
    fn apply(&mut self, n: u8, event: Event) {
        if let Some((state, _)) = self.known.get_mut(&n)
            && let Some(next) = after(Some(*state), event)
        {
            *state = next;
        }
    }

    fn list(&mut self, n: u8, class: StatusClass) {
        let known = self.known.get(&n).map(|(state, _)| *state);
        let next = after(known, Event::Listed(class)).unwrap();
        self.known.insert(n, (next, class));
    }

    fn claim(&mut self, n: u8) {
        self.claimed_from.insert(n, self.known[&n].0);
        self.apply(n, Event::Claimed);
    }

    fn end(&mut self, n: u8, ending: Ending) {
        let (listed, from) = (self.known[&n].1, self.claimed_from.remove(&n));
        let event = match ending {
            Ending::Completed => Event::Completed,
            Ending::Failed { spent } => Event::Failed { spent, listed },
            Ending::Gone => Event::FoundGone,
            Ending::Released => Event::Released {
                spent: from == Some(State::GivenUp),
                listed,
            },
        };
        self.apply(n, event);
    }
}

fn end(claim: &Claim, ending: Ending) -> ClaimEnd {
    match ending {
        Ending::Completed => ClaimEnd::Completed(stored(claim, noon())),
        Ending::Failed { spent } => failed(claim.history.attempts + 1, spent, noon()),
        Ending::Gone => ClaimEnd::Gone {
            reason: "404".to_owned(),
            attempts: claim.history.attempts + 1,
            not_before: noon(),
        },
        Ending::Released => ClaimEnd::Released {
            reason: None,
            not_before: None,
        },
    }
}

fn number(claim: &Claim) -> u8 {
    claim.recording.id.as_bytes()[0]
}

async fn take(
    bench: &Bench,
    step: Step,
    model: &mut Model,
    held: &mut Vec<Claim>,
    run_id: &mut i64,
) -> Option<Catalog> {
    let catalog = &bench.catalog;
    match step {
        Step::List(listed) => {
            let page: Vec<_> = listed.iter().map(|(n, status)| recording(*n, status)).collect();
            bench.upsert(&page).await;
            let last: BTreeMap<u8, &str> = listed.into_iter().collect();
            for (n, status) in last {
                model.list(n, Status::from_upstream(status).class());
            }
        }
        Step::Claim(wanted) => {
            let refs: Vec<_> = wanted.into_iter().map(of_support).collect();
            held.extend(catalog.claim(&refs).await.unwrap().into_iter().inspect(|claim| {
                assert_eq!(model.known[&number(claim)].0, State::Due);
                model.claim(number(claim));
            }));
        }
        Step::ClaimDue(limit) => {
            let claimable = |state: State| matches!(state, State::Due | State::GivenUp);
            let all = model.known.values().filter(|(state, _)| claimable(*state)).count();
            let claims = catalog.claim_due(&[workspace("support")], limit).await.unwrap();
            assert_eq!(claims.len(), all.min(limit.try_into().unwrap()));
            held.extend(claims.into_iter().inspect(|claim| model.claim(number(claim))));
        }
        Step::Settle(ending) => {
            let ends: Vec<_> = held
                .drain(..)
                .map(|claim| {
                    let end = end(&claim, ending);
                    (claim, end)
                })
                .collect();
            catalog.settle(&ends).await.unwrap();
            for (claim, _) in &ends {
                model.end(number(claim), ending);
            }
        }
        Step::Retry(n) => {
            catalog.retry(&[id(n)], None).await.unwrap();
            model.apply(n, Event::Retried);
        }
        Step::RetryAll => {
            catalog.retry_all(None).await.unwrap();
            (0..RECORDINGS).for_each(|n| model.apply(n, Event::Retried));
        }
        Step::Restart => {
            *run_id += 1;
            let next = Catalog::open(bench.options(*run_id)).await.unwrap();
            let reclaimed = next.reclaim().await.unwrap();
            assert_eq!(reclaimed, held.len() as u64);
            held.drain(..)
                .for_each(|claim| model.end(number(&claim), Ending::Released));
            return Some(next);
        }
    }
    None
}

async fn run(steps: Vec<Step>) {
    let mut bench = Bench::new().await;
    let (mut model, mut held, mut run_id) = (Model::default(), Vec::new(), 1);
    let ids: Vec<_> = (0..RECORDINGS).map(id).collect();
    for step in steps {
        let told = format!("{step:?}");
        if let Some(next) = take(&bench, step, &mut model, &mut held, &mut run_id).await {
            bench.catalog = next;
        }
        let found = bench
            .catalog
            .reader()
            .states_of(&workspace("support"), &ids)
            .await
            .unwrap();
        let found: BTreeMap<u8, State> = found.into_iter().map(|(id, state)| (id.as_bytes()[0], state)).collect();
        let expected: BTreeMap<u8, State> = model.known.iter().map(|(n, (state, _))| (*n, *state)).collect();
        assert_eq!(found, expected, "after {told}");
    }
    let counts = bench.catalog.reader().workspaces().await.unwrap()[1].counts.clone();
    for (state, count) in counts {
        let expected = model.known.values().filter(|(known, _)| *known == state).count();
        assert_eq!(count, expected as u64, "{state}");
    }
    assert!(bench.catalog.reader().integrity().await.unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_of_the_catalog_is_one_of_the_states(steps in prop::collection::vec(step(), 1..30)) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
