//! What must hold of each parser, whatever it is given: one module a parser, each with one function that panics when
//! it does not.
//!
//! Used twice: by the fuzz targets, and by the tests of birdkeep for every file of the corpus. The judgement shares
//! no code with what is judged. Must not know: where the input came from.

pub mod config;
pub mod key;
pub mod link;
pub mod page;
pub mod range;
pub mod secret;
