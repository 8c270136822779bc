//! The demo: half a minute of birdkeep against a Bird on loopback, told in plain lines.
//!
//! The Bird is the simulator that the tests use; the archiver is the real one, from its configuration file to the files
//! it leaves behind. At the end every file is compared with what the simulator sent.

#![expect(
    clippy::unwrap_used,
    reason = "a poisoned lock means that the demo has panicked already"
)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::fs;
use std::future::Future;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::anyhow;
use anyhow::bail;
use birdkeep::app;
use birdkeep::app::App;
use birdkeep::app::ArchiveView;
use birdkeep::app::Observer;
use birdkeep::catalog::CatalogReader;
use birdkeep::catalog::ListFilter;
use birdkeep::catalog::RecordingRow;
use birdkeep::config::Config;
use birdkeep::config::Sources;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::ids::RecordingId;
use birdkeep::domain::state::STATES;
use birdkeep::domain::state::State;
use birdkeep::lifecycle::Lifecycle;
use birdkeep::telemetry;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

use support::bird::At;
use support::bird::Bird;
use support::bird::BirdOptions;
use support::bird::FaultId;
use support::bird::FaultRule;
use support::bird::LinkAction;
use support::bird::MediaAction;
use support::bird::RecordingSpec;
use support::bird::RequestKind;
use support::bird::WorkspaceHandle;

/// How long the demo may take after its last call before it says that something is still open.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the watcher looks into the catalog.
const LOOK: Duration = Duration::from_millis(100);
/// More rows than the demo ever makes.
const ALL_ROWS: u32 = 500;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let target = target_dir()?;
    let lock = fs::File::create(target.join("birdkeep-demo.lock")).context("cannot write to the target directory")?;
    if lock.try_lock().is_err() {
        bail!("another demo is running; wait for its end");
    }
    telemetry::init("warn", Some(telemetry::LogFormat::Text))?;
    let demo = Arc::new(Demo::set_up(&target.join("birdkeep-demo")).await?);
    demo.introduce();

    let story = async {
        tokio::select! {
            told = demo.story() => told.map(|()| true),
            _ = tokio::signal::ctrl_c() => Ok(false),
        }
    };
    let whole = story.await?;
    if !whole {
        demo.say("", "stopped by Ctrl-C");
    }
    demo.stop().await?;
    demo.conclude(whole).await
}

/// The build's target directory: this program lies in `<target>/<profile>/examples/`.
fn target_dir() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let target = program.ancestors().nth(3).map(Path::to_owned);
    target.ok_or_else(|| anyhow!("this program does not lie in a target directory"))
}

/// A running archiver.
struct Running {
    life: Lifecycle,
    task: JoinHandle<anyhow::Result<()>>,
}

/// A fault that waits to strike, and what to say when it does.
struct Trap {
    fault: FaultId,
    line: String,
    told: bool,
}

struct Demo {
    begun: Instant,
    dir: PathBuf,
    bird: Bird,
    support: WorkspaceHandle,
    sales: WorkspaceHandle,
    config: Config,
    names: Mutex<HashMap<RecordingId, String>>,
    traps: Mutex<Vec<Trap>>,
    running: Mutex<Option<Running>>,
}

impl Demo {
    /// A Bird with two workspaces and some old recordings, and a fresh directory with a configuration that names it.
    async fn set_up(dir: &Path) -> anyhow::Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir).context("cannot clear the last demo's directory")?;
        }
        fs::create_dir_all(dir).context("cannot make the demo's directory")?;
        let bird = Bird::start(BirdOptions::default()).await;
        let support = bird.add_workspace("8bc02f53-87ac-48d2-b4fd-c2cf856a305f", "demo-key-of-support");
        let sales = bird.add_workspace("3f0d6c1e-52a9-4b77-9d0e-1f6a2b8c4d5e", "demo-key-of-sales");
        for (workspace, count, days) in [(&support, 7, 3), (&sales, 5, 2)] {
            let first = bird.now().before(Duration::from_hours(24 * days)).to_string();
            workspace.add_many(count, &first, Duration::from_mins(47));
        }
        let config = write_config(dir, &bird, &support, &sales)?;
        Ok(Self {
            begun: Instant::now(),
            dir: dir.to_owned(),
            bird,
            support,
            sales,
            config,
            names: Mutex::default(),
            traps: Mutex::default(),
            running: Mutex::default(),
        })
    }

    fn introduce(&self) {
        print("birdkeep, the demo: about half a minute. Ctrl-C ends it early.");
        print("");
        print(
            "  Bird      is a simulator of Bird's recordings API in this process, on loopback. No account, no internet.",
        );
        print("  birdkeep  is the real archiver. It asks every second here; a minute is usual.");
        print("");
        print(&format!(
            "  configuration  {}",
            self.dir.join("birdkeep.toml").display()
        ));
        print(&format!("  archive        {}", self.config.archive.dir.display()));
        print("");
    }

    /// Everything that happens, in its order.
    async fn story(self: &Arc<Self>) -> anyhow::Result<()> {
        let mut calls = JoinSet::new();
        self.say("Bird", "lists 12 recordings of the past days, in two workspaces");
        self.start().await?;
        self.say("birdkeep", "starts, and goes through both lists to their ends");
        let view = ArchiveView::open(&self.config).await?;
        let watcher = Arc::clone(self);
        let mut watching = JoinSet::new();
        watching.spawn(async move { watcher.watch(view.reader).await });

        self.at(2.0).await;
        calls.spawn(self.call(&self.support, "call 1", None));
        self.at(4.0).await;
        calls.spawn(self.call(&self.sales, "call 2", Some(cut_half_way)));
        self.at(6.5).await;
        calls.spawn(self.call(&self.support, "call 3", Some(link_ran_out)));
        self.at(8.5).await;
        let odd = self.list_an_odd_item();
        self.at(10.5).await;
        self.unanswered_call();
        self.at(13.0).await;
        self.say("birdkeep", "is stopped, as for an update; calls go on");
        self.stop().await?;
        calls.spawn(self.call(&self.sales, "call 5", None));
        calls.spawn(self.call(&self.support, "call 6", None));
        self.at(18.5).await;
        self.start().await?;
        self.say("birdkeep", "is started again");
        self.at(21.0).await;
        self.say("Bird", "lists the odd item properly now");
        self.support.set_raw(odd, None);
        while calls.join_next().await.is_some() {}
        self.until_settled(&mut watching).await
    }

    async fn start(&self) -> anyhow::Result<()> {
        let app = App::open(
            &self.config,
            Arc::new(SystemClock),
            &Observer::new(Arc::new(SystemClock)),
        )
        .await?;
        let life = Lifecycle::unattended(self.config.shutdown.grace);
        let notifier = app::notifier(&self.config)?;
        let task = tokio::spawn({
            let life = life.clone();
            async move { app.run(&life, &notifier, None).await }
        });
        *self.running.lock().unwrap() = Some(Running { life, task });
        Ok(())
    }

    /// Stops the archiver as SIGTERM does, if it runs.
    async fn stop(&self) -> anyhow::Result<()> {
        let running = self.running.lock().unwrap().take();
        match running {
            None => Ok(()),
            Some(running) => {
                running.life.stop();
                running.task.await.context("the archiver panicked")?
            }
        }
    }

    /// A call, faster than life: it rings, goes on, ends, and its recording becomes available.
    fn call(
        self: &Arc<Self>,
        workspace: &WorkspaceHandle,
        name: &'static str,
        mishap: Option<fn(&Self, RecordingId)>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (demo, workspace) = (Arc::clone(self), workspace.clone());
        async move {
            let spec = RecordingSpec::new().created_at(demo.bird.now()).status("accepted");
            let id = workspace.add(spec);
            demo.name(id, name);
            let direction = workspace.member(id, "direction");
            let direction = direction.as_ref().and_then(|value| value.as_str()).unwrap_or("");
            demo.say("Bird", &format!("{name} begins ({direction}) and is being recorded"));
            for status in ["ongoing", "completed", "available"] {
                tokio::time::sleep(Duration::from_millis(1100)).await;
                if status == "available" {
                    if let Some(mishap) = mishap {
                        mishap(&demo, id);
                    }
                    demo.say("Bird", &format!("{name} is over, its recording available"));
                }
                workspace.set_status(id, status);
            }
        }
    }

    /// An item whose creation is no time. Returns its id.
    fn list_an_odd_item(&self) -> RecordingId {
        let spec = RecordingSpec::new().created_at(self.bird.now());
        let id = self.support.add(spec);
        self.name(id, "the odd item");
        let raw = format!(r#"{{"id":"{id}","status":"available","createdAt":"yesterday, about noon","format":"mp3"}}"#);
        self.support.set_raw(id, Some(raw.into()));
        self.say(
            "Bird",
            "lists an item nobody can understand: it was created \"yesterday, about noon\"",
        );
        id
    }

    fn unanswered_call(&self) {
        let spec = RecordingSpec::new().created_at(self.bird.now()).status("absent");
        let id = self.sales.add(spec);
        self.sales.delete_media(id);
        self.name(id, "call 4");
        self.say("Bird", "call 4 is listed as \"absent\": there is no recording of it");
    }

    fn trap(&self, rule: FaultRule, line: String) {
        let fault = self.bird.fault(rule);
        self.traps.lock().unwrap().push(Trap {
            fault,
            line,
            told: false,
        });
    }

    /// Tells what changes in the catalog, for ever.
    async fn watch(&self, reader: CatalogReader) -> anyhow::Result<()> {
        let mut known: HashMap<RecordingId, State> = HashMap::new();
        let mut set_aside = 0;
        loop {
            for trap in self.traps.lock().unwrap().iter_mut() {
                if !trap.told && self.bird.fault_strikes(trap.fault) > 0 {
                    trap.told = true;
                    self.say("Bird", &trap.line);
                }
            }
            let mut rows = reader.list_page(&ListFilter::default(), None, ALL_ROWS).await?;
            rows.reverse();
            let (mut old, mut old_bytes) = (0, 0);
            for row in rows {
                if known.insert(row.id, row.state) == Some(row.state) {
                    continue;
                }
                match self.name_of(row.id) {
                    Some(name) => self.tell(&name, &row),
                    None if row.state == State::Archived => {
                        old += 1;
                        old_bytes += row.size_bytes.unwrap_or(0);
                    }
                    None => {}
                }
            }
            if old > 0 {
                let kilobytes = old_bytes / 1000;
                self.say(
                    "birdkeep",
                    &format!("archived {old} of the past days' recordings, {kilobytes} kB"),
                );
            }
            let aside = reader.set_aside(&[], 10).await?;
            if aside.len() > set_aside {
                let reason = &aside[0].reason;
                self.say(
                    "birdkeep",
                    &format!("set the odd item aside, with its text ({reason}); all else goes on"),
                );
            }
            set_aside = aside.len();
            tokio::time::sleep(LOOK).await;
        }
    }

    fn tell(&self, name: &str, row: &RecordingRow) {
        let line = match row.state {
            State::Waiting => "is known; Bird has no sound yet, so it waits".to_owned(),
            State::Gone => "is noted as gone, with Bird's reason; nothing is passed over in silence".to_owned(),
            State::Archived => {
                let kilobytes = row.size_bytes.unwrap_or(0) / 1000;
                let sha256 = row.sha256.map(|digest| digest.to_string()).unwrap_or_default();
                let how = self.how_it_came(row.id);
                format!("archived, {kilobytes} kB, sha256 {sha256:.8}…{how}")
            }
            State::Due | State::Claimed | State::GivenUp => return,
        };
        self.say("birdkeep", &format!("{name} {line}"));
    }

    /// What the simulator saw beyond the plain way.
    fn how_it_came(&self, wanted: RecordingId) -> String {
        let resumed = self
            .bird
            .media_requests_of(wanted)
            .into_iter()
            .find_map(|seen| match seen.kind {
                RequestKind::Media { range, .. } => range,
                _ => None,
            });
        let minted = self.bird.requests().into_iter().any(|seen| {
            let RequestKind::Item { id, .. } = seen.kind else {
                return false;
            };
            id == wanted && seen.status == Some(200)
        });
        match (resumed, minted) {
            (Some(range), _) => format!("; asked only for the rest ({range})"),
            (None, true) => "; asked for a fresh link first".to_owned(),
            (None, false) => String::new(),
        }
    }

    /// Waits until nothing is left to do, and for the watcher to have told it.
    async fn until_settled(&self, watching: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
        let reader = ArchiveView::open(&self.config).await?.reader;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(ended) = watching.try_join_next() {
                return ended.context("the watcher panicked")?;
            }
            let archived = rows_in(&reader, &[State::Archived]).await?.len();
            let aside = reader.set_aside(&[], 1).await?.len();
            if archived == self.available() && aside == 0 {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        tokio::time::sleep(LOOK * 4).await;
        Ok(())
    }

    fn available(&self) -> usize {
        self.support.available().len() + self.sales.available().len()
    }

    /// The summary; an error where a whole demo did not end with everything archived, byte for byte.
    async fn conclude(&self, whole: bool) -> anyhow::Result<()> {
        let view = ArchiveView::open(&self.config).await?;
        print("");
        print("How it stands now:");
        print("");
        let names = STATES.map(|state| format!("{:>8}", state.as_str()));
        print(&format!("  workspace  {}  set_aside", names.join("  ")));
        for workspace in view.reader.workspaces().await? {
            let counts = STATES.map(|state| {
                let count = workspace.counts.get(&state).copied().unwrap_or(0);
                format!("{count:>8}")
            });
            print(&format!(
                "  {:<9}  {}  {:>9}",
                workspace.name.as_str(),
                counts.join("  "),
                workspace.set_aside
            ));
        }
        let archived = rows_in(&view.reader, &[State::Archived]).await?;
        let mut equal = 0;
        for row in &archived {
            let workspace = if row.workspace.as_str() == "support" {
                &self.support
            } else {
                &self.sales
            };
            let file = self.file_of(row);
            let kept = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            equal += usize::from(kept == workspace.body(row.id));
        }
        let (available, kept) = (self.available(), archived.len());
        print("");
        print(&format!(
            "  Bird lists {available} recordings as available; {kept} are archived; {equal} are equal byte for byte."
        ));
        if let Some(row) = archived.iter().max_by_key(|row| row.size_bytes) {
            let file = self.file_of(row);
            let sidecar = file.with_extension("json");
            print("");
            print("Listen to one (it plays a little tune):");
            print(&format!("  {}", file.display()));
            print("  with  ffplay -nodisp -autoexit FILE,  or  mpv FILE");
            print("What Bird said about it, kept beside it:");
            print(&format!("  {}", sidecar.display()));
            print("");
            print("Look further:");
            let release = if cfg!(debug_assertions) { "" } else { "--release " };
            let config = self.dir.join("birdkeep.toml");
            for command in ["status".to_owned(), "list".to_owned(), format!("show {}", row.id)] {
                print(&format!(
                    "  cargo run -q {release}-- --config {} {command}",
                    config.display()
                ));
            }
        }
        if whole && !(equal == kept && kept == available) {
            bail!("the demo did not end as it should: see the numbers above");
        }
        Ok(())
    }

    fn file_of(&self, row: &RecordingRow) -> PathBuf {
        self.config.archive.dir.join(row.path.as_deref().unwrap_or_default())
    }

    fn name(&self, id: RecordingId, name: &str) {
        self.names.lock().unwrap().insert(id, name.to_owned());
    }

    fn name_of(&self, id: RecordingId) -> Option<String> {
        self.names.lock().unwrap().get(&id).cloned()
    }

    async fn at(&self, seconds: f64) {
        let wanted = self.begun + Duration::from_secs_f64(seconds);
        tokio::time::sleep_until(wanted.into()).await;
    }

    fn say(&self, who: &str, what: &str) {
        print(&format!(
            "{:5.1} s  {who:<8}  {what}",
            self.begun.elapsed().as_secs_f64()
        ));
    }
}

fn cut_half_way(demo: &Demo, id: RecordingId) {
    let rule = FaultRule::media(MediaAction::Truncate(At::Half)).recording(id).times(1);
    demo.trap(rule, "breaks off half-way through the sound of call 2".to_owned());
}

fn link_ran_out(demo: &Demo, id: RecordingId) {
    let rule = FaultRule::link(LinkAction::ExpiredAtBirth).recording(id).times(1);
    demo.trap(rule, "gives call 3 a link that has run out already".to_owned());
}

async fn rows_in(reader: &CatalogReader, states: &[State]) -> anyhow::Result<Vec<RecordingRow>> {
    let filter = ListFilter {
        states: states.to_vec(),
        ..ListFilter::default()
    };
    Ok(reader.list_page(&filter, None, ALL_ROWS).await?)
}

/// Writes the configuration and the key files, and reads them back as birdkeep does.
fn write_config(dir: &Path, bird: &Bird, support: &WorkspaceHandle, sales: &WorkspaceHandle) -> anyhow::Result<Config> {
    let mut toml = format!(
        "# Written by the demo. The Bird it names ended with the demo; status, list and show still work.\n\
         [archive]\ndir = {:?}\nmin_free = \"16 MiB\"\n\n\
         [api]\nbase_url = \"{}\"\n\n[sync]\ninterval = \"1s\"\n\n\
         [download]\nallowed_hosts = [\"127.0.0.1\"]\n\n[http]\nlisten = \"127.0.0.1:0\"\n",
        dir.join("archive").display().to_string(),
        bird.base_url(),
    );
    for (name, workspace) in [("support", support), ("sales", sales)] {
        let id = workspace.id();
        toml.push_str(&format!(
            "\n[workspaces.{name}]\nid = \"{id}\"\naccess_key_file = \"{name}.key\"\n"
        ));
        let key = dir.join(format!("{name}.key"));
        fs::write(&key, workspace.key())?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    }
    let file = dir.join("birdkeep.toml");
    fs::write(&file, toml).with_context(|| format!("cannot write {}", file.display()))?;
    // The environment is left out, so that a real installation's variables do not reach into the demo.
    let sources = Sources::from_environment(Some(file), Vec::new(), None, Path::new("/nonexistent"));
    Ok(Config::load(&sources)?.config)
}

/// A reader that went away, as with `| head`, does not end the demo.
fn print(line: &str) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
