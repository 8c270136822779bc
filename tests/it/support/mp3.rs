//! MP3 bodies made on the spot: real frames that any player plays as a little tune, computed by offset so that a body of any
//! size needs no memory.
//!
//! MPEG-2 layer III, 16 kHz, mono, 32 kbit/s: 144 bytes and 36 ms a frame, 4,000 bytes a second. A note is one spectral
//! line; the bytes behind a frame's audio are ancillary data, which players skip, and differ from body to body.
//! Must not know: whose recording a body is.

use std::sync::OnceLock;
use std::time::Duration;

use super::random::mix;

/// Bytes of one frame.
pub const FRAME_BYTES: u64 = 144;
/// How long one frame plays.
pub const FRAME_MILLISECONDS: u64 = 36;

const FRAME: usize = 144;
/// MPEG-2 layer III without CRC, 32 kbit/s, 16 kHz, no padding, mono, original.
const HEADER: [u8; 4] = [0xff, 0xf3, 0x48, 0xc4];
/// Where the ancillary bytes of a frame begin; header, side information and the audio of any note end before it.
const ANCILLARY: usize = 40;
/// Bytes of an `ID3v2` header.
const TAG_HEADER: u64 = 10;
/// Spectral lines of a pentatonic scale; a line is 13.9 Hz wide.
const SCALE: [u16; 8] = [19, 24, 28, 32, 38, 47, 56, 63];
/// Frames of one note: a quarter of a second.
const NOTE_FRAMES: u64 = 7;

/// A body: an `ID3v2` tag where the length asks for one, then whole frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mp3 {
    seed: u64,
    tag_bytes: u64,
    len_bytes: u64,
}

impl Mp3 {
    /// A body that plays at least this long, by less than one frame longer.
    pub fn lasting(seed: u64, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let frames = milliseconds.div_ceil(FRAME_MILLISECONDS).max(1);
        Self {
            seed,
            tag_bytes: 0,
            len_bytes: frames * FRAME_BYTES,
        }
    }

    /// A body of exactly this many bytes. One too short for a tag and a frame is the beginning of a frame.
    pub const fn of_len(seed: u64, len_bytes: u64) -> Self {
        let rest = len_bytes % FRAME_BYTES;
        let wanted = match rest {
            0 => 0,
            1..TAG_HEADER => rest + FRAME_BYTES,
            _ => rest,
        };
        let tag_bytes = if wanted + FRAME_BYTES <= len_bytes { wanted } else { 0 };
        Self {
            seed,
            tag_bytes,
            len_bytes,
        }
    }

    /// Bytes of the whole body.
    pub const fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// How long it plays.
    pub const fn duration(&self) -> Duration {
        Duration::from_millis((self.len_bytes - self.tag_bytes) / FRAME_BYTES * FRAME_MILLISECONDS)
    }

    /// Fills `buffer` with the bytes from `offset` on and says how many there were.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let left = usize::try_from(self.len_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let mut filled = 0;
        while filled < wanted {
            let at = offset + filled as u64;
            let rest = &mut buffer[filled..wanted];
            filled += match at.checked_sub(self.tag_bytes) {
                None => self.read_tag(at, rest),
                Some(in_audio) => self.read_frame(in_audio, rest),
            };
        }
        wanted
    }

    fn read_tag(&self, at: u64, out: &mut [u8]) -> usize {
        let size = u32::try_from(self.tag_bytes - TAG_HEADER).unwrap_or(0);
        let mut header = [b'I', b'D', b'3', 4, 0, 0, 0, 0, 0, 0];
        for (index, byte) in header[6..].iter_mut().enumerate() {
            *byte = u8::try_from((size >> (7 * (3 - index))) & 0x7f).unwrap_or(0);
        }
        let taken = out
            .len()
            .min(usize::try_from(self.tag_bytes - at).unwrap_or(usize::MAX));
        for (index, byte) in out[..taken].iter_mut().enumerate() {
            let position = usize::try_from(at).unwrap_or(usize::MAX) + index;
            *byte = header.get(position).copied().unwrap_or(0);
        }
        taken
    }

    fn read_frame(&self, in_audio: u64, out: &mut [u8]) -> usize {
        let frame = self.frame(in_audio / FRAME_BYTES);
        let skipped = usize::try_from(in_audio % FRAME_BYTES).unwrap_or(0);
        let taken = out.len().min(FRAME - skipped);
        out[..taken].copy_from_slice(&frame[skipped..skipped + taken]);
        taken
    }

    fn frame(&self, index: u64) -> [u8; FRAME] {
        let choice = mix(self.seed ^ mix(index / NOTE_FRAMES));
        // The sign turns with every frame, so that neighbouring frames join into one steady sine.
        let phase = usize::from(index & 1 != 0);
        let note = if choice.is_multiple_of(5) {
            None
        } else {
            Some(usize::try_from(choice >> 8).unwrap_or(0) % SCALE.len())
        };
        let mut frame = templates()[note.map_or(0, |note| 1 + 2 * note + phase)];
        let mut word = mix(self.seed.wrapping_add(mix(!index)));
        for chunk in frame[ANCILLARY..].chunks_exact_mut(8) {
            word = mix(word.wrapping_add(0x9e37_79b9_7f4a_7c15));
            // Never 0xff, so that nothing in there looks like the beginning of a frame.
            chunk.copy_from_slice(&(word & 0x7f7f_7f7f_7f7f_7f7f).to_le_bytes());
        }
        frame
    }
}

/// Silence, then each note with either sign.
fn templates() -> &'static [[u8; FRAME]] {
    static TEMPLATES: OnceLock<Vec<[u8; FRAME]>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let notes = SCALE.iter().flat_map(|&line| [note(line, 0), note(line, 1)]);
        std::iter::once(silence()).chain(notes).collect()
    })
}

fn silence() -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    frame[..4].copy_from_slice(&HEADER);
    frame
}

/// One spectral line of magnitude 1. All lines are in the `count1` region, four at a time, by the table whose code for a
/// group of four is its complement, followed by the signs.
fn note(line: u16, sign: u32) -> [u8; FRAME] {
    let groups = u32::from(line / 4);
    let group = 0b1111 ^ (0b1000 >> (line % 4));
    let mut bits = Bits::at(silence(), 32);
    bits.put(0, 8 + 1); // main_data_begin, private bit
    bits.put(4 * groups + 5, 12); // part2_3_length
    bits.put(0, 9); // big_values
    bits.put(200, 8); // global_gain
    bits.put(0, 9 + 1 + 15 + 4 + 3 + 1); // no scale factors, long blocks, no tables
    bits.put(1, 1); // count1table_select
    for _ in 0..groups {
        bits.put(0b1111, 4);
    }
    bits.put(group, 4);
    bits.put(sign, 1);
    bits.frame
}

struct Bits {
    frame: [u8; FRAME],
    position: usize,
}

impl Bits {
    const fn at(frame: [u8; FRAME], position: usize) -> Self {
        Self { frame, position }
    }

    fn put(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            // Counts above 32 only ever carry zeros.
            let bit = value.checked_shr(shift).unwrap_or(0) & 1;
            if bit == 1 {
                self.frame[self.position / 8] |= 0x80 >> (self.position % 8);
            }
            self.position += 1;
        }
    }
}
