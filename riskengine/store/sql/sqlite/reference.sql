-- Queries on reference data, balances, prices and the store itself.

-- name: nodes
SELECT node, level, parent FROM nodes ORDER BY node

-- name: node_save
INSERT INTO nodes (node, level, parent) VALUES (?, ?, ?)
ON CONFLICT (node) DO UPDATE SET level = excluded.level, parent = excluded.parent

-- name: instruments
SELECT instrument, kind, base_currency, quote_currency, price_decimals, quantity_decimals, multiplier, sector, underlying,
       option_type, strike, expiry, delta_type, calendar, premium_currency, premium_style, cut, settlement,
       exercise, greeks, bf_style, fixing_date, fixing_source, settlement_currency
FROM instruments ORDER BY instrument

-- name: instrument_save
INSERT INTO instruments (instrument, kind, base_currency, quote_currency, price_decimals, quantity_decimals, multiplier, sector,
                         underlying, option_type, strike, expiry, delta_type, calendar, premium_currency, premium_style, cut,
                         settlement, exercise, greeks, bf_style, fixing_date, fixing_source, settlement_currency)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (instrument) DO UPDATE SET
    kind = excluded.kind, base_currency = excluded.base_currency, quote_currency = excluded.quote_currency,
    price_decimals = excluded.price_decimals, quantity_decimals = excluded.quantity_decimals,
    multiplier = excluded.multiplier, sector = excluded.sector, underlying = excluded.underlying,
    option_type = excluded.option_type, strike = excluded.strike, expiry = excluded.expiry,
    delta_type = excluded.delta_type, calendar = excluded.calendar, premium_currency = excluded.premium_currency,
    premium_style = excluded.premium_style, cut = excluded.cut, settlement = excluded.settlement,
    exercise = excluded.exercise, greeks = excluded.greeks, bf_style = excluded.bf_style,
    fixing_date = excluded.fixing_date, fixing_source = excluded.fixing_source,
    settlement_currency = excluded.settlement_currency

-- name: instrument_names
SELECT instrument FROM instruments

-- name: openings
SELECT desk, dealer, instrument, ts, quantity, average_price, realised, fees FROM openings
ORDER BY desk, dealer, instrument

-- name: opening_insert
INSERT INTO openings (desk, dealer, instrument, ts, quantity, average_price, realised, fees)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: marks
SELECT instrument, ts, price, source, kind FROM marks ORDER BY instrument

-- name: mark_save
INSERT INTO marks (instrument, ts, price, source, kind, saved) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (instrument) DO UPDATE SET ts = excluded.ts, price = excluded.price, source = excluded.source,
    kind = excluded.kind, saved = excluded.saved

-- name: closes
SELECT date, instrument, price FROM closes ORDER BY date, instrument

-- name: closes_of_date
SELECT date, instrument, price FROM closes WHERE date = ? ORDER BY instrument

-- name: latest_closes
SELECT max(date), instrument, price FROM closes WHERE date <= ? GROUP BY instrument ORDER BY instrument

-- name: closes_after
SELECT date, instrument, price FROM closes WHERE date > ? ORDER BY date, instrument LIMIT ?

-- name: close_save
INSERT INTO closes (date, instrument, price) VALUES (?, ?, ?)
ON CONFLICT (instrument, date) DO UPDATE SET price = excluded.price, version = closes.version + 1

-- name: counts
SELECT (SELECT count(*) FROM trades), (SELECT count(*) FROM conflicts), (SELECT count(*) FROM nodes),
       (SELECT count(*) FROM instruments), (SELECT count(*) FROM openings), (SELECT count(*) FROM marks),
       (SELECT count(*) FROM closes), (SELECT count(*) FROM cash), (SELECT count(*) FROM carry)

-- name: meta_get
SELECT value FROM meta WHERE key = ?

-- name: meta_set
INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- What refers to a name: trades, conflicts, opening balances, external cash (of a node), carry.
-- name: desk_referred
SELECT EXISTS (SELECT 1 FROM trades WHERE desk = ?), EXISTS (SELECT 1 FROM conflicts WHERE desk = ?),
       EXISTS (SELECT 1 FROM openings WHERE desk = ?), EXISTS (SELECT 1 FROM cash WHERE node = ?),
       EXISTS (SELECT 1 FROM carry WHERE desk = ?)

-- name: instrument_referred
SELECT EXISTS (SELECT 1 FROM trades WHERE instrument = ?), EXISTS (SELECT 1 FROM conflicts WHERE instrument = ?),
       EXISTS (SELECT 1 FROM openings WHERE instrument = ?), EXISTS (SELECT 1 FROM carry WHERE instrument = ?)

-- name: node_delete
DELETE FROM nodes WHERE node = ?

-- name: instrument_delete
DELETE FROM instruments WHERE instrument = ?

-- name: mark_delete
DELETE FROM marks WHERE instrument = ?

-- name: closes_delete
DELETE FROM closes WHERE instrument = ?

-- name: closes_of_instrument
SELECT date, instrument FROM closes WHERE instrument = ? ORDER BY date
