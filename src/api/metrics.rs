//! What upstream itself counts of a workspace's recordings. What exactly it counts is not documented.
//!
//! Shape as in Bird's "List recording storage metrics" page. Must not know: HTTP, what it is compared with.

use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use crate::domain::clock::Timestamp;
use crate::domain::redact::one_line;

/// Upstream's own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingMetrics {
    /// Its `counter`.
    pub counter: u64,
    /// As of when, where upstream says so.
    pub updated_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    counter: u64,
    updated_at: Option<Value>,
}

/// Reads a reply. Members that are not looked for may be anything: the published example already has more than its schema.
///
/// # Errors
/// `Malformed`: it is not JSON, or has no counter.
pub(super) fn parse(body: &[u8]) -> Result<RecordingMetrics, ApiError> {
    let shape: Shape = serde_json::from_slice(body).map_err(|error| {
        let head = String::from_utf8_lossy(&body[..body.len().min(80)]);
        ApiError::malformed(format!(
            "the metrics are not as documented: {error}; they begin \"{}\"",
            one_line(&head, 60)
        ))
    })?;
    let updated_at = shape.updated_at.as_ref().and_then(Value::as_str);
    Ok(RecordingMetrics {
        counter: shape.counter,
        updated_at: updated_at.and_then(|text| text.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::error::ApiErrorKind;

    #[test]
    fn the_published_example_is_understood_and_so_is_less() {
        let example = br#"{"counter":27,"duration":704,"dailyStorageUsage":{},"updatedAt":"2023-10-24T19:27:59.123Z"}"#;
        let metrics = parse(example).unwrap();
        assert_eq!(metrics.counter, 27);
        assert_eq!(metrics.updated_at.unwrap().to_string(), "2023-10-24T19:27:59.123Z");
        for bare in [
            r#"{"counter":0}"#,
            r#"{"counter":0,"updatedAt":7}"#,
            r#"{"counter":0,"updatedAt":"soon"}"#,
        ] {
            assert_eq!(
                (
                    parse(bare.as_bytes()).unwrap().counter,
                    parse(bare.as_bytes()).unwrap().updated_at
                ),
                (0, None)
            );
        }
    }

    #[test]
    fn what_has_no_counter_is_an_error_and_repeats_no_link() {
        for odd in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"counter":-1}"#,
            r#"{"counter":"27"}"#,
            r#"{"counter":1.5}"#,
            "<html>",
        ] {
            assert_eq!(
                parse(odd.as_bytes()).unwrap_err().kind,
                ApiErrorKind::Malformed,
                "{odd}"
            );
        }
        let link = format!(
            r#"{{"counter":"https://h/?X-Amz-Signature=secret{}"}}"#,
            "x".repeat(9_000)
        );
        let said = parse(link.as_bytes()).unwrap_err().to_string();
        assert!(!said.contains("secret") && said.len() < 1_000, "{said}");
    }
}
