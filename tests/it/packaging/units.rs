//! The units for systemd: held to the program, to each other, and to what systemd itself says of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::time::Duration;

use super::is_taken;
use super::time_to_end;
use crate::docs::root;
use crate::docs::text;

const SERVICES: [&str; 3] = ["birdkeep", "birdkeep-once", "birdkeep-verify"];
const TIMERS: [&str; 2] = ["birdkeep-once", "birdkeep-verify"];

/// What `systemd-analyze security` may say at most, in tenths.
const EXPOSURE_TENTHS: &str = "15";

fn path(unit: &str) -> String {
    format!("systemd/{unit}")
}

/// All values of a key, in order.
fn values(unit: &str, key: &str) -> Vec<String> {
    let text = text(&path(unit));
    let values = text
        .lines()
        .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

fn one(unit: &str, key: &str) -> String {
    let values = values(unit, key);
    assert_eq!(values.len(), 1, "{unit}: {key}: {values:?}");
    values.into_iter().next().unwrap()
}

fn service(name: &str) -> String {
    format!("{name}.service")
}

#[test]
fn there_are_these_units_and_no_others() {
    let found: BTreeSet<String> = fs::read_dir(root().join("systemd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let services = SERVICES.map(service);
    let wanted = services
        .into_iter()
        .chain(TIMERS.iter().map(|name| format!("{name}.timer")));
    assert_eq!(found, wanted.collect());
}

/// A name without a folder: systemd looks in /usr/local/bin, then in /usr/bin, so one unit fits both ways to install.
#[test]
fn what_the_services_start_is_a_command_that_there_is() {
    let started = SERVICES.map(|name| one(&service(name), "ExecStart"));
    assert_eq!(started, ["birdkeep", "birdkeep --once", "birdkeep verify --rate 20MiB"]);
    for line in started {
        let words: Vec<&str> = line.split(' ').collect();
        is_taken(&words).unwrap_or_else(|refusal| panic!("{line}: {refusal}"));
    }
    assert!(is_taken(&["birdkeep", "verify", "--rate", "fast"]).is_err());
}

#[test]
fn no_service_is_killed_before_it_can_have_ended() {
    for name in SERVICES {
        let seconds: u64 = one(&service(name), "TimeoutStopSec").parse().unwrap();
        assert!(Duration::from_secs(seconds) > time_to_end(), "{name}: {seconds} s");
    }
}

/// The exit codes for which the daemon is not started again are those of the binary, tried here.
#[test]
fn the_daemon_is_not_started_again_where_that_would_not_help() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_birdkeep"))
            .args(arguments)
            .env_clear()
            .output()
            .unwrap();
        output.status.code().unwrap().to_string()
    };
    let codes = [
        run(&["--no-such-option"]),
        run(&["--config", "/nonexistent/birdkeep.toml"]),
    ];
    assert_eq!(one("birdkeep.service", "RestartPreventExitStatus"), codes.join(" "));
    assert_eq!(one("birdkeep.service", "Restart"), "on-failure");
    assert_eq!(one("birdkeep.service", "StartLimitIntervalSec"), "0");
}

/// A pass or a re-read that ends with 3, or with anything but 0, is a unit that failed.
#[test]
fn a_pass_or_a_re_read_that_found_something_is_a_failed_unit() {
    for name in ["birdkeep-once.service", "birdkeep-verify.service"] {
        assert_eq!(one(name, "Type"), "oneshot");
        for key in ["SuccessExitStatus", "Restart", "RemainAfterExit"] {
            assert!(values(name, key).is_empty(), "{name}: {key}");
        }
        assert!(!one(name, "ExecStart").starts_with('-'), "{name}");
    }
}

#[test]
fn the_services_share_the_archive_its_user_and_the_keys() {
    for name in SERVICES {
        let unit = service(name);
        for (key, value) in [
            ("User", "birdkeep"),
            ("Group", "birdkeep"),
            ("StateDirectory", "birdkeep"),
            ("StateDirectoryMode", "0700"),
            ("UMask", "0077"),
        ] {
            assert_eq!(one(&unit, key), value, "{name}: {key}");
        }
        let keys = values(&unit, "LoadCredential");
        // What re-reads needs no key and gets none.
        let wanted: &[&str] = match name {
            "birdkeep-verify" => &[],
            _ => &["support.key:/etc/birdkeep/support.key"],
        };
        assert_eq!(keys, wanted, "{name}");
    }
}

#[test]
fn a_re_read_gives_way_and_has_no_network() {
    let unit = "birdkeep-verify.service";
    assert_eq!(one(unit, "IOSchedulingClass"), "idle");
    assert_eq!(one(unit, "Nice"), "19");
    assert_eq!(one(unit, "PrivateNetwork"), "yes");
}

#[test]
fn the_timer_and_the_daemon_exclude_each_other() {
    for name in TIMERS {
        let timer = format!("{name}.timer");
        assert_eq!(one(&timer, "WantedBy"), "timers.target");
        // No Unit=: the service of the same name.
        assert!(values(&timer, "Unit").is_empty());
        assert!(!values(&timer, "OnCalendar").is_empty());
    }
    assert_eq!(one("birdkeep-once.timer", "Conflicts"), "birdkeep.service");
    assert!(values("birdkeep-verify.timer", "Conflicts").is_empty());
    // A pass that runs is waited for, not met at the lock.
    assert!(one("birdkeep.service", "After").contains("birdkeep-once.service"));
}

#[test]
fn the_daemon_is_told_of_a_new_configuration_by_the_signal() {
    assert_eq!(one("birdkeep.service", "ExecReload"), "/bin/kill -HUP $MAINPID");
    assert_eq!(one("birdkeep.service", "Type"), "notify");
}

/// The lines of the sandbox: what follows the first of its comments, up to the next section.
fn sandbox(name: &str) -> BTreeSet<String> {
    let text = text(&path(&service(name)));
    let (_, sandbox) = text.split_once("\n# What it needs, and nothing else").unwrap();
    let lines = sandbox.split("\n[").next().unwrap().lines().skip(1);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_sandboxes_are_one_but_for_the_network() {
    let daemon = sandbox("birdkeep");
    assert!(daemon.len() > 25, "{daemon:?}");
    assert_eq!(sandbox("birdkeep-once"), daemon);
    let verify = sandbox("birdkeep-verify");
    let only =
        |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> { one.difference(other).cloned().collect() };
    assert_eq!(
        only(&verify, &daemon),
        [
            "IPAddressDeny=any",
            "PrivateNetwork=yes",
            "RestrictAddressFamilies=AF_UNIX"
        ]
    );
    assert_eq!(
        only(&daemon, &verify),
        ["RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"]
    );
}

fn analyze(arguments: &[&str], files: &[&Path]) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).args(files).output() {
        Ok(output) => Some(output),
        Err(why) => {
            eprintln!("SKIPPED: systemd-analyze: {why}");
            None
        }
    }
}

#[test]
fn systemd_rates_the_exposure_of_every_service_as_small() {
    for name in SERVICES {
        let file = root().join(path(&service(name)));
        let threshold = format!("--threshold={EXPOSURE_TENTHS}");
        let Some(output) = analyze(&["security", "--offline=true", &threshold], &[&file]) else {
            return;
        };
        let told = String::from_utf8_lossy(&output.stdout);
        let overall = told.lines().last().unwrap_or_default();
        assert!(overall.contains("Overall exposure level"), "{name}: {output:?}");
        assert!(output.status.success(), "{name}: {overall}");
    }
}

/// It ends with 0 for a key that it does not know: silence is what counts. The program need not be installed here, so
/// another stands in its place.
#[test]
fn systemd_has_nothing_to_say_against_any_unit() {
    let dir = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for entry in fs::read_dir(root().join("systemd")).unwrap() {
        let from = entry.unwrap().path();
        let unit = fs::read_to_string(&from).unwrap();
        let to = dir.path().join(from.file_name().unwrap());
        fs::write(&to, unit.replace("ExecStart=birdkeep", "ExecStart=/bin/true")).unwrap();
        units.push(to);
    }
    let units: Vec<&Path> = units.iter().map(AsRef::as_ref).collect();
    let Some(output) = analyze(&["verify", "--man=no"], &units) else {
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert!(output.status.success());
    // The check itself can fail.
    let misspelt = dir.path().join("misspelt.service");
    fs::write(&misspelt, "[Service]\nExecStart=/bin/true\nNoNewPriviliges=yes\n").unwrap();
    let output = analyze(&["verify", "--man=no"], &[&misspelt]).unwrap();
    assert!(!output.stderr.is_empty());
}
