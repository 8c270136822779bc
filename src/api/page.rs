//! What a listing brings: pages of items, each understood or set aside.
//!
//! Must not know: how a page was fetched.

use tokio::sync::OwnedSemaphorePermit;

use super::ticket::Ticket;
use crate::domain::recording::Recording;
use crate::domain::recording::SetAside;

/// The longest page token Bird documents, in characters.
const LONGEST_TOKEN: usize = 8_000;

/// Where the next page begins; opaque, sent back exactly as received.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PageToken(String);

impl PageToken {
    /// Takes a token as received. `None` for a text that cannot be one.
    #[must_use]
    pub fn from_upstream(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.chars().count() <= LONGEST_TOKEN;
        fits.then(|| Self(text.to_owned()))
    }

    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A recording together with the link that came along, if one did.
pub struct Listed {
    /// The recording.
    pub recording: Recording,
    /// Its link; only an available recording has one.
    pub ticket: Option<Ticket>,
}

/// One item of a page.
pub enum Item {
    /// It was understood.
    Understood(Box<Listed>),
    /// It was not; kept as it came.
    SetAside(SetAside),
}

/// One page of a listing.
pub struct Page {
    /// Its items, in upstream's order, which is not documented.
    pub items: Vec<Item>,
    /// The next page's token; `None` proves the end of the list.
    pub next: Option<PageToken>,
    /// Held by a large page, so that there is one at a time; for whoever takes the items out of it to keep as long.
    pub room: Option<OwnedSemaphorePermit>,
}
