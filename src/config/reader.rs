//! Walks the merged tree section by section: takes typed values, notes what is wrong and goes on, so that all faults
//! are known at the end.
//!
//! What nobody asked for is a fault too, named with the nearest key that somebody did ask for. Must not know: which
//! keys exist, what they mean.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ::config::Map;
use ::config::Value;
use ::config::ValueKind;

use super::fault::Fault;
use super::fault::Origin;
use super::layers::Layers;
use super::layers::quoted;
use super::nearest::nearest;

/// The whole walk: the faults so far, the keys that were asked for, the keys that nobody asked for.
pub(super) struct Reader {
    file: Option<PathBuf>,
    faults: Vec<Fault>,
    asked: BTreeMap<String, Origin>,
    strays: Vec<(String, Origin)>,
    /// Where the file was not read, only what the environment says can be judged.
    file_failed: bool,
}

/// One table of the tree.
pub(super) struct Section<'r> {
    reader: &'r mut Reader,
    path: String,
    table: Map<String, Value>,
    /// Whether what stands here may be a secret put in the wrong place, and is not to be repeated.
    private: bool,
    /// A single value stands where the section should: that is told, and what it lacks is not.
    is_value: bool,
}

/// A value that was set, and by whom.
pub(super) struct Given {
    pub kind: ValueKind,
    pub origin: Origin,
}

impl Reader {
    /// A walk over the tree of these layers; its root section is returned as a table.
    pub(super) fn new(layers: Layers, file: Option<PathBuf>) -> (Self, Map<String, Value>) {
        let reader = Self {
            file,
            faults: layers.faults,
            asked: BTreeMap::new(),
            strays: layers.strays,
            file_failed: layers.file_failed,
        };
        (reader, layers.tree)
    }

    /// The root, as a section.
    pub(super) const fn root(&mut self, table: Map<String, Value>) -> Section<'_> {
        Section {
            reader: self,
            path: String::new(),
            table,
            private: true,
            is_value: false,
        }
    }

    /// Notes a fault about a key.
    pub(super) fn fault(&mut self, key: &str, origin: Origin, found: Option<String>, remedy: impl Into<String>) {
        self.faults.push(Fault {
            key: key.to_owned(),
            origin,
            found,
            remedy: remedy.into(),
        });
    }

    /// Makes a key known that was not asked for, so that it can be what was meant by another.
    pub(super) fn know(&mut self, key: String) {
        self.asked.entry(key).or_insert(Origin::NotSet);
    }

    /// Where the value of a key came from that was asked for.
    pub(super) fn origin(&self, key: &str) -> Origin {
        self.asked.get(key).cloned().unwrap_or(Origin::NotSet)
    }

    /// The keys that somebody set, in order, without the sections they stand in.
    pub(super) fn origins(&self) -> Vec<(String, Origin)> {
        let is_section = |key: &str| {
            let inside = format!("{key}.");
            self.asked.keys().any(|other| other.starts_with(&inside))
        };
        let set = |origin: &Origin| matches!(origin, Origin::File(_) | Origin::Variable(_) | Origin::Option(_));
        let keys = self
            .asked
            .iter()
            .filter(|(key, origin)| set(origin) && !is_section(key));
        keys.map(|(key, origin)| (key.clone(), origin.clone())).collect()
    }

    /// Whether nothing is wrong with any of these keys so far.
    pub(super) fn is_sound(&self, keys: &[&str]) -> bool {
        !self.faults.iter().any(|fault| keys.contains(&fault.key.as_str()))
    }

    /// All faults, those about unknown keys included.
    pub(super) fn into_faults(mut self) -> Vec<Fault> {
        for (key, origin) in std::mem::take(&mut self.strays) {
            let by_variable = matches!(origin, Origin::Variable(_));
            let remedy = nearest(&key, self.asked.keys().map(String::as_str), by_variable);
            self.fault(&key, origin, None, remedy);
        }
        if self.file_failed {
            self.faults
                .retain(|fault| matches!(fault.origin, Origin::Variable(_)) || fault.key == super::layers::FILE_KEY);
        }
        self.faults
    }

    /// Values of the environment carry their variable's name, values of the file carry none.
    fn origin_of(&self, value: &Value) -> Origin {
        if let ValueKind::Table(table) = &value.kind {
            let first = table.iter().min_by(|a, b| a.0.cmp(b.0));
            if let Some((_, first)) = first {
                return self.origin_of(first);
            }
        }
        match (value.origin(), &self.file) {
            (Some(variable), _) => Origin::Variable(variable.to_owned()),
            (None, Some(file)) => Origin::File(file.clone()),
            (None, None) => Origin::NotSet,
        }
    }
}

impl Section<'_> {
    /// The path of a key in this section.
    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() {
            quoted(name)
        } else {
            format!("{}.{}", self.path, quoted(name))
        }
    }

    /// Where the value of a key in this section came from, once it was taken.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.reader.origin(&self.key(name))
    }

    /// Whether a value was given in place of this section. It is refused already, and nothing in it is missing.
    pub(super) const fn is_value(&self) -> bool {
        self.is_value
    }

    /// The names in this section that nobody took, in order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.table.keys().cloned().collect();
        names.sort();
        names
    }

    /// The section of this name; empty when it is not there.
    pub(super) fn section(&mut self, name: &str, private: bool) -> Section<'_> {
        let path = self.key(name);
        let (table, is_value) = match self.take(name, Origin::NotSet) {
            None => (Map::new(), false),
            Some(Given {
                kind: ValueKind::Table(table),
                ..
            }) => (table, false),
            Some(given) => {
                let remedy = format!("is a section and takes no value; write [{path}] and set the keys in it");
                self.reader.fault(&path, given.origin, None, remedy);
                (Map::new(), true)
            }
        };
        Section {
            reader: self.reader,
            path,
            table,
            private,
            is_value,
        }
    }

    /// Takes what is set for a key, unread. `unset` is what its origin counts as otherwise.
    pub(super) fn take(&mut self, name: &str, unset: Origin) -> Option<Given> {
        let key = self.key(name);
        let Some(value) = self.table.remove(name) else {
            self.reader.asked.insert(key, unset);
            return None;
        };
        let origin = self.reader.origin_of(&value);
        self.reader.asked.insert(key, origin.clone());
        Some(Given {
            kind: value.kind,
            origin,
        })
    }

    /// Takes a key and reads it. What `parse` refuses it refuses with the words of what was expected.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        unset: Origin,
        parse: impl FnOnce(&ValueKind) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.take(name, unset)?;
        let parsed = match &given.kind {
            ValueKind::String(text) if text.trim().is_empty() => {
                Err("is set but empty; give it a value, or unset it".to_owned())
            }
            kind => parse(kind),
        };
        match parsed {
            Ok(value) => Some(value),
            Err(remedy) => {
                let found = if self.private { None } else { Some(shown(&given.kind)) };
                self.refuse(name, given.origin, found, remedy);
                None
            }
        }
    }

    /// As [`Section::optional`], for a key with a default.
    pub(super) fn read<T>(&mut self, name: &str, default: T, parse: impl FnOnce(&ValueKind) -> Result<T, String>) -> T {
        self.optional(name, Origin::Default, parse).unwrap_or(default)
    }

    /// Notes a fault about a key of this section.
    pub(super) fn refuse(&mut self, name: &str, origin: Origin, found: Option<String>, remedy: impl Into<String>) {
        let key = self.key(name);
        self.reader.fault(&key, origin, found, remedy);
    }

    /// Ends the section: what nobody took is unknown.
    pub(super) fn finish(self) {
        for name in self.names() {
            let key = self.key(&name);
            if let Some(value) = self.table.get(&name) {
                let origin = self.reader.origin_of(value);
                self.reader.strays.push((key, origin));
            }
        }
    }
}

/// A value as it may be repeated in a fault.
fn shown(kind: &ValueKind) -> String {
    match kind {
        // What stands before an '@' or after a '?' may be a password or a signature.
        ValueKind::String(text) if text.contains(['@', '?']) => "…".to_owned(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Table(_) => "a section".to_owned(),
        ValueKind::Array(items) if items.len() > 4 => format!("a list of {}", items.len()),
        ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(&item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}
