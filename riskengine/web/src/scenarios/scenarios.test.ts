import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { backtestText, carriedText, dayLines, lightText, notInIt, partLines, scenarioLines, varUnknown } from "./figures";
import { axesOf, axis, heatOf, moved, movesVol, rangeOf, SPOT_RANGES, strength } from "./heat";

test("an axis goes from -widest to widest with 0 in it, and no dust of binary fractions", () => {
  expect(axis(0.1, 4)).toEqual([-0.1, -0.075, -0.05, -0.025, 0, 0.025, 0.05, 0.075, 0.1]);
  expect(axis(0.05, 3)).toEqual([-0.05, -0.0333333333333, -0.0166666666667, 0, 0.0166666666667, 0.0333333333333, 0.05]);
  const { spot, vol } = axesOf(0.5, 0.1);
  expect(spot.length * vol.length).toBeLessThanOrEqual(441);
});

test("a range out of an address is one of the choices, or the usual one", () => {
  expect([rangeOf("0.2", SPOT_RANGES, 0.1), rangeOf("0.3", SPOT_RANGES, 0.1), rangeOf(undefined, SPOT_RANGES, 0.1), rangeOf("x", SPOT_RANGES, 0.1)]).toEqual([0.2, 0.1, 0.1, 0.1]);
});

const GRID: Row = { grid: [[-0.1, 0.02, -5], [0.1, 0.02, 3], [-0.1, -0.02, null], [0.1, -0.02, 10]].map(([spot, vol, change]) => ({ spot: spot ?? 0, vol: vol ?? 0, change: change ?? null })) };

test("the highest vol stands on top, and what is unknown stays so and colours nothing", () => {
  const heat = heatOf(GRID, "change");
  expect(heat).toEqual({ spot: [-0.1, 0.1], vol: [0.02, -0.02], cells: [[-5, 3], [null, 10]], most: 10 });
  expect([strength(-5, 10), strength(null, 10), strength(0, 0)]).toEqual([0.5, 0, 0]);
  expect(heatOf(undefined, "change")).toBeNull();
});

test("arrows walk through the cells and stop at the edges", () => {
  const heat = heatOf(GRID, "change");
  if (heat === null) throw new Error("no heat");
  expect([moved([0, 0], "ArrowDown", heat), moved([1, 0], "ArrowDown", heat), moved([0, 0], "ArrowLeft", heat), moved([0, 0], "ArrowRight", heat), moved([1, 1], "x", heat)]).toEqual([[1, 0], [1, 0], [0, 0], [0, 1], [1, 1]]);
});

test("figures that are null say how many scenarios lack, or that nothing has a history", () => {
  expect(varUnknown({ scenarios: 69, fewest: 250, method: "historical" })).toBe("69 scenarios, and 250 are needed: load more closes");
  expect(varUnknown({ scenarios: 3, fewest: 60, method: "intraday" })).toBe("3 scenarios, and 60 are needed: it takes an hour from the start");
  expect(varUnknown({ scenarios: 300, fewest: 250 })).toBe("nothing that is held has a history");
});

test("what is not in the figures is named with its reason, and counted from four on", () => {
  const unknown = ["A", "B", "C", "D", "E"].map((instrument) => ({ instrument, reason: "no price" }));
  expect(notInIt({ unknown, set_aside: 1 })).toBe("A (no price), B (no price), C (no price), 2 more, 1 position set aside");
  expect(notInIt({ unknown: [], set_aside: 0 })).toBe("");
  expect(carriedText({ carried: [{ instrument: "A", scenarios: 4 }] })).toBe("1 instrument carried over days without a close: A in 4");
});

test("parts stand by size with their share of the figure; those without a history come last and have none", () => {
  const lines = partLines({ var: 100, rows: [{ node: "A", var_contribution: 20 }, { node: "B", var_contribution: null }, { node: "C", var_contribution: -30 }, { node: "D", var_contribution: 110 }] });
  expect(lines.map(({ row }) => [row["name"], row["share"]])).toEqual([["D", 110], ["C", -30], ["A", 20], ["B", null]]);
  expect(partLines({ var: null, rows: [{ node: "A", var_contribution: null }] })[0]?.row["share"]).toBeNull();
  expect(partLines(undefined)).toEqual([]);
});

test("the worst scenario is first, the newest day of a backtest too", () => {
  expect(scenarioLines({ rows: [{ scenario: "a", pnl: 1 }, { scenario: "b", pnl: -4 }] }).map(({ row }) => row["scenario"])).toEqual(["b", "a"]);
  expect(dayLines({ rows: [{ date: "2026-11-27" }, { date: "2026-11-30" }] }).map(({ row }) => row["date"])).toEqual(["2026-11-30", "2026-11-27"]);
});

test("a backtest is told in words, and no light is never a green one", () => {
  expect(backtestText({ days: 43, exceptions: 2, expected: 4.3, kupiec: 1.456, p_value: 0.2276 })).toBe("2 exceptions in 43 days, 4.3 expected; Kupiec 1.46, p 22.8 %");
  expect(backtestText({ days: 0, exceptions: 0, expected: 0, kupiec: null, p_value: null })).toBe("no day has both VaR and P&L yet");
  expect([lightText({ light: null }), lightText({ light: "red" })]).toEqual(["no light: too few days to say", "red"]);
});

test("vol moves where there is an option to move it of", () => {
  const rows: Row[] = [
    { instrument: "EURUSD", kind: "fx" },
    { instrument: "EURUSD C1.10", kind: "fx_option", base_currency: "EUR", quote_currency: "USD", expiry: "2026-12-28" },
    { instrument: "ACME C95", kind: "equity_option", underlying: "ACME", sector: "Tech", expiry: "2026-11-30" },
  ];
  const on = (scope: Record<string, string | boolean>): boolean => movesVol(scope, rows, "2026-12-01");
  expect([on({ all: true }), on({ instrument: "EURUSD" }), on({ instrument: "EURUSD C1.10" })]).toEqual([true, true, true]);
  expect([on({ currency: "EUR" }), on({ instrument: "ACME" }), on({ sector: "Tech" }), movesVol({ all: true }, [], "2026-12-01")]).toEqual([false, false, false, false]);
});
