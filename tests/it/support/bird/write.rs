//! Sends the body of a reply: at its pace, in its framing, up to where it stops.
//!
//! Must not know: what is sent or why it stops.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::reply::After;
use super::reply::Framing;
use super::reply::Reply;
use super::reply::Stop;

const CHUNK_BYTES: usize = 64 * 1024;

/// Sends a body after what is already waiting, in as few writes as its pace allows.
pub struct BodyWriter<'a> {
    pub stream: &'a mut TcpStream,
    pub reply: &'a Reply,
    /// Bytes that go out first.
    pub waiting: Vec<u8>,
    /// Of the body, framing not counted.
    pub sent_bytes: u64,
}

impl BodyWriter<'_> {
    /// Sends all of it.
    pub async fn run(&mut self) -> io::Result<After> {
        if let Some((at_bytes, stop)) = &self.reply.stop {
            self.send_until(Some(*at_bytes)).await?;
            self.flush().await?;
            match stop {
                Stop::Close => return Ok(After::Close),
                Stop::Reset => return Ok(After::Reset),
                Stop::Stall => return wait_for_hang_up(self.stream).await,
                Stop::Gate(gate, closed_at) => {
                    let mut gate = gate.clone();
                    tokio::select! {
                        opened = gate.wait_for(|number| number > closed_at) => {
                            if opened.is_err() {
                                return Ok(After::Close);
                            }
                        }
                        gone = wait_for_hang_up(self.stream) => return gone,
                    }
                }
            }
        }
        self.send_until(None).await?;
        if self.reply.is_chunked() {
            self.waiting.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush().await?;
        let honest = matches!(self.reply.framing, Framing::Exact | Framing::Chunked);
        Ok(if honest && !self.reply.close {
            After::KeepAlive
        } else {
            After::Close
        })
    }

    async fn send_until(&mut self, end: Option<u64>) -> io::Result<()> {
        let step = match self.reply.pace.bytes_per_second {
            Some(rate) => usize::try_from((rate / 20).max(1))
                .unwrap_or(CHUNK_BYTES)
                .min(CHUNK_BYTES),
            None => CHUNK_BYTES,
        };
        let mut buffer = vec![0; step];
        loop {
            let left = end.map_or(u64::MAX, |end| end.saturating_sub(self.sent_bytes));
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(step);
            let read = self.reply.body.read(self.sent_bytes, &mut buffer[..wanted]);
            if read == 0 {
                return Ok(());
            }
            self.send(&buffer[..read]).await?;
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let chunked = self.reply.is_chunked();
        if chunked {
            self.waiting
                .extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        }
        self.waiting.extend_from_slice(bytes);
        if chunked {
            self.waiting.extend_from_slice(b"\r\n");
        }
        self.sent_bytes += bytes.len() as u64;
        if let Some(rate) = self.reply.pace.bytes_per_second {
            self.flush().await?;
            sleep(Duration::from_micros(bytes.len() as u64 * 1_000_000 / rate.max(1))).await;
        } else if self.waiting.len() >= CHUNK_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.waiting).await?;
        self.waiting.clear();
        Ok(())
    }
}

/// Reads on until the other side closes.
pub async fn wait_for_hang_up(stream: &TcpStream) -> io::Result<After> {
    let mut scrap = [0; 1024];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut scrap) {
            Ok(0) => return Ok(After::Close),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
