-- name: insert
INSERT INTO deployments (key, hook, seq, model_id, version, status, attempts, output, created_at)
VALUES (:key, :hook, :seq, :model_id, :version, 'pending', 0, '', :at)

-- name: open
SELECT * FROM deployments
WHERE hook = :hook AND status IN ('pending', 'deploying') AND (claimed_until IS NULL OR claimed_until < :now)
ORDER BY deployment_id LIMIT :row_limit

-- name: by_key
SELECT * FROM deployments WHERE hook = :hook AND key = :key

-- name: refuse
UPDATE deployments SET status = 'failed', output = :output, ended_at = :at, claimed_until = NULL
WHERE deployment_id = :deployment_id

-- name: of_model
SELECT d.*, e.at, e.actor, e.action, e.model, e.details, e.previous, e.hash
FROM deployments d JOIN events e ON e.seq = d.seq
WHERE d.model_id = :model_id ORDER BY d.deployment_id DESC LIMIT :row_limit

-- name: by_id
SELECT d.*, e.at, e.actor, e.action, e.model, e.details, e.previous, e.hash
FROM deployments d JOIN events e ON e.seq = d.seq
WHERE d.deployment_id = :deployment_id

-- name: claim
UPDATE deployments SET status = 'deploying', attempts = attempts + 1, started_at = :at, claimed_until = :until
WHERE deployment_id = :deployment_id

-- name: finish
UPDATE deployments SET status = :status, outcome = :outcome, output = :output, ended_at = :at, claimed_until = NULL
WHERE deployment_id = :deployment_id

-- name: counts
SELECT status, COUNT(*) AS number FROM deployments WHERE seq = :seq GROUP BY status

-- name: set_version_status
UPDATE versions SET status = :status WHERE model_id = :model_id AND version = :version

-- name: count
SELECT COUNT(*) AS number FROM deployments WHERE seq = :seq
