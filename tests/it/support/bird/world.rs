//! What exists upstream: workspaces, their keys and their recordings, and the lists of them.
//!
//! Must not know: HTTP, links, faults.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;

use super::super::random::Random;
use super::super::random::hash;
use super::super::random::mix;
use super::record::Recording;
use super::record::RecordingSpec;

/// `createdAt` of the first recording added without one: 2024-01-01.
const FIRST_CREATED_MICROSECONDS: i64 = 1_704_067_200_000_000;
const MINUTE_MICROSECONDS: i64 = 60_000_000;

/// In which order lists come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PageOrder {
    /// Latest `createdAt` first.
    #[default]
    NewestFirst,
    /// Earliest `createdAt` first.
    OldestFirst,
    /// No order at all, but the same one each time.
    Shuffled,
}

/// What a page token remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paging {
    /// The last item of the page: what is added or removed meanwhile moves nothing.
    #[default]
    ByPosition,
    /// How many items came before: what is added or removed meanwhile makes items slide, twice or not at all.
    ByOffset,
}

/// What a list is asked for, besides its page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `createdAt` at or after this.
    pub start_at: Option<Timestamp>,
    /// `createdAt` before this.
    pub end_at: Option<Timestamp>,
    /// Any of these, if there are any.
    pub statuses: Vec<String>,
    pub direction: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub source_id: Option<String>,
    pub channel_id: Option<String>,
    /// `id`: of the call, which is the source of a recording whose source is a call.
    pub call_id: Option<String>,
}

impl Filter {
    /// The filter as a number: equal filters, equal numbers.
    pub fn fold(&self) -> u64 {
        hash(format!("{self:?}").as_bytes())
    }

    fn admits(&self, recording: &Recording) -> bool {
        let equals = |wanted: &Option<String>, name| wanted.is_none() || recording.text(name) == wanted.as_deref();
        let calls = |wanted: &Option<String>, end| {
            wanted
                .as_deref()
                .is_none_or(|wanted| recording.number(end) == Some(wanted.trim().trim_start_matches('+')))
        };
        let status = recording.text("status").unwrap_or("");
        self.start_at.is_none_or(|start| recording.created_at >= start)
            && self.end_at.is_none_or(|end| recording.created_at < end)
            && (self.statuses.is_empty() || self.statuses.iter().any(|wanted| wanted == status))
            && equals(&self.direction, "direction")
            && equals(&self.source_id, "sourceId")
            && equals(&self.channel_id, "channelId")
            && (self.call_id.is_none()
                || (recording.text("source") == Some("call") && equals(&self.call_id, "sourceId")))
            && calls(&self.from, "originator")
            && calls(&self.to, "receiver")
    }
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy)]
pub enum From {
    /// At its beginning.
    Start,
    /// After the item of this rank and id.
    After(u64, RecordingId),
    /// After this many items.
    Offset(u64),
}

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// With the rank of each.
    pub items: Vec<(u64, Arc<Recording>)>,
    /// Whether more would follow.
    pub more: bool,
}

/// What the role of a workspace's key allows in its own workspace; what is not allowed is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each right stands for itself")]
pub struct Rights {
    /// View on `recordings`.
    pub list: bool,
    /// View on `recordings/*`.
    pub item: bool,
    /// View on `recording-metrics`.
    pub metrics: bool,
    /// Delete on `recordings/*`.
    pub delete: bool,
}

impl Default for Rights {
    /// What an archiver needs, and the metrics.
    fn default() -> Self {
        Self {
            list: true,
            item: true,
            metrics: true,
            delete: false,
        }
    }
}

/// One workspace.
#[derive(Debug)]
pub struct Workspace {
    pub rights: Rights,
    pub key: String,
    pub bearer_token: Option<String>,
    seed: u64,
    order: PageOrder,
    random: Random,
    next_created: i64,
    recordings: HashMap<RecordingId, Arc<Recording>>,
    ranked: BTreeSet<(u64, RecordingId)>,
}

impl Workspace {
    /// An empty workspace.
    pub fn new(id: &str, key: &str, seed: u64, order: PageOrder) -> Self {
        let seed = seed ^ hash(id.as_bytes());
        Self {
            rights: Rights::default(),
            key: key.to_owned(),
            bearer_token: None,
            seed,
            order,
            random: Random::new(seed),
            next_created: FIRST_CREATED_MICROSECONDS,
            recordings: HashMap::new(),
            ranked: BTreeSet::new(),
        }
    }

    /// Makes a recording real; one of the same id is replaced.
    pub fn add(&mut self, spec: RecordingSpec) -> RecordingId {
        let recording = self.invent(spec);
        let id = recording.id;
        self.put(recording);
        id
    }

    /// A recording that belongs to nothing yet, from the workspace's own random numbers.
    pub fn invent(&mut self, spec: RecordingSpec) -> Recording {
        let drawn = RecordingId::from_bytes(self.random.uuid_v4());
        let default_created = Timestamp::from_microseconds(self.next_created).unwrap();
        let created_at = spec.created_at.unwrap_or(default_created);
        self.next_created = created_at.as_microseconds() + MINUTE_MICROSECONDS;
        let id = spec.id.unwrap_or(drawn);
        spec.build(id, created_at, self.seed)
    }

    /// One recording.
    pub fn get(&self, id: RecordingId) -> Option<&Arc<Recording>> {
        self.recordings.get(&id)
    }

    /// All recordings, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Recording>> {
        self.recordings.values()
    }

    /// Changes one recording. Says whether there was one.
    pub fn change(&mut self, id: RecordingId, change: impl FnOnce(&mut Recording)) -> bool {
        let Some(found) = self.recordings.get(&id) else {
            return false;
        };
        let mut recording = Recording::clone(found);
        let rank = self.rank(&recording);
        change(&mut recording);
        recording.changed();
        self.ranked.remove(&(rank, id));
        self.put(recording);
        true
    }

    /// Forgets one recording, its media included.
    pub fn remove(&mut self, id: RecordingId) -> bool {
        let Some(recording) = self.recordings.remove(&id) else {
            return false;
        };
        self.ranked.remove(&(self.rank(&recording), id));
        true
    }

    /// A part of the list.
    pub fn page(&self, filter: &Filter, from: From, limit: usize) -> Page {
        let (first, last) = self.rank_bounds(filter);
        let lowest = (first, RecordingId::from_bytes([0; 16]));
        let start = match from {
            From::After(rank, id) if (rank, id) >= lowest => std::ops::Bound::Excluded((rank, id)),
            _ => std::ops::Bound::Included(lowest),
        };
        let skipped = match from {
            From::Offset(offset) => usize::try_from(offset).unwrap_or(usize::MAX),
            _ => 0,
        };
        let mut items: Vec<_> = self
            .ranked
            .range((start, std::ops::Bound::Unbounded))
            .take_while(|(rank, _)| *rank <= last)
            .filter_map(|(rank, id)| Some((*rank, self.recordings.get(id)?)))
            .filter(|(_, recording)| filter.admits(recording))
            .skip(skipped)
            .take(limit + 1)
            .map(|(rank, recording)| (rank, Arc::clone(recording)))
            .collect();
        let more = items.len() > limit;
        items.truncate(limit);
        Page { items, more }
    }

    fn put(&mut self, recording: Recording) {
        if let Some(before) = self.recordings.get(&recording.id) {
            let rank = self.rank(before);
            self.ranked.remove(&(rank, recording.id));
        }
        if recording.listed {
            self.ranked.insert((self.rank(&recording), recording.id));
        }
        self.recordings.insert(recording.id, Arc::new(recording));
    }

    /// Lists ascend by this number.
    fn rank(&self, recording: &Recording) -> u64 {
        match self.order {
            PageOrder::OldestFirst => ascending(recording.created_at),
            PageOrder::NewestFirst => !ascending(recording.created_at),
            PageOrder::Shuffled => mix(self.seed ^ hash(recording.id.as_bytes())),
        }
    }

    /// The ranks between which everything within the filter's times lies.
    fn rank_bounds(&self, filter: &Filter) -> (u64, u64) {
        let start = filter.start_at.map_or(0, ascending);
        let end = filter.end_at.map_or(u64::MAX, ascending);
        match self.order {
            PageOrder::OldestFirst => (start, end),
            PageOrder::NewestFirst => (!end, !start),
            PageOrder::Shuffled => (0, u64::MAX),
        }
    }
}

/// A number that grows with time, also before 1970.
fn ascending(at: Timestamp) -> u64 {
    at.as_microseconds().cast_unsigned() ^ (1 << 63)
}

/// Everything upstream.
#[derive(Debug, Default)]
pub struct World {
    pub workspaces: BTreeMap<String, Workspace>,
}

/// What a request's authorisation amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It may see the workspace.
    Granted,
    /// The key is good, the workspace is not its own.
    Forbidden,
    /// There is no such workspace.
    NoSuchWorkspace,
    /// There is no key, or none that is known.
    Unknown,
}

impl World {
    /// Judges the `Authorization` header of a request about a workspace.
    pub fn access(&self, workspace: &str, authorization: Option<&str>) -> Access {
        let Some((scheme, secret)) = authorization.and_then(|header| header.split_once(' ')) else {
            return Access::Unknown;
        };
        let fits = |workspace: &Workspace| match scheme {
            "AccessKey" => workspace.key == secret && !secret.is_empty(),
            "Bearer" => workspace.bearer_token.as_deref() == Some(secret),
            _ => false,
        };
        match self.workspaces.get(workspace) {
            Some(found) if fits(found) => Access::Granted,
            found if self.workspaces.values().any(fits) => {
                if found.is_some() {
                    Access::Forbidden
                } else {
                    Access::NoSuchWorkspace
                }
            }
            _ => Access::Unknown,
        }
    }

    /// One recording of one workspace.
    pub fn recording(&self, workspace: &str, id: RecordingId) -> Option<Arc<Recording>> {
        self.workspaces.get(workspace)?.get(id).cloned()
    }
}
