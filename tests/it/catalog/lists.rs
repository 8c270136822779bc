//! Lists by every combination of filters, page by page, held against a look at every row.

use birdkeep::catalog::ListFilter;
use birdkeep::catalog::Page;
use birdkeep::catalog::RecordingRow;
use birdkeep::domain::recording::Recording;
use birdkeep::domain::recording::Status;
use birdkeep::domain::state::State;

use super::harness::Bench;
use super::harness::available;
use super::harness::noon;
use super::harness::workspace;

const NUMBERS: [Option<&str>; 6] = [
    Some("+31 612 345678"),
    Some("0612345678"),
    Some("45678"),
    Some("123"),
    Some("anonymous"),
    None,
];

/// Sixty recordings of two workspaces, of all kinds, several of one moment.
async fn filled() -> Bench {
    let bench = Bench::new().await;
    let number = |n: usize| NUMBERS[n % NUMBERS.len()].map(str::to_owned);
    let statuses = ["available", "available", "absent", "failed", "ongoing"];
    let directions = [Some("incoming"), Some("outgoing"), None];
    let one = |n: u8| Recording {
        status: Status::from_upstream(statuses[usize::from(n) % 5]),
        created_at: available(n / 3).created_at,
        direction: directions[usize::from(n) % 3].map(str::to_owned),
        from: number(usize::from(n)),
        to: number(usize::from(n) / 7),
        ..available(n)
    };
    for (space, from) in [("support", 0), ("sales", 30)] {
        let page = Page {
            recordings: &(from..from + 30).map(one).collect::<Vec<_>>(),
            set_aside: &[],
            seen_at: noon(),
            touch_before: noon(),
        };
        bench.catalog.upsert_page(&workspace(space), page).await.unwrap();
    }
    for n in [100, 101] {
        bench.archive(n).await;
    }
    bench.give_up(102, noon()).await;
    drop(bench.claimed(103).await);
    bench
}

fn ends_so(number: Option<&String>, wanted: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let wanted_digits = digits(wanted);
    number.is_some_and(|number| match wanted_digits.len() {
        0 => number == wanted,
        1..=4 => digits(number) == wanted_digits,
        _ => digits(number).ends_with(&wanted_digits),
    })
}

fn passes(filter: &ListFilter, row: &RecordingRow) -> bool {
    let any_or = |is_empty: bool, holds: bool| is_empty || holds;
    any_or(filter.workspaces.is_empty(), filter.workspaces.contains(&row.workspace))
        && any_or(filter.states.is_empty(), filter.states.contains(&row.state))
        && any_or(filter.statuses.is_empty(), filter.statuses.contains(&row.status))
        && any_or(
            filter.directions.is_empty(),
            row.direction
                .as_ref()
                .is_some_and(|way| filter.directions.contains(way)),
        )
        && filter
            .number
            .as_ref()
            .is_none_or(|number| ends_so(row.from.as_ref(), number) || ends_so(row.to.as_ref(), number))
        && filter.since.is_none_or(|since| row.created_at >= since)
        && filter.until.is_none_or(|until| row.created_at < until)
}

/// Each of these with each of those: without it, and with each choice of it.
fn with(filters: &[ListFilter], choices: &[&dyn Fn(&mut ListFilter)]) -> Vec<ListFilter> {
    let chosen = choices.iter().flat_map(|choose| {
        filters.iter().cloned().map(|mut filter| {
            choose(&mut filter);
            filter
        })
    });
    filters.iter().cloned().chain(chosen).collect()
}

fn filters() -> Vec<ListFilter> {
    let mut all = vec![ListFilter::default()];
    let spaces = |names: &[&str]| names.iter().map(|name| workspace(name)).collect::<Vec<_>>();
    all = with(
        &all,
        &[&|filter| filter.workspaces = spaces(&["sales"]), &|filter| {
            filter.workspaces = spaces(&["sales", "support", "sales"]);
        }],
    );
    all = with(
        &all,
        &[&|filter| filter.states = vec![State::Due], &|filter| {
            filter.states = vec![State::Gone, State::Archived, State::Gone];
        }],
    );
    let texts = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    all = with(
        &all,
        &[&|filter| filter.statuses = texts(&["available", "absent"]), &|filter| {
            filter.statuses = texts(&["failed", "ongoing", "failed"]);
        }],
    );
    all = with(&all, &[&|filter| filter.directions = texts(&["incoming"])]);
    all = with(
        &all,
        &[
            &|filter| filter.number = Some("31612345678".to_owned()),
            &|filter| filter.number = Some("345678".to_owned()),
            &|filter| filter.number = Some("45678".to_owned()),
            &|filter| filter.number = Some("123".to_owned()),
            &|filter| filter.number = Some("anonymous".to_owned()),
        ],
    );
    all = with(&all, &[&|filter| filter.since = Some(available(5).created_at)]);
    with(&all, &[&|filter| filter.until = Some(available(15).created_at)])
}

async fn all_pages(bench: &Bench, filter: &ListFilter, rows_a_page: u32) -> Vec<RecordingRow> {
    let reader = bench.catalog.reader();
    let mut seen: Vec<RecordingRow> = Vec::new();
    loop {
        let after = seen.last().map(RecordingRow::cursor);
        let page = reader.list_page(filter, after, rows_a_page).await.unwrap();
        if page.is_empty() {
            return seen;
        }
        seen.extend(page);
    }
}

#[tokio::test]
async fn each_combination_lists_what_passes_it_once_and_newest_first() {
    let bench = filled().await;
    let everything = all_pages(&bench, &ListFilter::default(), 1_000).await;
    assert_eq!(everything.len(), 64);
    assert!(everything.is_sorted_by(|a, b| a.created_at >= b.created_at));
    let filters = filters();
    assert_eq!(filters.len(), 3 * 3 * 3 * 2 * 6 * 2 * 2);
    let mut found = 0;
    for filter in filters {
        let wanted: Vec<_> = everything.iter().filter(|row| passes(&filter, row)).cloned().collect();
        let listed = all_pages(&bench, &filter, 7).await;
        assert_eq!(listed, wanted, "{filter:?}");
        found += listed.len();
    }
    assert!(found > 1_000, "{found}");
}
