//! The statement of completeness: what it counts, when it has a gap, how it is printed, and the second witness.

#![expect(clippy::unwrap_used, reason = "a broken fixture should panic")]

mod beside;
mod honesty;
mod judging;
mod kit;
mod large;
mod reasons;
mod shapes;
mod statement;
mod witness;
