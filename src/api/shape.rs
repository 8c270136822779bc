//! The shape of a page: which members are looked for, and that it is no larger than it may be.
//!
//! Items and what nobody asked for are skipped over as text, without recursion, so that neither how deep nor how long
//! they are costs more than their bytes. Must not know: what an item says.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::DeserializeSeed;
use serde::de::Error as _;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

/// A page as it came: its items unread.
pub(super) struct Shape<'a> {
    pub items: Vec<&'a RawValue>,
    pub next_page_token: Option<Cow<'a, str>>,
}

/// Reads the shape of a page of at most `max_items` items.
///
/// # Errors
/// It is not JSON, not of the documented shape, or holds more. Then what is beyond the limit was not looked at.
pub(super) fn read(text: &str, max_items: u32) -> Result<Shape<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let shape = PageSeed { max_items }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(shape)
}

/// A text without a copy, where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct PageSeed {
    max_items: u32,
}

impl<'de> DeserializeSeed<'de> for PageSeed {
    type Value = Shape<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed {
    type Value = Shape<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page, which is an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape<'de>, A::Error> {
        let mut items = None;
        let mut token: Option<Option<Text<'de>>> = None;
        while let Some(Text(name)) = map.next_key()? {
            match name.as_ref() {
                "results" if items.is_some() => return Err(A::Error::duplicate_field("results")),
                "results" => items = Some(map.next_value_seed(ItemsSeed(self.max_items))?),
                "nextPageToken" if token.is_some() => return Err(A::Error::duplicate_field("nextPageToken")),
                "nextPageToken" => token = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Shape {
            items: items.ok_or_else(|| A::Error::missing_field("results"))?,
            next_page_token: token.flatten().map(|Text(text)| text),
        })
    }
}

struct ItemsSeed(u32);

impl<'de> DeserializeSeed<'de> for ItemsSeed {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ItemsSeed {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() >= self.0 as usize {
                return Err(A::Error::custom(format_args!(
                    "it holds more than {} items (api.max_page_items)",
                    self.0
                )));
            }
            items.push(item);
        }
        Ok(items)
    }
}

/// Whether a JSON text nests objects and arrays deeper than this.
pub(super) fn is_deeper_than(text: &str, levels: u32) -> bool {
    // What opens less often than that cannot, and the count costs next to nothing.
    let opened = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if opened as u64 <= u64::from(levels) {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > levels {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn depth_of(value: &serde_json::Value) -> u32 {
        match value {
            serde_json::Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
            serde_json::Value::Object(members) => 1 + members.values().map(depth_of).max().unwrap_or(0),
            _ => 0,
        }
    }

    #[test]
    fn what_is_beyond_the_limit_is_not_even_read() {
        assert_eq!(read(r#"{"results":[0,1]}"#, 2).unwrap().items.len(), 2);
        // Not JSON from the third item on, which nobody finds out.
        let error = read(r#"{"results":[0,1,2,"#, 2).err().unwrap().to_string();
        assert!(error.contains("api.max_page_items"), "{error}");
    }

    #[test]
    fn brackets_in_texts_are_no_nesting() {
        assert!(!is_deeper_than(r#"{"a":"[[[[\"[[\\"}"#, 1));
        assert!(is_deeper_than(r#"{"a":[]}"#, 1));
        assert!(!is_deeper_than("7", 0));
    }

    prop_compose! {
        fn json()(text in "[\\[{\\\\\"a]{0,6}", levels in 0_u32..9, seed in any::<u64>()) -> serde_json::Value {
            let mut value = serde_json::Value::from(text.clone());
            for level in 0..levels {
                value = if seed >> level & 1 == 0 {
                    serde_json::json!([0, value, []])
                } else {
                    serde_json::json!({ &text: value })
                };
            }
            value
        }
    }

    proptest! {
        #[test]
        fn depth_is_counted_as_a_parser_counts_it(value in json(), levels in 0_u32..12) {
            prop_assert_eq!(is_deeper_than(&value.to_string(), levels), depth_of(&value) > levels);
        }
    }
}
