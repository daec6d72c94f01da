import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { barLines, bucketOf, countsInShorthand, lacking, listedOf, riskLines, sumOf } from "./lines";

const NOON = Date.parse("2026-03-04T12:00:00Z") * 1000;

const option = (instrument: string, underlying: string, expiry: string, strike: number, vega: number | null = 1): [string, Row] => [
  instrument, { instrument, underlying, expiry, strike, option_type: "call", vega, delta_cash: vega },
];
const hedge = (instrument: string, underlying: string, expiry: string | null = null): [string, Row] => [
  instrument, { instrument, underlying, expiry, strike: null, option_type: null, vega: 0, delta_cash: 5 },
];
const ROWS = new Map([
  hedge("EURUSD", "EURUSD"), option("E3", "EURUSD", "2026-06-01", 1.2), option("E2", "EURUSD", "2026-06-01", 1.1, null),
  option("E1", "EURUSD", "2026-03-05", 1.3), option("A1", "ACME", "2028-09-01", 90), hedge("6EM6", "EURUSD", "2026-06-15"),
]);
const SUMS: Row = {
  by_underlying: [{ underlying: "ACME", vega: 1, delta_cash: 1 }, { underlying: "EURUSD", vega: 2, delta_cash: 12, unknown: { vega: 1 } }],
  by_expiry: ["1W", "1M", "3M", "6M", "1Y", "2Y", "later"].map((bucket) => ({ bucket, vega: bucket.length })),
};
const OPEN = { isClosed: () => false, asOf: NOON, details: new Set<string>() };

test("under an underlying its options by expiry and strike, several of one date under a line of it, then the hedges", () => {
  const lines = riskLines(ROWS, SUMS, { ...OPEN, byExpiry: false });
  expect(lines.map(({ key, level }) => [key, level])).toEqual([
    ["group:ACME", 0], ["A1", 1],
    ["group:EURUSD", 0], ["E1", 1], ["group:EURUSD/2026-06-01", 1], ["E2", 2], ["E3", 2], ["6EM6", 1], ["EURUSD", 1],
  ]);
  expect(lines[2]?.row).toMatchObject({ name: "EURUSD", vega: 2, delta_cash: 12 });
  expect(lines[4]?.row).toMatchObject({ name: "2 options", expiry: "2026-06-01", vega: 1, unknown: { vega: 1 } });
});

test("by expiry the buckets that hold something, in their order", () => {
  const lines = riskLines(ROWS, SUMS, { ...OPEN, byExpiry: true });
  expect(lines.map(({ key }) => key)).toEqual(["group:1W", "E1", "EURUSD", "group:3M", "E2", "E3", "group:6M", "6EM6", "group:later", "A1"]);
});

test("an open position shows a line below it", () => {
  const lines = riskLines(ROWS, SUMS, { ...OPEN, byExpiry: false, details: new Set(["A1"]) });
  expect(lines.slice(0, 3).map(({ key, kind, open }) => [key, kind, open])).toEqual([["group:ACME", "group", true], ["A1", "row", true], ["A1/detail", "detail", null]]);
});

test("a closed line hides what is below it", () => {
  const closed = new Set(["group:ACME", "group:EURUSD/2026-06-01"]);
  const lines = riskLines(ROWS, SUMS, { ...OPEN, byExpiry: false, isClosed: (key) => closed.has(key) });
  expect(lines.map(({ key }) => key)).toEqual(["group:ACME", "group:EURUSD", "E1", "group:EURUSD/2026-06-01", "6EM6", "EURUSD"]);
});

test("a row that came before its sums has a line, and nothing invented", () => {
  expect(riskLines(ROWS, null, { ...OPEN, byExpiry: false })[0]).toMatchObject({ key: "group:ACME", row: { name: "ACME" } });
});

test("buckets count days in UTC as the engine does", () => {
  const found = ["", "2026-03-04", "2026-03-11", "2026-03-12", "2026-04-04", "2026-04-05", "2026-06-04", "2027-03-05", "2028-03-04", "2028-03-05"];
  expect(found.map((expiry) => bucketOf(expiry, NOON))).toEqual(["1W", "1W", "1W", "1M", "1M", "3M", "3M", "1Y", "2Y", "later"]);
});

test("sums add what is known and count what they lack", () => {
  const sum = sumOf([{ vega: 1, theta: null }, { vega: null, theta: null, stale: true }]);
  expect([sum["vega"], sum["theta"], lacking(sum, "vega"), lacking(sum, "theta"), sum["stale_count"]]).toEqual([1, null, 1, 2, 1]);
  expect(sumOf([])["vega"]).toBe(0);
  expect(listedOf(SUMS)).toMatchObject({ vega: 3, delta_cash: 13, unknown: { vega: 1 } });
  expect(listedOf(null)).toMatchObject({ vega: 0 });
});

test("bars: the largest first, the unknown last; the larger side and gold count in the shorthand", () => {
  const rows: [string, Row][] = [["EUR", 5], ["JPY", -9], ["ISK", null], ["XAU", 1], ["USD", 30]].map(([currency, net]) => [String(currency), { currency, net } as Row]);
  expect(barLines(new Map(rows)).map(({ key }) => key)).toEqual(["USD", "JPY", "EUR", "XAU", "ISK"]);
  const counted = rows.filter(([, row]) => countsInShorthand(row, { long: 5, short: -9 }, "USD")).map(([currency]) => currency);
  expect(counted).toEqual(["JPY", "XAU"]);
});
