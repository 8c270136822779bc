//! What the system lets this process do: its user, its rights, its limits, and whether systemd started it.
//!
//! Must not know: how much of it is needed.

use rustix::process::Resource;

/// What the system lets this process do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// The user it runs as.
    pub user_id: u32,
    /// Whether it can never gain rights (`NoNewPrivileges=`); `None` where the system does not tell.
    pub no_new_privileges: Option<bool>,
    /// Whether it has capabilities in force; `None` where the system does not tell.
    pub has_capabilities: Option<bool>,
    /// How many files it may have open; `None`: no limit.
    pub open_files: Option<u64>,
    /// Whether systemd started it as a service, and not a person at a terminal.
    pub is_service: bool,
}

impl Confinement {
    /// Asks the system.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            user_id: rustix::process::geteuid().as_raw(),
            no_new_privileges: rustix::thread::no_new_privs().ok(),
            has_capabilities: rustix::thread::capabilities(None)
                .ok()
                .map(|sets| !sets.effective.is_empty()),
            open_files: rustix::process::getrlimit(Resource::Nofile).current,
            is_service: is_service(),
        }
    }
}

/// systemd names the process it started (`SYSTEMD_EXEC_PID`, since 248); what that one starts inherits the variable, but not
/// the number. Before, only the socket for reports tells.
#[expect(
    clippy::disallowed_methods,
    reason = "the service manager's variables, not configuration"
)]
fn is_service() -> bool {
    let named = |name| std::env::var_os(name).and_then(|value| value.into_string().ok());
    match named("SYSTEMD_EXEC_PID") {
        Some(pid) => pid == std::process::id().to_string(),
        None => named("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty()),
    }
}
