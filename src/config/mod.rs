//! The configuration: from a file and the environment to one validated value, or to all that is wrong with them.
//!
//! TOML, every key of it overridden by `BIRDKEEP_` and `__` between levels; `config/birdkeep.toml` documents the keys.
//! Must not know: what is done with any of it.

mod fault;
mod http;
mod layers;
mod named_file;
mod nearest;
mod notify;
mod proxies;
mod reader;
mod secret;
mod sections;
mod sources;
mod values;
mod workspaces;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::num::NonZeroU64;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::domain::clock::Timestamp;
use crate::domain::host::HostPattern;
use crate::domain::ids::WorkspaceId;
use crate::domain::ids::WorkspaceName;
use crate::fetcher::Concurrency;
use crate::http::roots::ExtraRoots;
use crate::notify::CommandLine;
use crate::notify::EventKind;

pub use fault::ConfigFaults;
pub use fault::Fault;
pub use fault::Origin;
pub use sources::DEFAULT_FILE;
pub use sources::FILE_VARIABLE;
pub use sources::FileSource;
pub use sources::Sources;

/// A valid configuration, and what its operator should hear about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file it came from, absolute; absent when the environment alone made it.
    pub file: Option<PathBuf>,
    /// What is allowed and unwise, each in one line: what it is, a semicolon, and what to do.
    pub warnings: Vec<String>,
    /// The keys that were set, in order, and by whom.
    pub origins: Vec<(String, Origin)>,
}

/// Everything an operator can set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where recordings are kept.
    pub archive: ArchiveConfig,
    /// Where the catalog is kept.
    pub catalog: CatalogConfig,
    /// How Bird is asked.
    pub api: ApiConfig,
    /// When and how far it is asked.
    pub sync: SyncConfig,
    /// How bodies are fetched.
    pub download: DownloadConfig,
    /// How the daemon re-reads what is archived.
    pub verify: VerifyConfig,
    /// Whom we trust.
    pub tls: TlsConfig,
    /// The daemon's own listener.
    pub http: HttpConfig,
    /// How it stops.
    pub shutdown: ShutdownConfig,
    /// Who is told how it goes.
    pub notify: NotifyConfig,
    /// Whose recordings, in the order of their names; at least one.
    pub workspaces: Vec<WorkspaceConfig>,
    /// Hosts of the proxies that the environment names (`HTTPS_PROXY` and its like), in lower case.
    pub proxy_hosts: Vec<String>,
}

/// `[archive]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveConfig {
    /// The archive's directory, absolute.
    pub dir: PathBuf,
    /// Below this no download starts.
    pub min_free_bytes: u64,
    /// The id that the place's `archive.json` must have.
    pub id: Option<String>,
    /// Whether the group may read what is kept.
    pub group_readable: bool,
    /// Whether what is kept is synced. No key: true, but where the cost of that is measured.
    pub durable: bool,
}

/// `[catalog]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogConfig {
    /// The catalog's file, absolute; `None`: in the archive's directory.
    pub path: Option<PathBuf>,
}

impl Config {
    /// The catalog's file, for an archive that lies in `dir`.
    #[must_use]
    pub fn catalog_path(&self, dir: &Path) -> PathBuf {
        self.catalog.path.clone().unwrap_or_else(|| dir.join("catalog.sqlite"))
    }

    /// From when on a workspace's last complete walk is stale: as it was set, else after three intervals, at least ten
    /// minutes.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        let usual = (self.sync.interval * 3).max(LEAST_STALE_AFTER);
        self.http.stale_after.unwrap_or(usual)
    }
}

/// `[api]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// The root of the API: https, or http on loopback; no user, query or fragment.
    pub base_url: Url,
    /// Items asked for per page, 1 to 99.
    pub page_size: u32,
    /// The most requests a second and workspace.
    pub requests_per_second: u32,
    /// How long one request may take.
    pub timeout: Duration,
    /// A page larger than this, unpacked, is refused.
    pub max_page_bytes: u64,
    /// A page of more items than this is refused.
    pub max_page_items: u32,
    /// An item longer than this is set aside.
    pub max_item_bytes: u64,
    /// An item that nests deeper than this is set aside.
    pub max_json_depth: u32,
    /// How much of an item that is set aside is kept.
    pub kept_item_bytes: u64,
}

/// `[sync]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncConfig {
    /// Between the polls of one workspace, at least a second.
    pub interval: Duration,
    /// How far a poll reaches back behind what is settled.
    pub overlap: Duration,
    /// Between walks over the whole list; not shorter than `interval`.
    pub full_walk_interval: Duration,
    /// What was created before is ignored.
    pub since: Option<Timestamp>,
    /// A walk that has not ended after this many pages has failed.
    pub max_pages: u32,
}

/// `[download]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadConfig {
    /// Bodies fetched at the same time.
    pub concurrency: Concurrency,
    /// A URL with less life left than this is not started on.
    pub expiry_margin: Duration,
    /// A body of which nothing comes for this long is given up; not longer than `total_timeout`.
    pub stall_timeout: Duration,
    /// How long one recording's fetch may take.
    pub total_timeout: Duration,
    /// A body slower than this over a `stall_timeout` is given up; 0 is off.
    pub min_rate_bytes_per_second: u64,
    /// Attempts after which a recording is retried only slowly.
    pub max_attempts: u32,
    /// A body larger than this is refused.
    pub max_bytes: u64,
    /// Redirects followed per fetch, each to an allowed host.
    pub max_redirects: usize,
    /// Where bodies may come from; at least one.
    pub allowed_hosts: Vec<HostPattern>,
    /// Those of them whose names may lead to a private network.
    pub private_hosts: Vec<HostPattern>,
}

/// `[tls]`
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// Authorities trusted besides the system's. Empty where key files were left unread.
    pub extra_roots: ExtraRoots,
    /// The file they were read from, absolute.
    pub extra_ca_file: Option<PathBuf>,
}

/// `[verify]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyConfig {
    /// One part of the archive in so many is re-read a day; `None`: none is.
    pub parts: Option<NonZeroU32>,
    /// Read at most so fast.
    pub bytes_per_second: NonZeroU64,
}

/// `[http]`
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Where metrics and health are served: a loopback address, or any where there is a token.
    pub listen: SocketAddr,
    /// What opens them; `None`: they are open to whoever reaches the address. Empty where key files were left unread.
    pub token: Option<SecretString>,
    /// Names besides those of loopback by which a request may call us where there is no token.
    pub allowed_hosts: Vec<HostPattern>,
    /// From when on a workspace's last complete walk is stale; `None`: as [`Config::stale_after`] says.
    pub stale_after: Option<Duration>,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// How long downloads in flight may go on after the first signal.
    pub grace: Duration,
}

/// `[notify]`. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct NotifyConfig {
    /// The dead man's switch: https, or http on loopback. Whoever knows it can feign that all is well.
    pub url: Option<SecretString>,
    /// What is run for an event.
    pub command: Option<CommandLine>,
    /// How long a request to the one or a run of the other may take.
    pub timeout: Duration,
    /// The events that the command is run for; at least one.
    pub events: Vec<EventKind>,
}

/// `[workspaces.<name>]`
#[derive(Debug, Clone)]
pub struct WorkspaceConfig {
    /// The operator's name of it.
    pub name: WorkspaceName,
    /// Upstream's id of it, no other workspace's.
    pub id: WorkspaceId,
    /// What opens it.
    pub credential: Credential,
}

/// What opens a workspace. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Credential {
    /// The word before it in the `Authorization` header.
    pub scheme: Scheme,
    /// Visible ASCII, 1 to 4096 characters.
    pub secret: SecretString,
    /// The file it was read from, absolute; absent when it was given in place.
    pub file: Option<PathBuf>,
}

/// How a credential is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: AccessKey …`
    AccessKey,
    /// `Authorization: Bearer …`
    Bearer,
}

impl Scheme {
    /// The word in the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessKey => "AccessKey",
            Self::Bearer => "Bearer",
        }
    }
}

/// A walk of a large list takes minutes: no sooner is the one before it stale, unless that is asked for.
const LEAST_STALE_AFTER: Duration = Duration::from_mins(10);

/// Bird's presigned links live this long; with a margin of as much, none would ever be started on.
const LINK_LIFE: Duration = Duration::from_mins(10);

impl Config {
    /// Where the daemon listens, as far as that can be told, whatever else is wrong: the usual place where it cannot.
    #[must_use]
    pub fn listen_address(sources: &Sources) -> SocketAddr {
        let (mut reader, tree) = reader::Reader::new(layers::read(sources), None);
        http::listen(&mut reader.root(tree).section("http", false))
    }

    /// Reads the file and the environment, and the key files that they name.
    ///
    /// # Errors
    /// Everything that is wrong, at once; no secret is repeated.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigFaults> {
        let layers = layers::read(sources);
        let file_is_open = layers.file_is_open;
        let path = sources
            .file
            .as_ref()
            .map(|file| sources.absolute(&file.path).unwrap_or_else(|| file.path.clone()));
        let (mut reader, tree) = reader::Reader::new(layers, path.clone());

        let mut root = reader.root(tree);
        let archive = sections::archive(root.section("archive", false), sources);
        let catalog = sections::catalog(root.section("catalog", false), sources);
        let api = sections::api(root.section("api", false));
        let sync = sections::sync(root.section("sync", false));
        let download = sections::download(root.section("download", false));
        let verify = sections::verify(root.section("verify", false));
        let tls = sections::tls(root.section("tls", false), sources);
        let http = http::read(root.section("http", false), sources);
        let shutdown = sections::shutdown(root.section("shutdown", false));
        let notify = notify::notify(root.section("notify", true), sources);
        let section = root.section("workspaces", true);
        let any_named = section.is_value() || !section.names().is_empty();
        let workspaces = workspaces::read(section, sources);
        root.finish();

        sections::cross_check(&mut reader, &sync, &download);
        workspaces::check(&mut reader, any_named, &workspaces.list);

        let mut warnings = workspaces.warnings;
        warnings.extend(http.warnings);
        warnings.extend(notify.warnings);
        let secret_in_file = workspaces.secret_in_file || http.secret_in_file || notify.secret_in_file;
        if let (true, true, Some(path)) = (secret_in_file, file_is_open, &path) {
            let path = path.display();
            warnings.push(format!(
                "{path} holds a secret and is readable by others; chmod o-r {path}"
            ));
        }
        if download.expiry_margin >= LINK_LIFE {
            let margin = values::brief(download.expiry_margin);
            warnings.push(format!(
                "download.expiry_margin is {margin}, and Bird's links live 10 minutes: none would be used; set it to less"
            ));
        }
        let origins = reader.origins();
        match (api, reader.into_faults()) {
            (Some(api), faults) if faults.is_empty() => {
                let workspaces = workspaces.list;
                let config = Self {
                    archive,
                    catalog,
                    api,
                    sync,
                    download,
                    verify,
                    tls,
                    http: http.config,
                    shutdown,
                    notify: notify.config,
                    workspaces,
                    proxy_hosts: proxies::hosts(&sources.env),
                };
                Ok(Loaded {
                    config,
                    file: path,
                    warnings,
                    origins,
                })
            }
            (_, faults) => Err(ConfigFaults::new(faults)),
        }
    }
}
