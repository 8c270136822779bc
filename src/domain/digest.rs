//! Digests of bodies, as values.
//!
//! Must not know: how bytes are read or where digests are kept.

use std::fmt;
use std::str::FromStr;

/// A SHA-256 of a whole body. Prints as 64 lower-case hex digits, as `sha256sum` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

/// An MD5, used only to compare with an ETag that is one. Prints as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Md5Digest(pub [u8; 16]);

/// Text that is not the expected number of lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0} lower-case hex digits")]
pub struct InvalidDigest(usize);

fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], InvalidDigest> {
    let invalid = InvalidDigest(2 * N);
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(invalid);
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(invalid),
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Ok(bytes)
}

macro_rules! hex_digest {
    ($($name:ident),+) => {$(
        impl FromStr for $name {
            type Err = InvalidDigest;

            fn from_str(text: &str) -> Result<Self, InvalidDigest> {
                from_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}

hex_digest!(Sha256Digest, Md5Digest);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hex_and_back(bytes in any::<[u8; 32]>()) {
            let digest = Sha256Digest(bytes);
            prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        }

        #[test]
        fn any_text_is_refused_or_is_its_own_form(text in "[0-9a-fA-F\\-]{30,34}") {
            if let Ok(digest) = text.parse::<Md5Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
