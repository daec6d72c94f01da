-- Queries on the rules that judge only the rows from a store_seq on.

-- name: rule_starts
SELECT rule, from_store_seq FROM rules ORDER BY rule
