//! The library that makes calls of the disk fail (tests/faultio/faultio.c): built when first needed, and its traces read.
//!
//! What can be asked of it stands at the top of its source. Must not know: the program it is loaded into.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faultio/faultio.c");

/// The library's path.
///
/// # Errors
/// Where there is no C compiler, or it refuses: why.
pub fn library() -> Result<&'static Path, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref().map_err(Clone::clone)
}

fn build() -> Result<PathBuf, String> {
    let place = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let (built, library) = (
        place.join(format!("faultio-{}.so", std::process::id())),
        place.join("faultio.so"),
    );
    let mut compile = Command::new("cc");
    compile.args(["-O2", "-fPIC", "-shared", "-o"]).arg(&built).arg(SOURCE);
    let output = compile
        .args(["-ldl", "-pthread"])
        .output()
        .map_err(|error| format!("there is no C compiler (cc: {error})"))?;
    if !output.status.success() {
        return Err(format!(
            "cc refused {SOURCE}: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    // Another process may be loading the one before.
    fs::rename(&built, &library).map_err(|error| format!("{}: {error}", library.display()))?;
    Ok(library)
}

/// The environment that loads the library with these rules, and has it trace what they count.
///
/// # Errors
/// As [`library`].
pub fn environment(rules: &str, trace: &Path) -> Result<Vec<(&'static str, OsString)>, String> {
    Ok(vec![
        ("LD_PRELOAD", library()?.into()),
        ("FAULTIO", rules.into()),
        ("FAULTIO_TRACE", trace.into()),
    ])
}

/// One call, as the trace tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    pub number: u64,
    /// `open`, `write`, `truncate`, `fsync`, `rename`, `link`, `unlink`, `mkdir`, `chmod` or `read`.
    pub op: String,
    pub path: PathBuf,
    /// The new name.
    pub target: Option<PathBuf>,
    pub result: i64,
    pub errno: Option<String>,
    /// What was done to it.
    pub act: Option<String>,
}

impl Traced {
    /// Whether it did what was asked.
    pub fn is_fine(&self) -> bool {
        self.result >= 0 && self.act.as_deref().is_none_or(|act| act.ends_with("AFTER"))
    }

    /// Whether its path or its target ends so.
    pub fn touches(&self, end: &str) -> bool {
        [Some(&self.path), self.target.as_ref()]
            .into_iter()
            .flatten()
            .any(|path| path.to_string_lossy().ends_with(end))
    }
}

/// All calls of a trace, in the order in which they ended. Empty where there is none. A kill may cut the last line.
pub fn read_trace(trace: &Path) -> Vec<Traced> {
    let text = fs::read_to_string(trace).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| parse(line).unwrap_or_else(|| panic!("not a line of a trace: {line}")))
        .collect()
}

/// The last line of `trace` that a fault struck, as it stands.
pub fn struck(trace: &[Traced]) -> Option<&Traced> {
    trace.iter().rev().find(|call| call.act.is_some())
}

fn parse(line: &str) -> Option<Traced> {
    let (call, result) = line.rsplit_once(" = ")?;
    let mut words = call.splitn(3, ' ');
    let (number, op, names) = (words.next()?, words.next()?, words.next()?);
    let (path, target) = names
        .split_once(" -> ")
        .map_or((names, None), |(path, target)| (path, Some(target)));
    let mut rest = result.split(' ');
    let result = rest.next()?.parse().ok()?;
    let (mut errno, mut act) = (None, None);
    for word in rest {
        match word.strip_prefix('!') {
            Some(name) => act = Some(name.to_owned()),
            None => errno = Some(word.to_owned()),
        }
    }
    Some(Traced {
        number: number.parse().ok()?,
        op: op.to_owned(),
        path: path.into(),
        target: target.map(Into::into),
        result,
        errno,
        act,
    })
}
