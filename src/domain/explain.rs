//! An error with its causes as one text. `Display` of our errors says what failed, `source()` why; this joins them.
//!
//! Must not know: where the text goes.

use std::error::Error;

/// What failed, and why, and why that, each said once.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let why = source.to_string();
        // Libraries often repeat their source's text in their own.
        if !text.contains(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
        cause = source.source();
    }
    text
}
