-- Queries of reconciliation: all trades, in columns, to be added up.

-- A range of trades in columns, each one text: spaces separate numbers, line ends names; source and trade_id are separated by a zero byte.
-- Action, dates and legs stand together, empty for a new trade without them, ? for dates that are no text.
-- `signs` has a character for each row: + buy, - sell, 0 for a row that is not plain. A plain row is a first version of which only
-- the sums count. The caller checks names, numbers and dates. A blob in a text column sorts behind every text.
-- name: trade_columns
SELECT count(*), max(store_seq), max(leg), group_concat(source || char(0) || trade_id, char(10)), group_concat(desk, char(10)),
       group_concat(dealer, char(10)), group_concat(instrument, char(10)), group_concat(coalesce(quantity, '0'), ' '),
       group_concat(coalesce(price, '0'), ' '), group_concat(coalesce(ts, 0), ' '), group_concat(source_seq, ' '),
       group_concat(fees, ' '), group_concat(fees_currency, char(10)),
       group_concat(CASE WHEN action = 'new' AND value_date = '' AND trade_date = '' AND legs IS NULL THEN ''
                         WHEN value_date < x'' AND trade_date < x''
                         THEN action || ' ' || value_date || ' ' || trade_date || ' ' || coalesce(legs, '')
                         ELSE '?' END, char(10)),
       group_concat(
            CASE WHEN version = 1 AND action <> 'cancel' AND leg <= :max_integer AND source_seq BETWEEN 0 AND :max_sequence
             AND ts >= :ts_min AND ts < :ts_end AND ts - received_ts <= :future_limit
             AND contra_amount IS NULL AND (legs IS NULL OR legs BETWEEN 1 AND 1000)
             AND (booked_ts IS NULL OR (booked_ts >= :ts_min AND booked_ts < :ts_end))
             AND desk < x'' AND dealer < x'' AND instrument < x'' AND quantity < x'' AND price < x'' AND fees < x''
             AND fees_currency < x''
            THEN CASE side WHEN 'buy' THEN '+' ELSE '-' END ELSE '0' END, '')
FROM trades
WHERE store_seq > :after AND store_seq <= (
    SELECT max(store_seq)
    FROM (SELECT store_seq FROM trades WHERE store_seq > :after AND store_seq <= :watermark ORDER BY store_seq LIMIT :rows))

-- name: numbers_and_legs
SELECT group_concat(store_seq, ' '), group_concat(leg, ' ') FROM trades WHERE store_seq > :after AND store_seq <= :up_to

-- Trades with several versions: few.
-- name: versioned
SELECT DISTINCT source, trade_id FROM trades INDEXED BY trades_later WHERE version > 1 AND store_seq <= :watermark

-- Trades from before the opening balance of their position.
-- name: before_openings
SELECT t.store_seq FROM trades AS t INDEXED BY trades_by_time
JOIN openings AS o ON o.desk = t.desk AND o.dealer = t.dealer AND o.instrument = t.instrument
WHERE t.action <> 'cancel' AND t.ts < (SELECT max(ts) FROM openings) AND t.ts < o.ts AND t.store_seq <= :watermark
