-- name: by_name
SELECT * FROM models WHERE name = :name

-- name: by_id
SELECT * FROM models WHERE model_id = :model_id

-- name: by_update
SELECT * FROM models /* where name within */ ORDER BY updated_at DESC, name LIMIT :row_limit

-- name: names_from
SELECT name FROM models WHERE name >= :first AND name < :beyond /* and name within */ ORDER BY name LIMIT :row_limit

-- name: names_around
SELECT name FROM (SELECT name FROM models WHERE name >= :name /* and name within */ ORDER BY name LIMIT :row_limit) after
UNION SELECT name FROM (SELECT name FROM models WHERE name < :name /* and name within */ ORDER BY name DESC LIMIT :row_limit) before

-- name: insert
INSERT INTO models (name, description, primary_metric, last_version, version_count, created_at, updated_at, created_by)
VALUES (:name, :description, :primary_metric, :last_version, 0, :at, :at, :actor)

-- name: update
UPDATE models SET description = :description, primary_metric = :primary_metric, updated_at = :at
WHERE model_id = :model_id

-- name: touch
UPDATE models SET updated_at = :at WHERE model_id = :model_id

-- name: add_version
UPDATE models SET last_version = :version, version_count = version_count + 1, updated_at = :at
WHERE model_id = :model_id

-- name: lose_version
UPDATE models SET version_count = version_count - 1, updated_at = :at WHERE model_id = :model_id

-- name: rename
UPDATE models SET name = :name, last_version = :last_version, updated_at = :at WHERE model_id = :model_id

-- name: delete
DELETE FROM models WHERE model_id = :model_id

-- name: set_tag
INSERT INTO model_tags (model_id, name, value) VALUES (:model_id, :name, :value)
ON CONFLICT (model_id, name) DO UPDATE SET value = excluded.value

-- name: remove_tag
DELETE FROM model_tags WHERE model_id = :model_id AND name = :name

-- name: set_direction
INSERT INTO model_directions (model_id, name, value) VALUES (:model_id, :name, :value)
ON CONFLICT (model_id, name) DO UPDATE SET value = excluded.value

-- name: remove_direction
DELETE FROM model_directions WHERE model_id = :model_id AND name = :name

-- name: given_up
SELECT * FROM given_up_names WHERE name = :name

-- name: give_up
INSERT INTO given_up_names (name, model_id, last_version) VALUES (:name, :model_id, :last_version)
ON CONFLICT (name) DO UPDATE SET model_id = excluded.model_id, last_version = excluded.last_version

-- name: take_back
DELETE FROM given_up_names WHERE name = :name
