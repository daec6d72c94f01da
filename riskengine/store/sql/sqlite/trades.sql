-- Queries on trades and conflicts. Loading fills in `{columns}`, `{attributes}` and `{marks}`; each search fills in `{where}` and `{cancels}`
-- from the fragments of this file. Values are always bound.

-- name: trade_insert
INSERT INTO trades ({columns}, received_ts, {attributes}) VALUES ({marks})

-- name: last_store_seq
SELECT last_insert_rowid()

-- name: trade_by_version
SELECT {columns}, store_seq, received_ts, {attributes} FROM trades WHERE source = ? AND trade_id = ? AND leg = ? AND version = ?

-- name: trades_after
SELECT {columns}, store_seq, received_ts, {attributes} FROM trades WHERE store_seq > ? ORDER BY store_seq LIMIT ?

-- name: trades_between
SELECT {columns}, store_seq, received_ts, {attributes} FROM trades WHERE store_seq > ? AND store_seq < ? ORDER BY store_seq LIMIT ?

-- name: watermark
SELECT coalesce(max(store_seq), 0) FROM trades

-- name: conflict_insert
INSERT INTO conflicts ({columns}, received_ts, {attributes}) VALUES ({marks})

-- Of the conflicts with a version those that may say the same as a trade: many may come, and to read them all takes far longer.
-- name: conflicts_of_version
SELECT {columns}, 0, received_ts, {attributes} FROM conflicts
WHERE source = ? AND trade_id = ? AND leg = ? AND version = ? AND (action = 'cancel') = (? = 'cancel')
  AND (action = 'cancel' OR (ts = ? AND quantity + 0.0 = ? + 0.0 AND price + 0.0 = ? + 0.0))

-- name: conflicts_newest
SELECT c.conflict_id, c.source, c.trade_id, c.leg, c.version, c.action, c.ts, c.source_seq, c.instrument, c.desk, c.dealer,
       c.side, c.quantity, c.price, c.fees, c.fees_currency, c.value_date, c.trade_date, c.booked_ts, c.contra_amount, c.legs,
       coalesce(t.store_seq, 0), c.received_ts, c.counterparty, c.account, c.broker, c.order_id, c.strategy, c.comment
FROM conflicts AS c
LEFT JOIN trades AS t ON t.source = c.source AND t.trade_id = c.trade_id AND t.leg = c.leg AND t.version = c.version
ORDER BY c.conflict_id DESC LIMIT ?

-- name: fees_currency_of
SELECT CASE premium_currency WHEN '' THEN quote_currency ELSE premium_currency END FROM instruments WHERE instrument = ?

-- name: newest
SELECT {columns}, store_seq, received_ts, {attributes}
FROM trades AS t
WHERE t.action <> 'cancel' AND {where}
ORDER BY t.ts DESC, t.source_seq DESC, t.source DESC, t.trade_id DESC, t.leg DESC, t.version DESC
LIMIT :limit

-- name: newest_count
SELECT count(*) FROM trades AS t WHERE t.action <> 'cancel' AND {where}

-- name: cancels_newest
SELECT t.store_seq, t.ts, t.source_seq, t.source, t.trade_id, t.leg, t.version
FROM ({cancels}) AS t
WHERE {where}
ORDER BY t.ts DESC, t.source_seq DESC, t.source DESC, t.trade_id DESC, t.leg DESC, t.version DESC
LIMIT :limit

-- name: cancels_count
SELECT count(*) FROM ({cancels}) AS t WHERE {where}

-- name: trades_by_store_seq
SELECT {columns}, store_seq, received_ts, {attributes} FROM trades WHERE store_seq IN (SELECT value FROM json_each(?))

-- name: trades_of_deals
SELECT {columns}, store_seq, received_ts, {attributes} FROM json_each(?) AS wanted
CROSS JOIN trades ON source = wanted.value AND trade_id = json_extract(?, '$[' || wanted.key || ']')

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
FROM trades AS c INDEXED BY trades_cancels
LEFT JOIN trades AS p ON p.store_seq = (
    SELECT b.store_seq FROM trades AS b
    WHERE b.source = c.source AND b.trade_id = c.trade_id AND b.leg = c.leg AND b.version < c.version
      AND b.action <> 'cancel' AND b.store_seq <= :max_store_seq
    ORDER BY b.version DESC LIMIT 1)
WHERE c.action = 'cancel'

-- name: where_seen
t.store_seq <= :max_store_seq

-- name: where_desks
t.desk IN (SELECT value FROM json_each(:desks))

-- name: where_shown
(t.desk IN (SELECT value FROM json_each(:shown_desks)) OR t.dealer IN (SELECT value FROM json_each(:shown_dealers)))

-- name: where_instrument
t.instrument = :instrument

-- name: where_dealer
t.dealer = :dealer

-- name: where_source
t.source = :source

-- name: where_trade_id
t.trade_id = :trade_id

-- name: where_action
t.action = :action

-- name: where_only
t.store_seq IN (SELECT value FROM json_each(:only))

-- name: where_but
t.store_seq NOT IN (SELECT value FROM json_each(:but))

-- name: where_counterparty
t.counterparty = :counterparty

-- name: where_account
t.account = :account

-- name: where_broker
t.broker = :broker

-- name: where_order_id
t.order_id = :order_id

-- name: where_strategy
t.strategy = :strategy

-- name: where_since
t.ts >= :since_ts

-- name: where_latest
NOT EXISTS (
    SELECT 1 FROM trades AS n INDEXED BY trades_later
    WHERE n.source = t.source AND n.trade_id = t.trade_id AND n.leg = t.leg AND n.version > t.version AND n.version > 1
      AND n.store_seq <= :max_store_seq)
