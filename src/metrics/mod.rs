//! The metrics: how the daemon stands and what it has done, in Prometheus' text format.
//!
//! Gauges are the catalog's and the disk's numbers at this moment, so that they are right after any restart; counters and
//! histograms begin at zero with the process. Labels are the configured workspaces and closed sets of words. Must not
//! know: how it is served.

mod families;
mod process;
mod text;

pub use text::CONTENT_TYPE;

use crate::domain::tally::Tallies;
use crate::standing::Standing;

/// Everything there is to scrape.
#[must_use]
pub fn exposition(standing: &Standing, tallies: &Tallies) -> String {
    let mut text = text::Text::default();
    families::overall(&mut text, standing);
    families::archive(&mut text, standing);
    families::workspaces(&mut text, standing);
    families::work(&mut text, standing);
    families::downloads(&mut text, standing, tallies);
    families::verify(&mut text, standing, tallies);
    process::write(&mut text);
    text.finish()
}
