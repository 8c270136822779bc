//! What the bytes of a body say about themselves: their kind, and for MP3 how long they play and whether they end
//! inside a frame.
//!
//! Works on a stream, chunk by chunk, without keeping it. MPEG audio headers as in ISO/IEC 11172-3 and 13818-3,
//! ID3v2 as in its informal standard. Must not know: where the bytes come from.

use std::time::Duration;

use super::recording::Format;

/// How many leading bytes are enough for [`check_leading`].
pub const LEADING_BYTES: usize = 64;

/// Checks that a body begins as its stated format does and not as a page or an error text.
///
/// # Errors
/// Says in words what the bytes look like instead. `leading` is the first [`LEADING_BYTES`] bytes, or all there are.
pub fn check_leading(format: Format, leading: &[u8]) -> Result<(), String> {
    if leading.is_empty() {
        return Err("the body is empty".to_owned());
    }
    let text = leading
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(leading)
        .trim_ascii_start();
    match text.first() {
        Some(b'<') => return Err("the body is HTML or XML, not audio".to_owned()),
        Some(b'{' | b'[') => return Err("the body is JSON, not audio".to_owned()),
        _ => {}
    }
    let begins_well = match format {
        Format::Mp3 => leading.starts_with(b"ID3") || FrameHeader::parse(leading).is_some(),
        Format::Wav => {
            (leading.starts_with(b"RIFF") || leading.starts_with(b"RF64")) && leading.get(8..12) == Some(b"WAVE")
        }
        Format::Ogg => leading.starts_with(b"OggS"),
        Format::Flac => leading.starts_with(b"fLaC") || leading.starts_with(b"ID3"),
        Format::M4a => leading.get(4..8) == Some(b"ftyp"),
        Format::Other => true,
    };
    if begins_well {
        Ok(())
    } else {
        let shown: String = leading
            .iter()
            .take(16)
            .map(|byte| byte.escape_ascii().to_string())
            .collect();
        Err(format!(
            "the body does not begin as {} does, but with \"{shown}\"",
            format.extension()
        ))
    }
}

/// A decoded MPEG audio frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FrameHeader {
    length_bytes: u64,
    samples: u64,
    sample_rate_hz: u64,
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [a, b, c] = *bytes.first_chunk::<3>()?;
        if a != 0xff || b & 0xe0 != 0xe0 {
            return None;
        }
        let version_1 = match (b >> 3) & 3 {
            3 => true,
            2 | 0 => false,
            _ => return None,
        };
        let version_2_5 = (b >> 3) & 3 == 0;
        let layer_3 = match (b >> 1) & 3 {
            1 => true,
            2 => false,
            _ => return None,
        };
        let kbps = bitrate_kbps(version_1, layer_3, usize::from(c >> 4))?;
        let base_rate: u64 = [44_100, 48_000, 32_000].get(usize::from((c >> 2) & 3)).copied()?;
        let sample_rate_hz = base_rate >> (u32::from(!version_1) + u32::from(version_2_5));
        let samples = if layer_3 && !version_1 { 576 } else { 1152 };
        let padding = u64::from((c >> 1) & 1);
        Some(Self {
            length_bytes: samples / 8 * kbps * 1000 / sample_rate_hz + padding,
            samples,
            sample_rate_hz,
        })
    }
}

/// The bit rate of a layer II or III header; free format and the forbidden index are not followed.
fn bitrate_kbps(version_1: bool, layer_3: bool, index: usize) -> Option<u64> {
    const V1_L3: [u64; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const V1_L2: [u64; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const V2: [u64; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    let table = match (version_1, layer_3) {
        (true, true) => V1_L3,
        (true, false) => V1_L2,
        (false, _) => V2,
    };
    table.get(index.checked_sub(1)?).copied()
}

/// What an MP3 stream said about itself once it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mp3Summary {
    /// How long its whole frames play.
    pub duration: Duration,
    /// Whether the bytes end inside a frame, as those of a body that was cut do.
    pub ends_inside_frame: bool,
}

/// Bytes that tell what follows at the beginning of a stream, where a tag may stand, and at a frame.
const TAG_HEAD: usize = 10;
const FRAME_HEAD: usize = 4;

/// Follows the chain of MP3 frames through a stream. Gives up, and then says nothing, where the chain breaks for
/// another reason than a trailing tag.
#[derive(Debug, Clone, Default)]
pub struct Mp3Scanner {
    position: Position,
    pending: Vec<u8>,
    microseconds: u64,
    /// Of these, those of the frame that began last.
    last_frame_microseconds: u64,
    frames: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Position {
    /// At the first byte of the stream.
    #[default]
    Start,
    /// At a frame header.
    Header,
    /// Inside a frame or a leading tag, with this many bytes of it to come.
    Inside { left: u64 },
    /// In a trailing tag, to the end of the stream.
    Tail,
    /// The chain was lost.
    Lost,
}

impl Mp3Scanner {
    /// Takes the next bytes of the stream.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.position {
                Position::Tail | Position::Lost => return,
                Position::Inside { left } => {
                    let taken = left.min(bytes.len() as u64);
                    bytes = &bytes[usize::try_from(taken).unwrap_or(bytes.len())..];
                    self.position = match left - taken {
                        0 => Position::Header,
                        left => Position::Inside { left },
                    };
                }
                // Most headers lie in one piece: there may be millions in a body.
                Position::Header if self.pending.is_empty() && bytes.len() >= FRAME_HEAD => {
                    self.read_head(&bytes[..FRAME_HEAD]);
                    bytes = &bytes[FRAME_HEAD..];
                }
                Position::Start | Position::Header => {
                    let wanted = if self.position == Position::Start {
                        TAG_HEAD
                    } else {
                        FRAME_HEAD
                    };
                    let taken = (wanted - self.pending.len()).min(bytes.len());
                    self.pending.extend_from_slice(&bytes[..taken]);
                    bytes = &bytes[taken..];
                    if self.pending.len() == wanted {
                        let head = std::mem::take(&mut self.pending);
                        self.read_head(&head);
                    }
                }
            }
        }
    }

    fn read_head(&mut self, head: &[u8]) {
        if self.position == Position::Start && head.starts_with(b"ID3") {
            let size = head[6..10]
                .iter()
                .fold(0_u64, |size, byte| (size << 7) | u64::from(byte & 0x7f));
            let footer = if head[5] & 0x10 == 0 { 0 } else { 10 };
            self.position = match size + footer {
                0 => Position::Header,
                left => Position::Inside { left },
            };
            return;
        }
        self.position = match FrameHeader::parse(head) {
            Some(header) if header.length_bytes >= head.len().min(4) as u64 => {
                self.frames += 1;
                self.last_frame_microseconds = header.samples * 1_000_000 / header.sample_rate_hz;
                self.microseconds += self.last_frame_microseconds;
                match header.length_bytes.checked_sub(head.len() as u64) {
                    Some(0) => Position::Header,
                    Some(left) => Position::Inside { left },
                    // A frame shorter than the ten bytes read at the start: not seen in speech, not followed.
                    None => Position::Lost,
                }
            }
            _ if self.frames > 0 && (head.starts_with(b"TAG") || head.starts_with(b"APE")) => Position::Tail,
            _ => Position::Lost,
        };
    }

    /// What the stream was, or `None` where it could not be followed to its end.
    #[must_use]
    pub fn finish(self) -> Option<Mp3Summary> {
        let (ends_inside_frame, cut_microseconds) = match self.position {
            Position::Lost | Position::Start => return None,
            Position::Tail => (false, 0),
            Position::Header => (!self.pending.is_empty(), 0),
            Position::Inside { .. } => (true, self.last_frame_microseconds),
        };
        (self.frames > 0).then_some(Mp3Summary {
            duration: Duration::from_micros(self.microseconds - cut_microseconds),
            ends_inside_frame,
        })
    }
}

/// How far an audio length may be from upstream's `duration`, which is given in whole seconds and truncated,
/// before it is worth a remark: two seconds and a twentieth.
#[must_use]
pub fn is_far_from(audio: Duration, stated: Duration) -> bool {
    audio.abs_diff(stated) > Duration::from_secs(2) + stated / 20
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 64 kbit/s, 16 kHz, mono, MPEG-2 layer III: 288 bytes, 36 ms a frame.
    fn frame() -> Vec<u8> {
        let mut frame = vec![0_u8; 288];
        frame[..4].copy_from_slice(&[0xff, 0xf3, 0x88, 0xc4]);
        frame
    }

    fn summary(bytes: &[u8], chunk: usize) -> Option<Mp3Summary> {
        let mut scanner = Mp3Scanner::default();
        bytes.chunks(chunk).for_each(|chunk| scanner.update(chunk));
        scanner.finish()
    }

    #[test]
    fn whole_frames_are_counted_and_a_cut_is_seen() {
        let mut body = b"ID3\x03\x00\x00\x00\x00\x00\x05hello".to_vec();
        for _ in 0..100 {
            body.extend(frame());
        }
        for chunk in [1, 3, 7, 4096] {
            let whole = summary(&body, chunk).unwrap();
            assert_eq!(whole.duration, Duration::from_millis(3600));
            assert!(!whole.ends_inside_frame);
            let cut = summary(&body[..body.len() - 100], chunk).unwrap();
            assert!(cut.ends_inside_frame);
            assert_eq!(cut.duration, Duration::from_millis(3564));
        }
        body.extend(b"TAG and whatever an old tag holds");
        assert!(!summary(&body, 5).unwrap().ends_inside_frame);
    }

    #[test]
    fn what_is_not_audio_is_named() {
        for (bytes, word) in [
            (&b"<html>"[..], "HTML"),
            (b"\xef\xbb\xbf <?xml?>", "XML"),
            (b" {\"code\":1}", "JSON"),
            (b"", "empty"),
            (b"RIFF\0\0\0\0WAVE", "RIFF"),
        ] {
            let why = check_leading(Format::Mp3, bytes).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
        assert_eq!(check_leading(Format::Mp3, &frame()[..64]), Ok(()));
        assert_eq!(check_leading(Format::Wav, b"RIFF\0\0\0\0WAVEfmt "), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_give_the_same_answer(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000), chunk in 1_usize..50,
        ) {
            let _ = check_leading(Format::Mp3, &bytes);
            prop_assert_eq!(summary(&bytes, chunk), summary(&bytes, 4096));
        }
    }
}
