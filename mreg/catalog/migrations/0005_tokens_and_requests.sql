-- Clients of servers, and what they asked for.

-- Tokens of clients; the rows of revoked tokens stay, so that the server can tell them from unknown ones.
CREATE TABLE tokens (
    digest TEXT PRIMARY KEY,                 -- SHA-256 of the secret
    name TEXT NOT NULL,                      -- of one token at a time that is not revoked
    role TEXT NOT NULL,
    models TEXT NOT NULL,                    -- patterns of model names, separated by commas; * for all
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at TEXT,
    last_used_at TEXT,                       -- can be an hour old
    revoked_at TEXT
) WITHOUT ROWID;

-- The last requests that made versions, by the idempotency keys of their clients.
CREATE TABLE requests (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,               -- SHA-256 of what was asked for
    version_id INTEGER NOT NULL,             -- the version may be deleted since
    at TEXT NOT NULL,
    PRIMARY KEY (caller, key)
) WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (at);
