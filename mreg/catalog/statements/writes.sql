-- name: insert
INSERT INTO writes (id) VALUES (:id)

-- name: find
SELECT number FROM writes WHERE id = :id

-- name: forget
DELETE FROM writes WHERE number <= :number - 2000
