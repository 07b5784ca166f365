-- name: any
SELECT 1 FROM removals LIMIT 1

-- name: of
SELECT * FROM removals WHERE digest = :digest

-- name: set
INSERT INTO removals (digest, removed, mark, at) VALUES (:digest, :removed, :mark, :at)
ON CONFLICT (digest) DO UPDATE SET removed = excluded.removed, mark = excluded.mark, at = excluded.at

-- name: done
UPDATE removals SET removed = 1, at = :at WHERE digest = :digest AND mark = :mark

-- name: forget
DELETE FROM removals WHERE digest = :digest AND mark = :mark

-- name: forget_old
DELETE FROM removals WHERE removed = 1 AND at < :before

-- name: stuck
SELECT COUNT(*) AS many FROM removals WHERE removed = 0 AND at < :before
