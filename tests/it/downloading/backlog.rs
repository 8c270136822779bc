//! A backlog whose links ran out: many are had by one request, and those that cannot be had so, one by one.

use birdkeep::domain::ids::RecordingId;

use crate::listing::scene::Scene;
use crate::listing::scene::add_small;
use crate::listing::scene::archive_of;
use crate::listing::scene::expect_archived;
use crate::support::bird::Bird;
use crate::support::bird::BirdOptions;
use crate::support::bird::PageOrder;
use crate::support::harness::Archive;
use crate::surviving::kit::LONG;
use crate::surviving::kit::end_within;
use crate::surviving::kit::eventually;

/// One minute apart, those created within the overlap of two hours are listed by the poll, with links.
const LISTED_ANEW: u64 = 121;

/// What one listing brings links for.
const AT_ONCE: u64 = 90;

/// Lists everything and archives nothing; the links that came along are lost.
async fn list_only(archive: &mut Archive, workspaces: usize) {
    archive.set_text("archive.min_free", "900 TiB");
    let mut daemon = archive.spawn(&[]);
    let are_walked = || daemon.stderr().matches("walk ended").count() == workspaces;
    eventually("each workspace was walked", are_walked).await;
    daemon.sigterm();
    end_within(&mut daemon, LONG).await.expect_code(0);
    archive.set_text("archive.min_free", "0 B");
}

async fn backlog(count: u64, page_order: PageOrder) -> (Scene, Vec<RecordingId>) {
    let mut scene = Scene::with(BirdOptions {
        page_order,
        ..BirdOptions::default()
    })
    .await;
    let ids = scene.add(count);
    list_only(&mut scene.archive, 1).await;
    scene.bird.forget_requests();
    (scene, ids)
}

#[tokio::test]
async fn links_of_a_backlog_are_had_by_the_page() {
    for concurrency in ["16", "3"] {
        let (mut scene, ids) = backlog(400, PageOrder::NewestFirst).await;
        scene.archive.set("download.concurrency", concurrency);
        scene.once(0).await;
        scene.expect_archived(&ids);
        let (lists, items) = (scene.bird.list_requests(), scene.bird.item_requests());
        let windows = (400 - LISTED_ANEW).div_ceil(AT_ONCE);
        // The poll's pages, and a few for those that were claimed before many were.
        assert!(
            lists + items <= 2 + windows + 5,
            "{lists} lists and {items} items for {windows} windows, {concurrency} at once"
        );
        assert_eq!(scene.bird.media_requests(), 400);
    }
}

#[tokio::test]
async fn links_of_backlogs_in_several_workspaces_are_had_by_the_page() {
    let bird = Bird::start(BirdOptions::default()).await;
    let names = ["first", "second", "third"];
    let workspaces: Vec<_> = names
        .iter()
        .zip(1..)
        .map(|(name, n)| {
            let id = format!("8bc02f53-87ac-48d2-b4fd-c2cf856a305{n}");
            bird.add_workspace(&id, &format!("key-of-{name}-0123456789"))
        })
        .collect();
    let pairs: Vec<_> = names.into_iter().zip(&workspaces).collect();
    let mut archive = archive_of(&bird, &pairs);
    let ids: Vec<_> = workspaces.iter().map(|workspace| add_small(workspace, 300)).collect();
    list_only(&mut archive, names.len()).await;
    bird.forget_requests();
    archive.run(&["--once"]).await.expect_code(0);
    for (workspace, ids) in workspaces.iter().zip(&ids) {
        expect_archived(&archive, workspace, ids);
    }
    let (lists, items) = (bird.list_requests(), bird.item_requests());
    let windows = (300 - LISTED_ANEW).div_ceil(AT_ONCE);
    assert!(
        lists + items <= 3 * (2 + windows + 5),
        "{lists} lists and {items} items, {windows} windows each"
    );
}

/// A listing by time leaves out what upstream does not list any more, and what it gives all the same by its id.
#[tokio::test]
async fn what_a_listing_leaves_out_is_asked_for_by_itself() {
    let (mut scene, ids) = backlog(400, PageOrder::NewestFirst).await;
    // So many that they lie in several windows.
    scene.archive.set("download.concurrency", "64");
    let not_listed: Vec<_> = ids.iter().copied().step_by(9).collect();
    for id in &not_listed {
        scene.workspace.unlist(*id);
    }
    scene.once(0).await;
    scene.expect_archived(&ids);
    let (lists, items) = (scene.bird.list_requests(), scene.bird.item_requests());
    let windows = 400_u64.div_ceil(AT_ONCE);
    let by_themselves = not_listed.len() as u64;
    assert!(lists <= 2 + windows + 2, "{lists} lists for {windows} windows");
    assert!(items <= by_themselves + 5, "{items} items for {by_themselves}");
}

#[tokio::test]
async fn where_listings_bring_nothing_links_are_asked_for_one_by_one() {
    let (scene, ids) = backlog(40, PageOrder::NewestFirst).await;
    for id in &ids {
        scene.workspace.unlist(*id);
    }
    scene.once(0).await;
    scene.expect_archived(&ids);
    let (lists, items) = (scene.bird.list_requests(), scene.bird.item_requests());
    assert!(lists <= 2, "{lists} lists: the poll's, and one in vain");
    assert_eq!(items, 40);
}
