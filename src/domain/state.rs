//! The states of a recording and every legal move between them: the whole life of a recording in one file.
//!
//! Must not know: how a state is stored, or who asks for a move.

use std::fmt;
use std::str::FromStr;

use super::recording::StatusClass;

/// Where a recording stands in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Listed; upstream has no media yet.
    Waiting,
    /// Available and not archived.
    Due,
    /// Being fetched by the process that holds the archive.
    Claimed,
    /// Complete, synced and under its name, with size and SHA-256 equal to the row's.
    Archived,
    /// Upstream has no media and none was archived.
    Gone,
    /// Attempts spent; tried again slowly for as long as upstream lists it.
    GivenUp,
}

/// Every state, in the order people read them.
pub const STATES: [State; 6] = [
    State::Waiting,
    State::Due,
    State::Claimed,
    State::Archived,
    State::Gone,
    State::GivenUp,
];

impl State {
    /// The state's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Due => "due",
            Self::Claimed => "claimed",
            Self::Archived => "archived",
            Self::Gone => "gone",
            Self::GivenUp => "given_up",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of waiting, due, claimed, archived, gone, given_up")]
pub struct InvalidState;

impl FromStr for State {
    type Err = InvalidState;

    fn from_str(text: &str) -> Result<Self, InvalidState> {
        STATES
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(InvalidState)
    }
}

/// What can happen to a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A walk listed it with a status of this class.
    Listed(StatusClass),
    /// The queue took it, to fetch it now.
    Claimed,
    /// Its body is stored and synced.
    Completed,
    /// A fetch failed. `spent`: no attempts are left. `listed` is the status it was last listed with.
    Failed {
        /// Whether the attempts are used up.
        spent: bool,
        /// The class of the status it was last listed with.
        listed: StatusClass,
    },
    /// A fetch learnt that upstream has no media.
    FoundGone,
    /// A claim ended without a result: stopped, a local fault, a link that ran out, or a process that died.
    Released {
        /// Whether the attempts were used up before the claim.
        spent: bool,
        /// The class of the status it was last listed with.
        listed: StatusClass,
    },
    /// An operator asked for another try.
    Retried,
    /// The stored body is missing or damaged.
    LostLocally,
    /// Its body and its sidecar were found in the archive, which no claim of this catalog put there.
    FoundStored,
}

/// The state after `event`, or `None` where the move is not legal and nothing may change.
///
/// `None` as `from` stands for a recording never seen before. Nothing that upstream says moves a recording out of
/// `archived`, and nothing but the end of a claim moves it out of `claimed`.
#[must_use]
pub const fn after(from: Option<State>, event: Event) -> Option<State> {
    use State::{Archived, Claimed, Due, GivenUp, Gone, Waiting};
    match (from, event) {
        (Some(state @ (Archived | Claimed)), Event::Listed(_)) => Some(state),
        (Some(GivenUp), Event::Listed(StatusClass::Available)) => Some(GivenUp),
        (_, Event::Listed(class)) => Some(listed_as(class)),
        (Some(Due | GivenUp), Event::Claimed) => Some(Claimed),
        (Some(Claimed), Event::Completed) => Some(Archived),
        (Some(Claimed), Event::FoundGone) => Some(Gone),
        (Some(Claimed), Event::Failed { spent, listed } | Event::Released { spent, listed }) => {
            Some(match (listed, spent) {
                (StatusClass::Available, true) => GivenUp,
                (class, _) => listed_as(class),
            })
        }
        (Some(Due | Gone | GivenUp), Event::Retried) => Some(Due),
        (Some(Archived), Event::LostLocally) => Some(Due),
        (None | Some(Waiting | Due | Gone | GivenUp), Event::FoundStored) => Some(Archived),
        _ => None,
    }
}

const fn listed_as(class: StatusClass) -> State {
    match class {
        StatusClass::Pending => State::Waiting,
        StatusClass::Available => State::Due,
        StatusClass::NoMedia => State::Gone,
    }
}

/// Why a fetch ended without a body, in terms of what to do next. Set where the knowledge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// Worth another try later; counts as an attempt.
    Transient,
    /// Upstream has no media for it.
    Gone,
    /// No live link could be had: it ran out, or the API does not answer. Not the recording's fault, not counted.
    NoLink,
    /// The workspace's credential is refused; not counted.
    WorkspaceDenied,
    /// Our disk, our descriptors: not counted, and no new claim begins until it is over.
    Local,
    /// We were asked to stop; not counted.
    Stopped,
}

impl FailureKind {
    /// Whether this failure counts as one of the recording's attempts.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::Transient | Self::Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class() -> impl Strategy<Value = StatusClass> {
        prop_oneof![
            Just(StatusClass::Pending),
            Just(StatusClass::Available),
            Just(StatusClass::NoMedia)
        ]
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            class().prop_map(Event::Listed),
            Just(Event::Claimed),
            Just(Event::Completed),
            (any::<bool>(), class()).prop_map(|(spent, listed)| Event::Failed { spent, listed }),
            Just(Event::FoundGone),
            (any::<bool>(), class()).prop_map(|(spent, listed)| Event::Released { spent, listed }),
            Just(Event::Retried),
            Just(Event::LostLocally),
            Just(Event::FoundStored),
        ]
    }

    proptest! {
        #[test]
        fn upstream_never_moves_what_is_archived_or_claimed(class in class()) {
            for held in [State::Archived, State::Claimed] {
                prop_assert_eq!(after(Some(held), Event::Listed(class)), Some(held));
            }
        }

        #[test]
        fn only_a_completed_claim_or_what_was_found_stored_becomes_archived(from in proptest::option::of(0..6_usize), event in event()) {
            let from = from.map(|at| STATES[at]);
            if after(from, event) == Some(State::Archived) {
                let legal = event == Event::Completed && from == Some(State::Claimed)
                    || event == Event::FoundStored && from != Some(State::Claimed)
                    || matches!(event, Event::Listed(_)) && from == Some(State::Archived);
                prop_assert!(legal, "{:?} {:?}", from, event);
            }
        }

        #[test]
        fn a_claim_ends_in_exactly_one_of_its_endings(event in event()) {
            let to = after(Some(State::Claimed), event);
            let ends = matches!(
                event,
                Event::Completed | Event::Failed { .. } | Event::FoundGone | Event::Released { .. }
            );
            prop_assert_eq!(to.is_some_and(|to| to != State::Claimed), ends);
        }

        #[test]
        fn any_history_ends_in_a_state_from_which_an_available_recording_can_be_archived(
            events in proptest::collection::vec(event(), 0..40),
        ) {
            let mut state = None;
            for event in events {
                if let Some(next) = after(state, event) {
                    state = Some(next);
                }
            }
            let mut state = after(state, Event::Listed(StatusClass::Available)).unwrap();
            if state != State::Archived {
                if state != State::Claimed {
                    state = after(Some(state), Event::Claimed).unwrap();
                }
                state = after(Some(state), Event::Completed).unwrap();
            }
            prop_assert_eq!(state, State::Archived);
        }
    }

    #[test]
    fn names_and_back() {
        for state in STATES {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("done".parse::<State>(), Err(InvalidState));
    }
}
