//! Page tokens: opaque, sealed, and good for one query only.
//!
//! Must not know: what is listed.

use birdkeep::domain::ids::RecordingId;

use super::body::hex;
use super::sign::hmac;

/// Longest token Bird takes.
pub const MAX_TOKEN_CHARS: usize = 8000;

const SEAL_BYTES: usize = 16;
const PLACE_BYTES: usize = 48;
/// What stands between the sealed place and padding that a fault added.
const PADDING_MARK: char = '~';

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the page, from 1.
    pub page: u32,
    /// How many items the pages before it held.
    pub offset: u64,
    /// Rank and id of the last item before it.
    pub after: (u64, RecordingId),
    /// What the query asked for, folded.
    pub filter: u64,
    /// Makes two tokens for the same place differ.
    pub nonce: u32,
}

/// Seals places into tokens.
#[derive(Debug)]
pub struct Tokens {
    key: [u8; 32],
}

impl Tokens {
    /// A key of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self {
            key: hmac(b"page tokens", &seed.to_be_bytes()),
        }
    }

    /// The token of a place. `padding` is carried along and must come back unaltered.
    pub fn seal(&self, place: &Place, padding: &str) -> String {
        let mut bytes = [0; PLACE_BYTES];
        bytes[..4].copy_from_slice(&place.page.to_be_bytes());
        bytes[4..12].copy_from_slice(&place.offset.to_be_bytes());
        bytes[12..20].copy_from_slice(&place.after.0.to_be_bytes());
        bytes[20..36].copy_from_slice(place.after.1.as_bytes());
        bytes[36..44].copy_from_slice(&place.filter.to_be_bytes());
        bytes[44..].copy_from_slice(&place.nonce.to_be_bytes());
        let seal = self.seal_of(&bytes, padding);
        self.veil(&seal, &mut bytes);
        let mut token = hex(&seal);
        token.push_str(&hex(&bytes));
        if !padding.is_empty() {
            token.push(PADDING_MARK);
            token.push_str(padding);
        }
        token
    }

    /// The place a token stands for, or `None` if it is not one of ours, unaltered.
    pub fn open(&self, token: &str) -> Option<Place> {
        if token.chars().count() > MAX_TOKEN_CHARS {
            return None;
        }
        let (sealed, padding) = token.split_once(PADDING_MARK).unwrap_or((token, ""));
        let sealed = unhex(sealed)?;
        let (seal, rest) = sealed.split_at_checked(SEAL_BYTES)?;
        let mut bytes: [u8; PLACE_BYTES] = rest.try_into().ok()?;
        self.veil(seal, &mut bytes);
        if self.seal_of(&bytes, padding) != seal {
            return None;
        }
        let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_be_bytes).ok();
        let short = |at: usize| bytes[at..at + 4].try_into().map(u32::from_be_bytes).ok();
        Some(Place {
            page: short(0)?,
            offset: number(4)?,
            after: (number(12)?, RecordingId::from_bytes(bytes[20..36].try_into().ok()?)),
            filter: number(36)?,
            nonce: short(44)?,
        })
    }

    fn seal_of(&self, bytes: &[u8], padding: &str) -> [u8; SEAL_BYTES] {
        let mut message = bytes.to_vec();
        message.extend_from_slice(padding.as_bytes());
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(&hmac(&self.key, &message)[..SEAL_BYTES]);
        seal
    }

    fn veil(&self, seal: &[u8], bytes: &mut [u8; PLACE_BYTES]) {
        let stream = [
            hmac(&self.key, &[seal, &[1]].concat()),
            hmac(&self.key, &[seal, &[2]].concat()),
        ]
        .concat();
        for (byte, key) in bytes.iter_mut().zip(stream) {
            *byte ^= key;
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
