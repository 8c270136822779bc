//! Runs the operator's command for one event at a time, and keeps it from doing harm by taking long or saying much.
//!
//! Without a shell, in a process group of its own, with an environment of its own that holds nothing of ours. Must not
//! know: when an event happens.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::event::Event;
use crate::domain::redact::one_line;
use crate::telemetry;

/// All of the environment that the command gets.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LANG", "C.UTF-8"),
];

/// How much of what it writes is logged, of each of its two streams.
const MOST_OUTPUT_BYTES: usize = 4096;

/// How long its streams are read once it has ended: what it left running may hold them open.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program's file, absolute.
    pub program: PathBuf,
    /// Its arguments, passed as they are.
    pub arguments: Vec<String>,
}

/// The command, and the events that wait for it.
pub(super) struct Teller {
    command: CommandLine,
    timeout: Duration,
    waiting: Mutex<Vec<Event>>,
    wake: Notify,
    last_fault: Mutex<Option<String>>,
}

impl Teller {
    pub(super) fn new(command: CommandLine, timeout: Duration) -> Self {
        Self {
            command,
            timeout,
            waiting: Mutex::default(),
            wake: Notify::new(),
            last_fault: Mutex::default(),
        }
    }

    /// Has the command run for an event, after those that wait. What goes with one of them is told with it, so that no more
    /// wait than there are kinds and workspaces. Never waits itself.
    pub(super) fn tell(&self, event: Event) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.iter_mut().find(|other| other.goes_with(&event)) {
            Some(other) => other.absorb(event),
            None => waiting.push(event),
        }
        self.wake.notify_one();
    }

    /// Runs the command for what is told, until `last` and until nothing waits.
    ///
    /// Dropped, it kills the command that runs.
    pub(super) async fn keep_running(&self, archive_id: &str, last: &CancellationToken) {
        loop {
            self.run_waiting(archive_id).await;
            tokio::select! {
                biased;
                () = self.wake.notified() => {}
                () = last.cancelled() => return,
            }
        }
    }

    /// Runs the command for what waits.
    ///
    /// Dropped, it kills the command that runs.
    pub(super) async fn run_waiting(&self, archive_id: &str) {
        while let Some(event) = self.next() {
            let fault = self.run(&event, archive_id).await.err();
            let mut last = self.last_fault.lock().unwrap_or_else(PoisonError::into_inner);
            let (event, program) = (event.kind.as_str(), self.command.program.display());
            match &fault {
                Some(fault) if last.as_ref() != Some(fault) => {
                    tracing::warn!(event, command = %program, error = %fault, "notify.command failed; the event is not told again");
                }
                Some(fault) => tracing::debug!(event, command = %program, error = %fault, "notify.command failed"),
                None if last.is_some() => tracing::info!(event, command = %program, "notify.command works again"),
                None => tracing::debug!(event, command = %program, "notify.command ran"),
            }
            *last = fault;
        }
    }

    fn next(&self) -> Option<Event> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (!waiting.is_empty()).then(|| waiting.remove(0))
    }

    async fn run(&self, event: &Event, archive_id: &str) -> Result<(), String> {
        let mut child = tokio::process::Command::new(&self.command.program)
            .args(&self.command.arguments)
            .env_clear()
            .envs(ENVIRONMENT)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot be run: {error}"))?;
        let mut group = Group(child.id());
        let line = telemetry::clean(&event.to_json(archive_id)) + "\n";
        let Ok(ended) = tokio::time::timeout(self.timeout, attend(&mut child, &line)).await else {
            drop(group);
            // Killed, it is gone at once; waited for so that nothing is left of it.
            drop(tokio::time::timeout(LAST_OUTPUT, child.wait()).await);
            return Err(format!(
                "took longer than notify.timeout ({:?}) and was killed",
                self.timeout
            ));
        };
        group.0 = None;
        let status = ended.map_err(|error| format!("cannot be waited for: {error}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(status.to_string())
        }
    }
}

/// The process group of a command that has not ended. Dropped, it is killed.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let pid = self.0.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Gives the command its line, hears what it says, and waits for its end.
async fn attend(child: &mut Child, line: &str) -> std::io::Result<std::process::ExitStatus> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A command need not read it.
            drop(stdin.write_all(line.as_bytes()).await);
        }
    };
    let streams = async { tokio::join!(write, hear(stdout, "stdout"), hear(stderr, "stderr")) };
    tokio::pin!(streams);
    tokio::select! {
        status = child.wait() => {
            drop(tokio::time::timeout(LAST_OUTPUT, streams).await);
            status
        }
        _ = &mut streams => child.wait().await,
    }
}

/// Reads a stream to its end and logs the beginning of it.
async fn hear(stream: Option<impl AsyncRead + Unpin>, name: &'static str) {
    let Some(mut stream) = stream else {
        return;
    };
    let mut heard = Heard {
        name,
        bytes: Vec::new(),
    };
    let mut chunk = [0; 1024];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        let room = MOST_OUTPUT_BYTES.saturating_sub(heard.bytes.len());
        heard.bytes.extend_from_slice(&chunk[..read.min(room)]);
    }
}

/// What a stream said. Logged when it is dropped, whatever ended it.
struct Heard {
    name: &'static str,
    bytes: Vec<u8>,
}

impl Drop for Heard {
    fn drop(&mut self) {
        for line in String::from_utf8_lossy(&self.bytes).lines() {
            tracing::debug!(
                stream = self.name,
                "notify.command says: {}",
                one_line(line, MOST_OUTPUT_BYTES)
            );
        }
    }
}
