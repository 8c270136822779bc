//! What the program is made of.

const MANIFEST: &str = include_str!("../../../Cargo.toml");
const LOCK: &str = include_str!("../../../Cargo.lock");
const DENIED: &str = include_str!("../../../deny.toml");

#[test]
fn nothing_of_ours_is_unsafe_and_nothing_comes_from_elsewhere() {
    // The compiler then refuses it in the library, the program and the tests, and no attribute can allow it.
    assert!(MANIFEST.contains("[lints.rust]\nunsafe_code = \"forbid\""));
    for line in LOCK.lines().filter(|line| line.starts_with("source = ")) {
        assert_eq!(
            line,
            "source = \"registry+https://github.com/rust-lang/crates.io-index\""
        );
    }
    let checksums = LOCK.lines().filter(|line| line.starts_with("checksum = ")).count();
    let packages = LOCK.lines().filter(|line| *line == "[[package]]").count();
    assert_eq!(checksums + 1, packages, "all but our own are held by their checksum");
    for rule in [
        "unknown-git = \"deny\"",
        "unknown-registry = \"deny\"",
        "crate = \"ring\"",
        "yanked = \"deny\"",
    ] {
        assert!(DENIED.contains(rule), "{rule}");
    }
}
