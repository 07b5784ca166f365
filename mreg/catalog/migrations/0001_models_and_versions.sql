-- Models, their versions, stages, aliases and the audit trail.

CREATE TABLE models (
    model_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    primary_metric TEXT NOT NULL,
    last_version INTEGER NOT NULL,           -- highest number ever given under this name
    version_count INTEGER NOT NULL,          -- versions that exist now
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    created_by TEXT NOT NULL
);
CREATE INDEX models_by_update ON models (updated_at DESC, name);

CREATE TABLE model_tags (
    model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, name)
) WITHOUT ROWID;

CREATE TABLE model_directions (
    model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (model_id, name)
) WITHOUT ROWID;

-- Numbers that were used under a name which its model gave up, so that none is ever given again.
CREATE TABLE given_up_names (
    name TEXT PRIMARY KEY,
    model_id INTEGER NOT NULL,
    last_version INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE artifacts (
    artifact_id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    file_count INTEGER NOT NULL,
    UNIQUE (digest, kind)
);
CREATE INDEX artifacts_by_size ON artifacts (size_bytes);

CREATE TABLE versions (
    version_id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL REFERENCES models,
    version INTEGER NOT NULL,
    stage TEXT NOT NULL,
    stage_seq INTEGER NOT NULL,              -- event by which it last entered its stage
    status TEXT NOT NULL,
    description TEXT NOT NULL,
    artifact_id INTEGER NOT NULL REFERENCES artifacts,
    artifact_name TEXT NOT NULL,
    format TEXT NOT NULL,
    run_id TEXT NOT NULL,
    experiment_id TEXT NOT NULL,
    parent_id INTEGER,                       -- a version_id; the parent may be deleted since
    git_commit TEXT NOT NULL,
    git_branch TEXT NOT NULL,
    git_remote TEXT NOT NULL,
    git_dirty INTEGER,
    run_url TEXT NOT NULL,
    environment TEXT NOT NULL,               -- JSON
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deployed_at TEXT,
    created_by TEXT NOT NULL,
    UNIQUE (model_id, version)
);
CREATE INDEX versions_in_use ON versions (model_id, version) WHERE stage <> 'Archived';
CREATE INDEX versions_by_stage_of_model ON versions (model_id, stage, stage_seq);
CREATE INDEX versions_by_stage ON versions (stage, version_id);
CREATE INDEX versions_by_artifact ON versions (artifact_id);
CREATE INDEX versions_by_parent ON versions (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX versions_by_creation ON versions (created_at);
CREATE INDEX versions_by_run ON versions (run_id) WHERE run_id <> '';
CREATE INDEX versions_by_commit ON versions (git_commit) WHERE git_commit <> '';

CREATE TABLE version_tags (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (version_id, name)
) WITHOUT ROWID;
CREATE INDEX version_tags_by_value ON version_tags (name, value, version_id);

CREATE TABLE parameters (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    number REAL,                             -- the value, where it is a number
    PRIMARY KEY (version_id, name)
) WITHOUT ROWID;
CREATE INDEX parameters_by_value ON parameters (name, value, version_id);
CREATE INDEX parameters_by_number ON parameters (name, number, version_id) WHERE number IS NOT NULL;

CREATE TABLE metrics (
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    model_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    value REAL NOT NULL,                     -- for comparing
    exact TEXT NOT NULL,                     -- as it was given
    PRIMARY KEY (version_id, name)
) WITHOUT ROWID;
CREATE INDEX metrics_by_value ON metrics (name, value, version_id);
CREATE INDEX metrics_of_model ON metrics (model_id, name, value, version_id);

CREATE TABLE aliases (
    model_id INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
    alias TEXT NOT NULL,
    version_id INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE,
    PRIMARY KEY (model_id, alias)
) WITHOUT ROWID;
CREATE INDEX aliases_of_version ON aliases (version_id);

CREATE TABLE deleted_versions (
    version_id INTEGER PRIMARY KEY,
    model_id INTEGER NOT NULL,
    model_name TEXT NOT NULL,
    version INTEGER NOT NULL,
    parent_id INTEGER,
    digest TEXT NOT NULL,
    deleted_at TEXT NOT NULL
);
CREATE INDEX deleted_versions_by_parent ON deleted_versions (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    model_id INTEGER NOT NULL,
    model TEXT NOT NULL,
    version INTEGER,
    details TEXT NOT NULL,                   -- JSON, keys sorted, no spaces
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX events_of_model ON events (model_id, seq);
CREATE INDEX events_of_version ON events (model_id, version, seq);

CREATE TABLE stage_changes (
    seq INTEGER PRIMARY KEY REFERENCES events,
    model_id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    from_stage TEXT NOT NULL,
    to_stage TEXT NOT NULL,
    returned INTEGER NOT NULL                -- 1: by a rollback
);
CREATE INDEX stage_changes_of_model ON stage_changes (model_id, to_stage, seq);

CREATE TABLE alias_changes (
    seq INTEGER PRIMARY KEY REFERENCES events,
    model_id INTEGER NOT NULL,
    alias TEXT NOT NULL,
    version INTEGER                          -- NULL: the alias was taken away
);
CREATE INDEX alias_changes_of_model ON alias_changes (model_id, alias, seq);
