//! One page of a list, from the query to its JSON.
//!
//! Must not know: who asks, or how it is sent.

use birdkeep::domain::ids::RecordingId;
use bytes::Bytes;
use serde_json::Value;

use super::Shared;
use super::api_fault::Endless;
use super::body::Body;
use super::http::Request;
use super::record::RecordingSpec;
use super::token::MAX_TOKEN_CHARS;
use super::token::Place;
use super::world::Filter;
use super::world::From;
use super::world::PageOrder;
use super::world::Paging;
use super::world::Workspace;

const DEFAULT_LIMIT: usize = 10;
/// The most items of a page.
pub const MAX_LIMIT: usize = 99;
const NOWHERE: (u64, RecordingId) = (0, RecordingId::from_bytes([0; 16]));

/// A list query that was understood.
#[derive(Debug)]
pub struct Query {
    pub filter: Filter,
    pub limit: usize,
    pub token: Option<String>,
    pub place: Place,
}

impl Query {
    /// Reads a query as strictly as Bird documents it.
    ///
    /// # Errors
    /// What is wrong with it, for a 422.
    pub fn read(request: &Request, shared: &Shared) -> Result<Self, String> {
        let mut filter = Filter::default();
        let mut limit = DEFAULT_LIMIT;
        let mut token = None;
        for (name, value) in request.query() {
            let time = || {
                value
                    .parse()
                    .map(Some)
                    .map_err(|_| format!("{name} is not a date-time"))
            };
            let text = || Some(value.clone().into_owned());
            match name.as_ref() {
                "limit" => {
                    let number = value.parse().ok().filter(|number| (1..=MAX_LIMIT).contains(number));
                    limit = number.ok_or_else(|| format!("limit must be 1 to {MAX_LIMIT}"))?;
                }
                "pageToken" => token = text(),
                "startAt" => filter.start_at = time()?,
                "endAt" => filter.end_at = time()?,
                "status" => filter.statuses.extend(text()),
                "direction" => filter.direction = text(),
                "from" => filter.from = text(),
                "to" => filter.to = text(),
                "sourceId" => filter.source_id = text(),
                "channelId" => filter.channel_id = text(),
                "id" => filter.call_id = text(),
                _ => {}
            }
        }
        let fold = filter.fold();
        let place = match &token {
            None => Place {
                page: 1,
                offset: 0,
                after: NOWHERE,
                filter: fold,
                nonce: 0,
            },
            Some(token) => shared.tokens.open(token).ok_or("pageToken is not valid")?,
        };
        if place.filter != fold {
            return Err("pageToken belongs to another query".to_owned());
        }
        Ok(Self {
            filter,
            limit,
            token,
            place,
        })
    }
}

/// A page before it is sealed and written: what faults change.
#[derive(Debug)]
pub struct Draft {
    /// The JSON of each item.
    pub items: Vec<Vec<u8>>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
    /// In place of a sealed token.
    pub next_token: Option<String>,
    /// Carried behind the sealed token.
    pub padding: String,
    /// How many further copies of the first item follow.
    pub copies: u64,
    pub ballast_bytes: u64,
    this: Place,
    asked_token: Option<String>,
    limit: usize,
    seed: u64,
}

impl Draft {
    /// The good page.
    pub fn of(shared: &Shared, workspace: &str, query: Query) -> Self {
        let this = query.place;
        let from = match shared.options.paging {
            _ if this.page == 1 => From::Start,
            Paging::ByPosition => From::After(this.after.0, this.after.1),
            Paging::ByOffset => From::Offset(this.offset),
        };
        let page = {
            let world = shared.world.lock().unwrap();
            world.workspaces[workspace].page(&query.filter, from, query.limit)
        };
        let last = page
            .items
            .last()
            .map_or(NOWHERE, |(rank, recording)| (*rank, recording.id));
        let next = page.more.then(|| Place {
            page: this.page + 1,
            offset: this.offset + page.items.len() as u64,
            after: last,
            ..this
        });
        let items = page.items.iter().map(|(_, recording)| {
            let mut json = Vec::with_capacity(4096);
            recording.write_json(shared.link(workspace, recording).as_ref(), &mut json);
            json
        });
        Self {
            items: items.collect(),
            next,
            next_token: None,
            padding: String::new(),
            copies: 0,
            ballast_bytes: 0,
            this,
            asked_token: query.token,
            limit: query.limit,
            seed: shared.options.seed,
        }
    }

    /// Makes sure that a next page is announced.
    pub fn never_end(&mut self, kind: Endless) {
        let page = self.this.page + 1;
        let onward = Place {
            page,
            nonce: page,
            ..self.this
        };
        match kind {
            Endless::SameToken => self.next_token = self.asked_token.clone(),
            Endless::SamePage => {
                self.next = Some(Place {
                    after: NOWHERE,
                    offset: 0,
                    ..onward
                });
            }
            Endless::EmptyPages => {
                self.items.clear();
                self.next = Some(onward);
            }
            Endless::NewItems => {
                self.items = invented(self.seed, page, self.limit);
                self.next = Some(onward);
            }
        }
    }

    /// Pads the next token to the most that Bird takes.
    pub fn pad_token_to_limit(&mut self) {
        let bare = 2 * (16 + 48) + 1;
        self.padding = "p".repeat(MAX_TOKEN_CHARS - bare);
    }

    /// The page as JSON.
    pub fn into_body(self, shared: &Shared) -> Body {
        let sealed = self.next.map(|place| shared.tokens.seal(&place, &self.padding));
        let token = self.next_token.or(sealed);
        let first = self.items.first().cloned();
        let mut json = b"\"results\":[".to_vec();
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(item);
        }
        let mut end = b"]".to_vec();
        if let Some(token) = token {
            end.extend_from_slice(format!(",\"nextPageToken\":{}", Value::from(token)).as_bytes());
        }
        end.push(b'}');
        if let (Some(first), 1..) = (first, self.copies) {
            let beginning = [b"{", json.as_slice()].concat();
            let pattern = [b",", first.as_slice()].concat();
            let repeated_bytes = Some(pattern.len() as u64 * self.copies);
            return Body::Repeat {
                beginning: beginning.into(),
                pattern: pattern.into(),
                repeated_bytes,
                end: end.into(),
            };
        }
        json.extend_from_slice(&end);
        if self.ballast_bytes == 0 {
            return Body::Bytes([b"{", json.as_slice()].concat().into());
        }
        Body::Repeat {
            beginning: Bytes::from_static(b"{\"ballast\":\""),
            pattern: Bytes::from(vec![b'x'; 64 * 1024]),
            repeated_bytes: Some(self.ballast_bytes),
            end: [b"\",", json.as_slice()].concat().into(),
        }
    }
}

fn invented(seed: u64, page: u32, count: usize) -> Vec<Vec<u8>> {
    let mut nowhere = Workspace::new(&format!("invented {page}"), "", seed, PageOrder::default());
    (0..count)
        .map(|_| {
            let mut json = Vec::new();
            nowhere
                .invent(RecordingSpec::new().status("completed"))
                .write_json(None, &mut json);
            json
        })
        .collect()
}
