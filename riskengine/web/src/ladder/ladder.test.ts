import { expect, test } from "vitest";
import { hang } from "../grid/column";
import type { Row } from "../store/messages";
import { numberOf } from "../store/rows";
import { ADDITIVE, ladderLines, sumOf } from "./lines";
import { pipOf } from "./pips";

const position = (instrument: string, quantity: number | null, total: number | null, currency = "USD"): [string, Row] => [
  instrument, { instrument, quantity, total_pnl: total, currency },
];
const ROWS = new Map([
  position("EURUSD", 5, 10), position("GBPUSD", 0, 3), position("AUDUSD", -2, null), position("USDJPY", 1, -4, "JPY"), position("ODD", null, null),
]);
const PLAIN = { groupOf: null, isClosed: () => false, showFlat: false, details: new Set<string>() };

test("open positions by name, then one line for all flat ones", () => {
  const lines = ladderLines(ROWS, PLAIN);
  expect(lines.map(({ key }) => key)).toEqual(["AUDUSD", "EURUSD", "ODD", "USDJPY", "flat"]);
  expect(lines.at(-1)).toMatchObject({ kind: "fold", open: false, row: { name: "1 flat", total_pnl: 3 } });
});

test("groups sum what is known and say what they leave out", () => {
  const lines = ladderLines(ROWS, { ...PLAIN, groupOf: (row) => String(row["currency"]) });
  expect(lines.map(({ key, level }) => [key, level])).toEqual([
    ["group:JPY", 0], ["USDJPY", 1], ["group:USD", 0], ["AUDUSD", 1], ["EURUSD", 1], ["ODD", 1], ["flat", 0],
  ]);
  expect(lines[2]?.row).toMatchObject({ total_pnl: 10, unpriced_count: 2 });
});

test("a closed group hides its positions, an open position shows a line below it", () => {
  const lines = ladderLines(ROWS, {
    groupOf: (row) => String(row["currency"]), isClosed: (key) => key === "group:USD", showFlat: true, details: new Set(["USDJPY"]),
  });
  expect(lines.map(({ key }) => key)).toEqual(["group:JPY", "USDJPY", "USDJPY/detail", "group:USD", "flat", "GBPUSD"]);
});

test("the top lines add up to all rows, however they are arranged", () => {
  const whole = sumOf([...ROWS.values()]);
  for (const groupOf of [null, (row: Row) => String(row["currency"])]) {
    for (const showFlat of [true, false]) {
      const top = ladderLines(ROWS, { ...PLAIN, groupOf, showFlat }).filter(({ level }) => level === 0);
      for (const field of ADDITIVE) {
        const sum = top.reduce((all, { row }) => all + (numberOf(row, field) ?? 0), 0);
        expect(sum).toBeCloseTo(numberOf(whole, field) ?? 0, 9);
      }
    }
  }
});

test("what nobody knows has no sum", () => {
  expect(sumOf([{ total_pnl: null }])["total_pnl"]).toBeNull();
  expect(sumOf([])["total_pnl"]).toBe(0);
});

test("however a grid sorts, lines stay under their parents and the folded ones last", () => {
  const lines = ladderLines(ROWS, { groupOf: (row) => String(row["currency"]), isClosed: () => false, showFlat: true, details: new Set(["EURUSD"]) });
  const hung = hang(lines.toReversed(), (line) => line);
  expect(hung.map(({ key }) => key)).toEqual([
    "group:USD", "ODD", "EURUSD", "EURUSD/detail", "AUDUSD", "group:JPY", "USDJPY", "flat", "GBPUSD",
  ]);
});

test.each([["fx", 5, 1e-4], ["fx", 3, 1e-2], ["fx_forward", 5, 1e-4], ["equity", 2, 1e-2], ["fx_option", 6, 1e-4], ["equity_option", 2, 1e-2]])(
  "a pip of %s with %i decimals",
  (kind, decimals, pip) => expect(pipOf(kind, decimals)).toBeCloseTo(pip, 9),
);
