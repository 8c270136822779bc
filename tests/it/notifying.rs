//! What is told of it, and to whom: a dead man's switch in each cycle, a command on events.

mod commands;
mod kit;
mod pings;
