//! A list API that is not the bottleneck: one thread a connection, pages written on the spot.
//!
//! It runs as a process of its own, so that its work is not taken for a contender's. It knows of the media host only
//! the address, and takes any key. Must not know: what is measured.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use birdkeep::domain::clock::Clock;
use birdkeep::domain::clock::SystemClock;
use birdkeep::domain::clock::Timestamp;

use super::items::Items;
use super::items::Links;
use super::run::Figures;
use super::run::REQUESTS;
use super::sets::Set;

const DEFAULT_LIMIT: u64 = 10;
const MOST_LIMIT: u64 = 99;

/// What was asked since the server began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Pages of the list without `endAt`: walks and polls.
    pub pages: u64,
    /// Pages of a window of the list.
    pub window_pages: u64,
    /// Single recordings.
    pub items: u64,
    /// Anything else of the API.
    pub other: u64,
    /// Connections taken.
    pub connections: u64,
}

impl Counters {
    /// All requests.
    pub const fn requests(self) -> u64 {
        self.pages + self.window_pages + self.items + self.other
    }

    /// Enters what was asked since `before`: all, and of what kinds.
    pub fn enter(self, before: Self, figures: &mut Figures) {
        let mut enter = |name: &str, now: u64, then: u64| {
            let count = u32::try_from(now.saturating_sub(then)).unwrap_or(u32::MAX);
            figures.insert(name.to_owned(), f64::from(count));
        };
        enter(REQUESTS, self.requests(), before.requests());
        enter("of these windows", self.window_pages, before.window_pages);
        enter("single recordings", self.items, before.items);
    }
}

#[derive(Default)]
struct Counting {
    pages: AtomicU64,
    window_pages: AtomicU64,
    items: AtomicU64,
    other: AtomicU64,
    connections: AtomicU64,
}

struct Server {
    items: Items,
    delay: Duration,
    counting: Counting,
}

/// Serves a set until it is killed; prints its port first. `media` is what links begin with.
///
/// # Errors
/// There is no port.
pub fn serve(set: Set, media: String, links: Links, delay: Duration) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    super::say(&listener.local_addr()?.port().to_string());
    let server = Arc::new(Server {
        items: Items::new(set, media, links),
        delay,
        counting: Counting::default(),
    });
    for connection in listener.incoming() {
        let server = Arc::clone(&server);
        let connection = connection?;
        // What goes wrong with one connection is told to nobody: whoever asked sees it.
        thread::spawn(move || server.answer_all(connection));
    }
    Ok(())
}

impl Server {
    fn answer_all(&self, connection: TcpStream) -> Result<()> {
        connection.set_nodelay(true)?;
        let mut asked = BufReader::new(connection.try_clone()?);
        let mut told = connection;
        let mut is_first = true;
        let mut reply = Vec::new();
        while let Some(target) = read_target(&mut asked)? {
            let is_ours = !target.starts_with("/workspaces");
            if is_first && !is_ours {
                self.counting.connections.fetch_add(1, Relaxed);
            }
            is_first = false;
            if !is_ours {
                thread::sleep(self.delay);
            }
            reply.clear();
            let mut body = Vec::with_capacity(260 * 1024);
            let status = self.answer(&target, &mut body)?;
            write!(
                reply,
                "HTTP/1.1 {status}\r\nDate: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                http_date(SystemClock.now()),
                body.len()
            )?;
            reply.extend_from_slice(&body);
            told.write_all(&reply)?;
        }
        Ok(())
    }

    fn answer(&self, target: &str, body: &mut Vec<u8>) -> Result<&'static str> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts[..] {
            ["counters"] => serde_json::to_writer(body, &self.counting.read())?,
            ["publish"] => self.items.publish(SystemClock.now(), body),
            ["forget"] => self.items.forget(),
            ["workspaces", workspace, "recordings"] => return self.page(workspace, query, body),
            ["workspaces", workspace, "recordings", id] => {
                self.counting.items.fetch_add(1, Relaxed);
                if let Some(number) = id.parse().ok().and_then(|id| self.items.number_of(id)) {
                    self.items.write(workspace, number, true, body);
                } else {
                    body.extend_from_slice(br#"{"code":"NotFound","message":"no such recording"}"#);
                    return Ok("404 Not Found");
                }
            }
            _ => {
                self.counting.other.fetch_add(1, Relaxed);
                body.extend_from_slice(br#"{"code":"NotFound","message":"no such path"}"#);
                return Ok("404 Not Found");
            }
        }
        Ok("200 OK")
    }

    fn page(&self, workspace: &str, query: &str, body: &mut Vec<u8>) -> Result<&'static str> {
        let (mut start, mut end, mut limit, mut from) = (None, None, DEFAULT_LIMIT, None);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "startAt" => start = Some(value.parse::<Timestamp>()?),
                "endAt" => end = Some(value.parse::<Timestamp>()?),
                "limit" => limit = value.parse::<u64>()?.clamp(1, MOST_LIMIT),
                "pageToken" => from = Some(value.parse::<i64>()?),
                _ => {}
            }
        }
        let counter = if end.is_some() {
            &self.counting.window_pages
        } else {
            &self.counting.pages
        };
        counter.fetch_add(1, Relaxed);
        self.items.write_page(workspace, (start, end), from, limit, body);
        Ok("200 OK")
    }
}

impl Counting {
    fn read(&self) -> Counters {
        Counters {
            pages: self.pages.load(Relaxed),
            window_pages: self.window_pages.load(Relaxed),
            items: self.items.load(Relaxed),
            other: self.other.load(Relaxed),
            connections: self.connections.load(Relaxed),
        }
    }
}

/// The target of the next request; `None` when no more come. No request here has a body.
fn read_target(asked: &mut BufReader<TcpStream>) -> Result<Option<String>> {
    let mut line = String::new();
    if asked.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).context("no request")?.to_owned();
    while line.trim_end() != "" {
        line.clear();
        if asked.read_line(&mut line)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(target))
}

fn http_date(at: Timestamp) -> String {
    let seconds = at.as_microseconds().div_euclid(1_000_000);
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| String::new(),
        |at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
    )
}

/// Asks a running server for something of ours, and returns the body.
///
/// # Errors
/// It cannot be reached, or answers oddly.
pub fn ask(port: u16, target: &str) -> Result<Vec<u8>> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    write!(connection, "GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}
