//! Catalogs of many rows, made by birdkeep itself and by the `sqlite3` shell.
//!
//! Must not know: what is measured on them.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;

/// Runs statements and dot-commands in the shell, and returns what it printed.
///
/// # Errors
/// There is no shell, or a statement fails.
pub fn sqlite3(database: &Path, script: &str) -> Result<String> {
    let mut child = Command::new("sqlite3")
        .args(["-batch", "-bail"])
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("sqlite3 (the Debian package sqlite3)")?;
    child.stdin.take().context("no stdin")?.write_all(script.as_bytes())?;
    let done = child.wait_with_output()?;
    ensure!(
        done.status.success(),
        "sqlite3: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(String::from_utf8(done.stdout)?)
}

/// Turns the rows of a catalog that was made by a walk over `Rows` into rows of `Kept`, archived as far as they say.
/// Their files are not there.
///
/// # Errors
/// The schema has no such columns.
pub fn pretend_archived(catalog: &Path) -> Result<()> {
    let id = "lower(hex(id))";
    let uuid = format!(
        "substr({id},1,8)||'-'||substr({id},9,4)||'-'||substr({id},13,4)||'-'||substr({id},17,4)||'-'||substr({id},21)"
    );
    let at = "created_at/1000000,'unixepoch'";
    sqlite3(
        catalog,
        &format!(
            "PRAGMA synchronous = OFF;
             UPDATE recordings SET state = 'archived', status = 'available', last_error = NULL,
                 metadata = replace(metadata, '\"absent\"', '\"available\"'),
                 path = 'recordings/bench/'||strftime('%Y/%m/%d/%Y%m%dT%H%M%SZ_', {at})||{uuid}||'.mp3',
                 size_bytes = 250000 + seq % 1000, sha256 = randomblob(32), content_type = 'audio/mpeg',
                 archived_at = first_seen_at, verified_at = first_seen_at, sidecar_revision = revision;
             PRAGMA wal_checkpoint(TRUNCATE);"
        ),
    )
    .map(drop)
}

/// What the shell is given to bring in the rows of a catalog.
pub struct Import {
    schema: String,
    csv: std::path::PathBuf,
}

impl Import {
    /// Writes the rows of a catalog to `csv`, in the order in which they came, and takes its schema.
    ///
    /// The shell brings in text alone: an id is sixteen letters in place of sixteen bytes, and what is NULL is empty.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn of(catalog: &Path, csv: &Path) -> Result<Self> {
        let schema = sqlite3(
            catalog,
            "SELECT sql||';' FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
             ORDER BY type = 'table' DESC, type = 'index' DESC, rowid;",
        )?;
        let columns = sqlite3(
            catalog,
            "SELECT group_concat(iif(name = 'id', 'substr(hex(id),1,16)', name), ', ') FROM pragma_table_info('recordings');",
        )?;
        let script = format!(
            ".mode csv\n.once '{}'\nSELECT {} FROM recordings ORDER BY seq;\n",
            csv.display(),
            columns.trim()
        );
        sqlite3(catalog, &script)?;
        Ok(Self {
            // Only where tables are not strict can text be brought into them.
            schema: schema
                .replace(") STRICT, WITHOUT ROWID", ") WITHOUT ROWID")
                .replace(") STRICT", ")"),
            csv: csv.to_owned(),
        })
    }

    /// The command that brings all rows into a new catalog in `dir`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn command(&self, dir: &Path) -> Result<Command> {
        let script = dir.join("import.sql");
        fs::write(
            &script,
            format!(
                "PRAGMA journal_mode = WAL;\nPRAGMA synchronous = FULL;\n{}\nPRAGMA ignore_check_constraints = ON;\n.mode csv\n\
                 .import '{}' recordings\n",
                self.schema,
                self.csv.display()
            ),
        )?;
        let mut command = Command::new("sqlite3");
        command
            .args(["-batch", "-bail", "catalog.sqlite"])
            .arg(format!(".read '{}'", script.display()));
        command.current_dir(dir);
        Ok(command)
    }
}

/// How many rows a catalog has.
///
/// # Errors
/// It cannot be read.
pub fn count(catalog: &Path) -> Result<u64> {
    Ok(sqlite3(catalog, "SELECT count(*) FROM recordings;")?.trim().parse()?)
}
