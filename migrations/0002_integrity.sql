-- What makes an archive provable: which metadata a sidecar holds, when a body was last re-read, what was found wrong and
-- what was done about it.

PRAGMA user_version = 2;

-- When this file was copied by `birdkeep backup`; NULL in a catalog that is in use. Set, it tells that the catalog was
-- restored and may be older than the files beside it.
ALTER TABLE archive ADD COLUMN copied_at INTEGER;

-- How often upstream changed the metadata since it was first listed. Written by the lister.
ALTER TABLE recordings ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
-- Which of them the sidecar holds; NULL where that is not known.
ALTER TABLE recordings ADD COLUMN sidecar_revision INTEGER;
-- When the body was last re-read, whatever was found; 0: at a time that is not known. What was found wrong stands in
-- `findings`.
ALTER TABLE recordings ADD COLUMN verified_at INTEGER;

-- Versions come in the order of their times, also those that are taken from a sidecar later.
DROP INDEX metadata_versions_by_recording;
CREATE INDEX metadata_versions_by_recording ON metadata_versions (seq, superseded_at);

-- Sidecars that are to be written again.
CREATE INDEX recordings_stale_sidecar ON recordings (seq)
    WHERE state = 'archived' AND sidecar_revision IS NOT revision;
-- What was not re-read for the longest time.
CREATE INDEX recordings_to_verify ON recordings (coalesce(verified_at, archived_at)) WHERE state = 'archived';

-- What is wrong with what is archived, as it was last found. A finding goes when the files are found good or repaired.
CREATE TABLE findings (
    seq            INTEGER PRIMARY KEY REFERENCES recordings (seq),
    kind           TEXT    NOT NULL CHECK (kind IN ('missing', 'damaged', 'unreadable', 'sidecar')),
    detail         TEXT    NOT NULL,
    first_found_at INTEGER NOT NULL,
    last_found_at  INTEGER NOT NULL
) STRICT;

-- Every repair, entered before anything is moved. Rows are never changed once they are finished.
CREATE TABLE repairs (
    repair      INTEGER PRIMARY KEY,
    seq         INTEGER NOT NULL REFERENCES recordings (seq),
    begun_at    INTEGER NOT NULL,
    finished_at INTEGER,          -- NULL: it was begun, and a crash came before its end
    kind        TEXT    NOT NULL, -- what was found, as in findings
    detail      TEXT    NOT NULL,
    path        TEXT    NOT NULL, -- of the body, relative to the archive
    size_bytes  INTEGER NOT NULL, -- what the row said of it
    sha256      BLOB    NOT NULL CHECK (length(sha256) = 32),
    kept_path   TEXT    NOT NULL  -- the folder that what stood there is kept in, relative to the archive
) STRICT;

CREATE INDEX repairs_by_recording ON repairs (seq);
CREATE INDEX repairs_unfinished ON repairs (seq) WHERE finished_at IS NULL;

-- Each time bodies were re-read.
CREATE TABLE verifications (
    verification  INTEGER PRIMARY KEY,
    scope         TEXT    NOT NULL, -- all, found, ids, or a part such as 1/30
    by_daemon     INTEGER NOT NULL CHECK (by_daemon IN (0, 1)),
    started_at    INTEGER NOT NULL,
    finished_at   INTEGER,          -- NULL: not finished, or cut short
    checked       INTEGER NOT NULL DEFAULT 0,
    bytes         INTEGER NOT NULL DEFAULT 0,
    unsound       INTEGER NOT NULL DEFAULT 0, -- recordings with a finding
    unknown_files INTEGER -- NULL where they were not looked for
) STRICT;
