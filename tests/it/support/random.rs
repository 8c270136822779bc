//! Numbers that look random and are the same for the same seed (splitmix64).
//!
//! Must not know: what they decide.

/// A stream of numbers, wholly decided by its seed.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of this seed.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below `bound`, which must not be zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True this often, from 0.0 (never) to 1.0 (always).
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are kept, as many as the fraction holds"
    )]
    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64) / ((1_u64 << 53) as f64) < probability
    }

    /// The 16 bytes of a UUID of version 4.
    pub fn uuid_v4(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        bytes
    }

    /// This many characters of an alphabet of ASCII.
    pub fn text(&mut self, alphabet: &[u8], chars: usize) -> String {
        let bound = alphabet.len() as u64;
        (0..chars)
            .map(|_| char::from(alphabet[usize::try_from(self.below(bound)).unwrap_or(0)]))
            .collect()
    }
}

/// Spreads a number over all 64 bits; the same number gives the same answer.
pub const fn mix(number: u64) -> u64 {
    let mut z = number;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number made of bytes, for seeds that depend on names and ids (FNV-1a, then mixed).
pub fn hash(bytes: &[u8]) -> u64 {
    let folded = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(folded)
}
