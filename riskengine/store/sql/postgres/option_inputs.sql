-- Queries on what options and forwards are valued with. An older row of a day never takes the place of a newer one.

-- name: vols
SELECT instrument, ts, vol, source FROM vols ORDER BY day, instrument

-- name: vols_of_others
SELECT instrument, ts, vol, source FROM vols WHERE saved = 0 ORDER BY day, instrument

-- name: vols_save
INSERT INTO vols (instrument, day, ts, vol, source, saved)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (instrument, day) DO UPDATE SET
    ts = excluded.ts, vol = excluded.vol, source = excluded.source, saved = excluded.saved
WHERE excluded.ts >= vols.ts

-- name: vols_prune
DELETE FROM vols WHERE day < %s AND EXISTS (SELECT 1 FROM vols AS later WHERE later.instrument = vols.instrument AND later.day > vols.day)

-- name: vol_surfaces
SELECT pair, expiry, ts, atm, rr25, bf25, rr10, bf10, source FROM vol_surfaces ORDER BY day, pair, expiry

-- name: vol_surfaces_of_others
SELECT pair, expiry, ts, atm, rr25, bf25, rr10, bf10, source FROM vol_surfaces WHERE saved = 0 ORDER BY day, pair, expiry

-- name: vol_surfaces_save
INSERT INTO vol_surfaces (pair, expiry, day, ts, atm, rr25, bf25, rr10, bf10, source, saved)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (pair, expiry, day) DO UPDATE SET
    ts = excluded.ts, atm = excluded.atm, rr25 = excluded.rr25, bf25 = excluded.bf25, rr10 = excluded.rr10, bf10 =
    excluded.bf10, source = excluded.source, saved = excluded.saved
WHERE excluded.ts >= vol_surfaces.ts

-- name: vol_surfaces_prune
DELETE FROM vol_surfaces WHERE day < %s AND EXISTS (SELECT 1 FROM vol_surfaces AS later WHERE later.pair = vol_surfaces.pair AND later.expiry = vol_surfaces.expiry AND later.day > vol_surfaces.day)

-- name: rates
SELECT subject, date, ts, kind, value, source FROM rates ORDER BY day, subject_kind, subject, date

-- name: rates_of_others
SELECT subject, date, ts, kind, value, source FROM rates WHERE saved = 0 ORDER BY day, subject_kind, subject, date

-- name: rates_save
INSERT INTO rates (subject_kind, subject, date, day, ts, kind, value, source, saved)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (subject_kind, subject, date, day) DO UPDATE SET
    ts = excluded.ts, kind = excluded.kind, value = excluded.value, source = excluded.source, saved = excluded.saved
WHERE excluded.ts >= rates.ts

-- name: rates_prune
DELETE FROM rates WHERE day < %s AND EXISTS (SELECT 1 FROM rates AS later WHERE later.subject_kind = rates.subject_kind AND later.subject = rates.subject AND later.date = rates.date AND later.day > rates.day)

-- name: greeks
SELECT instrument, ts, spot, vol, value, delta, gamma, vega, theta, source FROM greeks ORDER BY day, instrument

-- name: greeks_of_others
SELECT instrument, ts, spot, vol, value, delta, gamma, vega, theta, source FROM greeks WHERE saved = 0 ORDER BY day, instrument

-- name: greeks_save
INSERT INTO greeks (instrument, day, ts, spot, vol, value, delta, gamma, vega, theta, source, saved)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (instrument, day) DO UPDATE SET
    ts = excluded.ts, spot = excluded.spot, vol = excluded.vol, value = excluded.value, delta = excluded.delta, gamma =
    excluded.gamma, vega = excluded.vega, theta = excluded.theta, source = excluded.source, saved = excluded.saved
WHERE excluded.ts >= greeks.ts

-- name: greeks_prune
DELETE FROM greeks WHERE day < %s AND EXISTS (SELECT 1 FROM greeks AS later WHERE later.instrument = greeks.instrument AND later.day > greeks.day)

-- name: vols_delete
DELETE FROM vols WHERE instrument = %s

-- name: greeks_delete
DELETE FROM greeks WHERE instrument = %s

-- name: vol_surfaces_delete
DELETE FROM vol_surfaces WHERE pair = %s

-- name: rates_delete
DELETE FROM rates WHERE subject = %s AND subject_kind <> 'currency'

-- name: cut_spots
SELECT instrument, ts, price, source FROM cut_spots ORDER BY day, instrument

-- name: cut_spots_of_others
SELECT instrument, ts, price, source FROM cut_spots WHERE saved = 0 ORDER BY day, instrument

-- name: cut_spots_save
INSERT INTO cut_spots (instrument, day, ts, price, source, saved)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (instrument, day) DO UPDATE SET
    ts = excluded.ts, price = excluded.price, source = excluded.source, saved = excluded.saved
WHERE excluded.ts >= cut_spots.ts

-- name: cut_spots_prune
DELETE FROM cut_spots WHERE day < %s AND EXISTS (SELECT 1 FROM cut_spots AS later WHERE later.instrument = cut_spots.instrument AND later.day > cut_spots.day)

-- name: cut_spots_delete
DELETE FROM cut_spots WHERE instrument = %s
