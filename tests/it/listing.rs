//! Listing, with the real binary: what a list says reaches the archive, and what it does not say moves nothing.

mod beside;
mod changes;
mod credentials;
mod items;
mod limits;
mod pages;
pub(crate) mod scene;
