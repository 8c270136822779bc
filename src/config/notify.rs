//! `[notify]`: who is told how the archive does.
//!
//! Nothing that stands in this section is repeated in a fault: the URL is a secret, and arguments may hold some. Must not
//! know: when anything is told.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ::config::ValueKind;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use url::Url;

use super::NotifyConfig;
use super::fault::Origin;
use super::reader::Section;
use super::secret;
use super::sources::Sources;
use super::values;
use crate::domain::host::is_loopback;
use crate::notify::CommandLine;
use crate::notify::EVENT_KINDS;
use crate::notify::EventKind;

/// What the section came to.
pub(super) struct Notify {
    pub config: NotifyConfig,
    /// Whether the configuration file itself holds the URL.
    pub secret_in_file: bool,
    pub warnings: Vec<String>,
}

pub(super) fn notify(mut section: Section<'_>, sources: &Sources) -> Notify {
    let mut warnings = Vec::new();
    let in_place = section.take("url", Origin::NotSet);
    let in_file = section.take("url_file", Origin::NotSet);
    let mut secret_in_file = false;
    let url = match (in_place, in_file) {
        (Some(url), Some(file)) => {
            let remedy = format!("is set in url_file too ({}); keep one of them", file.origin);
            section.refuse("url", url.origin, None, remedy);
            None
        }
        (Some(given), None) => {
            secret_in_file = matches!(given.origin, Origin::File(_));
            let text = values::text(&given.kind).map(Zeroizing::new);
            text.and_then(|text| address(text.trim()))
                .map_err(|remedy| section.refuse("url", given.origin, None, remedy))
                .ok()
        }
        (None, Some(given)) => values::text(&given.kind)
            .and_then(|name| read_url_file(&name, sources, &mut warnings))
            .map_err(|remedy| section.refuse("url_file", given.origin, None, remedy))
            .ok()
            .flatten(),
        (None, None) => None,
    };
    let longest = Duration::from_secs(600);
    let config = NotifyConfig {
        url,
        command: section.optional("command", Origin::NotSet, command),
        timeout: section.read(
            "timeout",
            Duration::from_secs(10),
            values::duration(Duration::from_millis(1)..=longest),
        ),
        events: section.read("events", EVENT_KINDS.to_vec(), events),
    };
    section.finish();
    Notify {
        config,
        secret_in_file,
        warnings,
    }
}

impl NotifyConfig {
    /// Whether the same people are told the same things.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let url = |config: &Self| config.url.as_ref().map(|url| url.expose_secret().to_owned());
        (&self.command, self.timeout, &self.events) == (&other.command, other.timeout, &other.events)
            && url(self) == url(other)
    }

    /// What must never be shown: the URL, and what of it names the switch.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretString> {
        let Some(url) = &self.url else {
            return Vec::new();
        };
        let path = Url::parse(url.expose_secret()).ok().map(|url| {
            let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
            SecretString::from(format!("{}{query}", url.path()))
        });
        [url.clone()].into_iter().chain(path).collect()
    }
}

fn read_url_file(name: &str, sources: &Sources, warnings: &mut Vec<String>) -> Result<Option<SecretString>, String> {
    let (text, path) = secret::from_file("notify.url_file", name, sources, warnings)?;
    if sources.skip_key_files {
        return Ok(None);
    }
    address(text.expose_secret())
        .map(Some)
        .map_err(|remedy| format!("{}: {remedy}", path.display()))
}

fn address(text: &str) -> Result<SecretString, String> {
    let expected = || "expected the URL of a check, such as https://hc-ping.com/ and its id".to_owned();
    let url = Url::parse(text).map_err(|_| expected())?;
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') || !url.has_host() {
        return Err(expected());
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err("http:// is accepted for loopback only (127.0.0.1, [::1], localhost); use https://".to_owned());
        }
        _ => return Err(expected()),
    }
    if text.contains('@') || url.fragment().is_some() {
        return Err("takes no user, password or fragment".to_owned());
    }
    Ok(SecretString::from(text.to_owned()))
}

fn command(kind: &ValueKind) -> Result<CommandLine, String> {
    let expected =
        || "expected a program and its arguments as a list, such as [\"/usr/local/bin/tell\", \"ops\"]".to_owned();
    let words = texts(kind).ok_or_else(expected)?;
    let (program, arguments) = words.split_first().ok_or_else(expected)?;
    if words.iter().any(|word| word.contains('\0')) {
        return Err("no word of a command holds a NUL".to_owned());
    }
    if !Path::new(program).is_absolute() {
        return Err("is run without a shell, so that its first entry is the absolute path of a program".to_owned());
    }
    Ok(CommandLine {
        program: PathBuf::from(program),
        arguments: arguments.to_vec(),
    })
}

fn events(kind: &ValueKind) -> Result<Vec<EventKind>, String> {
    let all = EVENT_KINDS.map(EventKind::as_str).join(", ");
    let names = texts(kind).filter(|names| !names.is_empty());
    let read = names.and_then(|names| names.iter().map(|name| EventKind::from_name(name.trim())).collect());
    read.ok_or_else(|| format!("expected a list of some of: {all}"))
}

/// A list of texts: an array, or text with commas.
fn texts(kind: &ValueKind) -> Option<Vec<String>> {
    match kind {
        ValueKind::String(list) => Some(list.split(',').map(str::to_owned).collect()),
        ValueKind::Array(items) => items.iter().map(|item| values::text(&item.kind).ok()).collect(),
        _ => None,
    }
}
