//! Bodies that are read by offset, so that none has to be held whole, and their `ETags`.
//!
//! Must not know: requests, or which recording a body belongs to.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use md5::Digest as _;
use md5::Md5;

use super::super::mp3::Mp3;

/// Bodies up to this size are kept once generated,
const KEPT_BYTES: u64 = 1024 * 1024;
/// up to this much altogether.
const ALL_KEPT_BYTES: u64 = 96 * 1024 * 1024;
static ALL_KEPT: AtomicU64 = AtomicU64::new(0);

/// What a reply carries.
#[derive(Debug, Clone)]
pub enum Body {
    /// These bytes.
    Bytes(Bytes),
    /// A part of a stored object; the bit at `flip`, an offset in the object, is turned.
    Object {
        object: Arc<Object>,
        start: u64,
        len_bytes: u64,
        flip: Option<u64>,
    },
    /// A beginning, then a pattern over and over for this many bytes, then an end. `None` never ends.
    Repeat {
        beginning: Bytes,
        pattern: Bytes,
        repeated_bytes: Option<u64>,
        end: Bytes,
    },
}

impl Body {
    /// No bytes.
    pub const fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// A whole object.
    pub fn whole(object: Arc<Object>) -> Self {
        let len_bytes = object.len_bytes();
        Self::Object {
            object,
            start: 0,
            len_bytes,
            flip: None,
        }
    }

    /// How long it is, or `None` if it never ends.
    pub fn len_bytes(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Object { len_bytes, .. } => Some(*len_bytes),
            Self::Repeat {
                beginning,
                repeated_bytes,
                end,
                ..
            } => repeated_bytes.map(|repeated| (beginning.len() + end.len()) as u64 + repeated),
        }
    }

    /// Fills `buffer` from `offset` on and says how many bytes there were; 0 is the end.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        match self {
            Self::Bytes(bytes) => read_bytes(bytes, offset, buffer),
            Self::Object {
                object,
                start,
                len_bytes,
                flip,
            } => {
                let left = usize::try_from(len_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
                let wanted = left.min(buffer.len());
                let read = object.read(start + offset, &mut buffer[..wanted]);
                let flipped = flip.and_then(|at| at.checked_sub(start + offset));
                if let Some(byte) = flipped.and_then(|at| buffer[..read].get_mut(usize::try_from(at).ok()?)) {
                    *byte ^= 1;
                }
                read
            }
            Self::Repeat {
                beginning,
                pattern,
                repeated_bytes,
                end,
            } => {
                let Some(in_pattern) = offset.checked_sub(beginning.len() as u64) else {
                    return read_bytes(beginning, offset, buffer);
                };
                let repeated = repeated_bytes.unwrap_or(u64::MAX);
                if in_pattern >= repeated {
                    return read_bytes(end, in_pattern - repeated, buffer);
                }
                let wanted = usize::try_from(repeated - in_pattern)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                let period = pattern.len();
                let mut at = usize::try_from(in_pattern % period as u64).unwrap_or(0);
                let mut filled = 0;
                while filled < wanted {
                    let taken = (period - at).min(wanted - filled);
                    buffer[filled..filled + taken].copy_from_slice(&pattern[at..at + taken]);
                    filled += taken;
                    at = 0;
                }
                wanted
            }
        }
    }
}

fn read_bytes(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let rest = usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..))
        .unwrap_or_default();
    let taken = rest.len().min(buffer.len());
    buffer[..taken].copy_from_slice(&rest[..taken]);
    taken
}

/// Where an object's bytes come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Given.
    Bytes(Bytes),
    /// Computed.
    Mp3(Mp3),
}

impl Source {
    fn len_bytes(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Mp3(mp3) => mp3.len_bytes(),
        }
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        match self {
            Self::Bytes(bytes) => read_bytes(bytes, offset, buffer),
            Self::Mp3(mp3) => mp3.read(offset, buffer),
        }
    }
}

/// What an object's `ETag` is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Etag {
    /// The MD5 of the body, as for a single upload.
    #[default]
    Md5,
    /// Hex digits with `-2` behind, as for an upload in two parts: not an MD5 of the body.
    Multipart,
    /// Thirty-two hex digits that are not the MD5, on an object encrypted with KMS.
    Kms,
    /// No `ETag` header at all.
    None,
}

/// One stored object: bytes and the `ETag` they were stored under.
#[derive(Debug)]
pub struct Object {
    source: Source,
    etag: Etag,
    md5: OnceLock<String>,
    kept: OnceLock<Bytes>,
}

impl Drop for Object {
    fn drop(&mut self) {
        if let Some(bytes) = self.kept.get() {
            ALL_KEPT.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
        }
    }
}

impl Object {
    /// An object.
    pub const fn new(source: Source, etag: Etag) -> Self {
        Self {
            source,
            etag,
            md5: OnceLock::new(),
            kept: OnceLock::new(),
        }
    }

    /// Bytes of the whole object.
    pub fn len_bytes(&self) -> u64 {
        self.source.len_bytes()
    }

    /// The whole object.
    pub fn bytes(&self) -> Bytes {
        if let Source::Bytes(bytes) = &self.source {
            return bytes.clone();
        }
        let mut bytes = vec![0; usize::try_from(self.len_bytes()).unwrap_or(usize::MAX)];
        self.source.read(0, &mut bytes);
        bytes.into()
    }

    /// The value of the `ETag` header, quoted, if one is sent.
    pub fn etag(&self) -> Option<String> {
        match self.etag {
            Etag::Md5 => Some(format!("\"{}\"", self.md5())),
            Etag::Multipart => Some(format!("\"{}-2\"", hex(&Md5::digest(self.md5())))),
            Etag::Kms => Some(format!("\"{}\"", hex(&Md5::digest(self.md5())))),
            Etag::None => None,
        }
    }

    /// The value of `x-amz-server-side-encryption`.
    pub const fn encryption(&self) -> &'static str {
        match self.etag {
            Etag::Kms => "aws:kms",
            _ => "AES256",
        }
    }

    /// The MD5 of the body in hex, computed once.
    pub fn md5(&self) -> &str {
        self.md5.get_or_init(|| {
            let mut md5 = Md5::new();
            let mut buffer = vec![0; 64 * 1024];
            let mut offset = 0;
            loop {
                let read = self.read(offset, &mut buffer);
                if read == 0 {
                    return hex(&md5.finalize());
                }
                md5.update(&buffer[..read]);
                offset += read as u64;
            }
        })
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        match self.kept() {
            Some(bytes) => read_bytes(bytes, offset, buffer),
            None => self.source.read(offset, buffer),
        }
    }

    /// The bytes, computed once, where they are few and so are those of all other objects together.
    fn kept(&self) -> Option<&Bytes> {
        let len_bytes = self.len_bytes();
        if self.kept.get().is_none() && len_bytes <= KEPT_BYTES {
            let room = |all: u64| (all + len_bytes <= ALL_KEPT_BYTES).then_some(all + len_bytes);
            if ALL_KEPT
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
                .is_ok()
                && self.kept.set(self.bytes()).is_err()
            {
                // Another request was faster.
                ALL_KEPT.fetch_sub(len_bytes, Ordering::Relaxed);
            }
        }
        self.kept.get()
    }
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}
