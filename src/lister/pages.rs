//! A listing, page by page, to its proven end or to the reason why there is none.
//!
//! Must not know: what becomes of a page.

use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

use tokio_util::sync::CancellationToken;

use crate::api::ApiError;
use crate::api::ApiErrorKind;
use crate::api::Item;
use crate::api::ListQuery;
use crate::api::Page;
use crate::api::PageToken;
use crate::api::WorkspaceApi;

/// Pages in a row that bring nothing, after which a list is taken to be endless.
const MOST_EMPTY_PAGES: u32 = 100;

/// Why pages stopped coming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// A page without a next token proved the end of the list.
    Complete,
    /// We were asked to stop.
    Stopped,
    /// Anything else.
    Failed(ApiError),
}

/// A listing, page by page to its proven end.
pub struct Pages<'a> {
    api: &'a WorkspaceApi,
    query: ListQuery,
    token: Option<PageToken>,
    at_end: bool,
    guard: EndlessGuard,
}

impl<'a> Pages<'a> {
    /// The listing of one workspace; one that has not ended after `max_pages` fails.
    #[must_use]
    pub fn new(api: &'a WorkspaceApi, query: ListQuery, max_pages: u64) -> Self {
        Self {
            api,
            query,
            token: None,
            at_end: false,
            guard: EndlessGuard::new(max_pages),
        }
    }

    /// The next page. `soft` ends the listing between pages. Cancel-safe: a page that was not returned is asked for
    /// again.
    ///
    /// # Errors
    /// Why there is no next page, the proven end of the list among the reasons.
    pub async fn next(&mut self, soft: &CancellationToken) -> Result<Page, Ended> {
        if self.at_end {
            return Err(Ended::Complete);
        }
        let asked = tokio::select! {
            biased;
            () = soft.cancelled() => return Err(Ended::Stopped),
            page = self.api.list_page(self.query, self.token.as_ref()) => page,
        };
        let page = asked.map_err(Ended::Failed)?;
        self.guard.check(&page).map_err(Ended::Failed)?;
        self.token.clone_from(&page.next);
        self.at_end = page.next.is_none();
        Ok(page)
    }
}

/// Sees a list that repeats itself or does not end, at eight bytes a page.
struct EndlessGuard {
    max_pages: u64,
    pages: u64,
    empty_pages: u32,
    tokens: HashSet<u64>,
    contents: HashSet<u64>,
}

impl EndlessGuard {
    fn new(max_pages: u64) -> Self {
        Self {
            max_pages,
            pages: 0,
            empty_pages: 0,
            tokens: HashSet::new(),
            contents: HashSet::new(),
        }
    }

    fn check(&mut self, page: &Page) -> Result<(), ApiError> {
        let endless = |what: String| {
            Err(ApiError {
                kind: ApiErrorKind::Malformed,
                what,
            })
        };
        self.pages += 1;
        let Some(next) = &page.next else {
            return Ok(());
        };
        if !self.tokens.insert(hash(next)) {
            return endless(format!(
                "the list repeats itself: page {} gives a page token again",
                self.pages
            ));
        }
        if self.pages >= self.max_pages {
            return endless(format!(
                "the list does not end within {} pages (sync.max_pages)",
                self.max_pages
            ));
        }
        if page.items.is_empty() {
            self.empty_pages += 1;
            if self.empty_pages >= MOST_EMPTY_PAGES {
                return endless(format!(
                    "the list goes on after {MOST_EMPTY_PAGES} empty pages in a row"
                ));
            }
            return Ok(());
        }
        self.empty_pages = 0;
        if !self.contents.insert(content_hash(page)) {
            return endless(format!(
                "the list repeats itself: page {} holds what an earlier one held",
                self.pages
            ));
        }
        Ok(())
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A hash of which items a page holds, whatever their order.
fn content_hash(page: &Page) -> u64 {
    page.items
        .iter()
        .map(|item| match item {
            Item::Understood(listed) => hash(&listed.recording.id),
            Item::SetAside(item) => hash(&item.raw),
        })
        .fold(0, u64::wrapping_add)
}
