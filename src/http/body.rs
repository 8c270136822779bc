//! A reply's body, whole and in memory, up to a limit.
//!
//! It lies in a mapping of its own once it is large. The C library keeps what it gave out in large pieces for the next
//! time, for each thread, so that now and then a large reply would have the process grow with its threads; a mapping
//! goes back at once. Must not know: what a body says.

use std::io;
use std::ops::Deref;

use memmap2::MmapMut;

/// Up to this size a body lies where everything else does.
const SMALL_BYTES: usize = 64 << 10;

/// Bytes that are appended to and read.
#[derive(Debug, Default)]
pub struct Body {
    small: Vec<u8>,
    /// What it lies in once it is larger: twice as large as what there was when it was made.
    large: Option<MmapMut>,
    len_bytes: usize,
}

impl Body {
    /// Appends bytes.
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn extend_from_slice(&mut self, more: &[u8]) -> io::Result<()> {
        let len_bytes = self.len_bytes + more.len();
        if len_bytes <= SMALL_BYTES {
            self.small.extend_from_slice(more);
        } else {
            let room = self.large.as_ref().map_or(0, |large| large.len());
            if len_bytes > room {
                let mut larger = MmapMut::map_anon(len_bytes * 2)?;
                larger[..self.len_bytes].copy_from_slice(self);
                self.large = Some(larger);
                self.small = Vec::new();
            }
            if let Some(large) = &mut self.large {
                large[self.len_bytes..len_bytes].copy_from_slice(more);
            }
        }
        self.len_bytes = len_bytes;
        Ok(())
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.large
            .as_ref()
            .map_or(&self.small, |large| &large[..self.len_bytes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn what_was_appended_is_there_in_order(sizes in proptest::collection::vec(0_usize..90_000, 0..12)) {
            let (mut body, mut wanted) = (Body::default(), Vec::new());
            for (at, size) in sizes.into_iter().enumerate() {
                let piece: Vec<u8> = (0..size).map(|byte| u8::try_from((byte * 7 + at) % 251).unwrap()).collect();
                body.extend_from_slice(&piece).unwrap();
                wanted.extend(piece);
                prop_assert!(body[..] == wanted[..]);
            }
        }
    }
}
