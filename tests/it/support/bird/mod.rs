//! A stand-in for Bird and its bucket, in this process, on loopback: strict where Bird is documented, faulty where asked.
//!
//! Three listeners: the API and the bucket on 127.0.0.1, and on 127.0.0.2 a host that must never be asked. It runs on
//! threads of its own, so a test that blocks or stops its clock does not stop the server. Ends when dropped.

pub mod api_fault;
pub mod body;
pub mod fault;
pub mod link;
pub mod media_fault;
pub mod record;
pub mod seen;
pub mod workspace;
pub mod world;

mod api;
mod gzip;
mod http;
mod list;
mod media;
mod observe;
mod reply;
mod sign;
mod time;
mod token;
mod write;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub use api_fault::ApiAction;
pub use api_fault::Endless;
pub use api_fault::Shape;
pub use body::Etag;
pub use fault::FaultId;
pub use fault::FaultRule;
pub use link::LinkAction;
pub use media_fault::At;
pub use media_fault::MediaAction;
pub use media_fault::RedirectTo;
pub use record::RecordingSpec;
pub use seen::RequestKind;
pub use seen::SeenRequest;
pub use workspace::WorkspaceHandle;
pub use world::PageOrder;
pub use world::Paging;
pub use world::Rights;

use fault::Faults;
use http::ConnectionRules;
use reply::Answer;
use reply::Reply;
use seen::Observer;
use sign::Signer;
use time::ServerClock;
use token::Tokens;
use world::Workspace;
use world::World;

/// How a server is to behave. Change single members of the default.
#[derive(Debug, Clone)]
pub struct BirdOptions {
    /// Decides ids, numbers, bodies, tokens and credentials: the same seed, the same world.
    pub seed: u64,
    /// How long a link lives; whole seconds.
    pub url_life: Duration,
    /// How many seconds the server's clock is ahead of the machine's (behind it, if negative).
    pub clock_offset_seconds: i64,
    pub page_order: PageOrder,
    pub paging: Paging,
    pub throttle: Throttle,
    /// What S3 says about an object that is gone.
    pub missing_media: MissingMedia,
    /// More API requests than this in one second of one workspace are answered with 429 and `Retry-After: 1`.
    pub requests_per_second: Option<u32>,
    /// The connection is closed, unannounced, after this many replies.
    pub requests_per_connection: Option<u32>,
    /// Links demand the request header `x-amz-checksum-mode: ENABLED`.
    pub checksum_mode_links: bool,
}

impl Default for BirdOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            url_life: Duration::from_mins(10),
            clock_offset_seconds: 0,
            page_order: PageOrder::default(),
            paging: Paging::default(),
            throttle: Throttle::default(),
            missing_media: MissingMedia::default(),
            requests_per_second: None,
            requests_per_connection: None,
            checksum_mode_links: false,
        }
    }
}

/// How slow everything is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Throttle {
    /// Before every reply of the API.
    pub api_delay: Duration,
    /// Before every media reply.
    pub media_delay: Duration,
    /// Of each media reply; `None` is as fast as it goes.
    pub media_bytes_per_second: Option<u64>,
}

/// What S3 says about an object that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingMedia {
    /// 404, as to a signer who may list the bucket.
    #[default]
    NoSuchKey,
    /// 403 without `<Expires>`, as to one who may not.
    AccessDenied,
}

/// What all listeners share.
pub struct Shared {
    options: BirdOptions,
    clock: ServerClock,
    world: Mutex<World>,
    faults: Faults,
    seen: Arc<Observer>,
    signer: Signer,
    tokens: Tokens,
    secrets: Mutex<Vec<(&'static str, String)>>,
    throttle: Mutex<Throttle>,
    gate: watch::Sender<u64>,
    admitted: Mutex<HashMap<String, (i64, u32)>>,
    request_number: AtomicU64,
    /// `Last-Modified` of all objects.
    started: String,
    media_host: String,
    foreign_host: String,
}

impl Shared {
    /// Counts a request of a workspace and says whether it stays within the rate.
    fn admit(&self, workspace: &str) -> bool {
        let Some(most) = self.options.requests_per_second else {
            return true;
        };
        let second = self.clock.now().as_microseconds().div_euclid(1_000_000);
        let mut admitted = self.admitted.lock().unwrap();
        let count = admitted.entry(workspace.to_owned()).or_default();
        if count.0 != second {
            *count = (second, 0);
        }
        count.1 += 1;
        count.1 <= most
    }
}

/// A running server.
pub struct Bird {
    shared: Arc<Shared>,
    base_url: String,
    runtime: Option<Runtime>,
}

impl Bird {
    /// Starts a server on free ports.
    #[expect(
        clippy::unused_async,
        reason = "part of the agreed interface; starting may come to wait"
    )]
    pub async fn start(options: BirdOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("bird")
            .enable_all()
            .build()
            .expect("a runtime for the simulator");
        let (api, api_host) = listen(&runtime, "127.0.0.1");
        let (bucket, media_host) = listen(&runtime, "127.0.0.1");
        let (foreign, foreign_host) = listen(&runtime, "127.0.0.2");
        let rules = ConnectionRules {
            requests_per_connection: options.requests_per_connection,
        };
        let clock = ServerClock::ahead_by(options.clock_offset_seconds);
        let shared = Arc::new(Shared {
            started: clock.stamp().http.clone(),
            clock,
            world: Mutex::default(),
            faults: Faults::new(options.seed),
            seen: Arc::new(Observer::new()),
            signer: Signer::new(options.seed, media_host.clone(), options.checksum_mode_links),
            tokens: Tokens::new(options.seed),
            secrets: Mutex::default(),
            throttle: Mutex::new(options.throttle),
            gate: watch::Sender::new(0),
            admitted: Mutex::default(),
            request_number: AtomicU64::new(1),
            media_host,
            foreign_host,
            options,
        });
        let of = |answer: fn(&Shared, &http::Request) -> Answer| {
            let shared = Arc::clone(&shared);
            move |request: &http::Request| answer(&shared, request)
        };
        runtime.spawn(http::serve(api, rules, of(api::answer)));
        runtime.spawn(http::serve(bucket, rules, of(media::answer)));
        runtime.spawn(http::serve(foreign, rules, of(answer_foreign)));
        Self {
            shared,
            base_url: format!("http://{api_host}"),
            runtime: Some(runtime),
        }
    }

    /// What `api.base_url` is to be.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Host and port that good links lead to.
    pub fn media_host(&self) -> &str {
        &self.shared.media_host
    }

    /// Host and port that must never be asked.
    pub fn foreign_host(&self) -> &str {
        &self.shared.foreign_host
    }

    /// Opens a workspace that takes this access key.
    pub fn add_workspace(&self, id: &str, access_key: &str) -> WorkspaceHandle {
        let workspace = Workspace::new(id, access_key, self.shared.options.seed, self.shared.options.page_order);
        self.shared
            .world
            .lock()
            .unwrap()
            .workspaces
            .insert(id.to_owned(), workspace);
        self.shared
            .secrets
            .lock()
            .unwrap()
            .push(("access key", access_key.to_owned()));
        WorkspaceHandle {
            shared: Arc::clone(&self.shared),
            id: id.to_owned(),
        }
    }

    /// Puts a fault in force, behind those before it.
    pub fn fault(&self, rule: FaultRule) -> FaultId {
        self.shared.faults.arm(rule)
    }

    /// Takes one fault back.
    pub fn clear_fault(&self, id: FaultId) {
        self.shared.faults.disarm(id);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.shared.faults.disarm_all();
    }

    /// How often a fault has struck; 0 once it was taken back.
    pub fn fault_strikes(&self, id: FaultId) -> u32 {
        self.shared.faults.struck(id)
    }

    /// Lets every media reply go on that `MediaAction::Hold` is holding now.
    pub fn release_held(&self) {
        self.shared.gate.send_modify(|number| *number += 1);
    }

    /// Changes how slow everything is, for replies that begin from now on.
    pub fn set_throttle(&self, throttle: Throttle) {
        *self.shared.throttle.lock().unwrap() = throttle;
    }

    /// Moves the server's clock forward: links grow old, `Date` headers follow.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }

    /// Moves the server's clock forward, or back if negative.
    pub fn shift_clock_seconds(&self, seconds: i64) {
        self.shared.clock.shift_seconds(seconds);
    }

    /// The server's time now.
    pub fn now(&self) -> birdkeep::domain::clock::Timestamp {
        self.shared.clock.now()
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping it would wait, and may not be done where others wait.
            runtime.shutdown_background();
        }
    }
}

fn listen(runtime: &Runtime, address: &str) -> (TcpListener, String) {
    let listener = std::net::TcpListener::bind((address, 0)).expect("a free port on loopback");
    listener.set_nonblocking(true).expect("a listener that does not block");
    let host = listener.local_addr().expect("the listener has an address").to_string();
    let _inside = runtime.enter();
    (
        TcpListener::from_std(listener).expect("a listener for the runtime"),
        host,
    )
}

/// Answers like a bucket that has everything, so that whoever asks keeps what it gets and is found out.
fn answer_foreign(shared: &Shared, request: &http::Request) -> Answer {
    let kind = RequestKind::Foreign {
        target: request.target.clone(),
    };
    shared.seen.note(shared.clock.now(), kind, request, Some(200));
    let mp3 = super::mp3::Mp3::lasting(0xf0e, Duration::from_secs(3));
    let object = body::Object::new(body::Source::Mp3(mp3), Etag::Md5);
    Reply::new(200, body::Body::whole(Arc::new(object)))
        .header("Content-Type", "audio/mpeg")
        .into()
}
