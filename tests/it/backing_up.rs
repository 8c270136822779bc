//! Copies of the catalog: made under load, refused where they must be, and put back.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a broken fixture should panic")]

mod load;
mod places;
