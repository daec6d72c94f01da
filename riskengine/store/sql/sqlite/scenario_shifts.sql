-- Queries on loaded scenarios.

-- name: scenario_shifts
SELECT scenario, factor, instrument, currency, sector, everything, relative, absolute, comment FROM scenario_shifts
ORDER BY scenario, factor, instrument, currency, sector, everything

-- name: scenario_shifts_in_order
SELECT scenario, factor, instrument, currency, sector, everything, relative, absolute, comment FROM scenario_shifts ORDER BY row_seq

-- name: scenario_shift_save
INSERT INTO scenario_shifts (scenario, factor, instrument, currency, sector, everything, relative, absolute, comment)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (scenario, factor, instrument, currency, sector, everything) DO UPDATE SET relative = excluded.relative,
    absolute = excluded.absolute, comment = excluded.comment
