//! Blanks out what a presigned URL must not tell, wherever it stands in a text.
//!
//! The last line of defence, for text of foreign origin: a log line of a library, a list item that was not
//! understood. Our own code never formats such a URL to begin with. Must not know: where the text goes.

use std::borrow::Cow;

/// The query members of an AWS SigV4 presigned URL that give access or name the credential (`X-Amz-Date`,
/// `X-Amz-Expires` and the algorithm do not), lower case.
const SECRET_MEMBERS: [&str; 3] = ["x-amz-signature", "x-amz-credential", "x-amz-security-token"];

/// What stands in place of a secret.
pub const BLANK: &str = "***";

/// `text` with the values of secret query members replaced, however their name is cased and whether the `=` is
/// plain, percent-encoded, or a JSON or header separator.
#[must_use]
pub fn blank_signed_links(text: &str) -> Cow<'_, str> {
    let Some(first) = find_member(text, 0) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut found = Some(first);
    while let Some(name_end) = found {
        let value_start = name_end + separator_len(&text[name_end..]);
        out.push_str(&text[copied..value_start]);
        let value_end = value_start + value_len(&text[value_start..]);
        if value_end > value_start {
            out.push_str(BLANK);
        }
        copied = value_end;
        found = find_member(text, copied);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Where the next secret member's name ends, at or after `from`.
fn find_member(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find_map(|at| {
        if !bytes[at].eq_ignore_ascii_case(&b'x') {
            return None;
        }
        SECRET_MEMBERS.iter().find_map(|name| {
            let end = at + name.len();
            let candidate = bytes.get(at..end)?;
            candidate.eq_ignore_ascii_case(name.as_bytes()).then_some(end)
        })
    })
}

/// The length of what separates a name from its value: `=`, `%3D`, `%253D`, `: `, `":"` and the like.
fn separator_len(rest: &str) -> usize {
    let lower = rest.get(..5).unwrap_or(rest).to_ascii_lowercase();
    for encoded in ["%253d", "%3d"] {
        if lower.starts_with(encoded) {
            return encoded.len();
        }
    }
    rest.len()
        - rest
            .trim_start_matches(['=', ':', '"', '\'', '\\', ' ', ',', '('])
            .len()
}

/// The length of a value: up to what ends a query member, a JSON string, an element or a word.
fn value_len(rest: &str) -> usize {
    // Not looked for beyond the plain end: a text may hold as many of these members as it has room for.
    let plain_end = rest.find(|c: char| c.is_whitespace() || "&\"'<>\\,;)}]".contains(c));
    let value = &rest[..plain_end.unwrap_or(rest.len())];
    let encoded_end = ["%26", "%2526"].iter().filter_map(|end| value.find(end)).min();
    encoded_end.unwrap_or(value.len())
}

/// `text` without what may be a phone number: seven digits or more in a row, or after a `+` with what people put between
/// them.
#[must_use]
pub fn blank_numbers(text: &str) -> String {
    const FEWEST_DIGITS: usize = 7;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.find(|c: char| c.is_ascii_digit() || c == '+') {
        out.push_str(&rest[..first]);
        rest = &rest[first..];
        let is_spread = rest.starts_with('+');
        let is_part = |c: char| c.is_ascii_digit() || is_spread && " +-.()/".contains(c);
        let (number, after) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
        let kept = number.trim_end_matches(|c: char| !c.is_ascii_digit());
        if kept.bytes().filter(u8::is_ascii_digit).count() >= FEWEST_DIGITS {
            out.push_str(BLANK);
            out.push_str(&number[kept.len()..]);
        } else {
            out.push_str(number);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `text` for one line of a log, a table or an error: cut to `max_chars`, control characters escaped, links blanked.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    let text = blank_signed_links(text);
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == max_chars {
            out.push('…');
            break;
        }
        if is_unprintable(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// `text` as one line of JSON or of a log: what a terminal or a reader of lines would obey is written as JSON writes it
/// (`\u001b`), so that JSON stays JSON.
#[must_use]
pub fn escape_in_json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            // JSON has these between its tokens alone.
            '\t' | '\r' | '\n' => out.push(' '),
            c if is_unprintable(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// `text` of several lines for a terminal: each stays the line it is.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| one_line(line, usize::MAX)).collect();
    lines.join("\n")
}

/// What a terminal or a reader of lines would obey, or what would hide or reorder what stands around it: control
/// characters, other line ends, and the invisible ones that set directions or mark and tag text.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let url = "https://b.s3.amazonaws.com/k.mp3?X-Amz-Date=20231024T192759Z&X-Amz-Credential=ASIA%2Feu&\
                   X-Amz-Expires=600&x-amz-security-token=tok/en==&X-Amz-Signature=abc123";
        let blanked = blank_signed_links(url);
        assert_eq!(
            blanked,
            "https://b.s3.amazonaws.com/k.mp3?X-Amz-Date=20231024T192759Z&X-Amz-Credential=***&\
             X-Amz-Expires=600&x-amz-security-token=***&X-Amz-Signature=***"
        );
    }

    #[test]
    fn other_spellings_are_found_too() {
        for text in [
            "next=https%3A%2F%2Fh%2Fk%3FX-Amz-Signature%3Dsecret%26x-id%3D1",
            "{\"X-Amz-Signature\":\"secret\"}",
            "x-amz-security-token: secret",
            "{\"url\":\"https://h/k?X-AMZ-SIGNATURE=secret\\u0026a=1\"}",
            "<a href='https://h/k?X-Amz-Credential=secret'>",
        ] {
            let blanked = blank_signed_links(text);
            assert!(!blanked.contains("secret"), "{blanked}");
            assert!(blanked.contains(BLANK), "{blanked}");
        }
    }

    #[test]
    fn a_number_that_may_be_somebodys_goes_and_times_stay() {
        let text =
            "from +31 (0)20 123-45.67 to 4915112345678; 401 since 2026-11-24T12:30:00.123456Z, 2.5 GiB of 10 GiB, +";
        assert_eq!(
            blank_numbers(text),
            "from *** to ***; 401 since 2026-11-24T12:30:00.123456Z, 2.5 GiB of 10 GiB, +"
        );
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line("a\nb\u{1b}[31m\u{202e}c", 99), "a\\nb\\u{1b}[31m\\u{202e}c");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(
            one_line("a\u{2028}b\u{9b}2J\u{feff}", 99),
            "a\\u{2028}b\\u{9b}2J\\u{feff}"
        );
        assert_eq!(printable_lines("a\rb\nc\u{7}\n"), "a\\rb\nc\\u{7}\n");
    }

    #[test]
    fn json_stays_the_same_json_and_cannot_move_a_cursor() {
        let hostile = "a\u{1b}[2J\n\r\t\u{9b}31m\u{202e}\u{2028}\u{7f}\u{e0041}\"\\z";
        let json = serde_json::to_string(&serde_json::json!({ "from": hostile })).unwrap();
        let escaped = escape_in_json(&json);
        assert!(!escaped.chars().any(is_unprintable), "{escaped}");
        let value: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(value["from"], hostile);
        let spread = escape_in_json("{\n\t\"a\": 1\r\n}");
        assert_eq!(spread, "{  \"a\": 1  }");
        assert!(matches!(escape_in_json("{\"a\":\"plain ß\"}"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn whatever_the_text_what_is_printed_is_inert(text in any::<String>()) {
            let _ = blank_numbers(&text);
            prop_assert!(!one_line(&text, usize::MAX).chars().any(is_unprintable));
            prop_assert!(!escape_in_json(&text).chars().any(is_unprintable));
            prop_assert!(!printable_lines(&text).chars().any(|c| c != '\n' && is_unprintable(c)));
        }

        #[test]
        fn no_text_panics_and_clean_text_is_untouched(text in "\\PC{0,200}") {
            prop_assert_eq!(blank_signed_links(&text), text.as_str());
        }

        #[test]
        fn a_signature_never_survives(
            before in "[ -~äß€]{0,30}", name in "(X-Amz-Signature|x-amz-credential|X-AMZ-SECURITY-TOKEN)",
            secret in "[A-Za-z0-9+/%]{12,40}", after in "(&[a-z]{1,4}=1)?",
        ) {
            prop_assume!(!secret.contains("%2") && !before.to_lowercase().contains("x-amz"));
            let text = format!("{before}{name}={secret}{after}");
            let blanked = blank_signed_links(&text);
            prop_assert!(!blanked.contains(&secret), "{}", blanked);
            prop_assert!(blanked.starts_with(&before));
        }
    }
}
