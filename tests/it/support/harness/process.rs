//! One run of a program: its output as it comes, signals, its end within a time.
//!
//! Must not know: which program.

use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::process::Child;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Fails the test, with all output, unless this was the exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }

    /// Standard output as one JSON value a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// A run under way. Killed when dropped.
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
}

impl Running {
    pub(super) fn start(mut command: Command, captured: Arc<Mutex<Vec<u8>>>) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = Stream::read(child.stdout.take().expect("a pipe"), Arc::clone(&captured));
        let stderr = Stream::read(child.stderr.take().expect("a pipe"), captured);
        Self { child, stdout, stderr }
    }

    /// Its process id; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Waits until stderr holds this text. Says whether it came in time, and before the end of the stream.
    pub async fn stderr_holds(&mut self, text: &str, within: Duration) -> bool {
        let wanted = text.as_bytes();
        let holds = |bytes: &Vec<u8>| bytes.windows(wanted.len()).any(|window| window == wanted);
        matches!(timeout(within, self.stderr.bytes.wait_for(holds)).await, Ok(Ok(_)))
    }

    /// Ends it as a crash does, and waits until it is gone.
    pub async fn kill_9(&mut self) {
        self.child.kill().await.expect("the process can be killed");
    }

    /// Asks it to end.
    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn sigint(&self) {
        self.signal(Signal::INT);
    }

    /// Asks it to read its configuration again.
    pub fn sighup(&self) {
        self.signal(Signal::HUP);
    }

    /// Waits for its end. `None` if that does not come in time; it goes on then.
    pub async fn exit_within(&mut self, patience: Duration) -> Option<Finished> {
        let status: ExitStatus = timeout(patience, self.child.wait())
            .await
            .ok()?
            .expect("the process can be waited for");
        self.stdout.end().await;
        self.stderr.end().await;
        Some(Finished {
            code: status.code(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        })
    }

    fn signal(&self, signal: Signal) {
        let pid = self
            .pid()
            .and_then(|pid| Pid::from_raw(pid.cast_signed()))
            .expect("the process still runs");
        rustix::process::kill_process(pid, signal).expect("the process can be signalled");
    }
}

/// A pipe that is read as it fills.
struct Stream {
    bytes: watch::Receiver<Vec<u8>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn read(mut pipe: impl AsyncRead + Unpin + Send + 'static, captured: Arc<Mutex<Vec<u8>>>) -> Self {
        let (sender, bytes) = watch::channel(Vec::new());
        let reader = tokio::spawn(async move {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
                captured.lock().unwrap().extend_from_slice(&chunk[..read]);
                sender.send_modify(|bytes| bytes.extend_from_slice(&chunk[..read]));
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.borrow()).into_owned()
    }

    /// Waits until the pipe is read to its end; a grandchild that holds it open is not waited for.
    async fn end(&mut self) {
        if !self.reader.is_finished() {
            let _ = timeout(Duration::from_secs(2), &mut self.reader).await;
        }
    }
}
