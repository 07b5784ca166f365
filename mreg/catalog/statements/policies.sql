-- name: of
SELECT document FROM policies WHERE model_id = :model_id

-- name: set
INSERT INTO policies (model_id, document, changed_at, changed_by) VALUES (:model_id, :document, :at, :actor)
ON CONFLICT (model_id) DO UPDATE SET document = :document, changed_at = :at, changed_by = :actor

-- name: remove
DELETE FROM policies WHERE model_id = :model_id

-- name: decisions
SELECT * FROM decisions WHERE version_id = :version_id ORDER BY at, person

-- name: decide
INSERT INTO decisions (version_id, target, person, approved, comment, digest, at)
VALUES (:version_id, :target, :person, :approved, :comment, :digest, :at)
ON CONFLICT (version_id, target, person)
DO UPDATE SET approved = :approved, comment = :comment, digest = :digest, at = :at

-- name: withdraw
DELETE FROM decisions WHERE version_id = :version_id AND lower(target) = :folded AND person = :person

-- name: void_approvals
DELETE FROM decisions WHERE version_id = :version_id AND approved = 1
