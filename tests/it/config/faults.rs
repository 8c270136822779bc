//! What is refused, and in which words.

use birdkeep::config::FileSource;
use birdkeep::config::Origin;
use proptest::prelude::*;

use super::Place;
use super::SECRET;
use super::WORKSPACE;
use super::cases::ENV_FAULTS;
use super::cases::FILE_FAULTS;

#[test]
fn each_fault_of_the_file_is_told_with_its_key_and_its_remedy() {
    for (toml, key, words) in FILE_FAULTS {
        let faults = Place::new(Some(&format!("{toml}\n{WORKSPACE}")), &[]).faults();
        let [fault] = faults.faults() else {
            panic!("{toml}: {faults}")
        };
        assert_eq!(&fault.key, key, "{toml}: {faults}");
        assert!(
            matches!(fault.origin, Origin::File(_) | Origin::NotSet),
            "{toml}: {faults}"
        );
        for word in *words {
            assert!(fault.to_string().contains(word), "{toml}: {word:?} is not in: {fault}");
        }
    }
}

#[test]
fn each_fault_of_the_environment_is_told_with_its_variable_and_its_remedy() {
    for (variable, value, key, words) in ENV_FAULTS {
        let variable = format!("BIRDKEEP_{variable}");
        let faults = Place::new(Some(WORKSPACE), &[(&variable, value)]).faults();
        let fault = faults
            .faults()
            .iter()
            .find(|fault| fault.key == *key)
            .unwrap_or_else(|| panic!("{variable}: {faults}"));
        assert!(
            fault.to_string().contains(&format!("environment variable {variable}")),
            "{fault}"
        );
        for word in *words {
            assert!(
                fault.to_string().contains(word),
                "{variable}: {word:?} is not in: {fault}"
            );
        }
    }
}

#[test]
fn variables_that_contradict_each_other_are_refused() {
    let env = [
        ("BIRDKEEP_API__TIMEOUT", "1s"),
        ("birdkeep_api__timeout", "2s"),
        ("BIRDKEEP_HTTP", "x"),
        ("BIRDKEEP_HTTP__LISTEN", "[::1]:1"),
    ];
    let faults = Place::new(Some(WORKSPACE), &env).faults().to_string();
    assert!(
        faults
            .contains("api.timeout (environment variable birdkeep_api__timeout): is set by BIRDKEEP_API__TIMEOUT too"),
        "{faults}"
    );
    assert!(
        faults.contains("http (environment variable BIRDKEEP_HTTP): is a section"),
        "{faults}"
    );
}

#[test]
fn no_workspace_at_all_is_answered_with_the_two_variables_to_set() {
    for place in [Place::new(None, &[]), Place::new(Some("[workspaces]\n"), &[])] {
        let text = place.faults().to_string();
        assert!(
            text.starts_with("the configuration has 1 fault:\n  workspaces (not set): "),
            "{text}"
        );
        for variable in [
            "BIRDKEEP_WORKSPACES__SUPPORT__ID",
            "BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY",
        ] {
            assert!(text.contains(variable), "{text}");
        }
    }
}

#[test]
fn a_key_without_its_workspace_is_answered_with_the_whole_variable() {
    let text = Place::new(None, &[("BIRDKEEP_ACCESS_KEY", SECRET)])
        .faults()
        .to_string();
    assert!(
        text.contains("did you mean BIRDKEEP_WORKSPACES__SUPPORT__ACCESS_KEY?"),
        "{text}"
    );
}

#[test]
fn all_faults_are_reported_at_once_in_the_order_of_their_keys() {
    let toml = "[sync]\ninterval = \"x\"\nnope_at_all_zz = 1\n[api]\npage_size = 0\n[workspaces.a]\nid = \"\"\n[workspaces.b]\n";
    let faults = Place::new(Some(toml), &[("BIRDKEEP_HTTP__LISTEN", "x"), ("BIRDKEEP_ZZZ__Y", "1")]).faults();
    let keys: Vec<&str> = faults.faults().iter().map(|fault| fault.key.as_str()).collect();
    let expected = [
        "api.page_size",
        "http.listen",
        "sync.interval",
        "sync.nope_at_all_zz",
        "workspaces.a.access_key",
        "workspaces.a.id",
        "workspaces.b.access_key",
        "workspaces.b.id",
        "zzz",
    ];
    assert_eq!(keys, expected);
    let text = faults.to_string();
    assert!(text.starts_with("the configuration has 9 faults:\n"), "{text}");
    assert_eq!(text.lines().count(), 10, "{text}");
}

#[test]
fn a_named_file_that_cannot_be_read_is_a_fault_and_what_it_may_have_set_is_not_missed() {
    let mut place = Place::new(None, &[("BIRDKEEP_API__PAGE_SIZE", "0")]);
    let missing = place.path("missing.toml");
    place.sources.file = Some(FileSource {
        path: missing.clone(),
        named_by: Origin::Option("--config"),
    });
    let faults = place.faults();
    let keys: Vec<&str> = faults.faults().iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(keys, ["api.page_size", "configuration file"]);
    let text = faults.faults()[1].to_string();
    assert!(
        text.contains(&missing.display().to_string()) && text.contains("option --config"),
        "{text}"
    );
    assert!(text.contains("No such file") && text.contains("name another"), "{text}");

    place.sources.file = Some(FileSource {
        path: "".into(),
        named_by: Origin::Variable("BIRDKEEP_CONFIG".into()),
    });
    let text = place.faults().to_string();
    assert!(
        text.contains("environment variable BIRDKEEP_CONFIG") && text.contains("unset"),
        "{text}"
    );
    place.sources.file = Some(FileSource {
        path: place.path("."),
        named_by: Origin::Default,
    });
    assert!(place.faults().to_string().contains("directory"));
}

#[test]
fn a_fault_keeps_to_its_line() {
    let faults = Place::new(
        Some("[\"a\\nb\"]\n[api]\ntimeout = \"x\\ny\\u001b[31m\"\n"),
        &[("BIRDKEEP_A\nB", "x")],
    )
    .faults();
    let text = faults.to_string();
    assert_eq!(text.lines().count(), faults.faults().len() + 1, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

fn toml_ish() -> impl Strategy<Value = String> {
    let key = "(archive|api|sync|download|http|workspaces|dir|min_free|base_url|timeout|allowed_hosts|a|\"[^\"]{0,5}\"|a\\[[0-9]{1,12}\\])";
    let value = "(\"\\PC{0,12}\"|-?[0-9]{1,22}|[0-9]\\.[0-9]{1,3}|true|nan|\\[[0-9, \"a-z]{0,8}\\]|\\{ ?a ?= ?1 ?\\}|2024-01-01|\\PC{0,8})";
    let line = format!("(\\[{{1,2}}{key}(\\.{key}){{0,2}}\\]{{1,2}}|{key}(\\.{key}){{0,2}} = {value}|\\PC{{0,20}})");
    let line = proptest::string::string_regex(&line).unwrap();
    proptest::collection::vec(line, 0..10).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_and_no_environment_panics(
        toml in toml_ish(),
        env in proptest::collection::vec(
            ("(BIRDKEEP_)?(ARCHIVE|API|DOWNLOAD|WORKSPACES|A|[A-Z_.\\[\\]0-9-]{0,6})(__([A-Z_]{0,9}|DIR|TIMEOUT|ID)){0,4}", "\\PC{0,16}|[0-9]{1,20}[a-zA-Z]{0,3}"),
            0..6,
        ),
    ) {
        let pairs: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let place = Place::new(Some(&toml), &pairs);
        match place.load() {
            Ok(loaded) => prop_assert!(!loaded.config.workspaces.is_empty()),
            Err(faults) => {
                prop_assert!(!faults.faults().is_empty());
                prop_assert_eq!(faults.to_string().lines().count(), faults.faults().len() + 1);
            }
        }
    }
}
