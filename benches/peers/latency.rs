//! A link of 30 ms: a relay that hands on each direction's bytes 15 ms later, and keeps to a window as TCP would.
//!
//! Bytes are delayed as a stream, not chunk after chunk: while some are under way, more are taken. A connection begins
//! as TCP's does, with a handshake of one round trip and a window of ten segments that doubles each round trip up to
//! 1 MiB, which holds one stream to some 33 MB/s. Runs as a process of its own. Must not know: what passes.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::sleep_until;

/// From one end to the other.
const ONE_WAY: Duration = Duration::from_millis(15);
const FIRST_WINDOW: usize = 14_600;
const LARGEST_WINDOW: usize = 1 << 20;
const CHUNK: usize = 64 * 1024;

/// Relays to `target` until it is killed; prints its port first.
///
/// # Errors
/// There is no port.
pub fn serve(target: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        super::say(&listener.local_addr()?.port().to_string());
        loop {
            let (near, _) = listener.accept().await?;
            tokio::spawn(relay(near, target.to_owned()));
        }
    })
}

async fn relay(near: TcpStream, target: String) -> io::Result<()> {
    // What is sent at once arrives half a round trip after the handshake.
    tokio::time::sleep(2 * ONE_WAY).await;
    let far = TcpStream::connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let there = tokio::spawn(carry(near_read, far_write));
    let back = carry(far_read, near_write).await;
    there.abort();
    back
}

async fn carry(mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf) -> io::Result<()> {
    let (send, mut receive) = mpsc::unbounded_channel::<(Instant, Bytes)>();
    let deliver = tokio::spawn(async move {
        while let Some((at, bytes)) = receive.recv().await {
            sleep_until(at).await;
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    });
    let mut window = Window::default();
    let mut buffer = BytesMut::new();
    loop {
        let room = window.room().await;
        buffer.reserve(CHUNK);
        let mut limited = (&mut from).take(room.min(CHUNK) as u64);
        let taken = limited.read_buf(&mut buffer).await?;
        if taken == 0 {
            break;
        }
        let now = Instant::now();
        window.sent(now, taken);
        if send.send((now + ONE_WAY, buffer.split().freeze())).is_err() {
            break;
        }
    }
    drop(send);
    deliver.await?
}

/// What is under way and not acknowledged, and how much may be.
struct Window {
    most: usize,
    under_way: usize,
    acknowledged_at: VecDeque<(Instant, usize)>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            most: FIRST_WINDOW,
            under_way: 0,
            acknowledged_at: VecDeque::new(),
        }
    }
}

impl Window {
    /// Waits until something may be sent, and says how much.
    async fn room(&mut self) -> usize {
        loop {
            let now = Instant::now();
            while let Some((at, bytes)) = self.acknowledged_at.front().copied()
                && at <= now
            {
                self.acknowledged_at.pop_front();
                self.under_way -= bytes;
                self.most = (self.most + bytes).min(LARGEST_WINDOW);
            }
            if self.under_way < self.most {
                return self.most - self.under_way;
            }
            if let Some((at, _)) = self.acknowledged_at.front() {
                sleep_until(*at).await;
            }
        }
    }

    fn sent(&mut self, now: Instant, bytes: usize) {
        self.under_way += bytes;
        self.acknowledged_at.push_back((now + 2 * ONE_WAY, bytes));
    }
}
