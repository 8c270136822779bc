-- The catalog: what upstream lists, and what became of it.
--
-- Times are microseconds since 1970 in UTC. Phone numbers, statuses and formats are kept as upstream wrote them.
-- The lister writes a recording's metadata columns and the queue its download columns; only `state` is moved by both,
-- by the rules of one function. application_id spells "bkep".

PRAGMA application_id = 1651205488;
PRAGMA user_version = 1;

-- Which archive this catalog belongs to: one row.
CREATE TABLE archive (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    archive_id TEXT    NOT NULL CHECK (archive_id <> ''),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE workspaces (
    workspace                 INTEGER PRIMARY KEY,
    name                      TEXT    NOT NULL UNIQUE, -- the operator's name, used in paths
    id                        TEXT    NOT NULL,        -- upstream's id; never changes under a name
    registered_at             INTEGER NOT NULL,
    last_walk_kind            TEXT    CHECK (last_walk_kind IN ('poll', 'full')),
    last_walk_started_at      INTEGER,
    last_walk_finished_at     INTEGER,
    last_walk_outcome         TEXT,                    -- complete, stopped, or failed: why
    last_walk_listed          INTEGER,
    last_complete_walk_at     INTEGER,                 -- end of the last walk that reached the last page
    last_full_walk_started_at INTEGER,                 -- start of the last full walk that reached the last page
    settled_until             INTEGER,                 -- newest created_at known when a walk last reached the last page
    CHECK (
        (last_walk_kind IS NULL) = (last_walk_started_at IS NULL)
        AND (last_walk_kind IS NULL) = (last_walk_finished_at IS NULL)
        AND (last_walk_kind IS NULL) = (last_walk_outcome IS NULL)
        AND (last_walk_kind IS NULL) = (last_walk_listed IS NULL)
    )
) STRICT;

CREATE TABLE recordings (
    seq              INTEGER PRIMARY KEY,
    workspace        INTEGER NOT NULL REFERENCES workspaces (workspace),
    id               BLOB    NOT NULL CHECK (length(id) = 16), -- upstream's UUID
    -- Written by the lister.
    status           TEXT    NOT NULL,
    created_at       INTEGER NOT NULL, -- as first seen: the file's name is made of it
    direction        TEXT,
    caller           TEXT,
    callee           TEXT,
    caller_digits    TEXT,             -- the digits of caller, to search by
    callee_digits    TEXT,
    duration_seconds INTEGER,
    format           TEXT    NOT NULL,
    metadata         TEXT    NOT NULL, -- the object as received, without links
    first_seen_at    INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL, -- exact to how often an unchanged row is touched
    -- Written by the queue.
    state            TEXT    NOT NULL
        CHECK (state IN ('waiting', 'due', 'claimed', 'archived', 'gone', 'given_up')),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    not_before       INTEGER NOT NULL DEFAULT 0 CHECK (not_before >= 0), -- left alone until then; 0: at once
    claimed_by       INTEGER,          -- the run that fetches it
    claimed_from     TEXT    CHECK (claimed_from IN ('due', 'given_up')),
    last_error       TEXT,
    path             TEXT,             -- of the body, relative to the archive
    size_bytes       INTEGER CHECK (size_bytes >= 0),
    sha256           BLOB    CHECK (length(sha256) = 32),
    content_type     TEXT,             -- as the media host said
    etag             TEXT,             -- as the media host said
    archived_at      INTEGER,
    remark           TEXT,             -- worth a look, although the bytes are what upstream holds
    UNIQUE (workspace, id),
    CHECK ((state = 'claimed') = (claimed_by IS NOT NULL)),
    CHECK ((state = 'claimed') = (claimed_from IS NOT NULL)),
    CHECK ((state = 'archived') = (path IS NOT NULL)),
    CHECK ((state = 'archived') = (size_bytes IS NOT NULL)),
    CHECK ((state = 'archived') = (sha256 IS NOT NULL)),
    CHECK ((state = 'archived') = (archived_at IS NOT NULL)),
    CHECK (state = 'archived' OR (content_type IS NULL AND etag IS NULL AND remark IS NULL))
) STRICT;

-- Listing newest first, over all and of one workspace. `seq` is the tail of every index.
CREATE INDEX recordings_by_created ON recordings (created_at);
CREATE INDEX recordings_by_workspace ON recordings (workspace, created_at);
-- What may be claimed, in the order in which it is.
CREATE INDEX recordings_due ON recordings (workspace, not_before, created_at) WHERE state = 'due';
CREATE INDEX recordings_given_up ON recordings (workspace, not_before, created_at, last_seen_at)
    WHERE state = 'given_up';
CREATE INDEX recordings_claimed ON recordings (workspace, created_at, claimed_by) WHERE state = 'claimed';
-- What polls must look at again.
CREATE INDEX recordings_waiting ON recordings (workspace, created_at) WHERE state = 'waiting';
CREATE INDEX recordings_waiting_unseen ON recordings (workspace, last_seen_at, created_at) WHERE state = 'waiting';
-- What an operator may ask to be tried again.
CREATE INDEX recordings_gone ON recordings (workspace) WHERE state = 'gone';

-- Metadata of archived recordings as it was before upstream changed it.
CREATE TABLE metadata_versions (
    version       INTEGER PRIMARY KEY,
    seq           INTEGER NOT NULL REFERENCES recordings (seq),
    superseded_at INTEGER NOT NULL,
    metadata      TEXT    NOT NULL
) STRICT;

CREATE INDEX metadata_versions_by_recording ON metadata_versions (seq);

-- List items that could not be understood.
CREATE TABLE set_aside (
    workspace     INTEGER NOT NULL REFERENCES workspaces (workspace),
    fingerprint   BLOB    NOT NULL CHECK (length(fingerprint) = 32), -- SHA-256 of raw
    raw           TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    recording_id  BLOB    CHECK (length(recording_id) = 16),         -- where at least that could be read
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    resolved_at   INTEGER, -- understood since, or no longer listed
    PRIMARY KEY (workspace, fingerprint)
) STRICT;

CREATE INDEX set_aside_open ON set_aside (workspace, last_seen_at) WHERE resolved_at IS NULL;
CREATE INDEX set_aside_open_by_id ON set_aside (workspace, recording_id)
    WHERE resolved_at IS NULL AND recording_id IS NOT NULL;

-- How many recordings are in each state, kept by the triggers below so that a summary costs the same at any size.
CREATE TABLE counts (
    workspace  INTEGER NOT NULL REFERENCES workspaces (workspace),
    state      TEXT    NOT NULL,
    recordings INTEGER NOT NULL CHECK (recordings >= 0),
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (workspace, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER recordings_counted_in AFTER INSERT ON recordings
BEGIN
    INSERT INTO counts (workspace, state, recordings, bytes)
    VALUES (new.workspace, new.state, 1, coalesce(new.size_bytes, 0))
    ON CONFLICT (workspace, state) DO UPDATE SET
        recordings = recordings + 1,
        bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER recordings_counted_out AFTER DELETE ON recordings
BEGIN
    UPDATE counts
    SET recordings = recordings - 1, bytes = bytes - coalesce(old.size_bytes, 0)
    WHERE workspace = old.workspace AND state = old.state;
END;

CREATE TRIGGER recordings_counted_over AFTER UPDATE OF workspace, state, size_bytes ON recordings
WHEN old.workspace IS NOT new.workspace OR old.state IS NOT new.state OR old.size_bytes IS NOT new.size_bytes
BEGIN
    UPDATE counts
    SET recordings = recordings - 1, bytes = bytes - coalesce(old.size_bytes, 0)
    WHERE workspace = old.workspace AND state = old.state;
    INSERT INTO counts (workspace, state, recordings, bytes)
    VALUES (new.workspace, new.state, 1, coalesce(new.size_bytes, 0))
    ON CONFLICT (workspace, state) DO UPDATE SET
        recordings = recordings + 1,
        bytes = bytes + excluded.bytes;
END;
