//! Certificates are checked, for the API and for media, and nothing is told to a server that fails.

use super::authorities::Authorities;
use super::authorities::Front;
use super::authorities::Shown;
use crate::listing::scene::Scene;
use crate::listing::scene::each_case;
use crate::support::bird::FaultRule;
use crate::support::bird::LinkAction;

/// What a server may show, and the word for it in the reason.
const FAULTY: [(&str, (Shown, &str)); 7] = [
    ("expired", (Shown::Expired, "certificate expired")),
    ("not valid yet", (Shown::Future, "not valid yet")),
    ("of another host", (Shown::WrongHost, "not valid for name")),
    ("of an unknown authority", (Shown::UnknownAuthority, "UnknownIssuer")),
    ("signed by itself", (Shown::SelfSigned, "UnknownIssuer")),
    ("of a version long broken", (Shown::OldVersion, "peer is incompatible")),
    ("no certificate but plain HTTP", (Shown::Nothing, "corrupt message")),
];

/// A scene that trusts the test's authority, with one recording.
async fn trusting() -> (Scene, birdkeep::domain::ids::RecordingId) {
    let mut scene = Scene::new().await;
    Authorities::get().trusted_by(&mut scene.archive);
    let id = scene.add(1)[0];
    (scene, id)
}

/// Makes the recording's link lead to `host` over TLS.
fn link_over_tls(scene: &Scene, id: birdkeep::domain::ids::RecordingId, host: &str) {
    let link = scene.workspace.link(id);
    let link = link.replace(
        &format!("http://{}", scene.bird.media_host()),
        &format!("https://{host}"),
    );
    let action = LinkAction::Replaced(link);
    scene.bird.fault(FaultRule::link(action).recording(id));
}

#[tokio::test]
async fn the_extra_authority_is_trusted_for_the_api_and_for_media() {
    let (mut scene, id) = trusting().await;
    let api_host = scene.bird.base_url().trim_start_matches("http://").to_owned();
    let api = Front::before(&api_host, Shown::Good).await;
    let media = Front::before(scene.bird.media_host(), Shown::Good).await;
    scene
        .archive
        .set_text("api.base_url", &format!("https://{}", api.address));
    link_over_tls(&scene, id, &media.address.to_string());
    scene.once(0).await;
    scene.expect_archived(&[id]);
    assert!(api.decrypted() > 0 && media.decrypted() > 0);
    let media_requests = scene.bird.media_requests_of(id);
    assert!(media_requests.iter().all(|seen| !seen.had_authorization));

    // Beside the system's, and not without it.
    scene.archive.unset("tls.extra_ca_file");
    let run = scene.archive.run(&["check"]).await.expect_code(1);
    assert!(run.stdout.contains("certificate"), "{}", run.stdout);
}

#[tokio::test]
async fn an_api_with_a_faulty_certificate_is_told_nothing() {
    each_case(FAULTY.to_vec(), |name, (shown, word)| async move {
        let (mut scene, id) = trusting().await;
        let api_host = scene.bird.base_url().trim_start_matches("http://").to_owned();
        let front = Front::before(&api_host, shown).await;
        scene
            .archive
            .set_text("api.base_url", &format!("https://{}", front.address));
        let run = scene.once(3).await;
        assert!(front.handshakes() > 0 && front.decrypted() == 0, "{name}");
        assert_eq!(scene.bird.requests().len(), 0, "{name}");
        assert!(run.stderr.contains(word), "{name}: {}", run.stderr);
        assert_eq!(scene.archive.media_file_of(id), None);
        scene.expect_no_secrets();
    })
    .await;
}

#[tokio::test]
async fn a_media_host_with_a_faulty_certificate_is_told_nothing() {
    each_case(FAULTY.to_vec(), |name, (shown, word)| async move {
        let (scene, id) = trusting().await;
        let front = Front::before(scene.bird.media_host(), shown).await;
        link_over_tls(&scene, id, &front.address.to_string());
        scene.once(3).await;
        assert!(front.handshakes() > 0 && front.decrypted() == 0, "{name}");
        assert_eq!(scene.bird.media_requests(), 0, "{name}");
        let row = scene.row(id).await;
        assert!(
            row["last_error"].as_str().is_some_and(|why| why.contains(word)),
            "{name}: {row}"
        );
        scene.expect_no_secrets();
        scene.expect_empty_staging();
    })
    .await;
}
