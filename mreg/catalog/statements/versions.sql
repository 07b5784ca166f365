-- name: with_artifact
SELECT v.*, m.name AS model_name, a.kind, a.digest, a.size_bytes, a.file_count
FROM versions v JOIN models m ON m.model_id = v.model_id JOIN artifacts a ON a.artifact_id = v.artifact_id

-- name: by_number
SELECT v.*, m.name AS model_name, a.kind, a.digest, a.size_bytes, a.file_count
FROM versions v JOIN models m ON m.model_id = v.model_id JOIN artifacts a ON a.artifact_id = v.artifact_id
WHERE v.model_id = :model_id AND v.version = :version

-- name: by_id
SELECT v.*, m.name AS model_name, a.kind, a.digest, a.size_bytes, a.file_count
FROM versions v JOIN models m ON m.model_id = v.model_id JOIN artifacts a ON a.artifact_id = v.artifact_id
WHERE v.version_id = :version_id

-- name: of_model
SELECT v.*, m.name AS model_name, a.kind, a.digest, a.size_bytes, a.file_count
FROM versions v JOIN models m ON m.model_id = v.model_id JOIN artifacts a ON a.artifact_id = v.artifact_id
WHERE v.model_id = :model_id ORDER BY v.version DESC LIMIT :row_limit

-- name: in_stage
SELECT v.*, m.name AS model_name, a.kind, a.digest, a.size_bytes, a.file_count
FROM versions v JOIN models m ON m.model_id = v.model_id JOIN artifacts a ON a.artifact_id = v.artifact_id
WHERE v.model_id = :model_id AND v.stage = :stage ORDER BY v.stage_seq DESC, v.version DESC

-- name: latest
SELECT version FROM versions WHERE model_id = :model_id AND stage <> 'Archived'
ORDER BY version DESC LIMIT 1 OFFSET :back

-- name: below
SELECT version FROM versions WHERE model_id = :model_id AND version <= :version
ORDER BY version DESC LIMIT 1 OFFSET :back

-- name: last_in_stage
SELECT version FROM versions WHERE model_id = :model_id AND stage = :stage
ORDER BY stage_seq DESC, version DESC LIMIT :row_limit

-- name: exists
SELECT 1 FROM versions WHERE model_id = :model_id AND version = :version

-- name: by_alias
SELECT aliases.alias, versions.version FROM aliases JOIN versions ON versions.version_id = aliases.version_id
WHERE aliases.model_id = :model_id AND lower(aliases.alias) = :folded

-- name: alias_history
SELECT version FROM alias_changes WHERE model_id = :model_id AND lower(alias) = :folded ORDER BY seq DESC

-- name: stage_history
SELECT version, returned FROM stage_changes WHERE model_id = :model_id AND to_stage = :stage ORDER BY seq

-- name: stage_moves
SELECT seq, version, to_stage FROM stage_changes
WHERE model_id = :model_id AND seq < :seq AND (to_stage = :stage OR from_stage = :stage) ORDER BY seq

-- name: stage_entries
SELECT s.version, CASE WHEN s.from_stage = 'Production' AND s.to_stage = 'Staging' THEN e.details ELSE '{}' END AS details
FROM stage_changes s JOIN events e ON e.seq = s.seq
WHERE s.model_id = :model_id AND s.to_stage = :stage AND s.returned = 0 ORDER BY s.seq DESC

-- name: was_in_stage
SELECT 1 FROM stage_changes WHERE model_id = :model_id AND to_stage = :stage AND version = :version LIMIT 1

-- name: by_digest
SELECT v.version, a.digest FROM artifacts a JOIN versions v ON v.artifact_id = a.artifact_id
WHERE a.digest >= :first AND a.digest < :beyond AND v.model_id = :model_id ORDER BY v.version DESC

-- name: best_high
SELECT v.version FROM metrics x JOIN versions v ON v.version_id = x.version_id
WHERE x.model_id = :model_id AND x.name = :metric AND v.version < :below
ORDER BY x.value DESC, x.version_id DESC LIMIT 1

-- name: best_low
SELECT v.version FROM metrics x JOIN versions v ON v.version_id = x.version_id
WHERE x.model_id = :model_id AND x.name = :metric AND v.version < :below
ORDER BY x.value, x.version_id DESC LIMIT 1

-- name: has_metric
SELECT 1 AS found FROM metrics WHERE model_id = :model_id AND name = :metric LIMIT 1

-- name: metrics_of_version
SELECT version_id, name, exact AS value FROM metrics WHERE version_id = :version_id ORDER BY name

-- name: parameters_of_version
SELECT version_id, name, value FROM parameters WHERE version_id = :version_id ORDER BY name

-- name: tags_of_version
SELECT version_id, name, value FROM version_tags WHERE version_id = :version_id ORDER BY name

-- name: aliases_of_version
SELECT version_id, alias AS name, '' AS value FROM aliases WHERE version_id = :version_id ORDER BY alias

-- name: parent
SELECT parent_id FROM versions WHERE version_id = :version_id
UNION ALL SELECT parent_id FROM deleted_versions WHERE version_id = :version_id

-- name: descendants
WITH RECURSIVE below (version_id, parent_id) AS (
    SELECT version_id, parent_id FROM versions WHERE parent_id = :version_id
    UNION SELECT version_id, parent_id FROM deleted_versions WHERE parent_id = :version_id
    UNION SELECT COALESCE(v.version_id, d.version_id), below.version_id
    FROM below JOIN (SELECT 0 AS gone UNION ALL SELECT 1) AS kind ON 1 = 1
    LEFT JOIN versions v ON kind.gone = 0 AND v.parent_id = below.version_id
    LEFT JOIN deleted_versions d ON kind.gone = 1 AND d.parent_id = below.version_id
    WHERE COALESCE(v.version_id, d.version_id) IS NOT NULL
)
SELECT version_id, parent_id FROM below LIMIT :row_limit

-- name: ancestors
WITH RECURSIVE above (version_id, parent_id, gone) AS (
    SELECT version_id, parent_id, 0 FROM versions WHERE version_id = :version_id
    UNION SELECT version_id, parent_id, 1 FROM deleted_versions WHERE version_id = :version_id
    UNION SELECT above.parent_id, COALESCE(v.parent_id, d.parent_id), kind.gone
    FROM above JOIN (SELECT 0 AS gone UNION ALL SELECT 1) AS kind ON 1 = 1
    LEFT JOIN versions v ON kind.gone = 0 AND v.version_id = above.parent_id
    LEFT JOIN deleted_versions d ON kind.gone = 1 AND d.version_id = above.parent_id
    WHERE COALESCE(v.version_id, d.version_id) IS NOT NULL
)
SELECT version_id, parent_id, gone FROM above LIMIT :row_limit

-- name: files_of_size
SELECT digest FROM artifacts a WHERE size_bytes = :size_bytes AND kind = 'file' /* and artifact within */
ORDER BY artifact_id DESC LIMIT :row_limit

-- name: metric_names
WITH RECURSIVE found (name) AS (
    SELECT (SELECT min(name) FROM metrics WHERE name >= :first AND name < :beyond)
    UNION ALL
    SELECT (SELECT min(name) FROM metrics WHERE name > found.name AND name < :beyond) FROM found
    WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL LIMIT :row_limit

-- name: metric_names_of_models
SELECT DISTINCT x.name FROM models m JOIN metrics x ON x.model_id = m.model_id
WHERE x.name >= :first AND x.name < :beyond /* and m.name within */ ORDER BY x.name LIMIT :row_limit

-- name: artifacts_in_use
SELECT DISTINCT a.artifact_id, a.kind, a.digest, a.size_bytes, m.name AS model_name
FROM artifacts a JOIN versions v ON v.artifact_id = a.artifact_id JOIN models m ON m.model_id = v.model_id
/* where m.name within */

-- name: artifact
SELECT artifact_id FROM artifacts WHERE digest = :digest AND kind = :kind

-- name: insert_artifact
INSERT INTO artifacts (kind, digest, size_bytes, file_count) VALUES (:kind, :digest, :size_bytes, :file_count)

-- name: delete_unused_artifact
DELETE FROM artifacts WHERE artifact_id = :artifact_id
AND NOT EXISTS (SELECT 1 FROM versions WHERE artifact_id = :artifact_id)

-- name: insert
INSERT INTO versions (model_id, version, stage, stage_seq, status, description, artifact_id, artifact_name, format,
    run_id, experiment_id, parent_id, git_commit, git_branch, git_remote, git_dirty, run_url, environment,
    created_at, updated_at, created_by)
VALUES (:model_id, :version, 'None', :seq, 'ready', :description, :artifact_id, :artifact_name, :format,
    :run_id, :experiment_id, :parent_id, :git_commit, :git_branch, :git_remote, :git_dirty, :run_url, :environment,
    :at, :at, :actor)

-- name: insert_metric
INSERT INTO metrics (version_id, model_id, name, value, exact) VALUES (:version_id, :model_id, :name, :value, :exact)

-- name: set_metric
INSERT INTO metrics (version_id, model_id, name, value, exact) VALUES (:version_id, :model_id, :name, :value, :exact)
ON CONFLICT (version_id, name) DO UPDATE SET value = excluded.value, exact = excluded.exact

-- name: touch
UPDATE versions SET updated_at = :at WHERE version_id = :version_id

-- name: insert_parameter
INSERT INTO parameters (version_id, name, value, number) VALUES (:version_id, :name, :value, :number)

-- name: set_tag
INSERT INTO version_tags (version_id, name, value) VALUES (:version_id, :name, :value)
ON CONFLICT (version_id, name) DO UPDATE SET value = excluded.value

-- name: remove_tag
DELETE FROM version_tags WHERE version_id = :version_id AND name = :name

-- name: leave_stage
UPDATE versions SET status = 'ready' WHERE version_id = :version_id

-- name: change_stage
UPDATE versions SET stage = :stage, stage_seq = :seq, updated_at = :at,
    deployed_at = CASE WHEN :stage = 'Production' THEN :at ELSE deployed_at END
WHERE version_id = :version_id

-- name: insert_stage_change
INSERT INTO stage_changes (seq, model_id, version, from_stage, to_stage, returned)
VALUES (:seq, :model_id, :version, :from_stage, :to_stage, :returned)

-- name: set_alias
INSERT INTO aliases (model_id, alias, version_id) VALUES (:model_id, :alias, :version_id)
ON CONFLICT (model_id, alias) DO UPDATE SET version_id = excluded.version_id

-- name: remove_alias
DELETE FROM aliases WHERE model_id = :model_id AND alias = :alias

-- name: insert_alias_change
INSERT INTO alias_changes (seq, model_id, alias, version) VALUES (:seq, :model_id, :alias, :version)

-- name: update
UPDATE versions SET description = :description, run_id = :run_id, experiment_id = :experiment_id,
    parent_id = :parent_id, updated_at = :at
WHERE version_id = :version_id

-- name: bury
INSERT INTO deleted_versions (version_id, model_id, model_name, version, parent_id, digest, deleted_at)
VALUES (:version_id, :model_id, :model_name, :version, :parent_id, :digest, :at)

-- name: delete
DELETE FROM versions WHERE version_id = :version_id

-- name: staged
SELECT model_id, version, stage FROM versions WHERE stage <> 'None'

-- name: set_data
INSERT INTO version_data (version_id, name, value) VALUES (:version_id, :name, :value)

-- name: artifacts_after
SELECT * FROM artifacts WHERE artifact_id > :artifact_id ORDER BY artifact_id LIMIT :row_limit

-- name: newest_artifacts
SELECT * FROM artifacts ORDER BY artifact_id DESC LIMIT :row_limit

-- name: of_artifact
SELECT m.model_id, m.name AS model_name, v.version_id, v.version FROM versions v JOIN models m ON m.model_id = v.model_id
WHERE v.artifact_id = :artifact_id /* and m.name within */ ORDER BY m.name, v.version LIMIT :row_limit
