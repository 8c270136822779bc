//! A JSON object as its members, in order, each with its text exactly as received.
//!
//! Must not know: which members mean what.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

use crate::domain::redact::BLANK;
use crate::domain::redact::blank_signed_links;

/// The members of one object.
pub struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object.
    ///
    /// # Errors
    /// It is something else, or names a member twice, in words.
    pub fn parse(raw: &'a RawValue) -> Result<Self, String> {
        serde_json::from_str(raw.get()).map_err(|error| error.to_string())
    }

    /// A member's text; `None` where it is absent or `null`.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        let (_, raw) = self.0.iter().find(|(member, _)| member == name)?;
        (raw.get() != "null").then_some(*raw)
    }

    /// A member that is a string; `None` where it is anything else.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?.get()).ok()
    }

    /// The object again without the member `left_out`, every other text as received; signed links that stand in
    /// other members are blanked.
    pub fn to_text_without(&self, left_out: &str) -> String {
        let mut text = String::from("{");
        for (name, raw) in self.0.iter().filter(|(name, _)| name != left_out) {
            push_member(&mut text, name, raw);
        }
        text.push('}');
        text
    }
}

/// What is kept of an object that is too long to be looked into.
#[derive(Default)]
pub struct Head {
    /// Its first members, as they would stand in [`Members::to_text_without`], without an end.
    pub text: String,
    /// The text of the member that was asked for, where it is among the first.
    pub wanted: Option<String>,
}

impl Head {
    /// Reads an object of any length: members up to about `max_bytes` but for `left_out`, and the text of `wanted`.
    /// What is beyond is skipped over, at no cost but the time.
    ///
    /// # Errors
    /// It is not an object, in words.
    pub fn read(raw: &RawValue, max_bytes: usize, left_out: &str, wanted: &str) -> Result<Self, String> {
        struct First<'n> {
            max_bytes: usize,
            left_out: &'n str,
            wanted: &'n str,
        }

        impl<'de> Visitor<'de> for First<'_> {
            type Value = Head;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Head, A::Error> {
                let mut head = Head {
                    text: String::from("{"),
                    wanted: None,
                };
                let mut room = true;
                while room {
                    let Some((name, raw)) = map.next_entry::<&RawValue, &RawValue>()? else {
                        return Ok(head);
                    };
                    room = head.text.len() + name.get().len() + raw.get().len() <= self.max_bytes;
                    let name: String = match serde_json::from_str(name.get()) {
                        Ok(name) if room => name,
                        _ => continue,
                    };
                    if name == self.wanted {
                        head.wanted = serde_json::from_str(raw.get()).ok();
                    }
                    if name != self.left_out {
                        push_member(&mut head.text, &name, raw);
                    }
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(head)
            }
        }

        let first = First {
            max_bytes,
            left_out,
            wanted,
        };
        serde_json::Deserializer::from_str(raw.get())
            .deserialize_map(first)
            .map_err(|error| error.to_string())
    }
}

/// Adds a member to the text of an object, as received but for signed links, which are blanked.
fn push_member(text: &mut String, name: &str, raw: &RawValue) {
    if text.len() > 1 {
        text.push(',');
    }
    let name = serde_json::Value::from(name).to_string();
    let member = format!("{name}:{}", raw.get());
    let blanked = blank_signed_links(&member);
    let still_json = serde_json::from_str::<IgnoredAny>(&format!("{{{blanked}}}")).is_ok();
    if still_json && !hides_a_link(&blanked) {
        text.push_str(&blanked);
    } else {
        text.push_str(&format!("{}:\"{BLANK}\"", blank_signed_links(&name)));
    }
}

/// Whether JSON escapes (`X\u002dAmz-…`) hide a signed link from whoever looks for it in this text.
pub fn hides_a_link(text: &str) -> bool {
    let mut parts = text.split("\\u");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    if plain.len() == text.len() {
        return false;
    }
    for part in parts {
        let code = part.get(..4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(code @ b' '..=b'~') = code {
            plain.push(char::from(code));
            plain.push_str(&part[4..]);
        } else {
            plain.push_str("\\u");
            plain.push_str(part);
        }
    }
    blank_signed_links(&plain) != plain.as_str()
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered;

        impl<'de> Visitor<'de> for Ordered {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::with_capacity(24);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                // Sorted, since there may be as many as an item has room for.
                let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                if names.windows(2).any(|pair| pair[0] == pair[1]) {
                    return Err(serde::de::Error::custom("a member is named twice"));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Ordered)
    }
}
