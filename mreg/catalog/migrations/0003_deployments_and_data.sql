-- Hooks that changes set off, written with the change, so that none is lost where its process dies; data of versions.

CREATE TABLE deployments (
    deployment_id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    hook TEXT NOT NULL,                      -- its name; what it does is in the profile of who delivers it
    seq INTEGER NOT NULL,                    -- the event that set it off
    model_id INTEGER NOT NULL,
    version INTEGER,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    outcome INTEGER,
    output TEXT NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    claimed_until TEXT,                      -- while it is deploying; after it the one who does so is taken for dead
    ended_at TEXT
);
CREATE INDEX deployments_of_model ON deployments (model_id, deployment_id);
CREATE INDEX deployments_open ON deployments (hook, deployment_id) WHERE status IN ('pending', 'deploying');

-- The data that a version was made from.
CREATE TABLE version_data (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,                     -- an address, with @ and a digest where one was given
    PRIMARY KEY (version_id, name)
) WITHOUT ROWID;
