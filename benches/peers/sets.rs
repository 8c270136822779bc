//! The sets that are archived: which recordings there are, how large their bodies are, and every byte of those.
//!
//! Everything follows from the name of a set, so that the processes of a run need not tell each other. Nothing is kept
//! for each recording: a million of them cost no memory. Must not know: servers, contenders.

use std::fmt;
use std::io;
use std::io::Write;
use std::str::FromStr;

use anyhow::Context;

use birdkeep::domain::clock::Timestamp;
use birdkeep::domain::ids::RecordingId;

/// The newest recording of every set: 2026-01-30T00:00:00Z.
const NEWEST_MICROSECONDS: i64 = 1_769_731_200_000_000;
/// Between two recordings: 80 of them lie within the two hours that a poll reaches back, which is one page.
const STEP_MICROSECONDS: i64 = 90_000_000;
/// Bytes of a frame of the bodies: MPEG-2 layer III, 32 kbit/s, 16 kHz, mono.
const FRAME: u64 = 144;
/// How many bodies the recordings of `Dust` share.
const SHARED_BODIES: u64 = 100;
const FRAME_MILLISECONDS: u64 = 36;
const FRAME_HEADER: [u8; 4] = [0xff, 0xf3, 0x48, 0xc4];
/// Bytes of an `ID3v2` header.
const TAG_HEADER: u64 = 10;
/// An id carries its number in its first 48 bits, scrambled, so that ids are as random to an index as real ones.
const ID_BITS: u64 = (1 << 48) - 1;
const ID_FACTOR: u64 = 0x5bd1_e995_9d1b;

/// What the bodies of a set are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Log-normal around 250 kB, as calls are.
    Mix,
    /// 16 KiB each.
    Tiny,
    /// 128 MiB each.
    Large,
    /// 32 MiB each: `Large` for a quick look.
    Largish,
    /// 4 kB each, a hundred bodies for all: only requests count.
    Dust,
    /// No bodies: upstream says that nothing was captured.
    Rows,
    /// The same recordings, listed as available: for a catalog that says that it has them.
    Kept,
}

const KINDS: [Kind; 7] = [
    Kind::Mix,
    Kind::Tiny,
    Kind::Large,
    Kind::Largish,
    Kind::Dust,
    Kind::Rows,
    Kind::Kept,
];

/// A set: so many recordings of a kind, numbered from the newest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set {
    pub kind: Kind,
    pub count: u64,
}

/// One recording of a set.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    pub id: RecordingId,
    pub created_at: Timestamp,
    /// Of its body; 0 where it has none.
    pub size_bytes: u64,
    /// How long it plays, in whole seconds.
    pub seconds: u64,
    /// Decides what else is drawn for it.
    pub seed: u64,
}

impl Set {
    /// The recording with this number.
    pub fn recording(self, number: u64) -> Recording {
        let seed = mix(number ^ self.kind.salt() << 56);
        let size_bytes = self.kind.size_bytes(seed);
        let audio = size_bytes.saturating_sub(tag_bytes(size_bytes));
        Recording {
            id: id(number, seed),
            created_at: created_at(number),
            size_bytes,
            seconds: match size_bytes {
                0 => 2 + seed % 600,
                _ => audio / FRAME * FRAME_MILLISECONDS / 1000,
            },
            seed,
        }
    }

    /// How many bodies there are: several recordings may share one.
    pub const fn bodies(self) -> u64 {
        match self.kind {
            Kind::Rows | Kind::Kept => 0,
            Kind::Dust if self.count > SHARED_BODIES => SHARED_BODIES,
            _ => self.count,
        }
    }

    /// The id under which the body of a recording is served.
    pub fn body_of(self, number: u64) -> RecordingId {
        self.recording(number % self.bodies().max(1)).id
    }

    /// All of them, newest first.
    pub fn recordings(self) -> impl Iterator<Item = Recording> {
        (0..self.count).map(move |number| self.recording(number))
    }

    /// Bytes of all bodies.
    pub fn total_bytes(self) -> u64 {
        self.recordings().map(|recording| recording.size_bytes).sum()
    }

    /// The number of the recording with this id, if it is one of this set.
    pub fn number_of(self, id: RecordingId) -> Option<u64> {
        let bytes = id.as_bytes();
        let head = bytes[..6].iter().fold(0, |head, byte| head << 8 | u64::from(*byte));
        let number = unscramble(head);
        (number < self.count && self.recording(number).id == id).then_some(number)
    }

    /// The numbers of those created from `start` to `end`, both included where they are given.
    pub fn window(self, start: Option<Timestamp>, end: Option<Timestamp>) -> std::ops::Range<u64> {
        let steps = |at: Timestamp| (NEWEST_MICROSECONDS - at.as_microseconds()).div_euclid(STEP_MICROSECONDS);
        let first = end.map_or(0, |end| {
            let age = NEWEST_MICROSECONDS - end.as_microseconds();
            age.div_euclid(STEP_MICROSECONDS) + i64::from(age.rem_euclid(STEP_MICROSECONDS) != 0)
        });
        let past = start.map_or(i64::MAX, |start| steps(start) + 1);
        let bounded = |number: i64| u64::try_from(number).unwrap_or(0).min(self.count);
        bounded(first)..bounded(past).max(bounded(first))
    }
}

impl Kind {
    fn size_bytes(self, seed: u64) -> u64 {
        match self {
            Self::Mix => log_normal(seed),
            Self::Tiny => 16 << 10,
            Self::Large => 128 << 20,
            Self::Largish => 32 << 20,
            Self::Dust => 28 * FRAME,
            Self::Rows | Self::Kept => 0,
        }
    }

    /// Decides what is drawn for its recordings.
    const fn salt(self) -> u64 {
        match self {
            // They are the same.
            Self::Rows | Self::Kept => 0,
            kind => kind as u64 + 1,
        }
    }

    /// Its name, as in the name of a set.
    const fn name(self) -> &'static str {
        match self {
            Self::Mix => "mix",
            Self::Tiny => "tiny",
            Self::Large => "large",
            Self::Largish => "largish",
            Self::Dust => "dust",
            Self::Rows => "rows",
            Self::Kept => "kept",
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.name(), self.count)
    }
}

impl FromStr for Set {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, count) = text.split_once(':').context("a set is kind:count")?;
        let kind = KINDS.into_iter().find(|kind| kind.name() == name);
        Ok(Self {
            kind: kind.with_context(|| format!("no kind of set: {name}"))?,
            count: count.parse()?,
        })
    }
}

impl Recording {
    /// Writes its body: a tag where the length asks for one, then whole frames, unlike every other body.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_body(&self, noise: &Noise, out: &mut impl Write) -> io::Result<()> {
        let tag = tag_bytes(self.size_bytes);
        if tag > 0 {
            let size = u32::try_from(tag - TAG_HEADER).unwrap_or(0);
            let digits = [21, 14, 7, 0].map(|shift| u8::try_from(size >> shift & 0x7f).unwrap_or(0));
            out.write_all(b"ID3\x04\x00\x00")?;
            out.write_all(&digits)?;
            out.write_all(&vec![0; usize::try_from(tag - TAG_HEADER).unwrap_or(0)])?;
        }
        let mut left = self.size_bytes - tag;
        let mut first = [0; 144];
        first[..4].copy_from_slice(&FRAME_HEADER);
        first[40..56].copy_from_slice(self.id.as_bytes());
        let taken = left.min(FRAME);
        out.write_all(&first[..usize::try_from(taken).unwrap_or(0)])?;
        left -= taken;
        let frames = noise.0.len() as u64 / FRAME;
        let mut at = usize::try_from(self.seed % frames * FRAME).unwrap_or(0);
        while left > 0 {
            let piece = &noise.0[at..];
            let taken = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            out.write_all(&piece[..taken])?;
            left -= taken as u64;
            at = 0;
        }
        Ok(())
    }
}

/// A megabyte of frames that do not compress, from which bodies are cut.
pub struct Noise(Vec<u8>);

impl Noise {
    /// The same each time.
    pub fn new() -> Self {
        let mut bytes = Vec::new();
        for frame in 0..7_000 {
            bytes.extend_from_slice(&FRAME_HEADER);
            for word in 0..18 {
                bytes.extend_from_slice(&mix(frame << 8 | word).to_be_bytes());
            }
            bytes.truncate(usize::try_from((frame + 1) * FRAME).unwrap_or(0));
        }
        Self(bytes)
    }
}

/// The finaliser of splitmix64.
pub const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How many leading bytes a tag takes, so that whole frames fill the rest.
const fn tag_bytes(size_bytes: u64) -> u64 {
    match size_bytes % FRAME {
        0 => 0,
        rest @ 1..TAG_HEADER => rest + FRAME,
        rest => rest,
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size that is drawn; both fractions lie between 0 and 1, and the result is bounded"
)]
fn log_normal(seed: u64) -> u64 {
    let fraction = |seed: u64| ((mix(seed) >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    let normal = (-2.0 * fraction(seed).ln()).sqrt() * (std::f64::consts::TAU * fraction(seed ^ 0xa5)).cos();
    (normal.mul_add(0.7, 199_000_f64.ln()).exp() as u64).clamp(4_096, 4 << 20)
}

fn id(number: u64, seed: u64) -> RecordingId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&scramble(number).to_be_bytes()[2..]);
    bytes[6..14].copy_from_slice(&mix(seed ^ 0x1d).to_be_bytes());
    bytes[15] = 7;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    RecordingId::from_bytes(bytes)
}

fn created_at(number: u64) -> Timestamp {
    let age = i64::try_from(number).unwrap_or(0) * STEP_MICROSECONDS;
    Timestamp::from_microseconds(NEWEST_MICROSECONDS - age).unwrap_or_else(|_| unreachable!("within our era"))
}

const fn scramble(number: u64) -> u64 {
    let once = number.wrapping_mul(ID_FACTOR) & ID_BITS;
    let folded = once ^ once >> 24;
    let twice = folded.wrapping_mul(ID_FACTOR) & ID_BITS;
    twice ^ twice >> 24
}

const fn unscramble(head: u64) -> u64 {
    // Newton's iteration: each step doubles the bits that are right.
    let mut inverse: u64 = ID_FACTOR;
    let mut step = 0;
    while step < 5 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(ID_FACTOR.wrapping_mul(inverse)));
        step += 1;
    }
    let twice = head ^ head >> 24;
    let folded = twice.wrapping_mul(inverse) & ID_BITS;
    let once = folded ^ folded >> 24;
    once.wrapping_mul(inverse) & ID_BITS
}
