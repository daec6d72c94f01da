-- Queries of reconciliation: all trades, in columns, to be added up.

-- A range of trades in columns, each one text: spaces separate numbers, line ends names; source and trade_id are separated by a byte of 1.
-- Action, dates and legs stand together, empty for a new trade without them.
-- `signs` has a character for each row: + buy, - sell, 0 for a row that is not plain. A plain row is a first version of which only
-- the sums count. The caller checks names, numbers and dates.
-- name: trade_columns
SELECT count(*), max(store_seq), max(leg), string_agg(source || E'\x01' || trade_id, E'\n'),
       string_agg(desk, E'\n'), string_agg(dealer, E'\n'), string_agg(instrument, E'\n'),
       string_agg(coalesce(quantity::text, '0'), ' '), string_agg(coalesce(price::text, '0'), ' '),
       string_agg(coalesce(ts, 0)::text, ' '), string_agg(source_seq::text, ' '), string_agg(fees::text, ' '),
       string_agg(fees_currency, E'\n'),
       string_agg(CASE WHEN action = 'new' AND value_date = '' AND trade_date = '' AND legs IS NULL THEN ''
                       ELSE action || ' ' || value_date || ' ' || trade_date || ' ' || coalesce(legs::text, '') END, E'\n'),
       string_agg(
            CASE WHEN version = 1 AND action <> 'cancel' AND leg <= %(max_integer)s AND source_seq BETWEEN 0 AND %(max_sequence)s
             AND ts >= %(ts_min)s AND ts < %(ts_end)s AND ts::numeric - received_ts <= %(future_limit)s
             AND contra_amount IS NULL AND (legs IS NULL OR legs BETWEEN 1 AND 1000)
             AND (booked_ts IS NULL OR (booked_ts >= %(ts_min)s AND booked_ts < %(ts_end)s))
            THEN CASE side WHEN 'buy' THEN '+' ELSE '-' END ELSE '0' END, '')
FROM (SELECT * FROM trades WHERE store_seq > %(after)s AND store_seq <= least(%(watermark)s, (
        -- The end of the page comes first: for a range that ends at the watermark a prepared plan would read all of it every time.
        SELECT max(store_seq) FROM (SELECT store_seq FROM trades WHERE store_seq > %(after)s ORDER BY store_seq LIMIT %(rows)s) AS page))
      ORDER BY store_seq) AS part

-- name: numbers_and_legs
SELECT string_agg(store_seq::text, ' '), string_agg(leg::text, ' ')
FROM (SELECT store_seq, leg FROM trades WHERE store_seq > %(after)s AND store_seq <= %(up_to)s ORDER BY store_seq) AS part

-- Trades with several versions: few.
-- name: versioned
SELECT DISTINCT source, trade_id FROM trades WHERE version > 1 AND store_seq <= %(watermark)s

-- Trades from before the opening balance of their position.
-- name: before_openings
SELECT t.store_seq FROM trades AS t
JOIN openings AS o ON o.desk = t.desk AND o.dealer = t.dealer AND o.instrument = t.instrument
WHERE t.action <> 'cancel' AND t.ts < (SELECT max(ts) FROM openings) AND t.ts < o.ts AND t.store_seq <= %(watermark)s
