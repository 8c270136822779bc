//! What an attacker may try who controls a host, a link, a name, a folder or a text, and what we leave behind.

mod addresses;
mod another_user;
mod authorities;
mod inert;
mod panics;
mod places;
mod planted;
mod secrets;
mod supply;
mod tls;
