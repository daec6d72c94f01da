import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { lightsOf, type Seen } from "./lights";

const NOW = 1_772_625_600_000_000;
const TOP: Row = { node: "ALL", trade_count: 9, position_count: 31, stale_count: 0, unpriced_count: 0, last_trade_ts: NOW - 3e6, oldest_mark_ts: NOW - 1e6 };
const STATUS: Row = { state: "live", ts: NOW, last_tick_age_ms: 200, last_trade_at: NOW - 2e6, warnings: [], feeds: [], policies: { stale_after_s: 60 } };
const SEEN: Seen = {
  link: { name: "live" }, silentMs: 120, host: "desk:8321", now: NOW, asOf: NOW, tops: [TOP], topsInStep: true, status: STATUS, statusInStep: true, positions: [],
};
const marks = (count: number, old: number): Row[] =>
  Array.from({ length: count }, (_, at) => ({ instrument: `I${at}`, mark_ts: NOW, stale: at < old, closed: false }));

test("all is well", () => {
  const lights = lightsOf({ ...SEEN, positions: marks(31, 0) });
  expect(lights.connection).toMatchObject({ look: "good", words: "0.1 s" });
  expect(lights.prices).toMatchObject({ look: "good", words: "0.2 s" });
  expect(lights.trades).toMatchObject({ look: "unsure", words: "2.0 s" });
});

test("no number of old marks is green, and most of them are red", () => {
  for (let old = 1; old <= 31; old += 1) {
    const { prices } = lightsOf({ ...SEEN, tops: [{ ...TOP, stale_count: old }], positions: marks(31, old) });
    expect(prices).toMatchObject({ look: old > 15 ? "bad" : "fair", words: `${old} of 31 old` });
  }
});

test("old marks that are not on this screen count too", () => {
  const { prices } = lightsOf({ ...SEEN, tops: [{ ...TOP, stale_count: 2 }], positions: marks(3, 0) });
  expect(prices).toMatchObject({ look: "fair", words: "2 old" });
});

test("a price feed that falls silent is yellow after seconds and red when its marks are", () => {
  const at = (ms: number) => lightsOf({ ...SEEN, status: { ...STATUS, last_tick_age_ms: ms } }).prices.look;
  expect([at(9_000), at(11_000), at(61_000)]).toEqual(["good", "fair", "bad"]);
});

test("when the markets are shut, silence is no fault", () => {
  const positions = marks(3, 0).map((row) => ({ ...row, closed: true }));
  expect(lightsOf({ ...SEEN, positions, status: { ...STATUS, last_tick_age_ms: 7.2e6 } }).prices.look).toBe("fair");
});

test("an engine that never had a price and holds positions is red", () => {
  expect(lightsOf({ ...SEEN, status: { ...STATUS, last_tick_age_ms: null } }).prices).toMatchObject({ look: "bad", words: "none" });
});

test.each([
  [{ source: "booking", alive: true, gap: true, missing_count: 7 }, "bad", "1 with gaps", "booking: 7 trades missing"],
  [{ source: "booking", alive: false, age_ms: 9_000 }, "bad", "1 silent", "booking: silent for 9.0 s"],
  [{ source: "booking", alive: true, anew: true }, "bad", "1 number anew", "booking: numbers anew"],
  [{ source: "booking", alive: true }, "good", "2.0 s", "1 source beat, none with a gap"],
])("a source of trades: %j", (feed: Row, look, words, said) => {
  const { trades } = lightsOf({ ...SEEN, status: { ...STATUS, feeds: [feed] } });
  expect(trades).toMatchObject({ look, words });
  expect(trades.knows).toContain(said);
});

test("trades that are kept out are yellow, a store that is away is red", () => {
  const warnings = [{ kind: "quarantined", text: "1 trade is quarantined" }];
  expect(lightsOf({ ...SEEN, status: { ...STATUS, warnings } }).trades).toMatchObject({ look: "fair" });
  expect(lightsOf({ ...SEEN, status: { ...STATUS, state: "degraded" } }).trades).toMatchObject({ look: "bad", words: "store away" });
});

test.each([
  { link: { name: "silent", forMs: 2_500 } as const }, { link: { name: "down", retryInMs: 900 } as const }, { link: { name: "connecting" } as const },
  { link: { name: "hangs", forMs: 2_500 } as const }, { topsInStep: false }, { statusInStep: false }, { now: null },
])("feeds are unknown, not green, where the page cannot know: %j", (change) => {
  const { trades, prices } = lightsOf({ ...SEEN, ...change, positions: marks(3, 0) });
  expect([trades.look, prices.look]).toEqual(["off", "off"]);
});

test("a lost connection says what the grey numbers are of", () => {
  const { connection } = lightsOf({ ...SEEN, link: { name: "down", retryInMs: 900 } });
  expect(connection).toMatchObject({ look: "bad", words: "down, retry in 1 s" });
  expect(connection.knows[0]).toContain("grey numbers are as of");
});

test("a page of the past has no lights of trades and prices, whatever is well now", () => {
  const lights = lightsOf({ ...SEEN, positions: marks(31, 0), moment: "as of 14:32:05" });
  expect([lights.trades, lights.prices].map(({ look, words }) => [look, words])).toEqual([["off", "as of 14:32:05"], ["off", "as of 14:32:05"]]);
  expect(lights.connection.look).toBe("good");
});
