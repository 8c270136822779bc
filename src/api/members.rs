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
            if text.len() > 1 {
                text.push(',');
            }
            let name = serde_json::Value::from(name.as_str()).to_string();
            let member = format!("{name}:{}", raw.get());
            let blanked = blank_signed_links(&member);
            let still_json = serde_json::from_str::<IgnoredAny>(&format!("{{{blanked}}}")).is_ok();
            if still_json && !hides_a_link(&blanked) {
                text.push_str(&blanked);
            } else {
                text.push_str(&format!("{}:\"{BLANK}\"", blank_signed_links(&name)));
            }
        }
        text.push('}');
        text
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
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom("a member is named twice"));
                    }
                    members.push((name, raw));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Ordered)
    }
}
