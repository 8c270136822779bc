//! Holds docs/logging.md, docs/troubleshooting.md and docs/bird-access.md to the program.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// A line that can be logged: level, message, fields.
type Told = (String, String, BTreeSet<String>);

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The sources without their tests.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let production = text.split("#[cfg(test)]").next().unwrap().to_owned();
                found.insert(path, production);
            }
        }
    }
    found
}

/// The arguments of a macro whose opening parenthesis stands just before `from`, split at their commas.
fn arguments(source: &str, from: usize) -> Vec<String> {
    let (mut arguments, mut depth, mut quoted, mut escaped) = (vec![String::new()], 1, false, false);
    for c in source[from..].chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 1 => {
                arguments.push(String::new());
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
        arguments.last_mut().unwrap().push(c);
    }
    arguments.retain(|argument| !argument.trim().is_empty());
    arguments
}

/// A literal as the program prints it: lines that go on are one.
fn literal(argument: &str) -> Option<String> {
    let quoted = argument.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some(joined(quoted).replace("\\\"", "\""))
}

fn joined(source: &str) -> String {
    let mut parts = source.split("\\\n");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.trim_start());
    }
    text
}

/// Every info, warn and error line of the sources.
fn logged() -> BTreeSet<Told> {
    let mut told = BTreeSet::new();
    for (path, source) in sources() {
        for level in ["info", "warn", "error"] {
            let name = format!("{level}!(");
            for (at, _) in source.match_indices(&name) {
                let mut arguments = arguments(&source, at + name.len());
                let last = arguments.pop().unwrap_or_default();
                let message = literal(&last).unwrap_or_else(|| panic!("{}: no message in {last:?}", path.display()));
                assert!(
                    !message.contains('{'),
                    "{}: values are fields: {message:?}",
                    path.display()
                );
                let field = |argument: &String| {
                    let name = argument.split('=').next().unwrap();
                    name.trim().trim_start_matches(['%', '?']).to_owned()
                };
                told.insert((level.to_owned(), message, arguments.iter().map(field).collect()));
            }
        }
    }
    told
}

/// What stands in a table's cell, without the marks of code.
fn cell(text: &str) -> String {
    text.trim().trim_matches('`').trim().to_owned()
}

#[test]
fn every_line_that_is_logged_is_explained_and_no_other() {
    let page = text("docs/logging.md");
    let mut explained = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let [level, message, fields, means, remedy] = cells[..] else {
            continue;
        };
        if ["error", "warn", "info"].contains(&level.trim()) {
            assert!(!means.trim().is_empty() && !remedy.trim().is_empty(), "{row}");
            let fields = fields.split(',').map(cell).filter(|field| !field.is_empty());
            explained.insert((level.trim().to_owned(), cell(message), fields.collect()));
        }
    }
    let logged = logged();
    assert!(logged.len() > 25, "{logged:?}");
    let lacking: Vec<_> = logged.difference(&explained).collect();
    let made_up: Vec<_> = explained.difference(&logged).collect();
    assert!(
        lacking.is_empty() && made_up.is_empty(),
        "not explained: {lacking:#?}\nnot logged: {made_up:#?}"
    );
}

#[test]
fn every_field_of_a_line_is_in_the_table_of_fields() {
    let page = text("docs/logging.md");
    let (_, table) = page.split_once("## Fields").unwrap();
    let (table, _) = table.split_once("## Every line").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let known: BTreeSet<String> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(',').map(cell))
        .collect();
    let used: BTreeSet<String> = logged().into_iter().flat_map(|(_, _, fields)| fields).collect();
    assert_eq!(used, known);
}

#[test]
fn every_message_of_troubleshooting_is_the_programs_own() {
    let sources: String = sources().values().map(|source| joined(source)).collect();
    let page = text("docs/troubleshooting.md");
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert!(headings.len() > 30, "{headings:?}");
    let mut made_up = Vec::new();
    for heading in headings {
        let message = cell(heading);
        // Where the message holds a value, the page has an ellipsis.
        let parts: Vec<&str> = message.split('…').map(str::trim).collect();
        assert!(
            parts.iter().any(|part| part.len() > 7),
            "too little to look for: {heading}"
        );
        made_up.extend(
            parts
                .into_iter()
                .filter(|part| !sources.contains(part))
                .map(str::to_owned),
        );
    }
    assert_eq!(made_up, Vec::<String>::new());
}

#[test]
fn every_page_leads_where_it_says() {
    for page in ["docs/logging.md", "docs/troubleshooting.md", "docs/bird-access.md"] {
        let text = text(page);
        for (_, rest) in text
            .match_indices("](")
            .map(|(at, mark)| text.split_at(at + mark.len()))
        {
            let target = rest.split(')').next().unwrap();
            let file = target.split('#').next().unwrap();
            if !file.is_empty() && !target.starts_with("https://") {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
                assert!(path.exists(), "{page}: {target}");
            }
        }
    }
}
