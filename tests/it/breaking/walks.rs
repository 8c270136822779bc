//! The crash walks: three recordings on two pages, stopped at every durable call.
//!
//! Four ways of stopping, ext4 and xfs, the catalog beside the media or on a file system of its own. What CI walks is
//! thinned where a point can show nothing new; `BIRDKEEP_WALK=all` in the environment walks every point of all sixteen.
//! Needs root, loop devices, a C compiler and both makers of file systems. Where one is missing, it says so and passes;
//! with `BIRDKEEP_MUST_WALK=1` it fails.

use super::walk::Pick;
use super::walk::Strike;
use super::walk::Walk;
use super::walk::must_skip;
use super::walk::walk;
use crate::support::volume::FileSystem;

/// Points that a whole run has at least; a walk that took far fewer did not see the calls.
const FEWEST_POINTS: usize = 100;

fn walk_whole(strike: Strike, kind: FileSystem, apart: bool, pick: Pick) {
    if must_skip(kind) {
        return;
    }
    let all = super::kit::wants("BIRDKEEP_WALK", "all");
    let walked = walk(&Walk {
        strike,
        kind,
        apart,
        pick: if all { Pick::Every } else { pick },
        besides: "",
    });
    assert!(walked.violations.is_empty(), "{}", walked.violations.join("\n"));
    assert!(walked.calls >= FEWEST_POINTS, "{walked:?}");
    assert!(
        apart || walked.halfway > 0,
        "it never struck between two recordings: {walked:?}"
    );
}

/// A kill leaves the page cache, whatever the file system below: one layout in full, the others by samples.
#[test]
fn killed_before_each_call() {
    walk_whole(Strike::Kill, FileSystem::Ext4, false, Pick::Every);
}

#[test]
fn killed_after_each_call() {
    walk_whole(Strike::KillAfter, FileSystem::Ext4, false, Pick::Every);
}

#[test]
fn killed_elsewhere() {
    for strike in [Strike::Kill, Strike::KillAfter] {
        for (kind, apart) in [
            (FileSystem::Ext4, true),
            (FileSystem::Xfs, false),
            (FileSystem::Xfs, true),
        ] {
            walk_whole(strike, kind, apart, Pick::OneIn(12));
        }
    }
}

#[test]
fn power_lost_before_each_call_on_ext4() {
    walk_whole(Strike::Cut, FileSystem::Ext4, false, Pick::Telling);
}

#[test]
fn power_lost_after_each_call_on_ext4() {
    walk_whole(Strike::CutAfter, FileSystem::Ext4, false, Pick::Telling);
}

#[test]
fn power_lost_before_each_call_on_two_ext4() {
    walk_whole(Strike::Cut, FileSystem::Ext4, true, Pick::Telling);
}

#[test]
fn power_lost_after_each_call_on_two_ext4() {
    walk_whole(Strike::CutAfter, FileSystem::Ext4, true, Pick::Telling);
}

#[test]
fn power_lost_before_each_call_on_xfs() {
    walk_whole(Strike::Cut, FileSystem::Xfs, false, Pick::Telling);
}

#[test]
fn power_lost_after_each_call_on_xfs() {
    walk_whole(Strike::CutAfter, FileSystem::Xfs, false, Pick::Telling);
}

#[test]
fn power_lost_before_each_call_on_two_xfs() {
    walk_whole(Strike::Cut, FileSystem::Xfs, true, Pick::Telling);
}

#[test]
fn power_lost_after_each_call_on_two_xfs() {
    walk_whole(Strike::CutAfter, FileSystem::Xfs, true, Pick::Telling);
}

/// The walk itself on trial: with syncs of bodies that do nothing it must find rows without their bytes.
#[test]
fn a_disk_that_lies_about_bodies_is_found_out() {
    assert_found_out(false, "op=fsync path=/staging/ nth=1+ act=LIE");
}

/// The same for the names: on two file systems, where the log's sync does not bring them along.
#[test]
fn a_disk_that_lies_about_names_is_found_out() {
    assert_found_out(true, "op=fsync path=/recordings/ nth=1+ act=LIE");
}

fn assert_found_out(apart: bool, besides: &'static str) {
    if must_skip(FileSystem::Ext4) {
        return;
    }
    let walked = walk(&Walk {
        strike: Strike::Cut,
        kind: FileSystem::Ext4,
        apart,
        pick: Pick::Last(10),
        besides,
    });
    let lost = walked
        .violations
        .iter()
        .filter(|violation| violation.contains(": I1: "));
    assert!(lost.count() > 0, "nothing was found: {walked:?}");
}
