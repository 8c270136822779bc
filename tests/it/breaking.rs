//! The disk and the power fail at every single call, and the archive is judged from outside.

pub mod kit;
pub mod walk;

mod errors;
mod judge;
mod kills;
mod recovery;
mod walks;
