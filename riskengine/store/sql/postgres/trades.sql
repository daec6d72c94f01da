-- Queries on trades and conflicts. Loading fills in `{columns}`, `{attributes}` and `{marks}`; each search fills in `{where}` and `{cancels}`
-- from the fragments of this file. Values are always bound.

-- name: trades_insert
INSERT INTO trades ({columns}, received_ts, {attributes})
SELECT {columns}, received_ts, {attributes}
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[], %s::text[], %s::text[], %s::text[],
            %s::bigint[], %s::numeric[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[]) WITH ORDINALITY AS given ({columns}, received_ts, {attributes}, place)
ORDER BY place
ON CONFLICT (source, trade_id, leg, version) DO NOTHING
RETURNING source, trade_id, leg, version, store_seq

-- name: trades_by_version
SELECT {columns}, store_seq, received_ts, {attributes}
FROM trades
JOIN (SELECT DISTINCT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[])
      AS wanted (source, trade_id, leg, version)) AS wanted USING (source, trade_id, leg, version)

-- name: trades_after
SELECT {columns}, store_seq, received_ts, {attributes} FROM trades WHERE store_seq > %s ORDER BY store_seq LIMIT %s

-- name: snapshot
SELECT pg_current_snapshot()

-- Read pages along an index. The statistics of the planner lag behind a bulk load: without this it collects and sorts all
-- remaining rows, again for every page.
-- name: snapshot_to_read_along
SELECT pg_current_snapshot(), set_config('enable_bitmapscan', 'off', true)

-- Rows that `target` sees and an earlier snapshot did not: of transactions that were open then, or began later. Rows that were
-- restored from another server carry its transaction numbers; numbers in the future are left out.
-- name: trades_beyond
SELECT {columns}, store_seq, received_ts, {attributes}, written_xid FROM (
    (SELECT * FROM trades
     WHERE written_xid = %(after_xid)s::xid8 AND store_seq > %(after_seq)s AND NOT store_seq <@ %(passed)s::int8multirange
     ORDER BY written_xid, store_seq LIMIT %(limit)s)
    UNION ALL
    (SELECT * FROM trades
     WHERE written_xid = ANY(%(running)s::xid8[]) AND pg_visible_in_snapshot(written_xid, %(target)s::pg_snapshot)
       AND NOT store_seq <@ %(passed)s::int8multirange
     ORDER BY written_xid, store_seq LIMIT %(limit)s)
    UNION ALL
    (SELECT * FROM trades
     WHERE written_xid >= %(next)s::xid8 AND written_xid < pg_snapshot_xmax(%(target)s::pg_snapshot)
       AND pg_visible_in_snapshot(written_xid, %(target)s::pg_snapshot) AND NOT store_seq <@ %(passed)s::int8multirange
     ORDER BY written_xid, store_seq LIMIT %(limit)s)
) AS t
ORDER BY written_xid, store_seq
LIMIT %(limit)s

-- name: watermark
SELECT coalesce(max(store_seq), 0) FROM trades

-- name: conflict_insert
INSERT INTO conflicts ({columns}, received_ts, {attributes}) VALUES ({marks})

-- Of the conflicts with a version those that may say the same as a trade: many may come, and to read them all takes far longer.
-- name: conflicts_of_version
SELECT {columns}, 0, received_ts, {attributes} FROM conflicts
WHERE source = %s AND trade_id = %s AND leg = %s AND version = %s AND (action = 'cancel') = (%s::text = 'cancel')
  AND (action = 'cancel' OR (ts = %s::bigint AND quantity = %s::numeric AND price = %s::numeric))

-- name: conflicts_newest
SELECT c.conflict_id, c.source, c.trade_id, c.leg, c.version, c.action, c.ts, c.source_seq, c.instrument, c.desk, c.dealer,
       c.side, c.quantity, c.price, c.fees, c.fees_currency, c.value_date, c.trade_date, c.booked_ts, c.contra_amount, c.legs,
       coalesce(t.store_seq, 0), c.received_ts, c.counterparty, c.account, c.broker, c.order_id, c.strategy, c.comment
FROM conflicts AS c
LEFT JOIN trades AS t ON t.source = c.source AND t.trade_id = c.trade_id AND t.leg = c.leg AND t.version = c.version
ORDER BY c.conflict_id DESC LIMIT %s

-- name: fees_currency_of
SELECT CASE premium_currency WHEN '' THEN quote_currency ELSE premium_currency END FROM instruments WHERE instrument = %s

-- name: newest
SELECT {columns}, store_seq, received_ts, {attributes}
FROM trades AS t
WHERE t.action <> 'cancel' AND {where}
ORDER BY t.ts DESC, t.source_seq DESC, t.source DESC, t.trade_id DESC, t.leg DESC, t.version DESC
LIMIT %(limit)s

-- name: newest_count
SELECT count(*) FROM trades AS t WHERE t.action <> 'cancel' AND {where}

-- name: cancels_newest
SELECT t.store_seq, t.ts, t.source_seq, t.source, t.trade_id, t.leg, t.version
FROM ({cancels}) AS t
WHERE {where}
ORDER BY t.ts DESC, t.source_seq DESC, t.source DESC, t.trade_id DESC, t.leg DESC, t.version DESC
LIMIT %(limit)s

-- name: cancels_count
SELECT count(*) FROM ({cancels}) AS t WHERE {where}

-- name: trades_by_store_seq
SELECT {columns}, store_seq, received_ts, {attributes} FROM trades WHERE store_seq = ANY(%s::bigint[])

-- name: trades_of_deals
SELECT {columns}, store_seq, received_ts, {attributes}
FROM trades JOIN unnest(%s::text[], %s::text[]) AS deal (source, trade_id) USING (source, trade_id)

-- A cancel without desk, instrument, dealer, ts or attributes takes them from the newest version before it.
-- name: cancels
SELECT c.store_seq, c.source_seq, c.source, c.trade_id, c.leg, c.version, c.action,
       coalesce(c.ts, p.ts, 0) AS ts,
       coalesce(nullif(c.instrument, ''), p.instrument, '') AS instrument,
       coalesce(nullif(c.desk, ''), p.desk, '') AS desk,
       coalesce(nullif(c.dealer, ''), p.dealer, '') AS dealer,
       coalesce(nullif(c.counterparty, ''), p.counterparty, '') AS counterparty,
       coalesce(nullif(c.account, ''), p.account, '') AS account,
       coalesce(nullif(c.broker, ''), p.broker, '') AS broker,
       coalesce(nullif(c.order_id, ''), p.order_id, '') AS order_id,
       coalesce(nullif(c.strategy, ''), p.strategy, '') AS strategy
FROM trades AS c
LEFT JOIN trades AS p ON p.store_seq = (
    SELECT b.store_seq FROM trades AS b
    WHERE b.source = c.source AND b.trade_id = c.trade_id AND b.leg = c.leg AND b.version < c.version
      AND b.action <> 'cancel' AND b.store_seq <= %(max_store_seq)s
    ORDER BY b.version DESC LIMIT 1)
WHERE c.action = 'cancel'

-- name: where_seen
t.store_seq <= %(max_store_seq)s

-- name: where_desks
t.desk = ANY(%(desks)s::text[])

-- name: where_shown
(t.desk = ANY(%(shown_desks)s::text[]) OR t.dealer = ANY(%(shown_dealers)s::text[]))

-- name: where_instrument
t.instrument = %(instrument)s

-- name: where_dealer
t.dealer = %(dealer)s

-- name: where_source
t.source = %(source)s

-- name: where_trade_id
t.trade_id = %(trade_id)s

-- name: where_action
t.action = %(action)s

-- name: where_only
t.store_seq = ANY(%(only)s)

-- name: where_but
t.store_seq <> ALL(%(but)s)

-- name: where_counterparty
t.counterparty = %(counterparty)s

-- name: where_account
t.account = %(account)s

-- name: where_broker
t.broker = %(broker)s

-- name: where_order_id
t.order_id = %(order_id)s

-- name: where_strategy
t.strategy = %(strategy)s

-- name: where_since
t.ts >= %(since_ts)s

-- name: where_latest
NOT EXISTS (
    SELECT 1 FROM trades AS n
    WHERE n.source = t.source AND n.trade_id = t.trade_id AND n.leg = t.leg AND n.version > t.version AND n.version > 1
      AND n.store_seq <= %(max_store_seq)s)
