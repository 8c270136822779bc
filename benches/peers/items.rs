//! Recordings as Bird lists them: JSON, with a link that lives as long as its listing says.
//!
//! Must not know: HTTP, sockets.

use std::io::Write;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::bail;
use birdkeep::domain::clock::Clock;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;

use super::sets::Kind;
use super::sets::Recording;
use super::sets::Set;
use super::sets::mix;

/// Characters of the session token in a link: with them it is as long as Bird's, 1,600.
const TOKEN_CHARS: usize = 1_184;
/// How old a dead link is: its ten minutes are long over.
const DEAD_SECONDS: i64 = 7_200;

/// Which links are dead where a recording is listed for the first time. Later ones and those of single recordings live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// None.
    Alive,
    /// Those of odd numbers.
    HalfDead,
    /// All.
    Dead,
}

impl FromStr for Links {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "alive" => Self::Alive,
            "half-dead" => Self::HalfDead,
            "dead" => Self::Dead,
            _ => bail!("no kind of links: {text}"),
        })
    }
}

impl Links {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::HalfDead => "half-dead",
            Self::Dead => "dead",
        }
    }
}

/// A set and what is published while it is served. Published recordings have negative numbers, the newest the lowest.
pub struct Items {
    set: Set,
    media: String,
    links: Links,
    token: String,
    /// When each was published, in order: its body is that of the recording of the set with its index.
    published: Mutex<Vec<Timestamp>>,
    /// Which of the set were listed before, where that matters.
    listed: Vec<AtomicBool>,
}

impl Items {
    /// The set, with links that begin with `media`.
    pub fn new(set: Set, media: String, links: Links) -> Self {
        const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let letter = |at: usize| char::from(BASE64[usize::try_from(mix(at as u64) % 62).unwrap_or(0)]);
        Self {
            set,
            media,
            links,
            token: (0..TOKEN_CHARS).map(letter).collect(),
            published: Mutex::default(),
            listed: match links {
                Links::Alive => Vec::new(),
                _ => (0..set.count).map(|_| AtomicBool::new(false)).collect(),
            },
        }
    }

    /// Nothing was listed yet.
    pub fn forget(&self) {
        for listed in &self.listed {
            listed.store(false, Relaxed);
        }
    }

    /// Lists one more recording, created now; writes its id.
    pub fn publish(&self, now: Timestamp, out: &mut Vec<u8>) {
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.push(now);
        let id = published_id(published.len() - 1);
        out.extend_from_slice(id.to_string().as_bytes());
    }

    /// The number of a recording.
    pub fn number_of(&self, id: RecordingId) -> Option<i64> {
        let count = self.published.lock().unwrap_or_else(PoisonError::into_inner).len();
        if let Some(index) = (0..count).find(|index| published_id(*index) == id) {
            return Some(-1 - i64::try_from(index).ok()?);
        }
        i64::try_from(self.set.number_of(id)?).ok()
    }

    /// One page: newest first, `limit` from `from` on.
    pub fn write_page(
        &self,
        workspace: &str,
        (start, end): (Option<Timestamp>, Option<Timestamp>),
        from: Option<i64>,
        limit: u64,
        out: &mut Vec<u8>,
    ) {
        let published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .enumerate()
            .filter(|(_, at)| start.is_none_or(|start| **at >= start) && end.is_none_or(|end| **at <= end))
            .map(|(index, _)| -1 - i64::try_from(index).unwrap_or(0))
            .collect::<Vec<_>>();
        let window = self.set.window(start, end);
        let as_number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let all = published
            .into_iter()
            .rev()
            .chain(as_number(window.start)..as_number(window.end));
        let limit = usize::try_from(limit).unwrap_or(0);
        let mut page: Vec<i64> = match from {
            // Straight to where it goes on: a million numbers are not counted through.
            Some(from) if from >= 0 => (from.max(as_number(window.start))..as_number(window.end))
                .take(limit + 1)
                .collect(),
            _ => all
                .skip_while(|number| from.is_some_and(|from| *number < from))
                .take(limit + 1)
                .collect(),
        };
        let next = (page.len() > limit).then(|| page.pop()).flatten();
        out.extend_from_slice(b"{\"results\":[");
        for (index, number) in page.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write(workspace, *number, false, out);
        }
        out.push(b']');
        if let Some(next) = next {
            out.extend_from_slice(format!(",\"nextPageToken\":\"{next}\"").as_bytes());
        }
        out.push(b'}');
    }

    /// One recording. `alone`: nothing else was asked for, and its link lives.
    pub fn write(&self, workspace: &str, number: i64, alone: bool, out: &mut Vec<u8>) {
        let (recording, body_id) = self.recording(number);
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        let is_first = self.listed.get(index).is_some_and(|listed| !listed.swap(true, Relaxed));
        let dead = is_first && !alone && (self.links == Links::Dead || number % 2 != 0);
        let seed = recording.seed;
        let digits = |salt: u64| mix(seed ^ salt) % 1_000_000_000;
        let after = |milliseconds: u64| iso(recording.created_at, milliseconds);
        let played = recording.seconds * 1000 + seed % 900;
        let (direction, origin) = if seed & 1 == 0 {
            ("incoming", "bridge-call")
        } else {
            ("outgoing", "create-call")
        };
        let status = if self.set.kind == Kind::Rows && number >= 0 {
            "absent"
        } else {
            "available"
        };
        let (from, to) = (digits(1), digits(2));
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "{{\"id\":\"{}\",\"source\":\"call\",\"sourceId\":\"{}\",\"channelId\":\"{}\",\"originator\":{{\"number\":\
             {{\"type\":\"pstn\",\"number\":\"35191{from:09}\",\"identity\":\"+35191{from:09}\",\"countryIsoCode\":\"PT\"}}}},\
             \"receiver\":{{\"contact\":{{\"id\":\"{}\",\"identifierKey\":\"phonenumber\",\"identifierValue\":\"+3197{to:09}\"}},\
             \"number\":{{\"type\":\"pstn\",\"number\":\"3197{to:09}\",\"identity\":\"+3197{to:09}\",\"countryIsoCode\":\"NL\"}}}},\
             \"direction\":\"{direction}\",\"origin\":\"{origin}\",\"status\":\"{status}\",\"duration\":{},\"format\":\"mp3\",\
             \"stereo\":false,\"transcription\":false,\"createdAt\":\"{}\",\"updatedAt\":\"{}\",\"startedAt\":\"{}\",\"endedAt\":\"{}\"",
            recording.id,
            uuid(seed ^ 3),
            uuid(4),
            uuid(seed ^ 5),
            recording.seconds,
            after(0),
            after(played + 177),
            after(0),
            after(played),
        );
        if status == "available" {
            out.extend_from_slice(b",\"url\":\"");
            self.write_link(workspace, body_id, dead, seed, out);
            out.push(b'"');
        }
        out.push(b'}');
    }

    fn recording(&self, number: i64) -> (Recording, RecordingId) {
        if let Ok(number) = u64::try_from(number) {
            let recording = self.set.recording(number);
            return (recording, self.set.body_of(number));
        }
        let index = usize::try_from(-1 - number).unwrap_or(0);
        let at = {
            let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
            published.get(index).copied().unwrap_or_else(|| SystemClock.now())
        };
        let body_set = Set {
            kind: Kind::Mix,
            count: 100,
        };
        let body = body_set.recording(index as u64 % 100);
        let recording = Recording {
            id: published_id(index),
            created_at: at,
            ..body
        };
        (recording, body.id)
    }

    fn write_link(&self, workspace: &str, body: RecordingId, dead: bool, seed: u64, out: &mut Vec<u8>) {
        let now = SystemClock.now().as_microseconds().div_euclid(1_000_000);
        let signed = if dead { now - DEAD_SECONDS } else { now };
        let signed = Timestamp::from_microseconds(signed * 1_000_000).unwrap_or_else(|_| SystemClock.now());
        let (year, month, day, hour, minute, second) = signed.civil();
        let date = format!("{year:04}{month:02}{day:02}");
        let way = if dead { "dead/" } else { "" };
        // Writing to memory cannot fail.
        let _ = write!(
            out,
            "{}/{way}workspaceID%3A{workspace}/{body}.mp3?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=\
             ASIAQ3EGS5MJ4EXAMPLE%2F{date}%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date={date}T{hour:02}{minute:02}\
             {second:02}Z&X-Amz-Expires=600&X-Amz-Security-Token={}&X-Amz-Signature={:016x}{:016x}{:016x}{:016x}\
             &X-Amz-SignedHeaders=host&x-id=GetObject",
            self.media,
            self.token,
            mix(seed ^ 6),
            mix(seed ^ 7),
            mix(seed ^ 8),
            now,
        );
    }
}

/// The id of what was published as this one.
fn published_id(index: usize) -> RecordingId {
    let mut bytes = uuid_bytes(mix(index as u64 ^ 0x9b11));
    bytes[15] = 9;
    RecordingId::from_bytes(bytes)
}

fn uuid_bytes(seed: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(seed).to_be_bytes());
    bytes[8..].copy_from_slice(&mix(!seed).to_be_bytes());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

fn uuid(seed: u64) -> RecordingId {
    RecordingId::from_bytes(uuid_bytes(seed))
}

/// A time as Bird writes it, with milliseconds.
fn iso(at: Timestamp, milliseconds: u64) -> String {
    let moved = at.after(std::time::Duration::from_millis(milliseconds));
    let (year, month, day, hour, minute, second) = moved.civil();
    let fraction = moved.as_microseconds().rem_euclid(1_000_000) / 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}
