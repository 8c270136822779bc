//! A daemon through outages of minutes: it says each once when it begins and once when it ends, `/readyz` tells the truth
//! all along, `/healthz` never blames upstream, and in the end the statement of completeness closes.
//!
//! The plan takes sixty parts. A part is two seconds in CI, and a minute in the hour-long run:
//!
//!     BIRDKEEP_OUTAGE_PART_SECONDS=60 cargo test --test it soak::outages -- --ignored --nocapture

use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::support::bird::ApiAction;
use crate::support::bird::At;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;
use crate::support::bird::MediaAction;
use crate::support::bird::RecordingSpec;
use crate::support::bird::WorkspaceHandle;
use crate::support::harness::Archive;
use crate::support::harness::Running;
use crate::surviving::kit::BINARY;
use crate::surviving::kit::end_within;
use crate::surviving::kit::rows;

/// What happens, in parts of the plan: from, until, and whether lists come to an end meanwhile.
struct Outage {
    name: &'static str,
    from: u32,
    until: u32,
    /// Whether the workspaces' walks fail meanwhile.
    lists_fail: bool,
    /// Whether birdkeep must say so at once, not only when the last walk grows stale.
    paused: bool,
    rules: fn() -> Vec<FaultRule>,
}

const OUTAGES: [Outage; 6] = [
    Outage {
        name: "the API answers 503",
        from: 4,
        until: 10,
        lists_fail: true,
        paused: false,
        rules: || vec![FaultRule::api(ApiAction::status(503))],
    },
    Outage {
        name: "the media host answers 503",
        from: 14,
        until: 19,
        lists_fail: false,
        paused: false,
        rules: || vec![FaultRule::media(MediaAction::slow_down())],
    },
    Outage {
        name: "the API closes every connection",
        from: 23,
        until: 29,
        lists_fail: true,
        paused: false,
        rules: || vec![FaultRule::api(ApiAction::Close)],
    },
    Outage {
        name: "the media host breaks off every body",
        from: 33,
        until: 37,
        lists_fail: false,
        paused: false,
        rules: || vec![FaultRule::media(MediaAction::Reset(At::Half))],
    },
    Outage {
        name: "the key is refused",
        from: 41,
        until: 45,
        lists_fail: true,
        paused: true,
        rules: || vec![FaultRule::api(ApiAction::status(401))],
    },
    Outage {
        name: "nothing answers",
        from: 48,
        until: 53,
        lists_fail: true,
        paused: false,
        rules: || {
            vec![
                FaultRule::api(ApiAction::Silence),
                FaultRule::media(MediaAction::Silence),
            ]
        },
    },
];

const PARTS: u32 = 60;
const WORKSPACES: [(&str, &str); 2] = [
    ("support", "8bc02f53-87ac-48d2-b4fd-c2cf856a305f"),
    ("sales", "11111111-2222-4333-8444-555555555555"),
];

#[expect(clippy::disallowed_methods, reason = "how long it takes is up to whoever runs it")]
fn part() -> Duration {
    let seconds = std::env::var("BIRDKEEP_OUTAGE_PART_SECONDS").map_or(2.0, |text| {
        text.parse()
            .expect("BIRDKEEP_OUTAGE_PART_SECONDS is a number of seconds")
    });
    Duration::from_secs_f64(seconds)
}

struct Scene {
    bird: Bird,
    spaces: Vec<WorkspaceHandle>,
    archive: Archive,
    address: String,
    part: Duration,
    stale_after: Duration,
    added: usize,
}

impl Scene {
    async fn set_up() -> Self {
        let part = part();
        let stale_after = part.mul_f64(1.5).max(Duration::from_secs(10));
        let bird = Bird::start(BirdOptions::default()).await;
        let spaces: Vec<WorkspaceHandle> = WORKSPACES
            .iter()
            .map(|(name, id)| bird.add_workspace(id, &format!("birdkey-{name}-5bWq8Zsecret")))
            .collect();
        let named: Vec<(&str, &WorkspaceHandle)> = WORKSPACES.iter().map(|(name, _)| *name).zip(&spaces).collect();
        let mut archive = Archive::new(BINARY, &bird, &named);
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for (key, value) in [
            ("http.listen", free.to_string()),
            ("http.stale_after", format!("{}ms", stale_after.as_millis())),
            ("sync.interval", "1s".to_owned()),
            ("api.timeout", "2s".to_owned()),
            ("download.stall_timeout", "2s".to_owned()),
        ] {
            archive.set_text(key, &value);
        }
        Self {
            bird,
            spaces,
            archive,
            address: free.to_string(),
            part,
            stale_after,
            added: 0,
        }
    }

    /// Calls come in at a steady rate, about three a part.
    fn traffic(&mut self, elapsed: Duration) {
        let wanted = 3 * elapsed.as_millis() / self.part.as_millis();
        while (self.added as u128) < wanted {
            let space = &self.spaces[self.added % self.spaces.len()];
            space.add(RecordingSpec::at(&self.bird.now().to_string()));
            self.added += 1;
        }
    }

    /// The status and the body of a GET.
    async fn get(&self, path: &str) -> (u16, String) {
        let ask = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                self.address
            );
            stream.write_all(request.as_bytes()).await?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await?;
            std::io::Result::Ok(reply)
        };
        let reply = tokio::time::timeout(Duration::from_secs(5), ask).await;
        let reply = reply.unwrap_or_else(|_| panic!("{path} does not answer")).unwrap();
        let status = reply.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.unwrap_or_else(|| panic!("{reply}")), body.to_owned())
    }

    /// What `/readyz` must say now; `None` near a change, where either is true.
    fn expected(&self, elapsed: Duration) -> Option<bool> {
        // A walk under way, its tries within the request and the jitter of the poll.
        let settles = Duration::from_secs(12);
        // A refused key is tried again each minute.
        let lasts = |outage: &Outage| {
            if outage.paused {
                Duration::from_secs(75)
            } else {
                settles
            }
        };
        let is_felt = |outage: &&Outage| {
            let over = self.part * outage.until + lasts(outage);
            outage.lists_fail && elapsed >= self.part * outage.from && elapsed < over
        };
        let Some(outage) = OUTAGES.iter().rfind(is_felt) else {
            return Some(true);
        };
        let (from, until) = (self.part * outage.from, self.part * outage.until);
        let told = if outage.paused {
            settles
        } else {
            self.stale_after + settles
        };
        if elapsed < from + told || elapsed >= until {
            return None;
        }
        Some(false)
    }

    /// Goes through the plan, looking at what the daemon says of itself.
    async fn go_through(&mut self, running: &Running) {
        let begun = Instant::now();
        let mut armed: Vec<(&str, Vec<crate::support::bird::FaultId>)> = Vec::new();
        let (mut looks, mut unready) = (0, 0);
        while begun.elapsed() < self.part * PARTS {
            let elapsed = begun.elapsed();
            self.traffic(elapsed);
            for outage in &OUTAGES {
                let on = elapsed >= self.part * outage.from && elapsed < self.part * outage.until;
                let at = armed.iter().position(|(name, _)| *name == outage.name);
                match (on, at) {
                    (true, None) => {
                        eprintln!("{:>7.1} s  {}", elapsed.as_secs_f64(), outage.name);
                        let ids = (outage.rules)().into_iter().map(|rule| self.bird.fault(rule));
                        armed.push((outage.name, ids.collect()));
                    }
                    (false, Some(at)) => {
                        eprintln!("{:>7.1} s  over: {}", elapsed.as_secs_f64(), outage.name);
                        armed.remove(at).1.into_iter().for_each(|id| self.bird.clear_fault(id));
                    }
                    _ => {}
                }
            }
            let (health, body) = self.get("/healthz").await;
            assert_eq!(health, 200, "{body}");
            let (status, body) = self.get("/readyz").await;
            let ready: serde_json::Value =
                serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
            assert_eq!(status == 200, ready["ready"] == true, "{status} {body}");
            // Until the first walk has ended, either is true.
            if let Some(expected) = self.expected(elapsed).filter(|_| elapsed > Duration::from_secs(10)) {
                let at = elapsed.as_secs_f64() / self.part.as_secs_f64();
                assert_eq!(status == 200, expected, "at part {at:.1}: {body}\n{}", running.stderr());
                looks += 1;
                unready += u32::from(!expected);
            }
            assert!(running.pid().is_some(), "it ended by itself:\n{}", running.stderr());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        eprintln!("{looks} looks at /readyz had one right answer, {unready} of them: not ready");
        assert!(
            unready > 0 || self.part < Duration::from_secs(10),
            "the outages were never seen"
        );
    }

    /// Once all is well, nothing is missing, and the statement says so.
    async fn hold_complete(&self, running: &Running) {
        let begun = Instant::now();
        loop {
            self.archive.run(&["retry", "--all"]).await.expect_code(0);
            let rows = rows(&self.archive).await;
            let archived = rows.iter().filter(|row| row["state"] == "archived").count();
            if archived == self.added {
                break;
            }
            assert!(
                begun.elapsed() < Duration::from_mins(2),
                "{archived} of {} are archived\n{}",
                self.added,
                running.stderr()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.archive.run(&["verify"]).await.expect_code(0);
        let report = self.archive.run(&["report"]).await.expect_code(0);
        eprintln!("{}", report.stdout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; .ci/run has it as a step of its own"]
async fn outages_are_told_once_and_the_statement_closes() {
    let mut scene = Scene::set_up().await;
    let mut running = scene.archive.spawn(&[]);
    let first = running
        .stderr_holds("metrics and health are served", Duration::from_secs(30))
        .await;
    assert!(first, "{}", running.stderr());
    scene.go_through(&running).await;
    scene.hold_complete(&running).await;
    running.sigterm();
    let ended = end_within(&mut running, Duration::from_secs(20)).await.expect_code(0);
    let warnings: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.contains(" WARN ") || line.contains("ERROR "))
        .collect();
    eprintln!("{} warnings and errors for {} outages:", warnings.len(), OUTAGES.len());
    for line in &warnings {
        eprintln!("  {line}");
    }
    // At most one a workspace: where few calls come, an outage of the media host looks like the failure of one recording in
    // each. Outages of seconds are over before it is known that they are none, and the first two recordings are told.
    let few = if scene.part < Duration::from_secs(10) { 2 } else { 0 };
    let most = (OUTAGES.len() + few) * WORKSPACES.len();
    assert!(warnings.len() <= most, "{} lines, at most {most}", warnings.len());
}
