//! Bird's JSON into our words: pages strictly, items one by one, optional members leniently.
//!
//! Strict about what proves the end of a list: a page that is not of the documented shape is an error, never an empty
//! page. Shapes as in Bird's "List recordings" and "Get a recording" pages. Must not know: HTTP.

use std::time::Instant;

use serde_json::value::RawValue;

use super::error::ApiError;
use super::meaning::LONGEST_TEXT;
use super::meaning::understand;
use super::members::Head;
use super::members::Members;
use super::members::hides_a_link;
use super::page::Item;
use super::page::Listed;
use super::page::Page;
use super::page::PageToken;
use super::shape;
use super::ticket::Ticket;
use crate::domain::ids::RecordingId;
use crate::domain::recording::SetAside;
use crate::domain::redact::BLANK;
use crate::domain::redact::blank_signed_links;
use crate::domain::redact::one_line;

/// What of a list is read and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemLimits {
    /// Items a page may hold; Bird's limit is 99. A page of more is refused.
    pub max_page_items: u32,
    /// The longest item that is looked into, in bytes; Bird's are about 2,500. A longer one is set aside.
    pub max_item_bytes: u64,
    /// How deep an item may nest objects and arrays; Bird's nest three deep. A deeper one is set aside.
    pub max_json_depth: u32,
    /// How much of an item that is set aside is kept, in bytes.
    pub kept_item_bytes: u64,
}

impl Default for ItemLimits {
    fn default() -> Self {
        Self {
            max_page_items: 1_000,
            max_item_bytes: 128 * 1024,
            max_json_depth: 120,
            kept_item_bytes: 16 * 1024,
        }
    }
}

/// Reads a page received at `received`.
///
/// # Errors
/// `Malformed`: it is not JSON, not of the documented shape, or its token cannot be one.
pub fn parse_page(body: &[u8], received: Instant, limits: &ItemLimits) -> Result<Page, ApiError> {
    let malformed = |error: &dyn std::fmt::Display| {
        ApiError::malformed(format!(
            "the page is not as documented: {error}; it begins {}",
            head(body)
        ))
    };
    // The parser skips members it does not look for without asking whether they are text at all.
    let text = std::str::from_utf8(body).map_err(|error| malformed(&error))?;
    let page = shape::read(text, limits.max_page_items).map_err(|error| malformed(&error))?;
    // An empty token would ask for the first page again. Upstream's server omits what is empty.
    let next = match page.next_page_token.as_deref() {
        None | Some("") => None,
        Some(text) => Some(
            PageToken::from_upstream(text)
                .ok_or_else(|| ApiError::malformed("nextPageToken is longer than documented"))?,
        ),
    };
    let items = page.items.into_iter().map(|raw| parse_item(raw, received, limits));
    Ok(Page {
        items: items.collect(),
        next,
        room: None,
    })
}

/// Reads the reply to a request for one recording, which must be the recording `id`.
///
/// # Errors
/// `Malformed`: it is not JSON, cannot be understood, or is another recording.
pub fn parse_recording(
    body: &[u8],
    id: RecordingId,
    received: Instant,
    limits: &ItemLimits,
) -> Result<Listed, ApiError> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| {
        ApiError::malformed(format!("the recording is not JSON: {error}; it begins {}", head(body)))
    })?;
    match parse_item(raw, received, limits) {
        Item::Understood(listed) if listed.recording.id == id => Ok(*listed),
        Item::Understood(listed) => Err(ApiError::malformed(format!(
            "asked for recording {id}, got {}",
            listed.recording.id
        ))),
        Item::SetAside(item) => Err(ApiError::malformed(format!(
            "the recording is not understood: {}",
            item.reason
        ))),
    }
}

fn head(body: &[u8]) -> String {
    let head = String::from_utf8_lossy(&body[..body.len().min(80)]);
    format!("\"{}\"", one_line(&head, 60))
}

fn parse_item(raw: &RawValue, received: Instant, limits: &ItemLimits) -> Item {
    let len_bytes = raw.get().len();
    if len_bytes as u64 > limits.max_item_bytes {
        return set_aside_unread(
            raw,
            &format!("the item is {len_bytes} bytes long (api.max_item_bytes)"),
            limits,
        );
    }
    if shape::is_deeper_than(raw.get(), limits.max_json_depth) {
        let deep = format!(
            "the item nests deeper than {} (api.max_json_depth)",
            limits.max_json_depth
        );
        return set_aside_unread(raw, &deep, limits);
    }
    let members = match Members::parse(raw) {
        Ok(members) => members,
        Err(why) => return set_aside_unread(raw, &format!("not an object: {why}"), limits),
    };
    match understand(&members) {
        Ok(recording) => {
            let ticket = members.text("url").and_then(|url| Ticket::new(&url, received).ok());
            Item::Understood(Box::new(Listed { recording, ticket }))
        }
        Err(why) => {
            let id = members.text("id").and_then(|id| id.parse().ok());
            // Without the link, so that the same item is the same text each time it is listed.
            set_aside(members.to_text_without("url"), id, &why, limits)
        }
    }
}

/// Sets aside what is not looked into: its first members where it is an object, else its beginning.
fn set_aside_unread(raw: &RawValue, reason: &str, limits: &ItemLimits) -> Item {
    let kept = usize::try_from(limits.kept_item_bytes).unwrap_or(usize::MAX);
    if let Ok(head) = Head::read(raw, kept, "url", "id") {
        let id = head.wanted.and_then(|id| id.parse().ok());
        return set_aside(head.text, id, reason, limits);
    }
    let beginning = match blank_signed_links(cut(raw.get(), kept)) {
        blanked if hides_a_link(&blanked) => BLANK.to_owned(),
        blanked => blanked.into_owned(),
    };
    set_aside(beginning, None, reason, limits)
}

fn set_aside(mut text: String, id: Option<RecordingId>, reason: &str, limits: &ItemLimits) -> Item {
    let kept = usize::try_from(limits.kept_item_bytes).unwrap_or(usize::MAX);
    text.truncate(cut(&text, kept).len());
    Item::SetAside(SetAside {
        raw: text,
        reason: one_line(reason, LONGEST_TEXT),
        id,
    })
}

/// The beginning of a text, at most so many bytes long.
fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::ApiErrorKind;
    use proptest::prelude::*;

    const ID: &str = "5b74ee9e-9d45-473a-82cd-f1f7feea6bbd";

    fn item(extra: &str) -> String {
        format!(
            r#"{{"id":"{ID}","status":"available","createdAt":"2023-10-23T15:55:08.234Z","format":"mp3","duration":29{extra}}}"#
        )
    }

    fn parse(body: &[u8]) -> Result<Page, ApiError> {
        parse_page(body, Instant::now(), &ItemLimits::default())
    }

    fn page(items: &[String], rest: &str) -> Result<Page, ApiError> {
        parse(format!("{{\"results\":[{}]{rest}}}", items.join(",")).as_bytes())
    }

    fn only(items: &[String]) -> Item {
        page(items, "").unwrap().items.pop().unwrap()
    }

    fn understood(extra: &str) -> Listed {
        match only(&[item(extra)]) {
            Item::Understood(listed) => *listed,
            Item::SetAside(item) => panic!("{}", item.reason),
        }
    }

    fn reason(text: &str) -> SetAside {
        match only(&[text.to_owned()]) {
            Item::SetAside(item) => item,
            Item::Understood(_) => panic!("understood: {text}"),
        }
    }

    #[test]
    fn an_item_keeps_everything_but_its_link() {
        let listed = understood(
            r#","url":"https://h/k?X-Amz-Signature=secret","odd":{"b":1.50,"a":[1e2]},"room":"https://h/?X-Amz-Signature=secret""#,
        );
        assert!(listed.ticket.is_some());
        let metadata = &listed.recording.metadata;
        assert!(metadata.contains(r#""odd":{"b":1.50,"a":[1e2]}"#), "{metadata}");
        assert!(
            !metadata.contains("secret") && !metadata.contains("\"url\""),
            "{metadata}"
        );
    }

    #[test]
    fn a_link_that_stands_for_another_text_is_blanked() {
        let link = "https://h/?X-Amz-Signature=secret";
        let number = format!(r#"{{"number":{{"identity":"{link}"}}}}"#);
        let listed = understood(&format!(
            r#","direction":"{link}","originator":{number},"receiver":{number}"#
        ));
        assert!(listed.recording.from.is_some() && listed.recording.direction.is_some());
        let odd = item("").replace("available", link).replace("mp3", link);
        let Item::Understood(odd) = only(&[odd]) else {
            panic!("set aside")
        };
        for recording in [listed.recording, odd.recording] {
            let shown = format!("{recording:?}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn a_link_that_json_escapes_hide_is_blanked_too() {
        let metadata = understood(r#","room":{"a":"https://h/?X\u002dAmz-Signature=secret"},"b\u0020":"\u0058""#)
            .recording
            .metadata;
        assert!(!metadata.contains("secret"), "{metadata}");
        assert!(metadata.contains(r#""room":"***""#), "{metadata}");
        assert!(metadata.contains(r#""b ":"\u0058""#), "{metadata}");
        let aside = reason(r#"["https://h/?X\u002dAmz-Signature=secret"]"#);
        assert!(!aside.raw.contains("secret"), "{}", aside.raw);
    }

    #[test]
    fn numbers_of_the_parties_are_found_where_upstream_puts_them() {
        let listed = understood(
            r#","originator":{"number":{"number":"3197","identity":"+3197"}},
              "receiver":{"contact":{"identifierKey":"phonenumber","identifierValue":"+351"},"number":{"number":"351"}}"#,
        );
        assert_eq!(listed.recording.from.as_deref(), Some("+3197"));
        assert_eq!(listed.recording.to.as_deref(), Some("+351"));
        let odd = understood(r#","originator":[],"receiver":null,"direction":7"#).recording;
        assert_eq!((odd.from, odd.to, odd.direction), (None, None, None));
    }

    #[test]
    fn an_unset_creation_time_falls_back_on_another() {
        let unset = item("").replace("2023-10-23T15:55:08.234Z", "0001-01-01T00:00:00Z");
        assert!(reason(&unset).reason.contains("unset"));
        let with = unset.replace("\"duration\":29", r#""startedAt":"2023-10-23T15:55:08Z""#);
        let Item::Understood(listed) = only(&[with]) else {
            panic!("set aside")
        };
        assert_eq!(listed.recording.created_at.to_string(), "2023-10-23T15:55:08Z");
    }

    #[test]
    fn what_cannot_be_understood_is_set_aside_with_a_reason_and_the_rest_goes_on() {
        let upper = item("").replace(ID, &ID.to_uppercase());
        let twice = item(r#","status":"absent""#);
        let surrogate = item("").replace("available", "\\ud800");
        for (text, word) in [
            ("null", "object"),
            ("7", "object"),
            ("{}", "id is missing"),
            (r#"{"id":7}"#, "id is not a text"),
            (upper.as_str(), "UUID"),
            (twice.as_str(), "twice"),
            (surrogate.as_str(), "status"),
            (&item("").replace("2023-10-23", "yesterday"), "createdAt"),
            (&item("").replace("\"available\"", "{}"), "status is not a text"),
        ] {
            let aside = reason(text);
            assert!(aside.reason.contains(word), "{text}: {}", aside.reason);
        }
        let mixed = page(&["null".to_owned(), item(""), "[]".to_owned()], "").unwrap();
        assert!(matches!(
            mixed.items[..],
            [Item::SetAside(_), Item::Understood(_), Item::SetAside(_)]
        ));
        let signed = reason(r#"{"id":7,"url":"https://h/?X-Amz-Signature=secret"}"#);
        assert!(!signed.raw.contains("secret"));
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_set_aside_unread_and_known_by_its_id() {
        let long = item(&format!(
            r#","url":"https://h/?X-Amz-Signature=secret","odd":"{}""#,
            "x".repeat(130 * 1024)
        ));
        let deep = item(&format!(
            r#","url":"https://h/?X-Amz-Signature=secret","odd":{}{}"#,
            "[".repeat(120),
            "]".repeat(120)
        ));
        for (text, key) in [(&long, "api.max_item_bytes"), (&deep, "api.max_json_depth")] {
            let aside = reason(text);
            assert!(aside.reason.contains(key), "{}", aside.reason);
            assert_eq!(aside.id.map(|id| id.to_string()).as_deref(), Some(ID));
            assert!(
                aside.raw.contains("available") && !aside.raw.contains("secret"),
                "{}",
                aside.raw
            );
            assert!(aside.raw.len() <= 16 * 1024);
        }
        let no_object = format!("[\"https://h/?X-Amz-Signature={}\"]", "s".repeat(130 * 1024));
        assert!(!reason(&no_object).raw.contains("ss"));
        assert_eq!(
            understood(&format!(r#","odd":{}{}"#, "[".repeat(119), "]".repeat(119)))
                .recording
                .status
                .as_str(),
            "available"
        );
    }

    #[test]
    fn only_the_documented_shape_is_a_page() {
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"items":[]}"#,
            r#"{"results":null}"#,
            r#"{"results":{}}"#,
            "<html>",
            r#"{"results":[]} x"#,
            r#"{"results":[]"#,
            r#"{"results":[],"results":[]}"#,
            r#"{"results":[],"nextPageToken":7}"#,
            "\u{feff}{\"results\":[]}",
        ] {
            let error = parse(bad.as_bytes()).err().unwrap_or_else(|| panic!("{bad}"));
            assert_eq!(error.kind, ApiErrorKind::Malformed);
        }
        assert!(parse(b"{\"results\":[],\"note\":\"\xff\"}").is_err());
        let long = format!(r#","nextPageToken":"{}""#, "t".repeat(8_001));
        assert!(page(&[], &long).is_err());
    }

    #[test]
    fn what_is_said_of_a_page_repeats_no_link_and_is_short() {
        let link = format!("https://h/?X-Amz-Signature=secret{}", "x".repeat(10_000));
        for bad in [
            format!(r#"{{"results":"{link}"}}"#),
            format!(r#"{{"results":[],"nextPageToken":["{link}"]}}"#),
        ] {
            let said = parse_page(bad.as_bytes(), Instant::now(), &ItemLimits::default())
                .err()
                .unwrap()
                .to_string();
            assert!(!said.contains("secret") && said.len() < 1_000, "{said}");
        }
    }

    #[test]
    fn the_end_is_a_page_without_a_token() {
        assert!(page(&[], "").unwrap().next.is_none());
        assert!(page(&[], r#","nextPageToken":null"#).unwrap().next.is_none());
        assert!(page(&[], r#","nextPageToken":"""#).unwrap().next.is_none());
        let odd = page(&[], r#","nextPageToken":"a&b=#\r\n\u0000""#)
            .unwrap()
            .next
            .unwrap();
        assert_eq!(odd.as_str(), "a&b=#\r\n\0");
    }

    #[test]
    fn another_recording_than_asked_for_is_refused() {
        let limits = ItemLimits::default();
        let id = ID.parse().unwrap();
        assert!(parse_recording(item("").as_bytes(), id, Instant::now(), &limits).is_ok());
        let other = RecordingId::from_bytes([7; 16]);
        assert!(parse_recording(item("").as_bytes(), other, Instant::now(), &limits).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&body);
        }

        #[test]
        fn no_item_is_ever_lost(values in proptest::collection::vec("(null|7|\"a\"|\\[\\]|\\{\"id\":7\\}|\\{\"status\":\\{\\}\\})", 0..20)) {
            let page = page(&values, "").unwrap();
            prop_assert_eq!(page.items.len(), values.len());
        }

        #[test]
        fn a_damaged_page_is_an_error_or_keeps_its_items(at in 0_usize..400, byte in any::<u8>()) {
            let mut body = format!("{{\"results\":[{},{}],\"nextPageToken\":\"t\"}}", item(""), item("")).into_bytes();
            let at = at % body.len();
            body[at] = byte;
            if let Ok(page) = parse(&body) {
                prop_assert_eq!(page.items.len(), 2);
            }
        }
    }
}
