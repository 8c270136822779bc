//! Gzip streams written by hand: small on the wire, as large as wished once unpacked, valid to the last byte.
//!
//! RFC 1951 and 1952. A beginning is stored as it is; the zeros behind it are one code of 13 bits for each 258 of them.
//! Must not know: what is packed.

use bytes::Bytes;

use super::body::Body;

/// Zeros that one code stands for.
const RUN: u64 = 258;
/// Codes after which the bit pattern begins anew on a byte: 8 × 13 bits.
const CODES_OF_PERIOD: u64 = 8;
const PERIOD_BYTES: usize = 13;

/// `beginning`, then zeros up to about `unpacked_bytes` in all (rounded up to whole periods).
pub fn bomb(beginning: &[u8], unpacked_bytes: u64) -> Body {
    let zeros_wanted = unpacked_bytes.saturating_sub(beginning.len() as u64);
    let periods = zeros_wanted.div_ceil(RUN * CODES_OF_PERIOD).max(1);
    // The first zero is a literal, for the codes to copy from.
    let zeros = 1 + periods * RUN * CODES_OF_PERIOD;
    let mut head = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for block in beginning.chunks(65_535) {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        head.push(0);
        head.extend_from_slice(&length.to_le_bytes());
        head.extend_from_slice(&(!length).to_le_bytes());
        head.extend_from_slice(block);
    }
    // Last block, fixed codes; the literal 0; then codes until their bits repeat on a byte boundary.
    let mut bits = Bits::default();
    bits.put(&[1, 1, 0]);
    bits.put(&[0, 0, 1, 1, 0, 0, 0, 0]);
    for _ in 0..3 * CODES_OF_PERIOD {
        bits.put(&[1, 1, 0, 0, 0, 1, 0, 1]);
        bits.put(&[0, 0, 0, 0, 0]);
    }
    let first = bits.bytes[..PERIOD_BYTES].to_vec();
    let pattern = bits.bytes[PERIOD_BYTES..2 * PERIOD_BYTES].to_vec();
    head.extend_from_slice(&first);
    // The 11 leading bits are left over at the end, followed by the end of the block.
    let mut tail = Bits::default();
    let left_over: Vec<u8> = (0..11).map(|bit| (pattern[bit / 8] >> (bit % 8)) & 1).collect();
    tail.put(&left_over);
    tail.put(&[0; 7]);
    let mut end = tail.bytes;
    let crc = crc32_after_zeros(crc32(beginning), zeros);
    end.extend_from_slice(&crc.to_le_bytes());
    let size = (beginning.len() as u64 + zeros) & 0xffff_ffff;
    end.extend_from_slice(&u32::try_from(size).unwrap_or(0).to_le_bytes());
    Body::Repeat {
        beginning: head.into(),
        pattern: Bytes::from(pattern),
        repeated_bytes: Some((periods - 1) * PERIOD_BYTES as u64),
        end: end.into(),
    }
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn put(&mut self, bits: &[u8]) {
        for bit in bits {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(byte) = self.bytes.last_mut() {
                *byte |= bit << (self.count % 8);
            }
            self.count += 1;
        }
    }
}

const POLYNOMIAL: u32 = 0xedb8_8320;

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            }
        })
    })
}

/// The CRC after so many further zero bytes: each is the same linear step, so powers of it are squared up.
fn crc32_after_zeros(crc: u32, mut zeros: u64) -> u32 {
    let mut step: [u32; 32] = std::array::from_fn(|bit| {
        (0..8).fold(1_u32 << bit, |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            }
        })
    });
    let mut state = !crc;
    while zeros > 0 {
        if zeros & 1 == 1 {
            state = times(&step, state);
        }
        step = std::array::from_fn(|bit| times(&step, step[bit]));
        zeros >>= 1;
    }
    !state
}

fn times(matrix: &[u32; 32], vector: u32) -> u32 {
    matrix.iter().enumerate().fold(
        0,
        |sum, (bit, column)| {
            if vector >> bit & 1 == 1 { sum ^ column } else { sum }
        },
    )
}
