//! Looks for a simulator's secrets in bytes of any kind.
//!
//! Must not know: where the bytes come from.

use std::collections::HashSet;

use super::super::bird::Bird;

/// Hex digits of a signature.
const SIGNATURE_CHARS: usize = 64;
/// A secret longer than this is found by its beginning: a cut one is a leak as well.
const TELLING_BYTES: usize = 48;

/// What to look for.
pub struct Secrets {
    texts: Vec<(&'static str, Vec<u8>)>,
    signatures: HashSet<Vec<u8>>,
}

impl Secrets {
    /// All that a simulator ever gave out.
    pub fn of(bird: &Bird) -> Self {
        let mut texts = Vec::new();
        let mut signatures = HashSet::new();
        for (what, secret) in bird.secrets() {
            let mut secret = secret.into_bytes();
            if what == "X-Amz-Signature" {
                signatures.insert(secret);
            } else {
                secret.truncate(TELLING_BYTES);
                texts.push((what, secret));
            }
        }
        Self { texts, signatures }
    }

    /// What of it is in these bytes.
    pub fn in_bytes(&self, bytes: &[u8]) -> Vec<String> {
        let holds = |secret: &[u8]| contains(bytes, secret);
        let mut found: Vec<String> = self
            .texts
            .iter()
            .filter(|(_, secret)| holds(secret))
            .map(|(what, _)| (*what).to_owned())
            .collect();
        // Thousands of signatures at once: every run of hex digits is looked up, none is searched for.
        let digits = bytes.split(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let mut windows = digits.flat_map(|run| run.windows(SIGNATURE_CHARS));
        if windows.any(|window| self.signatures.contains(window)) {
            found.push("a signature".to_owned());
        }
        found
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some((&first, rest)) = wanted.split_first() else {
        return false;
    };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == first) {
        from += at + 1;
        if bytes[from..].starts_with(rest) {
            return true;
        }
    }
    false
}
