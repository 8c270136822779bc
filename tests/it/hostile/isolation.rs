//! One workspace broken in every way beside two that are well: it is told of, and they do not notice.

use std::time::Duration;

use super::modes;
use crate::listing::scene::add_small;
use crate::listing::scene::archive_of;
use crate::listing::scene::each_case;
use crate::listing::scene::expect_archived;
use crate::listing::scene::status_of;
use crate::support::bird::ApiAction;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::FaultRule;

const BROKEN: &str = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f";
const WELL: [(&str, &str); 2] = [
    ("sales", "1f0e6f52-0c55-4b3b-9a52-7a44d1fb7b6e"),
    ("claims", "72a4f5f1-3a0d-4a58-9c34-0f2c8b7f7a11"),
];

/// Kinds of breakage, each of many modes at once in equal parts.
fn ways_to_break() -> Vec<(&'static str, Vec<FaultRule>)> {
    let listed = |actions: Vec<ApiAction>| actions.into_iter().map(FaultRule::list).collect::<Vec<_>>();
    vec![
        ("replies", listed(modes::api())),
        ("lists", listed(modes::lists())),
        ("silence", listed(vec![ApiAction::Silence])),
        ("denied", listed(vec![ApiAction::status(401)])),
        ("too many", listed(vec![ApiAction::status_retry_after(429, "3600")])),
        ("media", modes::media().into_iter().map(FaultRule::media).collect()),
        ("links", modes::links().into_iter().map(FaultRule::link).collect()),
    ]
}

#[tokio::test]
async fn a_workspace_broken_in_every_way_leaves_the_others_whole() {
    each_case(ways_to_break(), |way, rules| async move {
        let bird = Bird::start(BirdOptions::default()).await;
        let broken = bird.add_workspace(BROKEN, "key-of-support-0123456789");
        let well = WELL.map(|(name, id)| (name, bird.add_workspace(id, &format!("key-of-{name}-0123456789"))));
        let mut named = vec![("support", &broken)];
        named.extend(well.iter().map(|(name, workspace)| (*name, workspace)));
        let mut archive = archive_of(&bird, &named);
        archive.set_text("sync.interval", "1s");
        archive.set("api.page_size", "5");
        archive.set("download.concurrency", "8");
        archive.set("download.max_bytes", "1000000");
        archive.set("sync.max_pages", "50");
        let in_broken = add_small(&broken, 40);
        let count = rules.len();
        for (number, rule) in rules.into_iter().enumerate() {
            // Each of those that are left strikes in as many cases as each other.
            let share = 1.0 / f64::from(u32::try_from(count - number).unwrap());
            bird.fault(rule.workspace(BROKEN).probability(share));
        }
        let daemon = archive.spawn(&[]);
        let mut all: Vec<_> = well.iter().map(|_| Vec::new()).collect();
        for _ in 0..3 {
            for (known, (_, workspace)) in all.iter_mut().zip(&well) {
                known.extend(add_small(workspace, 6));
            }
            let wanted = all.iter().map(Vec::len).sum::<usize>();
            let of_the_well = || {
                let files = archive.media_files();
                files.iter().filter(|file| !file.starts_with("support/")).count()
            };
            crate::surviving::kit::eventually("the others are archived", || of_the_well() == wanted).await;
        }
        let mut daemon = daemon;
        daemon.sigterm();
        let ended = daemon
            .exit_within(Duration::from_secs(30))
            .await
            .unwrap()
            .expect_code(0);
        assert!(!ended.stderr.contains("panicked at"), "{way}: {}", ended.stderr);
        for (ids, (name, workspace)) in all.iter().zip(&well) {
            expect_archived(&archive, workspace, ids);
            let status = status_of(&archive, name).await;
            assert!(status["last_complete_walk_at"].is_string(), "{way}: {status}");
            assert_eq!(status["counts"]["archived"], ids.len(), "{way}");
        }
        for file in archive.media_files().iter().filter(|file| file.starts_with("support/")) {
            let id = in_broken.iter().find(|id| file.contains(&id.to_string())).unwrap();
            assert!(archive.read(file) == broken.body(*id), "{way}: {file}");
        }
        assert_eq!(bird.foreign_requests(), 0, "{way}");
        assert_eq!(archive.grep_secrets(&bird), [], "{way}");
    })
    .await;
}
