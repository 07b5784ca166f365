-- What databases and the collector of garbage need to be sure of what they did.

-- The last writes by their own ids, where a commit's answer can be lost on its way: in a server and in a bucket.
CREATE TABLE writes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE
);

-- Blobs that gc takes, or has taken lately; a push that finds one of its own here puts it again.
CREATE TABLE removals (
    digest TEXT PRIMARY KEY,
    removed INTEGER NOT NULL,                -- 0: being removed
    mark TEXT NOT NULL,                      -- of the gc that does, or did
    at TEXT NOT NULL
) WITHOUT ROWID;
