//! What a panic tells.

use std::process::Command;

const SECRET: &str = "q7ZsecretKJw81mNxT04vYbR2pLcEdUg5hAo";

#[test]
#[ignore = "run by another as a child"]
fn child_panics() {
    birdkeep::telemetry::hide(SECRET.into());
    birdkeep::telemetry::watch_panics();
    let url = format!("https://h/k?X-Amz-Signature=abcdef{SECRET}&X-Amz-Security-Token=tokentoken");
    let panicked = std::thread::spawn(move || panic!("no answer from {url}\nkey {SECRET}\u{1b}[2J")).join();
    assert!(panicked.is_err());
}

#[test]
fn a_panic_tells_where_and_no_secret() {
    for backtrace in ["0", "1"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "security::panics::child_panics"])
            .env("RUST_BACKTRACE", backtrace)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let line = said.lines().find(|line| line.contains("panicked at")).unwrap();
        assert!(
            line.contains("panics.rs:") && line.contains("no answer from https://h/k"),
            "{said}"
        );
        assert!(line.contains("\\nkey ***\\u{1b}[2J"), "{said}");
        for secret in [SECRET, "abcdef", "tokentoken", "\u{1b}"] {
            assert!(!said.contains(secret), "{said}");
        }
        assert_eq!(said.contains("panicking.rs"), backtrace == "1", "{said}");
    }
}
