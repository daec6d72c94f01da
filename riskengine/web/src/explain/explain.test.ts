import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { instrumentLines, readInstant, reservations, waterfall } from "./waterfall";

const ANSWER: Row = {
  from: { ts: 1, close: "2026-11-30", net_pnl: 100, unpriced_count: 0, unknown: [] },
  to: { ts: 2, close: null, net_pnl: 130, unpriced_count: 2, unknown: ["marks are older"] },
  lines: { price: 50, delta: 0, gamma: 0, vega: null, theta: 0, trades: -30, carry: 0, translation: 0, corrections: 0, unpriced: 0, unexplained: 20, fees: -10 },
  tolerance: 15, alarmed: true, net_pnl: 30,
};

test("each step begins where the one before it ended, and the last one reaches the end", () => {
  const steps = waterfall(ANSWER);
  expect(steps.map(({ id }) => id)).toEqual(["from", "price", "delta", "gamma", "vega", "theta", "trades", "carry", "translation", "corrections", "unpriced", "unexplained", "fees", "to"]);
  for (const [at, step] of steps.entries()) if (at > 0) expect(step.from).toBeCloseTo(step.kind === "end" ? step.to : (steps[at - 1]?.to ?? Number.NaN));
  expect(steps.at(-1)?.to).toBeCloseTo(steps.at(-2)?.to ?? Number.NaN);
  expect(steps[0]?.label).toBe("Close of 2026-11-30");
});

test("the scale holds all steps with room on both sides, and a span without any P&L is not divided by nothing", () => {
  for (const { from, to } of waterfall(ANSWER)) for (const place of [from, to]) expect([place > 0, place < 1]).toEqual([true, true]);
  const nothing = waterfall({ from: { net_pnl: 0 }, to: { net_pnl: 0 }, lines: {} });
  expect(nothing.every(({ from, to }) => from === 0.5 && to === 0.5)).toBe(true);
  expect(waterfall(undefined)).toEqual([]);
});

test("a line of which nothing is known stays unknown and moves nothing", () => {
  const vega = waterfall(ANSWER).find(({ id }) => id === "vega");
  expect([vega?.value, vega?.from === vega?.to]).toEqual([null, true]);
});

test("what is unexplained beyond the tolerance, of unknown worth or not as it was is said", () => {
  expect(reservations(ANSWER)).toEqual(["+20 is unexplained, more than the tolerance of 15", "at the end 2 positions of unknown worth", "at the end: marks are older"]);
  expect(reservations({ ...ANSWER, alarmed: false, to: { unpriced_count: 0, unknown: [] } })).toEqual([]);
});

test("instruments stand by what they moved, unknown ones last", () => {
  const rows = [{ instrument: "A", net_pnl: 1 }, { instrument: "B", net_pnl: null }, { instrument: "C", net_pnl: -9 }];
  expect(instrumentLines({ rows }).map(({ row }) => row["instrument"])).toEqual(["C", "A", "B"]);
});

test("an instrument of which nothing is known has no P&L of 0", () => {
  const unknown = { instrument: "A", net_pnl: 0, unpriced: 0, price: null, fees: 0, reason: "positions without a price or a rate" };
  const rows = [unknown, { ...unknown, instrument: "B", fees: -2, net_pnl: -2 }, { ...unknown, instrument: "C", reason: null }];
  expect(instrumentLines({ rows }).map(({ row }) => [row["instrument"], row["net_pnl"], row["unpriced"]])).toEqual([["B", -2, 0], ["C", 0, 0], ["A", null, null]]);
});

test("an instant is empty, a date or a time; anything else cannot be read", () => {
  const now = Date.parse("2026-12-01T15:00:00Z") * 1000;
  expect([readInstant(" ", now), readInstant("2026-11-30", now), readInstant("2026-11-30T14:32:05Z", now), readInstant("14:32Z", now), readInstant("soon", now)]).toEqual([
    "", "2026-11-30", "2026-11-30T14:32:05Z", "2026-12-01T14:32:00Z", null,
  ]);
});
