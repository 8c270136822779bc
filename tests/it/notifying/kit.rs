//! A dead man's switch that remembers what it was told, and a command that keeps what it was given.
//!
//! Must not know: when anything should be told.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::support::harness::Archive;

/// The id of the check: a secret.
pub(super) const CHECK: &str = "c0ffee00-1234-4abc-8def-notshown0042";

/// How long anything is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A request that the switch had.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) head: String,
    pub(super) body: String,
}

/// How the switch answers.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Status(u16),
    /// Never, while the connection stays open.
    Hang,
}

/// A dead man's switch on loopback.
pub(super) struct Switch {
    port: u16,
    told: watch::Receiver<Vec<Told>>,
    answer: watch::Sender<Answer>,
}

impl Switch {
    pub(super) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, told) = watch::channel(Vec::new());
        let (answer, answers) = watch::channel(answer);
        let sender = Arc::new(sender);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, sender, answers) = (stream.unwrap(), Arc::clone(&sender), answers.clone());
                std::thread::spawn(move || serve(stream, &sender, &answers));
            }
        });
        Self { port, told, answer }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{CHECK}", self.port)
    }

    pub(super) fn answer(&self, answer: Answer) {
        self.answer.send_replace(answer);
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.told.borrow().clone()
    }

    /// What it was told, as words in their order.
    pub(super) fn words(&self) -> Vec<&'static str> {
        let word = |told: Told| match told.target.rsplit('/').next() {
            Some("start") => "start",
            Some("fail") => "fail",
            Some(CHECK) => "success",
            _ => "something else",
        };
        self.told().into_iter().map(word).collect()
    }

    /// Waits until it was told what is wanted.
    pub(super) async fn wait_for(&mut self, wanted: impl FnMut(&Vec<Told>) -> bool) {
        let came = tokio::time::timeout(PATIENCE, self.told.wait_for(wanted))
            .await
            .map(drop);
        assert!(came.is_ok(), "it was told only {:?}", self.words());
    }
}

fn serve(mut stream: TcpStream, told: &watch::Sender<Vec<Told>>, answers: &watch::Receiver<Answer>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            match stream.read(&mut chunk) {
                Ok(read @ 1..) => bytes.extend_from_slice(&chunk[..read]),
                _ => return,
            }
            continue;
        };
        let head = String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().unwrap())
        });
        let length: usize = length.unwrap_or(0);
        while bytes.len() < length {
            let read = stream.read(&mut chunk).unwrap();
            bytes.extend_from_slice(&chunk[..read]);
        }
        let body = String::from_utf8(bytes.drain(..length).collect()).unwrap();
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        told.send_modify(|all| {
            all.push(Told {
                method,
                target,
                head: head.clone(),
                body,
            });
        });
        let answer = *answers.borrow();
        match answer {
            Answer::Status(status) => {
                let reply =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nLocation: http://127.0.0.2/\r\n\r\nOK");
                if stream.write_all(reply.as_bytes()).is_err() {
                    return;
                }
            }
            Answer::Hang => {
                // Until the other side lets go.
                while matches!(stream.read(&mut chunk), Ok(1..)) {}
                return;
            }
        }
    }
}

/// A command that keeps each event in a file of its own, and what else it saw.
pub(super) struct Keeper {
    folder: PathBuf,
}

impl Keeper {
    /// Writes the script and sets it as the archive's command. `more` is run once the event is kept.
    pub(super) fn set_up(archive: &mut Archive, more: &str) -> Self {
        let folder = archive.root().join("events");
        fs::create_dir(&folder).unwrap();
        let script = archive.root().join("keep.sh");
        let text = format!(
            "#!/bin/sh\nmktemp=$(mktemp {0}/.new.XXXXXX)\ncat > $mktemp\nenv > {0}/environment\nls -l /proc/self/fd > \
             {0}/descriptors\necho \"$1\" > {0}/argument\nmv $mktemp {0}/event.$(date +%s%N)\n{more}\n",
            folder.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let command = serde_json::json!([script.to_str().unwrap(), "an $argument; with spaces"]);
        archive.set("notify.command", &command.to_string());
        Self { folder }
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The events so far, in their order; each must be one line of JSON.
    pub(super) fn events(&self) -> Vec<Value> {
        let entries = fs::read_dir(&self.folder).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.starts_with("event.")).collect();
        names.sort();
        let parse = |name: &String| {
            let text = self.read(name);
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            serde_json::from_str(&text).unwrap()
        };
        names.iter().map(parse).collect()
    }

    /// Waits until an event of this kind was told.
    pub(super) async fn wait_for(&self, kind: &str) -> Value {
        let waiting = async {
            loop {
                if let Some(event) = self.events().into_iter().find(|event| event["event"] == kind) {
                    return event;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{kind} was never told; told were {:?}", self.events()))
    }
}

/// Fails unless the event has every member, as the documents say.
#[track_caller]
pub(super) fn expect_shape(event: &Value) {
    let members: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = vec![
        "version",
        "event",
        "at",
        "archive_id",
        "workspace",
        "text",
        "count",
        "recordings",
    ];
    wanted.sort_unstable();
    let mut members = members;
    members.sort_unstable();
    assert_eq!(members, wanted);
    assert_eq!(event["version"], 1);
    let at = event["at"].as_str().unwrap();
    assert!(
        at.parse::<birdkeep::domain::clock::Timestamp>().is_ok() && at.ends_with('Z'),
        "{at}"
    );
    assert!(!event["archive_id"].as_str().unwrap().is_empty());
}
