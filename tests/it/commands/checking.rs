//! `check`: one line for each finding, in each level, and the way out where there is something wrong.

mod archive;
mod catalog;
mod machine;
mod shape;
mod upstream;

use crate::support::harness::Archive;

/// What `check` prints, with this exit code. Each line that is no `ok` says what to do.
async fn check(archive: &Archive, code: i32) -> String {
    check_with(archive, &[], code).await
}

/// As [`check`], with these options.
async fn check_with(archive: &Archive, options: &[&str], code: i32) -> String {
    let printed = archive
        .run(&[&["check"], options].concat())
        .await
        .expect_code(code)
        .stdout;
    for line in printed.lines() {
        let is_ok = line.starts_with("ok  ");
        assert!(is_ok || line.starts_with("warn") || line.starts_with("FAIL"), "{line}");
        assert!(is_ok || line.contains(" -> "), "without a remedy: {line}");
    }
    printed
}

/// The one line that begins with this level and holds this.
#[track_caller]
fn line<'a>(printed: &'a str, level: &str, word: &str) -> &'a str {
    printed
        .lines()
        .find(|line| line.starts_with(level) && line.contains(word))
        .unwrap_or_else(|| panic!("no {level} line with {word:?} in\n{printed}"))
}
