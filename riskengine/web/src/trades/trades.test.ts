import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { withKeptOut } from "./kept_out";

const trade = (trade_id: string, ts: number, more: Row = {}): Row => ({ source: "s", trade_id, leg: 0, version: 1, action: "new", desk: "FX1", ts, ...more });
const QUERY = { place: { node: "FX1" }, limit: 10 };
const shown = (rows: Row[]): unknown[] => rows.map((row) => [row["trade_id"], row["status"]]);

test("a stored trade that is kept out is one line with its reason", () => {
  const exceptions: Row[] = [{ id: "q1", kind: "quarantined", reason: "no such desk", trade: trade("B", 2) }];
  const rows = withKeptOut([trade("A", 1), trade("B", 2)], exceptions, QUERY);
  expect(shown(rows)).toEqual([["B", "quarantined"], ["A", "in force"]]);
  expect(rows[0]?.["reason"]).toBe("no such desk");
});

test("a conflict stands beside the trade that counts", () => {
  const exceptions: Row[] = [{ id: "c1", kind: "conflict", reason: "another was first", trade: trade("A", 1) }];
  expect(shown(withKeptOut([trade("A", 1)], exceptions, QUERY))).toEqual([["A", "conflict"], ["A", "in force"]]);
});

test("what is kept out of another desk is not shown here", () => {
  const exceptions: Row[] = [{ id: "p1", kind: "parked", reason: "waits", trade: trade("C", 3, { desk: "FX2" }) }];
  expect(withKeptOut([], exceptions, QUERY)).toEqual([]);
});

test("cancelled and amended ones say so", () => {
  const rows = withKeptOut([trade("A", 2, { action: "cancel" }), trade("B", 1, { action: "amend" })], [], QUERY);
  expect(shown(rows)).toEqual([["A", "cancelled"], ["B", "amended"]]);
});
