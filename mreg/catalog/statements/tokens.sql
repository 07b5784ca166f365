-- name: by_digest
SELECT * FROM tokens WHERE digest = :digest

-- name: usable
SELECT * FROM tokens WHERE revoked_at IS NULL ORDER BY created_at, name LIMIT :row_limit

-- name: by_name
SELECT * FROM tokens WHERE name = :name ORDER BY revoked_at IS NULL DESC, revoked_at DESC LIMIT 1

-- name: names
SELECT DISTINCT name FROM tokens ORDER BY name

-- name: any
SELECT 1 AS found FROM tokens LIMIT 1

-- name: any_active
SELECT 1 AS found FROM tokens WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now) LIMIT 1

-- name: count
SELECT COUNT(*) AS many FROM tokens WHERE revoked_at IS NULL

-- name: insert
INSERT INTO tokens (digest, name, role, models, created_at, created_by, expires_at, last_used_at, revoked_at)
VALUES (:digest, :name, :role, :models, :at, :actor, :expires_at, NULL, NULL)

-- name: revoke
UPDATE tokens SET revoked_at = :at WHERE name = :name AND revoked_at IS NULL

-- name: use
UPDATE tokens SET last_used_at = :at
WHERE digest = :digest AND (last_used_at IS NULL OR last_used_at < :before)
