import { expect, test } from "vitest";
import { boundOf, boundText, measured, netTicks, scaleWith, stateText, unknownReason, useBar, useTicks } from "../amounts/limit_rows";
import type { Row } from "../store/messages";
import { countsText, limitLines, saidOfBreaches } from "./lines";

const line = (limit_id: string, more: Row): Row => ({ line: limit_id, limit_id, node: "FX1", dealer: null, measure: "net_exposure", currency: null, side: "absolute", limit: 100, warn_at: 90, state: "ok", value: 40, use_percent: 40, headroom: 60, incomplete: false, ...more });
const table = (...rows: Row[]): Map<string, Row> => new Map(rows.map((row) => [`=${String(row["line"])}`, row]));
const everywhere = { place: null, isBelow: () => true, unwell: false };

test("breaches come first, then what is unknown, warnings and the rest, each in the engine's order", () => {
  const rows = table(line("a", {}), line("b", { state: "warning" }), line("c", { state: "unknown" }), line("d", { state: "breach" }), line("e", { state: "breach" }), line("f", { state: "per_trade" }));
  expect(limitLines(rows, everywhere).map(({ row }) => row["limit_id"])).toEqual(["d", "e", "c", "b", "a", "f"]);
  expect(limitLines(rows, { ...everywhere, unwell: true }).map(({ row }) => row["limit_id"])).toEqual(["d", "e", "c", "b"]);
});

test("of a node are its limits and those below it, never those of dealers; of a dealer its own", () => {
  const rows = table(line("here", {}), line("elsewhere", { node: "EQ" }), line("ann", { node: null, dealer: "ann" }));
  const isBelow = (node: string): boolean => node.startsWith("FX");
  expect(limitLines(rows, { place: { node: "FX" }, isBelow, unwell: false }).map(({ row }) => row["limit_id"])).toEqual(["here"]);
  expect(limitLines(rows, { place: { dealer: "ann" }, isBelow, unwell: false }).map(({ row }) => row["limit_id"])).toEqual(["ann"]);
});

test("counts are in words, without those that are nought", () => {
  expect(countsText([line("a", {}), line("b", { state: "breach" }), line("c", { state: "breach" }), line("d", { state: "per_trade" })])).toBe("2 breaches, 1 ok, 1 per trade");
  expect(countsText([])).toBe("");
});

test("the list of breaches is another one when a breach begins or is acknowledged, and not when a number moves", () => {
  const [calm, moved] = [[line("a", { breach_id: "x", acknowledged_ts: null })], [line("a", { breach_id: "x", acknowledged_ts: null, value: 41 })]];
  expect(saidOfBreaches(calm)).toBe(saidOfBreaches(moved));
  expect(saidOfBreaches([line("a", { breach_id: "x", acknowledged_ts: 7 })])).not.toBe(saidOfBreaches(calm));
  expect(saidOfBreaches([line("a", { breach_id: null })])).toBe("[]");
});

test("the bar of a use ends at 125 %, with the limit at four fifths; a floor warns before it", () => {
  expect(useBar(line("a", {}))).toBeCloseTo(0.32);
  expect(useBar(line("a", { use_percent: 400 }))).toBe(1);
  expect(useTicks(line("a", {}))).toEqual({ limit: [0.8], warn: [expect.closeTo(0.72)] });
  expect(useTicks(line("a", { side: "below", limit: -5_000_000, warn_at: -4_500_000 }))).toEqual({ limit: [0.8], warn: [expect.closeTo(0.72)] });
});

test("what is unknown has no bar and no tick, and says why", () => {
  const unknown = line("a", { state: "unknown", value: null, use_percent: null, headroom: null, incomplete: true });
  expect([useBar(unknown), useTicks(unknown)]).toEqual([null, null]);
  expect(unknownReason(unknown)).toMatch(/no price or no rate/);
  expect(unknownReason(line("a", { incomplete: true, state: "unknown" }))).toMatch(/^of what is known/);
  expect(unknownReason(line("a", {}))).toBe("");
  expect(unknownReason(line("a", { state: "per_trade", value: null }))).toMatch(/intended trades/);
  expect(measured("net_exposure", null, false)).toBe("\u2014");
  expect(stateText(unknown)).toBe("? unknown");
});

test("numbers are in the unit of their measure", () => {
  expect([measured("largest_name", 12.34, false), measured("sector_count", 7, false), measured("quantity", -1.5, false), measured("vega", -1.5, false)]).toEqual(["12.3 %", "7", "\u22121.5", "\u22122"]);
});

test("an absolute limit stands on both sides of a net bar, one above or below on its own", () => {
  const place = { node: "FX1" };
  expect(netTicks(boundOf([line("a", {})], place, "net_exposure"), 200)).toEqual({ limit: [0.25, 0.75], warn: [expect.closeTo(0.275), expect.closeTo(0.725)] });
  expect(netTicks(boundOf([line("a", { side: "above" })], place, "net_exposure"), 200)).toEqual({ limit: [0.75], warn: [expect.closeTo(0.725)] });
  expect(netTicks(boundOf([line("a", { side: "below", limit: -100, warn_at: -90 })], place, "net_exposure"), 200)).toEqual({ limit: [0.25], warn: [expect.closeTo(0.275)] });
});

test("of several limits the narrowest counts; those of other places, measures and currencies do not", () => {
  const rows = [line("wide", { limit: 500 }), line("narrow", { limit: 50 }), line("other", { node: "FX2", limit: 1 }), line("eur", { currency: "EUR", limit: 2 }), line("dealer", { node: null, dealer: "FX1", limit: 3 })];
  expect(boundOf(rows, { node: "FX1" }, "net_exposure")?.row["limit_id"]).toBe("narrow");
  expect(boundOf(rows, { node: "FX1" }, "vega")).toBeNull();
  expect(boundOf(rows, { node: "FX1" }, "net_exposure", "EUR")?.row["limit_id"]).toBe("eur");
  expect(boundOf(rows, { dealer: "FX1" }, "net_exposure")?.row["limit_id"]).toBe("dealer");
});

test("a limit widens the scale of bars unless it is far beyond them; then it has no tick and stands in words", () => {
  const [near, far] = [boundOf([line("a", { limit: 250 })], { node: "FX1" }, "net_exposure"), boundOf([line("a", { limit: 301, warn_at: 290 })], { node: "FX1" }, "net_exposure")];
  expect(scaleWith(100, [near, null])).toBe(250);
  expect(scaleWith(100, [far])).toBe(100);
  expect(netTicks(far, 100)).toEqual({ limit: [], warn: [] });
  expect(boundText(far)).toBe("limit 301 absolute (a): ok, used 40.0 %, headroom 60");
});
