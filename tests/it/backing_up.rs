//! Copies of the catalog: made under load, refused where they must be, and put back.

#![expect(clippy::unwrap_used, reason = "a broken fixture should panic")]

mod load;
mod places;
