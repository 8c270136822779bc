//! Where names lead: an address that was not checked is not connected to, and a proxy sees what it must.

use std::collections::VecDeque;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use birdkeep::domain::reach::Reach;
use birdkeep::http::client::MediaClient;
use birdkeep::http::resolve::Lookup;
use birdkeep::http::resolve::refused_address;
use birdkeep::http::roots::ExtraRoots;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use url::Url;

use super::authorities::Authorities;
use super::authorities::Front;
use super::authorities::Shown;
use crate::listing::scene::Scene;
use crate::support::bird::FaultRule;
use crate::support::bird::LinkAction;
use crate::support::bird::MediaAction;
use crate::support::bird::RedirectTo;
use crate::surviving::kit::BINARY;

/// A proxy has a key too.
const PROXY_PASSWORD: &str = "proxy-password-0123456789";
/// The same, as it is sent: `user:` and the password in base 64, from where both are one text.
const PROXY_SECRET: &str = "dXNlcjpwcm94eS1wYXNzd29yZC0wMTIzNDU2Nzg5";

/// Counts who connects to this address, and lets nobody in.
async fn trap(address: &str) -> (u16, Arc<Mutex<u32>>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::<Mutex<u32>>::default();
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            *counted.lock().unwrap() += 1;
        }
    });
    (port, count)
}

/// A resolver that gives these answers, one a question.
fn answers(answers: &[&[&str]]) -> Lookup {
    let read = |list: &&[&str]| list.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect();
    let left: Mutex<VecDeque<Vec<IpAddr>>> = Mutex::new(answers.iter().map(read).collect());
    Arc::new(move |_| {
        let answer = left.lock().unwrap().pop_front().unwrap_or_default();
        Box::pin(async move { Ok(answer) })
    })
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_the_second_time_is_not_followed() {
    let scene = Scene::new().await;
    let front = Front::before(scene.bird.media_host(), Shown::Good).await;
    let port = front.address.port();
    let (_, elsewhere) = trap(&format!("127.0.0.2:{port}")).await;
    let reach = Reach {
        allowed_hosts: vec!["media.test".parse().unwrap(), "127.0.0.1".parse().unwrap()],
        // Opens private networks, and with them neither loopback nor link-local addresses.
        private_hosts: vec!["media.test".parse().unwrap()],
        ..Reach::default()
    };
    let roots = ExtraRoots::parse(Authorities::get().ca()).unwrap();
    let lookup = answers(&[
        &["127.0.0.2", "127.0.0.1"],
        &["127.0.0.2"],
        &["::ffff:127.0.0.2", "169.254.169.254", "0.0.0.0"],
        &[],
    ]);
    let client = MediaClient::new(&Arc::new(reach), &roots, &lookup).unwrap();
    let url: Url = format!("https://media.test:{port}/k").parse().unwrap();
    let ask = || client.get(url.clone()).header("connection", "close").send();

    assert_eq!(ask().await.unwrap().status(), 403, "the bucket's own answer");
    for wanted in ["127.0.0.2", "0.0.0.0"] {
        let refused = refused_address(&ask().await.unwrap_err()).expect("a refused address");
        assert_eq!(refused.address, wanted.parse::<IpAddr>().unwrap());
    }
    let nothing = ask().await.unwrap_err();
    assert!(
        nothing.is_connect() && refused_address(&nothing).is_none(),
        "{nothing:?}"
    );
    assert_eq!((front.handshakes(), *elsewhere.lock().unwrap()), (1, 0));
}

/// Whether this machine lets us give one process a hosts file of its own.
fn may_unshare() -> bool {
    let tried = Command::new("unshare").args(["-m", "true"]).status();
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        eprintln!("skipped: no mount namespace may be made here");
    }
    may
}

/// A scene whose birdkeep has this hosts file, and trusts the test's authority.
async fn with_hosts(hosts: &str) -> Scene {
    let mut scene = Scene::new().await;
    let root = scene.archive.root().to_owned();
    fs::write(root.join("hosts"), hosts).unwrap();
    let script = format!(
        "#!/bin/sh\nexec unshare -m sh -c 'mount --bind \"{0}/hosts\" /etc/hosts && exec \"{BINARY}\" \"$@\"' - \"$@\"\n",
        root.display()
    );
    fs::write(root.join("wrapper"), script).unwrap();
    fs::set_permissions(root.join("wrapper"), fs::Permissions::from_mode(0o700)).unwrap();
    scene.archive.run_as(root.join("wrapper"));
    Authorities::get().trusted_by(&mut scene.archive);
    scene
}

#[tokio::test]
async fn an_allowed_name_that_leads_inside_is_not_connected_to() {
    if !may_unshare() {
        return;
    }
    let mut scene = with_hosts("127.0.0.2 media.test\n127.0.0.1 good.media.test\n").await;
    let (port, inside) = trap("127.0.0.2:0").await;
    let front = Front::before(scene.bird.media_host(), Shown::Good).await;
    scene.archive.set(
        "download.allowed_hosts",
        "[\"media.test\", \"*.media.test\", \"127.0.0.1\"]",
    );
    scene.archive.set("download.private_hosts", "[\"media.test\"]");
    let ids = scene.add(3);
    let lead = |id, host: String| {
        let link = scene.workspace.link(id);
        let link = link.replace(
            &format!("http://{}", scene.bird.media_host()),
            &format!("https://{host}"),
        );
        scene
            .bird
            .fault(FaultRule::link(LinkAction::Replaced(link)).recording(id))
    };
    lead(ids[0], format!("media.test:{port}"));
    lead(ids[1], format!("good.media.test:{}", front.address.port()));
    let to = RedirectTo::Other(format!("https://media.test:{port}/k.mp3"));
    let redirect = MediaAction::Redirect { status: 302, to };
    scene.bird.fault(FaultRule::media(redirect).recording(ids[2]));
    scene.once(3).await;
    for id in [ids[0], ids[2]] {
        let row = scene.row(id).await;
        assert!(
            row["last_error"]
                .as_str()
                .is_some_and(|why| why.contains("127.0.0.2, a loopback address") && why.contains("private_hosts")),
            "{row}"
        );
    }
    assert_eq!(*inside.lock().unwrap(), 0);
    // Reached, and its certificate is that of another name.
    let row = scene.row(ids[1]).await;
    assert!(front.handshakes() > 0 && front.decrypted() == 0, "{row}");
    scene.expect_no_secrets();
}

/// A proxy that tunnels to this machine: what was asked of it, and what came in clear.
async fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = client.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let port = head
                    .strip_prefix("CONNECT ")
                    .and_then(|rest| rest.split(' ').next()?.rsplit(':').next()?.parse::<u16>().ok());
                noted.lock().unwrap().push(head);
                let Some(port) = port else { return };
                let Ok(mut onward) = TcpStream::connect(("127.0.0.1", port)).await else {
                    return;
                };
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                let _ = tokio::io::copy_bidirectional(&mut client, &mut onward).await;
            });
        }
    });
    (port, asked)
}

#[tokio::test]
async fn a_proxy_sees_names_and_never_a_key_or_a_link() {
    let mut scene = Scene::new().await;
    let (proxy_port, asked) = proxy().await;
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        scene
            .archive
            .env(name, format!("http://user:{PROXY_PASSWORD}@127.0.0.1:{proxy_port}"));
    }
    // The simulator is plain HTTP on loopback: no proxy may see that, for the API or for media.
    let first = scene.add(1);
    scene.once(0).await;
    scene.expect_archived(&first);
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());

    let api_host = scene.bird.base_url().trim_start_matches("http://").to_owned();
    let api = Front::before(&api_host, Shown::Good).await;
    let media = Front::before(scene.bird.media_host(), Shown::Good).await;
    Authorities::get().trusted_by(&mut scene.archive);
    let (api_port, media_port) = (api.address.port(), media.address.port());
    scene
        .archive
        .set_text("api.base_url", &format!("https://media.test:{api_port}"));
    scene.archive.set("download.allowed_hosts", "[\"media.test\"]");
    let ids = scene.add(2);
    for (id, host) in [(ids[0], "media.test"), (ids[1], "evil.test")] {
        let link = scene.workspace.link(id).replace(
            &format!("http://{}", scene.bird.media_host()),
            &format!("https://{host}:{media_port}"),
        );
        scene
            .bird
            .fault(FaultRule::link(LinkAction::Replaced(link)).recording(id));
    }
    let trace = "birdkeep=trace,reqwest=trace,hyper=trace,hyper_util=trace,rustls=trace";
    scene
        .archive
        .run(&["--once", "--log-level", trace])
        .await
        .expect_code(3);
    let output = String::from_utf8_lossy(&scene.archive.output()).into_owned();
    let told = output
        .lines()
        .find(|line| line.contains(PROXY_PASSWORD) || line.contains(PROXY_SECRET));
    assert_eq!(told, None);
    let row = scene.row(ids[1]).await;
    assert!(
        row["last_error"].as_str().is_some_and(|why| why.contains("evil.test")),
        "{row}"
    );
    let asked = asked.lock().unwrap().join("");
    assert!(asked.contains(&format!("CONNECT media.test:{api_port} ")), "{asked}");
    assert!(asked.contains(&format!("CONNECT media.test:{media_port} ")), "{asked}");
    for line in asked.lines().filter(|line| line.contains(" HTTP/1.1")) {
        assert!(line.starts_with("CONNECT media.test:"), "{line}");
    }
    assert!(
        !asked.to_lowercase().contains("accesskey") && !asked.contains("X-Amz"),
        "{asked}"
    );
    // The bucket signs its own name, so the link under another one is refused; but it got there.
    assert!(media.decrypted() > 0);
    scene.expect_no_secrets();
}
