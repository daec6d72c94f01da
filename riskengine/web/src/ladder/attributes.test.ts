import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { numberOf } from "../store/rows";
import { attributeLines, OF_WHOLE } from "./attributes";

const part = (instrument: string, group: string | null, quantity: number, total: number | null, realised: number | null = null, kind = "trades"): Row => ({
  instrument, group, kind, quantity, total_pnl: total, realised_pnl: realised, trade_count: 1,
});
const ROWS = [
  part("EURUSD", "BETA", 5, 10),
  part("EURUSD", "", 1, 2, 1),
  part("EURUSD", null, 7, 1, 0, "rest"),
  part("ACME", "BETA", 0, 3, 3),
  part("ODD", null, 2, null, null, "unattributed"),
  part("ACME", "ALPHA", -2, -4, -1),
];
const HOW = { isClosed: () => false, showFlat: false, details: new Set<string>() };
const named = (lines: ReturnType<typeof attributeLines>): unknown[] => lines.map(({ level, row }) => [level, row["name"] ?? row["instrument"]]);

test("groups by name, then those without one, the rest and what is not attributed", () => {
  expect(named(attributeLines(ROWS, "counterparty", HOW))).toEqual([
    [0, "ALPHA"], [1, "ACME"],
    [0, "BETA"], [1, "EURUSD"], [1, "1 flat"],
    [0, "(no counterparty)"], [1, "EURUSD"],
    [0, expect.stringContaining("Rest")], [1, "EURUSD"],
    [0, expect.stringContaining("Not attributed")], [1, "ODD"],
  ]);
});

test("the groups add up to all parts, whether flat ones are shown or not", () => {
  for (const showFlat of [true, false]) {
    const top = attributeLines(ROWS, "counterparty", { ...HOW, showFlat }).filter(({ level }) => level === 0);
    expect(top.reduce((sum, { row }) => sum + (numberOf(row, "total_pnl") ?? 0), 0)).toBe(12);
  }
});

test("a sum of parts is unknown where one of them is, and says why", () => {
  const [alpha, , beta] = attributeLines(ROWS, "counterparty", HOW);
  expect([alpha?.row["realised_pnl"], beta?.row["realised_pnl"], beta?.row["total_pnl"]]).toEqual([-1, null, 13]);
  expect(beta?.row["why"]).toBe(OF_WHOLE);
});

test("a name cannot be taken for the rest, and one part stands in several groups under keys of its own", () => {
  const lines = attributeLines([part("EURUSD", "rest:", 1, 1), part("EURUSD", null, 1, 1, null, "rest")], "strategy", HOW);
  expect(new Set(lines.map(({ key }) => key)).size).toBe(lines.length);
});
