//! One recording: what it is made of, and its JSON as Bird writes it.
//!
//! Must not know: lists, links, requests.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;
use bytes::Bytes;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::super::mp3::Mp3;
use super::super::random::Random;
use super::super::random::hash;
use super::body::Etag;
use super::body::Object;
use super::body::Source;
use super::link::Link;
use super::time::iso_milliseconds;

/// What a recording is to be. What is not said follows from the server's seed, the same each time.
#[derive(Debug, Clone, Default)]
pub struct RecordingSpec {
    pub(super) id: Option<RecordingId>,
    pub(super) created_at: Option<Timestamp>,
    status: Option<String>,
    duration_seconds: Option<u64>,
    direction: Option<String>,
    from: Option<String>,
    to: Option<String>,
    format: Option<String>,
    body: Option<Bytes>,
    body_bytes: Option<u64>,
    etag: Etag,
    members: Vec<(String, Option<Value>)>,
    raw: Option<Bytes>,
}

impl RecordingSpec {
    /// A recording about which nothing is said yet: `available`, playable.
    pub fn new() -> Self {
        Self::default()
    }

    /// One created at this time, RFC 3339.
    pub fn at(created_at: &str) -> Self {
        Self::new().created_at(created_at.parse().expect("an RFC 3339 time"))
    }

    /// `id`; the default is a UUID of version 4 from the seed.
    #[must_use]
    pub const fn id(mut self, id: RecordingId) -> Self {
        self.id = Some(id);
        self
    }

    /// `createdAt`; the default is one minute after the one added before.
    #[must_use]
    pub const fn created_at(mut self, at: Timestamp) -> Self {
        self.created_at = Some(at);
        self
    }

    /// `status`; the default is `available`.
    #[must_use]
    pub fn status(mut self, status: &str) -> Self {
        self.status = Some(status.to_owned());
        self
    }

    /// `duration`, and how long the body plays; the default is 2 to 40 seconds.
    #[must_use]
    pub const fn duration_seconds(mut self, seconds: u64) -> Self {
        self.duration_seconds = Some(seconds);
        self
    }

    /// `direction`: `incoming` or `outgoing`.
    #[must_use]
    pub fn direction(mut self, direction: &str) -> Self {
        self.direction = Some(direction.to_owned());
        self
    }

    /// The calling number, digits only.
    #[must_use]
    pub fn caller(mut self, digits: &str) -> Self {
        self.from = Some(digits.to_owned());
        self
    }

    /// The called number, digits only.
    #[must_use]
    pub fn called(mut self, digits: &str) -> Self {
        self.to = Some(digits.to_owned());
        self
    }

    /// `format`; the body stays an MP3 unless one is given.
    #[must_use]
    pub fn format(mut self, format: &str) -> Self {
        self.format = Some(format.to_owned());
        self
    }

    /// The media, byte for byte.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Some(bytes.into());
        self
    }

    /// Media of exactly this many bytes, made on the spot and never held whole.
    #[must_use]
    pub const fn body_bytes(mut self, len_bytes: u64) -> Self {
        self.body_bytes = Some(len_bytes);
        self
    }

    /// What the media's `ETag` is made of.
    #[must_use]
    pub const fn etag(mut self, etag: Etag) -> Self {
        self.etag = etag;
        self
    }

    /// Adds or replaces a member of the JSON. A member `url` stands in place of the signed link.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.push((name.to_owned(), Some(value.into())));
        self
    }

    /// Leaves a member of the JSON out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.members.push((name.to_owned(), None));
        self
    }

    /// Sends these bytes in place of the whole JSON object, valid or not.
    #[must_use]
    pub fn raw(mut self, bytes: impl Into<Bytes>) -> Self {
        self.raw = Some(bytes.into());
        self
    }

    pub(super) fn build(self, id: RecordingId, created_at: Timestamp, seed: u64) -> Recording {
        let body_seed = seed ^ hash(id.as_bytes());
        let mut random = Random::new(body_seed ^ 0x0b1d);
        let drawn = 2 + random.below(38);
        let source = match (self.body.clone(), self.body_bytes) {
            (Some(bytes), _) => Source::Bytes(bytes),
            (None, Some(len_bytes)) => Source::Mp3(Mp3::of_len(body_seed, len_bytes)),
            (None, None) => {
                // A fraction on top of the whole seconds, as calls have and `duration` cuts off.
                let played = Duration::from_secs(self.duration_seconds.unwrap_or(drawn));
                Source::Mp3(Mp3::lasting(
                    body_seed,
                    played + Duration::from_millis(random.below(900)),
                ))
            }
        };
        let seconds = self.duration_seconds.unwrap_or(match &source {
            Source::Mp3(mp3) => mp3.duration().as_secs(),
            Source::Bytes(_) => drawn,
        });
        let members = self.members(id, created_at, seconds, &mut random);
        let mut recording = Recording {
            id,
            created_at,
            members,
            raw: self.raw,
            listed: true,
            object: Some(Arc::new(Object::new(source, self.etag))),
            etag: self.etag,
            rendered: OnceLock::new(),
        };
        recording.changed();
        recording
    }

    fn members(&self, id: RecordingId, at: Timestamp, seconds: u64, random: &mut Random) -> Map<String, Value> {
        let mut uuid = || RecordingId::from_bytes(random.uuid_v4()).to_string();
        let (source_id, channel_id, contact_id) = (uuid(), uuid(), uuid());
        let incoming = random.chance(0.5);
        let mut number = |prefix: &str| format!("{prefix}{:09}", random.below(1_000_000_000));
        let (business, caller) = (number("3197"), number("35191"));
        let drawn = if incoming {
            (caller, business)
        } else {
            (business, caller)
        };
        let from = self.from.clone().unwrap_or(drawn.0);
        let to = self.to.clone().unwrap_or(drawn.1);
        let ended_at = at.after(Duration::from_millis(seconds * 1000 + random.below(900)));
        let number = |digits: &str| json!({"type": "pstn", "number": digits, "identity": format!("+{digits}"), "countryIsoCode": country(digits)});
        let contact = |digits: &str| json!({"id": contact_id, "identifierKey": "phonenumber", "identifierValue": format!("+{digits}")});
        let value = json!({
            "id": id.to_string(),
            "source": "call",
            "sourceId": source_id,
            "channelId": channel_id,
            "originator": {"number": number(&from)},
            "receiver": {"contact": contact(&to), "number": number(&to)},
            "direction": self.direction.clone().unwrap_or_else(|| if incoming { "incoming" } else { "outgoing" }.to_owned()),
            "origin": if incoming { "bridge-call" } else { "create-call" },
            "status": self.status.clone().unwrap_or_else(|| "available".to_owned()),
            "duration": seconds,
            "format": self.format.clone().unwrap_or_else(|| "mp3".to_owned()),
            "stereo": false,
            "transcription": false,
            "createdAt": iso_milliseconds(at),
            "updatedAt": iso_milliseconds(ended_at.after(Duration::from_millis(177))),
            "startedAt": iso_milliseconds(at.before(Duration::from_millis(113))),
            "endedAt": iso_milliseconds(ended_at),
        });
        let Value::Object(mut members) = value else {
            unreachable!("an object was written")
        };
        for (name, value) in &self.members {
            match value {
                Some(value) => members.insert(name.clone(), value.clone()),
                None => members.remove(name),
            };
        }
        members
    }
}

fn country(digits: &str) -> &'static str {
    match digits.get(..3) {
        Some("319") => "NL",
        Some("351") => "PT",
        _ => "BE",
    }
}

/// One recording as it stands.
#[derive(Debug, Clone)]
pub struct Recording {
    pub id: RecordingId,
    /// Orders lists and answers `startAt` and `endAt`; follows the member as long as that can be read.
    pub created_at: Timestamp,
    pub members: Map<String, Value>,
    pub raw: Option<Bytes>,
    /// Whether lists show it.
    pub listed: bool,
    /// Its media, while there is any.
    pub object: Option<Arc<Object>>,
    pub etag: Etag,
    /// The JSON without a link, ready but for its closing brace.
    rendered: OnceLock<String>,
}

impl Recording {
    /// Brings what is derived from the members up to date.
    pub fn changed(&mut self) {
        if let Some(at) = self.text("createdAt").and_then(|text| text.parse().ok()) {
            self.created_at = at;
        }
        self.rendered = OnceLock::new();
    }

    /// A member that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// Whether Bird would give a link to its media.
    pub fn is_available(&self) -> bool {
        self.text("status") == Some("available")
    }

    /// The digits of the originator's or receiver's number.
    pub fn number(&self, end: &str) -> Option<&str> {
        self.members.get(end)?.pointer("/number/number")?.as_str()
    }

    /// Its path in the bucket, encoded, without the leading slash.
    pub fn object_key(&self, workspace: &str) -> String {
        let source_id = self.text("sourceId").unwrap_or("none");
        format!("workspaceID%3A{workspace}/sourceID%3A{source_id}/{}.mp3", self.id)
    }

    /// Whether its JSON takes a link: raw items and those with a `url` of their own do not.
    pub fn takes_link(&self) -> bool {
        self.is_available() && self.raw.is_none() && !self.members.contains_key("url")
    }

    /// Writes its JSON, with a link where one is given.
    pub fn write_json(&self, link: Option<&Link>, out: &mut Vec<u8>) {
        if let Some(raw) = &self.raw {
            out.extend_from_slice(raw);
            return;
        }
        let rendered = self.rendered.get_or_init(|| {
            let mut rendered = Value::Object(self.members.clone()).to_string();
            rendered.pop();
            rendered
        });
        out.extend_from_slice(rendered.as_bytes());
        match link {
            // Needs no escapes, and looking for them is what most of a page's time would go to.
            Some(Link::Signed(url)) => {
                out.extend_from_slice(b",\"url\":\"");
                out.extend_from_slice(url.as_bytes());
                out.push(b'"');
            }
            Some(Link::Other(text)) => {
                out.extend_from_slice(b",\"url\":");
                out.extend_from_slice(Value::from(text.as_str()).to_string().as_bytes());
            }
            None => {}
        }
        out.push(b'}');
    }
}
