-- From where on the last walk over everything listed.

PRAGMA user_version = 4;

-- The `sync.since` of the last walk over everything that reached its end; NULL: none, or it ended before this column was
-- there.
ALTER TABLE workspaces ADD COLUMN last_full_walk_since INTEGER;
