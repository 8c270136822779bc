//! A daemon that is asked over its port, by hand: what is sent is what stands here.
//!
//! Must not know: what is being tested.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::harness::Archive;
use crate::support::harness::Running;
use crate::surviving::kit::LONG;

/// What came back for one request.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// The head, in lower case.
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The codes of what `/readyz` names, in order.
    #[track_caller]
    pub fn codes(&self) -> Vec<String> {
        let answer = self.json();
        let problems = answer["problems"].as_array().unwrap().iter();
        problems.map(|told| told["code"].as_str().unwrap().to_owned()).collect()
    }
}

/// A daemon and the address it serves.
pub struct Daemon {
    pub running: Running,
    pub address: SocketAddr,
}

/// Starts a daemon and learns its address.
pub async fn start(archive: &Archive) -> Daemon {
    let mut running = archive.spawn(&[]);
    let served = running.stderr_holds("metrics and health are served", LONG).await;
    assert!(served, "{}", running.stderr());
    let address = address_in(&running.stderr());
    Daemon { running, address }
}

fn address_in(log: &str) -> SocketAddr {
    let (_, rest) = log.rsplit_once("address=").expect("an address is told");
    rest.split_whitespace().next().unwrap().parse().expect("an address")
}

/// Sends these bytes and reads to the end.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(LONG, exchange).await.expect("an answer in time")
}

/// Sends a request with these lines after its first and reads the answer.
pub async fn request(address: SocketAddr, first: &str, lines: &[&str]) -> Answer {
    let mut text = format!("{first} HTTP/1.1\r\n");
    for line in lines {
        text.push_str(&format!("{line}\r\n"));
    }
    text.push_str("\r\n");
    let answer = raw(address, text.as_bytes()).await.expect("an answer");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("{answer:?}")),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

impl Daemon {
    /// Asks for a path as whoever sits at this machine.
    pub async fn get(&self, path: &str) -> Answer {
        request(self.address, &format!("GET {path}"), &["Host: localhost"]).await
    }

    /// The samples of `/metrics`.
    pub async fn samples(&self) -> BTreeMap<String, f64> {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        samples(&answer.body)
    }

    /// Asks for `/readyz` until the answer is as wanted.
    ///
    /// # Panics
    /// After half a minute, or when `/healthz` is not well meanwhile.
    pub async fn until_ready_says(&self, what: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.get("/readyz").await;
            assert_eq!(self.get("/healthz").await.status, 200);
            if wanted(&answer) {
                return answer;
            }
            assert!(
                begun.elapsed() < LONG,
                "waited until {what}: {answer:?}\n{}",
                self.running.stderr()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Scrapes until the samples are as wanted.
    ///
    /// # Panics
    /// After half a minute.
    pub async fn until_samples(
        &self,
        what: &str,
        wanted: impl Fn(&BTreeMap<String, f64>) -> bool,
    ) -> BTreeMap<String, f64> {
        let begun = Instant::now();
        loop {
            let samples = self.samples().await;
            if wanted(&samples) {
                return samples;
            }
            assert!(begun.elapsed() < LONG, "waited until {what}: {samples:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The samples of an exposition: each name with its labels, as it is written.
pub fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
        })
        .collect()
}
