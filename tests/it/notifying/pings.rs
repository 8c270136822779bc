//! The dead man's switch.

use std::time::Duration;

use super::kit::Answer;
use super::kit::CHECK;
use super::kit::PATIENCE;
use super::kit::Switch;
use crate::listing::scene::Scene;
use crate::listing::scene::each_case;
use crate::support::bird::ApiAction;
use crate::support::bird::FaultRule;

const CANNOT: &str = "the dead man's switch could not be told";

async fn scene(answer: Answer) -> (Scene, Switch) {
    let mut scene = Scene::new().await;
    let switch = Switch::start(answer);
    scene.archive.set_text("notify.url", &switch.url());
    scene.archive.set_text("sync.interval", "1s");
    (scene, switch)
}

fn expect_nothing_shown(scene: &Scene) {
    scene.expect_no_secrets();
    let output = String::from_utf8(scene.archive.output()).unwrap();
    assert!(!output.contains(CHECK), "{output}");
}

#[tokio::test]
async fn a_pass_tells_its_beginning_and_its_good_end() {
    let (scene, switch) = scene(Answer::Status(200)).await;
    scene.add(3);
    scene.once(0).await;
    assert_eq!(switch.words(), ["start", "success"]);
    for told in switch.told() {
        assert_eq!((told.method.as_str(), told.body.as_str()), ("GET", ""));
        let head = told.head.to_lowercase();
        assert!(
            !head.contains("authorization") && head.contains("user-agent: birdkeep/"),
            "{head}"
        );
    }
    expect_nothing_shown(&scene);
}

#[tokio::test]
async fn a_pass_that_fails_says_why_and_names_nobody() {
    let (scene, switch) = scene(Answer::Status(200)).await;
    scene.add(3);
    let said = ApiAction::Status {
        status: 401,
        retry_after: None,
        body: Some(r#"{"code":"Denied","message":"no access for +31612345678 or 0031612345678"}"#.to_owned()),
    };
    scene.bird.fault(FaultRule::api(said));
    scene.once(3).await;
    assert_eq!(switch.words(), ["start", "fail"]);
    let told = switch.told().pop().unwrap();
    assert_eq!(told.method, "POST");
    assert!(
        told.body.contains("support: ") && told.body.contains("401"),
        "{}",
        told.body
    );
    assert!(
        told.body.contains("no access for ***") && !told.body.contains("612345678"),
        "{}",
        told.body
    );
    expect_nothing_shown(&scene);
}

#[tokio::test]
async fn a_pass_that_cannot_begin_says_so() {
    let (scene, switch) = scene(Answer::Status(200)).await;
    scene.once(0).await;
    std::fs::remove_file(scene.archive.dir().join("archive.json")).unwrap();
    scene.once(1).await;
    assert_eq!(switch.words(), ["start", "success", "start", "fail"]);
    let told = switch.told().pop().unwrap();
    assert!(told.body.contains("archive.json"), "{}", told.body);
}

#[tokio::test]
async fn the_daemon_tells_each_cycle_and_nothing_when_it_is_stopped() {
    let (scene, mut switch) = scene(Answer::Status(200)).await;
    let ids = scene.add(3);
    let mut daemon = scene.archive.spawn(&[]);
    switch.wait_for(|told| told.len() >= 2).await;
    // Walks end every second, cycles every half minute.
    scene.bird.wait_until(|bird| bird.list_requests() > 4).await;
    daemon.sigterm();
    daemon.exit_within(PATIENCE).await.unwrap().expect_code(0);
    scene.expect_archived(&ids);
    assert_eq!(switch.words(), ["start", "success"]);
    expect_nothing_shown(&scene);
}

#[tokio::test]
async fn a_cycle_with_a_refused_key_is_a_bad_one_and_the_next_good_one_is_good() {
    let (scene, mut switch) = scene(Answer::Status(200)).await;
    scene.add(1);
    let fault = scene.bird.fault(FaultRule::list(ApiAction::status(500)));
    let mut daemon = scene.archive.spawn(&[]);
    switch.wait_for(|told| told.len() >= 2).await;
    assert_eq!(switch.words(), ["start", "fail"]);
    scene.bird.clear_fault(fault);
    switch.wait_for(|told| told.len() >= 4).await;
    assert_eq!(switch.words(), ["start", "fail", "start", "success"]);
    let failure = &switch.told()[1].body;
    assert!(failure.contains("support: ") && failure.contains("500"), "{failure}");
    daemon.sigterm();
    daemon.exit_within(PATIENCE).await.unwrap().expect_code(0);
}

#[tokio::test]
async fn a_switch_that_hangs_delays_nothing() {
    let (mut scene, mut switch) = scene(Answer::Hang).await;
    scene.archive.set_text("notify.timeout", "10m");
    let ids = scene.add(5);
    let mut daemon = scene.archive.spawn(&[]);
    switch.wait_for(|told| !told.is_empty()).await;
    scene
        .bird
        .wait_until(|bird| bird.media_requests() >= 5 && bird.list_requests() > 3)
        .await;
    daemon.sigterm();
    let ended = daemon.exit_within(Duration::from_secs(15)).await;
    ended.expect("it ends at once").expect_code(0);
    scene.expect_archived(&ids);
    assert_eq!(switch.words(), ["start"]);
}

#[tokio::test]
async fn a_switch_that_fails_is_told_of_once_and_once_when_it_works_again() {
    let (mut scene, mut switch) = scene(Answer::Status(503)).await;
    scene.archive.set_text("notify.timeout", "1s");
    let mut daemon = scene.archive.spawn(&[]);
    assert!(daemon.stderr_holds(CANNOT, PATIENCE).await);
    switch.wait_for(|told| told.len() >= 6).await;
    assert_eq!(
        switch.words(),
        ["start", "start", "start", "success", "success", "success"]
    );
    switch.answer(Answer::Status(200));
    assert!(
        daemon
            .stderr_holds("the dead man's switch is told again", PATIENCE)
            .await
    );
    daemon.sigterm();
    let finished = daemon.exit_within(PATIENCE).await.unwrap().expect_code(0);
    assert_eq!(finished.stderr.matches(CANNOT).count(), 1, "{}", finished.stderr);
    expect_nothing_shown(&scene);
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again_and_nothing_is_followed() {
    let cases = vec![("moved", 302_u16), ("unknown", 404), ("gone", 410)];
    each_case(cases, |_, status| async move {
        let (scene, switch) = scene(Answer::Status(status)).await;
        scene.add(1);
        let finished = scene.once(0).await;
        assert_eq!(switch.words(), ["start", "success"]);
        assert_eq!(finished.stderr.matches(CANNOT).count(), 1, "{}", finished.stderr);
        assert!(finished.stderr.contains(&status.to_string()), "{}", finished.stderr);
        expect_nothing_shown(&scene);
    })
    .await;
}

#[tokio::test]
async fn the_url_can_be_in_a_file() {
    let (mut scene, switch) = scene(Answer::Status(200)).await;
    scene.archive.unset("notify.url");
    let file = scene.archive.root().join("notify.url");
    std::fs::write(&file, format!("{}?rid=1\n", switch.url())).unwrap();
    scene.archive.set_text("notify.url_file", "notify.url");
    let finished = scene.once(0).await;
    assert!(
        finished.stderr.contains("notify.url is readable by others"),
        "{}",
        finished.stderr
    );
    let targets: Vec<String> = switch.told().into_iter().map(|told| told.target).collect();
    assert_eq!(targets, [format!("/{CHECK}/start?rid=1"), format!("/{CHECK}?rid=1")]);
    // Those who may only look need not be able to read it.
    std::fs::remove_file(&file).unwrap();
    scene.archive.run(&["status"]).await.expect_code(0);
}
