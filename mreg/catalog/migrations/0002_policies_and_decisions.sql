-- What versions must have before they enter a stage, and what people decided on them.

CREATE TABLE policies (
    model_id INTEGER PRIMARY KEY,            -- 0: of every model that has none of its own
    document TEXT NOT NULL,                  -- JSON
    changed_at TEXT NOT NULL,
    changed_by TEXT NOT NULL
);

CREATE TABLE decisions (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    target TEXT NOT NULL,                    -- a stage, or an alias
    person TEXT NOT NULL,
    approved INTEGER NOT NULL,               -- 0: rejected
    comment TEXT NOT NULL,
    digest TEXT NOT NULL,                    -- of the bytes that were decided on
    at TEXT NOT NULL,
    PRIMARY KEY (version_id, target, person)
);
