-- Queries of a start: all trades, in columns.

-- name: bulk_end
SELECT max(store_seq) FROM (SELECT store_seq FROM trades WHERE store_seq > :after ORDER BY store_seq LIMIT :limit)

-- A range of trades in columns, each one text: line ends separate names, commas integers, spaces decimals; a NULL is empty or 0.
-- `flags` has a character for each row: b for a buy and s for a sell (B and S in an amend), 0 for a row that needs more than these
-- columns. The caller checks names and decimals. A blob in a text column sorts behind every text.
-- name: bulk_columns
SELECT count(*), group_concat(store_seq), group_concat(
            CASE WHEN source_seq BETWEEN 0 AND :max_sequence AND leg <= :max_integer AND version <= :max_integer
             AND ts >= :ts_min AND ts < :ts_end AND (booked_ts IS NULL OR (booked_ts >= :ts_min AND booked_ts < :ts_end))
             AND contra_amount IS NULL AND legs IS NULL
             AND source < x'' AND trade_id < x'' AND instrument < x'' AND desk < x'' AND dealer < x'' AND quantity < x''
             AND price < x'' AND fees < x'' AND fees_currency < x'' AND value_date < x'' AND trade_date < x''
            THEN CASE action WHEN 'new' THEN CASE side WHEN 'buy' THEN 'b' WHEN 'sell' THEN 's' ELSE '0' END
                             WHEN 'amend' THEN CASE side WHEN 'buy' THEN 'B' WHEN 'sell' THEN 'S' ELSE '0' END ELSE '0' END
            ELSE '0' END, ''),
       group_concat(source, '
'), group_concat(trade_id, '
'), group_concat(leg), group_concat(version), group_concat(coalesce(ts, 0)), group_concat(source_seq), group_concat(instrument, '
'), group_concat(desk, '
'), group_concat(dealer, '
'), group_concat(coalesce(quantity, '0'), ' '), group_concat(coalesce(price, '0'), ' '), group_concat(fees, ' '),
       group_concat(fees_currency, '
'), group_concat(value_date, '
'), group_concat(trade_date, '
'), group_concat(coalesce(booked_ts, '')), group_concat(received_ts)
FROM trades WHERE store_seq > :after AND store_seq <= :up_to
