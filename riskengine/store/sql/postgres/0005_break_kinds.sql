-- Breaks of fees and order: rows whose fees, times, dates or other columns were changed in place. `average` and `unknown_name` are
-- breaks with an outside statement.
ALTER TABLE breaks DROP CONSTRAINT breaks_kind_check;
ALTER TABLE breaks ADD CONSTRAINT breaks_kind_check CHECK (kind IN ('missing_here', 'missing_there', 'quantity', 'cash', 'identity',
    'fees', 'order', 'average', 'unknown_name', 'hierarchy'));
