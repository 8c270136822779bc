//! The file and the environment as layers of one tree, merged by the `config` crate, the environment on top.
//!
//! The layers are sources of our own rather than the crate's: each value of the environment keeps the name of its
//! variable and stays the text it is (an access key of digits is no number), and a key can neither be read as a path
//! expression (`a[999999999]` would allocate) nor print a line of the file in an error. Must not know: which keys exist.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ::config::ConfigError;
use ::config::FileFormat;
use ::config::Map;
use ::config::Source;
use ::config::Value;
use ::config::ValueKind;

use super::fault::Fault;
use super::fault::Origin;
use super::sources::FileSource;
use super::sources::Sources;

/// What faults about the file itself stand under.
pub(super) const FILE_KEY: &str = "configuration file";
const PREFIX: &str = "birdkeep_";
const SEPARATOR: &str = "__";
/// Variables that begin as ours do and are no keys.
const NOT_KEYS: [&str; 1] = ["config"];
/// The deepest key is `workspaces.<name>.<key>`.
const LEVELS: usize = 3;
/// A configuration larger than this is no configuration.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// The merged tree, and what was learnt on the way.
#[derive(Default)]
pub(super) struct Layers {
    pub tree: Map<String, Value>,
    /// Keys that are nobody's, by their path; to be reported together with the misspelt ones.
    pub strays: Vec<(String, Origin)>,
    pub faults: Vec<Fault>,
    /// The file could not be read: whatever it may have set is not to be missed.
    pub file_failed: bool,
    /// Others than the owner and the group may read the file.
    pub file_is_open: bool,
}

/// One source: a tree of values.
#[derive(Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Layer")
    }
}

/// Reads and merges the file and the environment.
pub(super) fn read(sources: &Sources) -> Layers {
    let mut layers = Layers::default();
    let mut builder = ::config::Config::builder();
    if let Some(file) = &sources.file {
        match layers.read_file(file) {
            Ok(layer) => builder = builder.add_source(layer),
            Err(remedy) => {
                layers.file_failed = true;
                layers.faults.push(Fault {
                    key: FILE_KEY.to_owned(),
                    origin: file.named_by.clone(),
                    found: Some(file.path.display().to_string()),
                    remedy,
                });
            }
        }
    }
    for (path, variable) in layers.read_env(sources) {
        builder = builder.add_source(variable.into_layer(&path));
    }
    match builder.build().map(|built| built.cache.kind) {
        Ok(ValueKind::Table(tree)) => layers.tree = tree,
        // No source of ours fails and the root is a table; the crate's words are not repeated, they may hold values.
        _ => layers.fault("configuration", Origin::NotSet, "the layers do not merge"),
    }
    layers
}

impl Layers {
    fn fault(&mut self, key: &str, origin: Origin, remedy: &str) {
        self.faults.push(Fault {
            key: key.to_owned(),
            origin,
            found: None,
            remedy: remedy.to_owned(),
        });
    }

    fn read_file(&mut self, file: &FileSource) -> Result<Layer, String> {
        let text = self.read_text(&file.path)?;
        let mut tree = ::config::File::from_str(&text, FileFormat::Toml)
            .collect()
            .map_err(|error| not_toml(&error))?;
        tree.retain(|key, _| {
            let plain = is_plain(key);
            if !plain {
                self.strays.push((quoted(key), Origin::File(file.path.clone())));
            }
            plain
        });
        Ok(Layer(tree))
    }

    fn read_text(&mut self, path: &Path) -> Result<String, String> {
        let unreadable = |error: std::io::Error| {
            format!("cannot be read: {error}; name another with --config, or make it readable for this user")
        };
        if path.as_os_str().is_empty() {
            return Err("no file is named; give its path, or unset this".to_owned());
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        self.file_is_open = metadata.permissions().mode() & 0o004 != 0;
        let mut bytes = Vec::new();
        file.take(FILE_LIMIT_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > FILE_LIMIT_BYTES {
            return Err(format!(
                "is larger than {FILE_LIMIT_BYTES} bytes: this is not a configuration"
            ));
        }
        String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                .split(|&b| b == b'\n')
                .count();
            format!("is not UTF-8 text (line {line}): TOML is written in UTF-8")
        })
    }

    /// The variables that may be keys, by the path of their key.
    fn read_env(&mut self, sources: &Sources) -> BTreeMap<Vec<String>, Variable> {
        let mut variables: BTreeMap<Vec<String>, Variable> = BTreeMap::new();
        for (name, value) in sources.env.iter().filter(|(name, _)| is_ours(name)) {
            let name = name.to_string_lossy().into_owned();
            let folded = name.to_lowercase();
            let rest = folded.get(PREFIX.len()..).unwrap_or_default();
            let text = value.to_str();
            if NOT_KEYS.contains(&rest) || is_service_link(rest, text.unwrap_or_default()) {
                continue;
            }
            let path: Vec<String> = rest.split(SEPARATOR).map(str::to_owned).collect();
            let key = path.join(".");
            let origin = Origin::Variable(name.clone());
            let Some(text) = text else {
                self.fault(&key, origin, "is not Unicode text");
                continue;
            };
            if path.len() > LEVELS || !path.iter().all(|level| is_plain(level)) {
                self.strays.push((key, origin));
            } else if let Some(other) = variables.get(&path) {
                let remedy = format!("is set by {} too; unset one of them", other.name);
                self.fault(&key, origin, &remedy);
            } else {
                variables.insert(
                    path,
                    Variable {
                        name,
                        text: text.to_owned(),
                    },
                );
            }
        }
        self.drop_shadowed(&mut variables);
        variables
    }

    /// A variable that gives a value to what other variables treat as a section would vanish in the merge.
    fn drop_shadowed(&mut self, variables: &mut BTreeMap<Vec<String>, Variable>) {
        // A path is followed at once by what it is the beginning of, if there is any.
        let following = variables.keys().skip(1);
        let pairs = variables.keys().zip(following);
        let shadowed: Vec<Vec<String>> = pairs
            .filter(|(path, next)| next.starts_with(path))
            .map(|(path, _)| path.clone())
            .collect();
        for path in shadowed {
            if let Some(variable) = variables.remove(&path) {
                let remedy = format!(
                    "is a section and takes no value; set the keys in it, {}__…",
                    variable.name
                );
                self.fault(&path.join("."), Origin::Variable(variable.name), &remedy);
            }
        }
    }
}

struct Variable {
    name: String,
    text: String,
}

impl Variable {
    fn into_layer(self, path: &[String]) -> Layer {
        let leaf = Value::new(Some(&self.name), self.text);
        let (root, below) = path
            .split_first()
            .map_or(("", path), |(root, below)| (root.as_str(), below));
        let value = below.iter().rev().fold(leaf, |value, level| {
            Value::new(None, Map::from_iter([(level.clone(), value)]))
        });
        Layer(Map::from_iter([(root.to_owned(), value)]))
    }
}

/// Whether a variable's name begins as ours do, in any case.
pub(super) fn is_ours(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

/// Kubernetes puts `BIRDKEEP_PORT=tcp://…`, `BIRDKEEP_SERVICE_HOST` and their like into every pod beside a service
/// called `birdkeep` (or `birdkeep-…`). They are not the operator's, and refusing them would refuse to start.
fn is_service_link(rest: &str, value: &str) -> bool {
    let name = format!("_{rest}");
    let numbered = name.split_once("_port_").is_some_and(|(_, tail)| {
        let mut parts = tail.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && parts
                .next()
                .is_some_and(|protocol| matches!(protocol, "tcp" | "udp" | "sctp"))
    });
    !rest.contains(SEPARATOR)
        && (numbered
            || name.ends_with("_service_host")
            || name.ends_with("_service_port")
            || name.contains("_service_port_")
            || (name.ends_with("_port") && value.contains("://")))
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A key as it would be written in TOML.
pub(super) fn quoted(key: &str) -> String {
    if is_plain(key) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

/// The place of a syntax error and nothing of the line it is in, which may hold an access key.
fn not_toml(error: &ConfigError) -> String {
    let text = error.to_string();
    let first_line = text.lines().next().unwrap_or_default();
    let number_after = |word: &str| -> Option<u64> {
        let (_, tail) = first_line.split_once(word)?;
        tail.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let place = match (number_after("at line "), number_after("column ")) {
        (Some(line), Some(column)) => format!(" at line {line}, column {column}"),
        _ => String::new(),
    };
    format!(
        "is not valid TOML{place} (the line is not repeated, it may hold a secret): look for missing quotes around \
         text, a key set twice, or a number that is too large"
    )
}
