//! Who is answered, what is never said, and that nobody who comes to the port does harm.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::kit::Daemon;
use super::kit::raw;
use super::kit::request;
use super::kit::start;
use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;
use crate::support::harness::Archive;
use crate::surviving::kit::KEY;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::place;

const TOKEN: &str = "tok-9f8e7d6c5b4a39281706-of-the-listener";
const PATHS: [&str; 4] = ["/", "/healthz", "/readyz", "/metrics"];

fn with_token_file(archive: &mut Archive) {
    fs::write(archive.root().join("http.token"), format!("{TOKEN}\n")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(archive.root().join("http.token"), private).unwrap();
    archive.set_text("http.token_file", "http.token");
}

#[tokio::test]
async fn only_what_there_is_is_answered_and_nothing_is_cached() {
    let (_bird, _workspace, archive) = place().await;
    let daemon = start(&archive).await;
    for path in PATHS {
        for method in ["GET", "HEAD"] {
            let answer = request(daemon.address, &format!("{method} {path}"), &["Host: localhost"]).await;
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
            assert!(answer.head.contains("x-content-type-options: nosniff"), "{answer:?}");
            assert_eq!(answer.body.is_empty(), method == "HEAD", "{answer:?}");
        }
        let posted = request(
            daemon.address,
            &format!("POST {path}"),
            &["Host: localhost", "Content-Length: 9"],
        )
        .await;
        assert_eq!(posted.status, 405, "{posted:?}");
        assert!(posted.head.contains("allow: get, head"), "{posted:?}");
    }
    let metrics = daemon.get("/metrics?x=y").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        metrics.head
    );
    for path in ["/metric", "/metrics/", "/../etc/passwd", "//metrics", "/%2e"] {
        assert_eq!(daemon.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn without_a_token_only_known_names_are_answered() {
    let (_bird, _workspace, mut archive) = place().await;
    archive.set("http.allowed_hosts", "[\"metrics.intern.example\"]");
    let daemon = start(&archive).await;
    for path in PATHS {
        for host in ["localhost", "127.0.0.1:8460", "[::1]", "metrics.intern.example:9"] {
            let answer = request(daemon.address, &format!("GET {path}"), &[&format!("Host: {host}")]).await;
            assert!([200, 503].contains(&answer.status), "{host}: {answer:?}");
        }
        let rebound = request(daemon.address, &format!("GET {path}"), &["Host: evil.example"]).await;
        assert_eq!(rebound.status, 403, "{rebound:?}");
        assert!(!rebound.body.contains("support"), "{rebound:?}");
    }
}

#[tokio::test]
async fn with_a_token_all_but_healthz_needs_it() {
    let (bird, _workspace, mut archive) = place().await;
    with_token_file(&mut archive);
    archive.set_text("http.listen", "0.0.0.0:0");
    let mut daemon = start(&archive).await;
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for path in PATHS {
        let first = format!("GET {path}");
        let with = request(daemon.address, &first, &["Host: any.example", &bearer]).await;
        assert!([200, 503].contains(&with.status), "{with:?}");
        for wrong in [
            "X: y",
            "Authorization: Bearer wrong",
            &format!("Authorization: Basic {TOKEN}"),
        ] {
            let without = request(daemon.address, &first, &["Host: localhost", wrong]).await;
            let wanted = if path == "/healthz" { 200 } else { 401 };
            assert_eq!(without.status, wanted, "{path} {without:?}");
        }
    }
    let alive = archive.run(&["health"]);
    // The port was chosen by the system: the configuration does not know it.
    alive.await.expect_code(1);
    archive.set_text("http.listen", &format!("0.0.0.0:{}", daemon.address.port()));
    assert_eq!(archive.run(&["health"]).await.expect_code(0).stdout, "alive\n");
    daemon.running.sigterm();
    end_within(&mut daemon.running, LONG).await.expect_code(0);
    assert!(!String::from_utf8_lossy(&archive.output()).contains(TOKEN));
    assert_eq!(archive.grep_secrets(&bird), []);
}

#[tokio::test]
async fn an_address_that_others_reach_is_refused_without_a_token() {
    let (_bird, _workspace, mut archive) = place().await;
    for listen in ["0.0.0.0:0", "[::]:0", "10.0.0.7:8460"] {
        archive.set_text("http.listen", listen);
        let finished = archive.run(&[]).await.expect_code(78);
        assert!(finished.stderr.contains("http.token_file"), "{}", finished.stderr);
    }
    archive.set_text("http.token", "short");
    let finished = archive.run(&[]).await.expect_code(78);
    assert!(finished.stderr.contains("openssl rand"), "{}", finished.stderr);
    archive.set_text("http.token", TOKEN);
    with_token_file(&mut archive);
    let finished = archive.run(&[]).await.expect_code(78);
    assert!(finished.stderr.contains("both set"), "{}", finished.stderr);
    assert!(!finished.stderr.contains(TOKEN));
}

#[tokio::test]
async fn a_port_in_use_is_told_and_ends_the_start() {
    let (_bird, _workspace, mut archive) = place().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    archive.set_text("http.listen", &taken.local_addr().unwrap().to_string());
    let finished = archive.run(&[]).await.expect_code(1);
    assert!(
        finished.stderr.contains("cannot listen on 127.0.0.1") && finished.stderr.contains("in use"),
        "{}",
        finished.stderr
    );
    // One pass needs no port.
    archive.run(&["--once"]).await.expect_code(0);
}

#[tokio::test]
async fn no_answer_holds_a_secret() {
    let (bird, workspace, mut archive) = place().await;
    archive.set_text("sync.interval", "1s").set_text("http.token", TOKEN);
    workspace.add_many(5, "2026-03-01T10:00:00Z", Duration::from_mins(1));
    let daemon = start(&archive).await;
    // Upstream repeats the key and a signed link in its refusal.
    let link = workspace.link(workspace.available()[0]);
    let body = serde_json::json!({"code": "odd", "message": format!("your key {KEY} for {link}")});
    let refusal = ApiAction::Status {
        status: 400,
        retry_after: None,
        body: Some(body.to_string()),
    };
    bird.fault(FaultRule::list(refusal).after(2));
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let begun = Instant::now();
    let mut named = false;
    while !named && begun.elapsed() < LONG {
        for path in PATHS {
            let answer = request(daemon.address, &format!("GET {path}"), &["Host: x", &bearer]).await;
            let whole = format!("{}{}", answer.head, answer.body);
            for secret in [KEY, TOKEN, "X-Amz-Signature="] {
                let hidden = whole.replace("X-Amz-Signature=***", "");
                assert!(!hidden.contains(secret), "{path}: {whole}");
            }
            named |= whole.contains("your key");
        }
    }
    assert!(named, "the refusal was never told");
    assert_eq!(archive.grep_secrets(&bird), []);
}

async fn is_well(daemon: &Daemon) {
    assert_eq!(daemon.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn garbage_and_large_heads_are_turned_away() {
    let (_bird, _workspace, archive) = place().await;
    let daemon = start(&archive).await;
    let long = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(60_000)
    );
    let many = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "X: y\r\n".repeat(200)
    );
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ] {
        // Closed in the middle is an answer as well.
        let answer = raw(daemon.address, bytes).await.unwrap_or_default();
        assert!(
            !answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        is_well(&daemon).await;
    }
}

#[tokio::test]
async fn those_who_come_slowly_and_many_hold_up_nobody_for_long() {
    let (_bird, _workspace, archive) = place().await;
    let mut daemon = start(&archive).await;
    let before = daemon.samples().await["process_resident_memory_bytes"];
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(daemon.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc").await.unwrap();
        slow.push(stream);
    }
    // All places are taken by those who never end their head: whoever comes later waits for a moment, not until they go.
    let asked = Instant::now();
    is_well(&daemon).await;
    let waited = asked.elapsed();
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    let mut first = Vec::new();
    let closed = tokio::time::timeout(LONG, slow[0].read_to_end(&mut first)).await;
    assert!(closed.is_ok(), "a head that does not come is waited for without end");
    let after = daemon.samples().await["process_resident_memory_bytes"];
    assert!(after - before < f64::from(16 << 20), "{before} {after}");
    let begun = Instant::now();
    daemon.running.sigterm();
    end_within(&mut daemon.running, LONG).await.expect_code(0);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_flood_of_questions_costs_the_catalog_nothing() {
    let (_bird, _workspace, archive) = place().await;
    let daemon = start(&archive).await;
    let before = daemon.samples().await;
    for _ in 0..10 {
        let asked = (0..30).map(|_| daemon.get("/readyz"));
        for answer in futures::future::join_all(asked).await {
            assert!([200, 503].contains(&answer.status));
        }
    }
    let after = daemon.samples().await;
    let grown = after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"];
    assert!(grown < f64::from(16 << 20), "{grown}");
    assert!(
        after["process_open_fds"] < before["process_open_fds"] + 40.0,
        "{after:#?}"
    );
}
