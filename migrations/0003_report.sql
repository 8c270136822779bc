-- What a statement of completeness is read from: archived recordings by the day of their call, and the evidence of the last
-- walk over everything.

PRAGMA user_version = 3;

-- All that is counted of archived recordings, by day: a million are summed up without reading one of them. A day is counted
-- from the first of year 1, since no time lies before that and division rounds towards zero. Without created_at itself
-- SQLite would read each recording all the same.
CREATE INDEX recordings_archived_by_day ON recordings (
    workspace, (created_at + 62135596800000000) / 86400000000, created_at, size_bytes, archived_at, verified_at
) WHERE state = 'archived';

-- The last walk over everything that reached its end: when that was, and what it listed. NULL where it ended before these
-- columns were there.
ALTER TABLE workspaces ADD COLUMN last_full_walk_finished_at INTEGER;
ALTER TABLE workspaces ADD COLUMN last_full_walk_listed INTEGER;
