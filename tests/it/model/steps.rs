//! What may happen, in any order, and what may go wrong while it does.
//!
//! Must not know: what any of it leads to.

use proptest::prelude::*;

use super::rules::Key;

/// Recordings of each workspace; the two share their numbers.
pub(super) const NUMBERS: u8 = 4;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Something that happens upstream.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// Created so long before now (after, if negative), or listed again.
    Add {
        ago: i64,
        status: &'static str,
    },
    Status(&'static str),
    Metadata,
    /// Makes no sense from now on, or sense again.
    Garble(bool),
    Unlist,
    Delete,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Stored,
    Failed { spent: bool },
    Gone,
    GivenBack { waits: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WalkEnd {
    Complete,
    /// After so many pages.
    Stopped(usize),
    Failed(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Walk {
    pub(super) space: usize,
    pub(super) full: bool,
    pub(super) page_items: usize,
    pub(super) newest_first: bool,
    pub(super) end: WalkEnd,
    /// Behind this page the list slides, and the clock jumps.
    pub(super) meanwhile: Option<(usize, Key, Change)>,
    pub(super) jump: Option<(usize, i64)>,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Upstream(Key, Change),
    Walk(Walk),
    Claim(Vec<Key>),
    ClaimDue(u32),
    Settle {
        most: usize,
        ending: Ending,
    },
    Retry {
        numbers: Vec<u8>,
        space: Option<usize>,
    },
    RetryAll(Option<usize>),
    Sweep,
    Restart,
    /// Time passes everywhere.
    Wait(i64),
    /// This machine's clock is so far ahead of the truth from now on.
    Clock(i64),
}

/// What goes wrong with the step's call of this number to the catalog.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    None,
    /// The process dies after its call was polled so often.
    Dies {
        call: usize,
        polls: u32,
    },
    /// No more than this is free on the disk.
    NoRoom {
        call: usize,
        free_bytes: u64,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) what: What,
    pub(super) trouble: Trouble,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (what(), trouble()).prop_map(|(what, trouble)| Step { what, trouble });
    prop::collection::vec(step, 1..70)
}

fn key() -> impl Strategy<Value = Key> {
    // Most of it in one workspace: the fewer there are, the more happens to each.
    (prop_oneof![3 => Just(0_usize), 1 => Just(1)], 0..NUMBERS)
}

fn status() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "available",
        "available",
        "available",
        "ongoing",
        "completed",
        "absent",
        "new word",
    ])
}

fn change() -> impl Strategy<Value = Change> {
    let ago = prop_oneof![
        4 => Just(0),
        2 => (0..600_i64).prop_map(|minutes| minutes * MINUTE),
        1 => (0..400_i64).prop_map(|days| days * DAY),
        1 => (1..2_000_i64).prop_map(|days| -days * DAY),
    ];
    prop_oneof![
        6 => (ago, status()).prop_map(|(ago, status)| Change::Add { ago, status }),
        3 => status().prop_map(Change::Status),
        1 => Just(Change::Metadata),
        2 => any::<bool>().prop_map(Change::Garble),
        1 => Just(Change::Unlist),
        1 => Just(Change::Delete),
    ]
}

fn ahead() -> impl Strategy<Value = i64> {
    prop::sample::select(vec![0, 0, MINUTE, -MINUTE, DAY, -DAY, 3_650 * DAY, -3_650 * DAY])
}

fn walk() -> impl Strategy<Value = Walk> {
    let end = prop_oneof![
        5 => Just(WalkEnd::Complete),
        1 => (0..3_usize).prop_map(WalkEnd::Stopped),
        2 => (0..3_usize).prop_map(WalkEnd::Failed),
    ];
    let meanwhile = prop::option::weighted(0.3, (0..3_usize, key(), change()));
    let jump = prop::option::weighted(0.15, (0..3_usize, ahead()));
    (
        prop_oneof![3 => Just(0_usize), 1 => Just(1)],
        prop::bool::weighted(0.4),
        1..5_usize,
        any::<bool>(),
        end,
        meanwhile,
        jump,
    )
        .prop_map(|(space, full, page_items, newest_first, end, meanwhile, jump)| Walk {
            space,
            full,
            page_items,
            newest_first,
            end,
            meanwhile,
            jump,
        })
}

fn what() -> impl Strategy<Value = What> {
    let ending = prop_oneof![
        4 => Just(Ending::Stored),
        4 => any::<bool>().prop_map(|spent| Ending::Failed { spent }),
        1 => Just(Ending::Gone),
        2 => any::<bool>().prop_map(|waits| Ending::GivenBack { waits }),
    ];
    let space = || prop::option::of(0..2_usize);
    prop_oneof![
        8 => (key(), change()).prop_map(|(key, change)| What::Upstream(key, change)),
        8 => walk().prop_map(What::Walk),
        2 => prop::collection::vec(key(), 1..5).prop_map(What::Claim),
        6 => (1..5_u32).prop_map(What::ClaimDue),
        6 => (1..5_usize, ending).prop_map(|(most, ending)| What::Settle { most, ending }),
        2 => (prop::collection::vec(0..NUMBERS, 1..4), space()).prop_map(|(numbers, space)| What::Retry { numbers, space }),
        1 => space().prop_map(What::RetryAll),
        1 => Just(What::Sweep),
        1 => Just(What::Restart),
        2 => (1..3_000_i64).prop_map(|minutes| What::Wait(minutes * MINUTE)),
        2 => ahead().prop_map(What::Clock),
    ]
}

fn trouble() -> impl Strategy<Value = Trouble> {
    let free = prop::sample::select(vec![0, 0, 4_096, 12_288]);
    prop_oneof![
        14 => Just(Trouble::None),
        2 => (0..3_usize, 0..12_u32).prop_map(|(call, polls)| Trouble::Dies { call, polls }),
        2 => (0..3_usize, free).prop_map(|(call, free_bytes)| Trouble::NoRoom { call, free_bytes }),
    ]
}
