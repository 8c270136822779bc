//! A page of a listing: no item lost or invented, each the one that was sent, nothing secret kept, everything bounded.
//!
//! Input: the body of a reply. Must not know: HTTP.

use std::time::Instant;

use birdkeep::api::Item;
use birdkeep::api::ItemLimits;
use birdkeep::api::PageToken;
use birdkeep::api::wire::parse_page;
use birdkeep::api::wire::parse_recording;
use birdkeep::domain::recording::SetAside;
use serde_json::Map;
use serde_json::Value;

use super::secret::assert_absent;
use super::secret::secrets_of;

const MOST_ITEMS: usize = 1_000;
const LONGEST_RAW_BYTES: usize = 16 * 1024;
const LONGEST_REASON_CHARS: usize = 2_000;

/// Panics if the page is read otherwise than it stands there.
pub fn check(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let mut texts = Vec::new();
    if let Some(value) = &value {
        strings_of(value, &mut texts);
    }
    // Without a value there is only the text to judge by, in which an escape can hide where a link begins.
    let secrets = match &value {
        // A member that is named twice stands in the text and not in the value.
        Some(_) => {
            let mut secrets = secrets_of(&texts);
            secrets.retain(|secret| {
                let in_value: usize = texts.iter().map(|part| part.matches(secret.as_str()).count()).sum();
                in_value == text.matches(secret.as_str()).count()
            });
            secrets
        }
        None if text.contains('\\') => Vec::new(),
        None => secrets_of(&[&text]),
    };
    match parse_page(body, Instant::now(), &ItemLimits::default()) {
        Err(error) => {
            assert_absent(&secrets, &error.to_string());
            assert!(error.to_string().chars().count() <= LONGEST_REASON_CHARS, "{error}");
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
        Ok(page) => {
            assert!(page.items.len() <= MOST_ITEMS);
            if let Some(next) = &page.next {
                assert!(!next.as_str().is_empty() && next.as_str().chars().count() <= 8_000);
            }
            for item in &page.items {
                check_item(item, &secrets);
            }
            if let Some(value) = &value {
                compare(&page.items, page.next.as_ref().map(PageToken::as_str), value);
            }
        }
    }
}

fn check_item(item: &Item, secrets: &[String]) {
    match item {
        Item::Understood(listed) => {
            let recording = &listed.recording;
            assert_absent(secrets, &format!("{recording:?}"));
            assert!(recording.metadata.len() <= 2 * 128 * 1024);
            let fields = [&recording.direction, &recording.from, &recording.to];
            for field in fields.into_iter().flatten().chain([&recording.format]) {
                assert!(field.chars().count() <= 200);
            }
            assert!(!recording.created_at.is_unset());
            if let Ok(Value::Object(metadata)) = serde_json::from_str(&recording.metadata) {
                assert!(!metadata.contains_key("url"));
                let mut texts = Vec::new();
                let metadata = Value::Object(metadata);
                strings_of(&metadata, &mut texts);
                for text in texts {
                    assert_absent(secrets, text);
                }
            }
        }
        Item::SetAside(SetAside { raw, reason, .. }) => {
            assert_absent(secrets, raw);
            assert_absent(secrets, reason);
            assert!(raw.len() <= LONGEST_RAW_BYTES);
            assert!(!reason.is_empty() && reason.chars().count() <= LONGEST_REASON_CHARS);
            assert!(!reason.contains(char::is_control), "{reason:?}");
        }
    }
}

/// Holds what was read against the same text read by another way.
fn compare(items: &[Item], next: Option<&str>, value: &Value) {
    let results = value["results"].as_array().expect("a page has results");
    assert_eq!(items.len(), results.len());
    let token = value["nextPageToken"].as_str().filter(|token| !token.is_empty());
    assert_eq!(next, token);
    for (item, sent) in items.iter().zip(results) {
        match item {
            Item::Understood(listed) => {
                let recording = &listed.recording;
                let sent = sent.as_object().expect("only an object is understood");
                assert_eq!(Some(recording.id.to_string().as_str()), sent["id"].as_str());
                let status = sent["status"].as_str().expect("only a text is a status");
                let blanked = recording.status.as_str().contains("***");
                assert!(blanked || recording.status.as_str() == status, "{status}");
                assert!(listed.ticket.is_none() || sent["url"].is_string());
                compare_metadata(&recording.metadata, sent);
                let again = serde_json::to_vec(sent).expect("it was JSON");
                assert!(parse_recording(&again, recording.id, Instant::now(), &ItemLimits::default()).is_ok());
            }
            Item::SetAside(item) => {
                if let Some(id) = item.id {
                    assert_eq!(Some(id.to_string().as_str()), sent["id"].as_str());
                }
            }
        }
    }
}

/// Every member as it was sent but `url`; only where a link may stand in a member it may differ.
fn compare_metadata(metadata: &str, sent: &Map<String, Value>) {
    let kept: Map<String, Value> = serde_json::from_str(metadata).expect("the metadata are an object");
    let may_differ = |name: &str, value: &Value| format!("{name}{value}").to_ascii_lowercase().contains("x-amz-");
    for (name, value) in sent {
        match kept.get(name) {
            _ if name == "url" => assert!(!kept.contains_key(name)),
            Some(kept) => assert!(kept == value || may_differ(name, value), "{name}"),
            None => assert!(may_differ(name, value), "{name} is lost"),
        }
    }
    let invented = |name: &&String| !sent.contains_key(*name) && !name.contains("***");
    assert_eq!(kept.keys().find(invented), None);
}

/// All texts of a value, names of members included.
fn strings_of<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings_of(item, found)),
        Value::Object(members) => {
            for (name, member) in members {
                found.push(name);
                strings_of(member, found);
            }
        }
        _ => {}
    }
}
