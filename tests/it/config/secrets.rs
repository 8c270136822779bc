//! That no secret is ever repeated, wherever it was put and whatever else is wrong.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::Place;
use super::SECRET;
use super::WORKSPACE;

#[test]
fn a_file_that_is_not_toml_is_told_by_line_and_column_alone() {
    for (line, broken) in [
        format!("access_key = \"{SECRET}"),
        format!("access_key = {SECRET}"),
        format!("access_key \"{SECRET}\""),
        SECRET.to_owned(),
        format!("access_key = \"{SECRET}\" \"{SECRET}\""),
        format!("access_key = '{SECRET}\\\n"),
        format!("[{SECRET}\n"),
        format!("access_key = \"\\{SECRET}\""),
    ]
    .into_iter()
    .map(|line| (3, line))
    {
        let place = Place::new(Some(&format!("[workspaces.support]\nid = \"w-1\"\n{broken}\n")), &[]);
        let text = place.faults().to_string();
        assert!(
            text.contains(&format!("not valid TOML at line {line}, column ")),
            "{broken}: {text}"
        );
        assert!(
            text.contains(&place.path("birdkeep.toml").display().to_string()),
            "{text}"
        );
    }
    let twice = format!("[workspaces.support]\naccess_key = \"{SECRET}\"\naccess_key = \"{SECRET}\"\n");
    assert!(Place::new(Some(&twice), &[]).faults().to_string().contains("line 3"));
    assert!(
        Place::new(Some("[api]\npage_size = 99999999999999999999999"), &[])
            .faults()
            .to_string()
            .contains("too large")
    );

    let place = Place::new(Some(""), &[]);
    std::fs::write(place.path("birdkeep.toml"), b"[api]\n# \xff\n").unwrap();
    assert!(place.faults().to_string().contains("not UTF-8 text (line 2)"));
}

#[test]
fn no_secret_is_repeated_wherever_it_was_put() {
    for toml in [
        format!("[workspaces.a]\nid = \"w\"\naccess_key = \"{SECRET} {SECRET}\""),
        format!("[workspaces.a]\nid = \"w\"\naccess_key = [\"{SECRET}\"]"),
        format!("[notify]\nurl = \"http://hc.example/{SECRET}\""),
        format!("[notify]\nurl = [\"https://hc.example/{SECRET}\"]"),
        format!("[notify]\nurl_file = \"{SECRET}\""),
        format!("[notify]\ncommand = [\"tell\", \"{SECRET}\"]"),
        format!("[notify]\nevents = [\"{SECRET}\"]"),
        format!("[notify]\nurl.{SECRET} = 1"),
        format!("notify = \"{SECRET}\""),
        format!("[workspaces.a]\nid = \"w\"\naccess_key.value = \"{SECRET}\""),
        format!("[workspaces.a]\nid = \"w\"\naccess_key_file = \"{SECRET}\""),
        format!("[workspaces.a]\nid = \"w\"\nbearer_token_file = \"{SECRET}.{SECRET}\""),
        format!("[workspaces.a]\nid = \"w\"\nbearer_token_file = \"{SECRET}/{SECRET}\""),
        format!("[workspaces.a]\nid = \"w {SECRET}\"\naccess_key = \"k\""),
        format!("[workspaces.a]\nid = \"w\"\nkey = \"{SECRET}\""),
        format!("[workspaces]\na = \"{SECRET}\""),
        format!("access_key = \"{SECRET}\""),
        format!("workspaces = \"{SECRET}\""),
        format!("api = \"{SECRET}\""),
        format!("[api]\naccess_key = \"{SECRET}\""),
        format!("[api]\nbase_url = \"https://{SECRET}@api.bird.com\""),
        format!("[api]\nbase_url = \"https://api.bird.com/?k={SECRET}\""),
        format!("[download]\nallowed_hosts = [\"a.b\", \"https://{SECRET}@c.d\"]"),
    ] {
        let text = Place::new(Some(&toml), &[]).faults().to_string();
        assert!(!text.contains(&SECRET[..20]), "{toml}: {text}");
    }
    let ours = OsString::from("BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY");
    let mut place = Place::new(None, &[]);
    place
        .sources
        .env
        .push((ours, OsString::from_vec([SECRET.as_bytes(), b"\xff"].concat())));
    assert!(place.faults().to_string().contains("not Unicode"));

    let loaded = Place::new(Some(WORKSPACE), &[]).load().unwrap();
    let shown = format!("{loaded:?} {:#?}", loaded.config);
    assert!(shown.contains("REDACTED") && !shown.contains(SECRET), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_secret_beside_any_damage_is_never_repeated(at in 0_usize..160, damage in "[\\[\\]\"'=.\\\\{}\n a1]{1,3}") {
        let mut toml = format!(
            "[workspaces.support]\nid = \"w-1\"\naccess_key = \"{SECRET}\"\n[api]\ntimeout = \"30s\"\n[workspaces.b]\nbearer_token = '{SECRET}'\n"
        );
        toml.insert_str(at.min(toml.len()), &damage);
        let place = Place::new(Some(&toml), &[]);
        let shown = match place.load() {
            Ok(loaded) => format!("{loaded:?}"),
            Err(faults) => format!("{faults} {faults:?}"),
        };
        // The damage may cut the secret in two: no long part of it may be seen either.
        let parts: Vec<&str> = SECRET.as_bytes().chunks(12).map(|part| std::str::from_utf8(part).unwrap()).collect();
        prop_assert!(!parts.iter().any(|part| shown.contains(part)), "{}", shown);
    }
}
