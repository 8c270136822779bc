//! What these tests run on: a Bird, an installation at a place of their choice, runs of the binary that may be made to
//! fail, and the judge.
//!
//! All of it blocks, so that walks run side by side on threads of their own. Must not know: which faults there are.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::faultio;
use crate::support::faultio::Traced;
use crate::support::invariants::Demand;
use crate::support::invariants::Findings;
use crate::support::invariants::Offered;
use crate::support::invariants::Place;
use crate::support::invariants::sum;

const BINARY: &str = env!("CARGO_BIN_EXE_birdkeep");
const WORKSPACE: &str = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f";
const KEY: &str = "birdkey-5bWq8ZsecretXr2LpTn7";
const NAME: &str = "support";

/// Longer than any run takes that ends by itself.
const PATIENCE: Duration = Duration::from_mins(1);

/// Exit codes of a pass that is over, whatever it met.
const DOCUMENTED: [i32; 3] = [0, 1, 3];

/// A Bird with recordings, and what is to become of them.
pub struct Scene {
    pub bird: Bird,
    pub workspace: WorkspaceHandle,
    pub offered: Vec<Offered>,
    runtime: Runtime,
    scratch: TempDir,
    calls: OnceCell<usize>,
}

impl Scene {
    /// One with these recordings.
    pub fn new(recordings: impl IntoIterator<Item = RecordingSpec>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let bird = runtime.block_on(Bird::start(BirdOptions::default()));
        let workspace = bird.add_workspace(WORKSPACE, KEY);
        let mut scene = Self {
            bird,
            workspace,
            offered: Vec::new(),
            runtime,
            scratch: TempDir::with_prefix("birdkeep-faults-").expect("a temporary directory"),
            calls: OnceCell::new(),
        };
        recordings.into_iter().for_each(|recording| scene.add(recording));
        scene
    }

    /// One more recording, available.
    pub fn add(&mut self, recording: RecordingSpec) {
        let id = self.workspace.add(recording);
        self.offered.push(offer(&self.workspace, id));
    }

    /// Three recordings of a moment each, on two days: two pages of two.
    pub fn of_three() -> Self {
        let days = ["2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", "2026-03-02T10:00:00Z"];
        Self::new(days.map(|at| RecordingSpec::at(at).body_bytes(20_000)))
    }

    /// Durable calls that a run makes which archives three recordings; measured once.
    pub fn calls(&self) -> usize {
        *self.calls.get_or_init(|| {
            let place = Place::new(self.scratch().join("undisturbed"));
            let under = format!("under={} not=-shm", place.archive.display());
            let calls = run_traced(self, &self.install(&place, 2, ""), &under).trace.len();
            assert!(calls > 100, "only {calls} calls were seen");
            calls
        })
    }

    /// For configurations, traces and the like.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Writes the configuration of an installation at this place, with pages of so many, and more settings as TOML.
    pub fn install(&self, place: &Place, page_size: u32, more: &str) -> PathBuf {
        let path = self.scratch().join("birdkeep.toml");
        let (archive, catalog) = (place.archive.display(), place.catalog.display());
        let toml = format!(
            "[archive]\ndir = \"{archive}\"\nmin_free = \"0 B\"\n[catalog]\npath = \"{catalog}\"\n\
             [api]\nbase_url = \"{}\"\npage_size = {page_size}\nrequests_per_second = 1000\n[workspaces.{NAME}]\nid = \"{}\"\naccess_key = \"{}\"\n\
             [http]\nlisten = \"127.0.0.1:0\"\n{more}\n",
            self.bird.base_url(),
            self.workspace.id(),
            self.workspace.key(),
        );
        let download = "[download]\nallowed_hosts = [\"127.0.0.1\"]\n";
        let toml = if more.contains("[download]") {
            toml.replace("[download]\n", download)
        } else {
            toml + download
        };
        fs::write(&path, toml).expect("the configuration can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it can be made private");
        path
    }

    /// Holds a place against everything.
    pub fn check(&self, place: &Place, demand: Demand) -> Findings {
        self.runtime.block_on(place.check(demand, Some(&self.offered)))
    }
}

/// A recording, as the judge wants it.
fn offer(workspace: &WorkspaceHandle, id: RecordingId) -> Offered {
    let created = workspace.member(id, "createdAt").expect("createdAt");
    let created: Timestamp = created.as_str().expect("a text").parse().expect("a time");
    Offered {
        workspace: NAME.to_owned(),
        id: id.to_string(),
        created_at: created.as_microseconds(),
        sha256: Some(sum(&workspace.body(id))),
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    /// The signal.
    pub signal: Option<i32>,
    pub stderr: String,
    /// Whether it had to be killed after a minute.
    pub overdue: bool,
    /// For how long it used a processor.
    pub cpu: Duration,
    /// Its calls, where they were traced.
    pub trace: Vec<Traced>,
}

impl Ended {
    /// The ids of what it said was archived.
    pub fn archived(&self) -> Vec<String> {
        let archived = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            (line["message"] == "archived").then(|| line["recording.id"].as_str().map(str::to_owned))?
        };
        self.stderr.lines().filter_map(archived).collect()
    }

    /// What no run may do, whatever happens around it: I11, I23.
    pub fn misbehaviour(&self, findings: &Findings) -> Vec<String> {
        let mut found = Vec::new();
        if self.stderr.contains("panicked at") {
            found.push(format!("I23: it panicked: {}", self.stderr));
        }
        if self.code.is_some_and(|code| !DOCUMENTED.contains(&code)) || self.signal.is_some_and(|signal| signal != 9) {
            found.push(format!(
                "I23: it ended with {:?}, {:?}: {}",
                self.code, self.signal, self.stderr
            ));
        }
        if self.overdue {
            found.push(format!("it did not end: {}", self.stderr));
        }
        for id in self.archived() {
            if !findings.rows.iter().any(|row| row.id == id && row.state == "archived") {
                found.push(format!("I11: {id} was reported as archived and is not"));
            }
        }
        found
    }
}

/// Runs birdkeep to its end.
///
/// One that has not ended after a minute is killed.
pub fn run(config: &Path, args: &[&str], environment: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)]) -> Ended {
    let (child, stderr) = start(config, args, environment);
    end(child, &stderr)
}

/// One pass that is killed from outside as soon as this says so, unless it has ended before.
pub fn run_until(config: &Path, mut struck: impl FnMut() -> bool) -> Ended {
    let (mut child, stderr) = start(config, &["--once"], &[] as &[(&str, &str)]);
    while !struck() && child.try_wait().expect("birdkeep can be waited for").is_none() {
        std::thread::sleep(Duration::from_micros(200));
    }
    drop(child.kill());
    end(child, &stderr)
}

fn start(
    config: &Path,
    args: &[&str],
    environment: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)],
) -> (Child, mpsc::Receiver<String>) {
    let mut command = Command::new(BINARY);
    command
        .args(["--log-format", "json", "--config"])
        .arg(config)
        .args(args)
        .env_clear()
        .envs(few_roots().map(|roots| ("SSL_CERT_FILE", roots)))
        .envs(environment.iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("birdkeep starts");
    let mut pipe = child.stderr.take().expect("a pipe");
    let (sender, stderr) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(pipe.read_to_end(&mut bytes));
        drop(sender.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    (child, stderr)
}

fn end(mut child: Child, stderr: &mpsc::Receiver<String>) -> Ended {
    let mut said = stderr.recv_timeout(PATIENCE);
    let overdue = said.is_err();
    if overdue {
        drop(child.kill());
        said = stderr.recv().map_err(Into::into);
    }
    let cpu = cpu_of(child.id());
    let status = child.wait().expect("birdkeep can be waited for");
    Ended {
        code: status.code(),
        signal: status.signal(),
        stderr: said.unwrap_or_default(),
        cpu,
        overdue,
        trace: Vec::new(),
    }
}

/// Processor time of a process that runs, or has ended and was not waited for yet.
pub fn cpu_of(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ticks = |field: &str| field.parse::<u64>().unwrap_or(0);
    // After the name in brackets, which may hold anything: the 14th and 15th field, in hundredths of a second.
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').skip(11);
    Duration::from_millis(fields.take(2).map(ticks).sum::<u64>() * 10)
}

/// Whether a variable of the test's own environment has this value.
#[expect(clippy::disallowed_methods, reason = "what is asked of the tests, not of birdkeep")]
pub fn wants(variable: &str, value: &str) -> bool {
    std::env::var(variable).is_ok_and(|found| found == value)
}

/// A bundle with the first of the machine's root certificates: reading them all is half of what a short run costs.
fn few_roots() -> Option<&'static Path> {
    static FEW: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        const END: &str = "-----END CERTIFICATE-----\n";
        let all = fs::read_to_string("/etc/ssl/certs/ca-certificates.crt").ok()?;
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("few-roots.pem");
        fs::write(&path, &all[..all.find(END)? + END.len()]).ok()?;
        Some(path)
    };
    FEW.get_or_init(make).as_deref()
}

/// One pass, of which the calls that the rules count are traced.
pub fn run_traced(scene: &Scene, config: &Path, rules: &str) -> Ended {
    let trace = scene.scratch().join("trace");
    drop(fs::remove_file(&trace));
    let environment: Vec<(&str, OsString)> = faultio::environment(rules, &trace).expect("the library was built");
    let mut ended = run(config, &["--once"], &environment);
    ended.trace = faultio::read_trace(&trace);
    ended
}
