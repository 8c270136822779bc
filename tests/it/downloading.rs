//! Downloading, with the real binary: whatever the media host does, a file is upstream's body or it is not there.

mod backlog;
mod faults;
mod hygiene;
mod lengths;
mod links;
mod load;
mod resume;
