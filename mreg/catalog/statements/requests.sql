-- name: of
SELECT * FROM requests WHERE caller = :caller AND key = :key

-- name: insert
INSERT INTO requests (caller, key, fingerprint, version_id, at)
VALUES (:caller, :key, :fingerprint, :version_id, :at)

-- name: forget_old
DELETE FROM requests WHERE (caller, key) IN (
    SELECT caller, key FROM requests WHERE at < :before AND version_id < :recent ORDER BY at LIMIT :row_limit
)
