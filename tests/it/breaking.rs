//! The disk and the power fail at every single call, and the archive is judged from outside.

pub mod kit;
pub mod walk;

mod walks;
