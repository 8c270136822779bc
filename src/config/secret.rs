//! Secrets, in place or in a file of their own: read, checked for what a header can carry, and never repeated.
//!
//! Must not know: what a secret opens.

use std::path::Path;
use std::path::PathBuf;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::Credential;
use super::named_file;
use super::sources::Sources;

const LONGEST_SECRET: usize = 4096;
/// What a key file may hold besides the key: line ends.
const FILE_LIMIT_BYTES: u64 = LONGEST_SECRET as u64 + 16;

/// The secret that a named file holds, and the file; empty where key files are left unread. `key` is the setting that
/// names it.
pub(super) fn from_file(
    key: &str,
    name: &str,
    sources: &Sources,
    warnings: &mut Vec<String>,
) -> Result<(SecretString, PathBuf), String> {
    if sources.skip_key_files {
        return Ok((SecretString::default(), named_file::locate(name, sources)?));
    }
    from_file_always(key, name, sources, warnings)
}

/// As [`from_file`], whatever else is left unread.
pub(super) fn from_file_always(
    key: &str,
    name: &str,
    sources: &Sources,
    warnings: &mut Vec<String>,
) -> Result<(SecretString, PathBuf), String> {
    let path = named_file::locate(name, sources)?;
    let folder = named_file::folder(sources);
    let file = named_file::read(&path, FILE_LIMIT_BYTES).map_err(|error| unreadable(name, folder, &path, &error))?;
    let (secret, warning) = secret_in(&path, &file)?;
    warnings.extend(warning.map(|warning| format!("{key}: {warning}")));
    Ok((secret, path))
}

impl Credential {
    /// The secret that its file holds now, and what is unwise about that file. `None` where there is no file, or none that
    /// can be read twice, such as a pipe.
    ///
    /// # Errors
    /// The file cannot be read, or holds no key, in words that do not repeat what is in it.
    pub fn read_again(&self) -> Result<Option<(SecretString, Option<String>)>, String> {
        let Some(path) = &self.file else {
            return Ok(None);
        };
        match named_file::read_again(path, FILE_LIMIT_BYTES) {
            Ok(Some(file)) => secret_in(path, &file).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }
}

/// The secret that a file holds, and what is unwise about the file.
fn secret_in(path: &Path, (bytes, mode): &(Zeroizing<Vec<u8>>, u32)) -> Result<(SecretString, Option<String>), String> {
    let shown = path.display();
    let warning = (mode & 0o004 != 0).then(|| {
        format!(
            "{shown} is readable by others (mode {:03o}); chmod o-r {shown}",
            mode & 0o777
        )
    });
    if bytes.len() as u64 > FILE_LIMIT_BYTES {
        return Err(format!("{shown} is longer than any key ({LONGEST_SECRET} characters)"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{shown} is not text"))?;
    let secret = in_place(text).map_err(|remedy| format!("{shown}: {remedy}"))?;
    Ok((secret, warning))
}

/// The path that was tried, unless it looks as if the key itself had been given in place of a file.
fn unreadable(name: &str, folder: &Path, path: &Path, error: &std::io::Error) -> String {
    if looks_like_a_key(name) {
        return format!(
            "no such file in {} ({error}); its name is not repeated, it looks like a key: to give the key itself, use \
             the setting without _file",
            folder.display()
        );
    }
    format!(
        "cannot read {}: {error}; put the key there, readable by this user",
        path.display()
    )
}

/// Long, not a path from somewhere, and without the short ending of a file name.
fn looks_like_a_key(name: &str) -> bool {
    let begins_as_path = ["/", "./", "../"].iter().any(|start| name.starts_with(start));
    let ends_as_file = name
        .rsplit_once('.')
        .is_some_and(|(_, ending)| (1..=8).contains(&ending.len()));
    name.len() >= 20 && !begins_as_path && !ends_as_file
}

/// A secret as it can stand in a header. What is wrong with it is told without telling it.
pub(super) fn in_place(text: &str) -> Result<SecretString, String> {
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err("is empty; put the key there".to_owned());
    }
    if text.len() > LONGEST_SECRET {
        return Err(format!("is longer than any key ({LONGEST_SECRET} characters)"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            "holds a space, a line break or a character that no key has; put the key alone there, without \
                    AccessKey or Bearer before it"
                .to_owned(),
        );
    }
    Ok(SecretString::from(text))
}
