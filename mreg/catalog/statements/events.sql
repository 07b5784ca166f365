-- name: last
SELECT * FROM events ORDER BY seq DESC LIMIT 1

-- name: insert
INSERT INTO events (seq, at, actor, action, model_id, model, version, details, previous, hash)
VALUES (:seq, :at, :actor, :action, :model_id, :model, :version, :details, :previous, :hash)

-- name: all
SELECT * FROM events /* where event within */ ORDER BY seq LIMIT :row_limit

-- name: all_newest_first
SELECT * FROM events /* where event within */ ORDER BY seq DESC LIMIT :row_limit

-- name: of_model
SELECT * FROM events WHERE model_id = :model_id ORDER BY seq LIMIT :row_limit

-- name: of_model_newest_first
SELECT * FROM events WHERE model_id = :model_id ORDER BY seq DESC LIMIT :row_limit

-- name: of_version
SELECT * FROM events WHERE model_id = :model_id AND version = :version ORDER BY seq LIMIT :row_limit

-- name: of_version_newest_first
SELECT * FROM events WHERE model_id = :model_id AND version = :version ORDER BY seq DESC LIMIT :row_limit

-- name: using
SELECT seq FROM events WHERE version = :version AND (model_id = :model_id OR model = :model) LIMIT 1

-- name: after
SELECT * FROM events WHERE seq > :seq ORDER BY seq LIMIT :row_limit

-- name: stage_entered
SELECT e.* FROM events e CROSS JOIN stage_changes s ON s.seq = e.seq
WHERE e.model_id = :model_id AND e.version = :version AND s.to_stage = :stage ORDER BY e.seq DESC LIMIT 1

-- name: by_seq
SELECT * FROM events WHERE seq = :seq

-- name: link
SELECT previous, hash FROM events WHERE seq = :seq

-- name: last_move
SELECT * FROM events
WHERE model_id = :model_id AND version = :version AND action IN ('version.stage_changed', 'version.deleted')
ORDER BY seq DESC LIMIT 1

-- name: deletion
SELECT * FROM events
WHERE model_id = :model_id AND model = :model AND action = 'model.deleted' ORDER BY seq DESC LIMIT 1
