-- What keeps every question bounded by its answer: recordings counted by day, and an index for each way to list them.

PRAGMA user_version = 5;

-- Recordings and bytes by the day of their call, kept by the triggers below, so that a statement of completeness costs days
-- and not recordings. A day is counted from the first of year 1, since no time lies before that and division rounds towards
-- zero. `listed` moves with the rows and the others with their states: that they add up proves something.
CREATE TABLE days (
    workspace INTEGER NOT NULL REFERENCES workspaces (workspace),
    day       INTEGER NOT NULL,
    listed    INTEGER NOT NULL CHECK (listed >= 0),
    waiting   INTEGER NOT NULL CHECK (waiting >= 0),
    due       INTEGER NOT NULL CHECK (due >= 0),
    claimed   INTEGER NOT NULL CHECK (claimed >= 0),
    archived  INTEGER NOT NULL CHECK (archived >= 0),
    gone      INTEGER NOT NULL CHECK (gone >= 0),
    given_up  INTEGER NOT NULL CHECK (given_up >= 0),
    bytes     INTEGER NOT NULL CHECK (bytes >= 0),
    re_read   INTEGER NOT NULL CHECK (re_read >= 0), -- of the archived: after they were, at a time that is known
    PRIMARY KEY (workspace, day)
) STRICT, WITHOUT ROWID;

INSERT INTO days
SELECT workspace, (created_at + 62135596800000000) / 86400000000, count(*), sum(state = 'waiting'), sum(state = 'due'),
    sum(state = 'claimed'), sum(state = 'archived'), sum(state = 'gone'), sum(state = 'given_up'),
    sum(coalesce(size_bytes, 0)), sum(coalesce(verified_at > 0 AND verified_at >= archived_at, FALSE))
FROM recordings GROUP BY 1, 2;

-- The days of all workspaces, to go through one by one.
CREATE TABLE dates (
    day INTEGER PRIMARY KEY
) STRICT;

INSERT INTO dates SELECT DISTINCT day FROM days;

CREATE TRIGGER days_begun AFTER INSERT ON days
BEGIN
    INSERT INTO dates VALUES (new.day) ON CONFLICT DO NOTHING;
END;

DROP TRIGGER recordings_counted_in;
DROP TRIGGER recordings_counted_out;
DROP TRIGGER recordings_counted_over;

CREATE TRIGGER recordings_counted_in AFTER INSERT ON recordings
BEGIN
    INSERT INTO counts (workspace, state, recordings, bytes)
    VALUES (new.workspace, new.state, 1, coalesce(new.size_bytes, 0))
    ON CONFLICT (workspace, state) DO UPDATE SET
        recordings = recordings + 1,
        bytes = bytes + excluded.bytes;
    INSERT INTO days
    VALUES (new.workspace, (new.created_at + 62135596800000000) / 86400000000, 1, new.state = 'waiting', new.state = 'due',
        new.state = 'claimed', new.state = 'archived', new.state = 'gone', new.state = 'given_up',
        coalesce(new.size_bytes, 0), coalesce(new.verified_at > 0 AND new.verified_at >= new.archived_at, FALSE))
    ON CONFLICT (workspace, day) DO UPDATE SET
        listed = listed + 1, waiting = waiting + excluded.waiting, due = due + excluded.due,
        claimed = claimed + excluded.claimed, archived = archived + excluded.archived, gone = gone + excluded.gone,
        given_up = given_up + excluded.given_up, bytes = bytes + excluded.bytes, re_read = re_read + excluded.re_read;
END;

CREATE TRIGGER recordings_counted_out AFTER DELETE ON recordings
BEGIN
    UPDATE counts
    SET recordings = recordings - 1, bytes = bytes - coalesce(old.size_bytes, 0)
    WHERE workspace = old.workspace AND state = old.state;
    UPDATE days
    SET listed = listed - 1, waiting = waiting - (old.state = 'waiting'), due = due - (old.state = 'due'),
        claimed = claimed - (old.state = 'claimed'), archived = archived - (old.state = 'archived'),
        gone = gone - (old.state = 'gone'), given_up = given_up - (old.state = 'given_up'),
        bytes = bytes - coalesce(old.size_bytes, 0),
        re_read = re_read - coalesce(old.verified_at > 0 AND old.verified_at >= old.archived_at, FALSE)
    WHERE workspace = old.workspace AND day = (old.created_at + 62135596800000000) / 86400000000;
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

CREATE TRIGGER recordings_moved_within_a_day
AFTER UPDATE OF workspace, created_at, state, size_bytes, archived_at, verified_at ON recordings
WHEN old.workspace IS new.workspace AND old.created_at IS new.created_at
    AND (old.state IS NOT new.state OR old.size_bytes IS NOT new.size_bytes OR old.archived_at IS NOT new.archived_at
        OR old.verified_at IS NOT new.verified_at)
BEGIN
    UPDATE days
    SET waiting = waiting - (old.state = 'waiting') + (new.state = 'waiting'),
        due = due - (old.state = 'due') + (new.state = 'due'),
        claimed = claimed - (old.state = 'claimed') + (new.state = 'claimed'),
        archived = archived - (old.state = 'archived') + (new.state = 'archived'),
        gone = gone - (old.state = 'gone') + (new.state = 'gone'),
        given_up = given_up - (old.state = 'given_up') + (new.state = 'given_up'),
        bytes = bytes - coalesce(old.size_bytes, 0) + coalesce(new.size_bytes, 0),
        re_read = re_read - coalesce(old.verified_at > 0 AND old.verified_at >= old.archived_at, FALSE)
            + coalesce(new.verified_at > 0 AND new.verified_at >= new.archived_at, FALSE)
    WHERE workspace = new.workspace AND day = (new.created_at + 62135596800000000) / 86400000000;
END;

CREATE TRIGGER recordings_moved_between_days AFTER UPDATE OF workspace, created_at ON recordings
WHEN old.workspace IS NOT new.workspace OR old.created_at IS NOT new.created_at
BEGIN
    UPDATE days
    SET listed = listed - 1, waiting = waiting - (old.state = 'waiting'), due = due - (old.state = 'due'),
        claimed = claimed - (old.state = 'claimed'), archived = archived - (old.state = 'archived'),
        gone = gone - (old.state = 'gone'), given_up = given_up - (old.state = 'given_up'),
        bytes = bytes - coalesce(old.size_bytes, 0),
        re_read = re_read - coalesce(old.verified_at > 0 AND old.verified_at >= old.archived_at, FALSE)
    WHERE workspace = old.workspace AND day = (old.created_at + 62135596800000000) / 86400000000;
    INSERT INTO days
    VALUES (new.workspace, (new.created_at + 62135596800000000) / 86400000000, 1, new.state = 'waiting', new.state = 'due',
        new.state = 'claimed', new.state = 'archived', new.state = 'gone', new.state = 'given_up',
        coalesce(new.size_bytes, 0), coalesce(new.verified_at > 0 AND new.verified_at >= new.archived_at, FALSE))
    ON CONFLICT (workspace, day) DO UPDATE SET
        listed = listed + 1, waiting = waiting + excluded.waiting, due = due + excluded.due,
        claimed = claimed + excluded.claimed, archived = archived + excluded.archived, gone = gone + excluded.gone,
        given_up = given_up + excluded.given_up, bytes = bytes + excluded.bytes, re_read = re_read + excluded.re_read;
END;

DROP INDEX recordings_archived_by_day;

-- Listing newest first: by state, by number, and by a status that is not the usual one. A list over all states is put
-- together from those of each. A number is looked up day by day, by its last five digits, which is the shortest end that
-- may be asked for, or as it is where it has none: ordered by number alone, each row of a page would change a place of its
-- own in these indexes, and a first walk would take twice as long.
DROP INDEX recordings_by_created;
CREATE INDEX recordings_by_state ON recordings (state, created_at);
CREATE INDEX recordings_by_caller ON recordings (
    (created_at + 62135596800000000) / 86400000000, coalesce(substr(caller_digits, -5), caller), created_at
) WHERE caller IS NOT NULL;
CREATE INDEX recordings_by_callee ON recordings (
    (created_at + 62135596800000000) / 86400000000, coalesce(substr(callee_digits, -5), callee), created_at
) WHERE callee IS NOT NULL;
CREATE INDEX recordings_by_odd_status ON recordings (status, created_at) WHERE status <> 'available';

-- With all that is counted of them: those that Bird has no media of may become many.
DROP INDEX recordings_gone;
CREATE INDEX recordings_gone ON recordings (workspace, created_at, status, last_error) WHERE state = 'gone';

-- What is set aside, the most recently listed first.
CREATE INDEX set_aside_newest ON set_aside (last_seen_at) WHERE resolved_at IS NULL;
