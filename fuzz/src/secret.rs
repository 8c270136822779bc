//! The secrets of presigned links, found in a text in the plainest way, so that their absence elsewhere can be judged.
//!
//! Must not know: how birdkeep looks for them.

const NAMES: [&str; 3] = ["x-amz-signature=", "x-amz-credential=", "x-amz-security-token="];

/// Shorter values may stand elsewhere by chance.
const SHORTEST: usize = 12;

/// What follows `X-Amz-Signature=` and its like in these texts, as far as it is letters and digits, where it stands
/// nowhere else in them: whoever reads it later has it from the link.
#[must_use]
pub fn secrets_of(texts: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for text in texts {
        let lower = text.to_ascii_lowercase();
        for name in NAMES {
            for (at, _) in lower.match_indices(name) {
                let value = alphanumeric_head(&text[at + name.len()..]);
                if value.len() >= SHORTEST && !found.iter().any(|known| known == value) {
                    found.push(value.to_owned());
                }
            }
        }
    }
    found.retain(|secret| texts.iter().all(|text| stands_only_in_links(text, secret)));
    found
}

/// Panics if one of the secrets stands in a text.
pub fn assert_absent(secrets: &[String], shown: &str) {
    for secret in secrets {
        assert!(!shown.contains(secret.as_str()), "{secret} stands in {shown}");
    }
}

fn alphanumeric_head(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    &text[..end]
}

fn stands_only_in_links(text: &str, secret: &str) -> bool {
    text.match_indices(secret).all(|(at, _)| {
        let before = text[..at].to_ascii_lowercase();
        NAMES.iter().any(|name| before.ends_with(name))
    })
}
