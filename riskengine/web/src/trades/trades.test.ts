import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { withKeptOut } from "./kept_out";
import { exceptionsQuery, filtersIn, NO_FILTERS, tradesQuery } from "./query";

const trade = (trade_id: string, ts: number, more: Row = {}): Row => ({ source: "s", trade_id, leg: 0, version: 1, action: "new", desk: "FX1", ts, ...more });
const QUERY = NO_FILTERS;
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

test("what is kept out and not among the trades asked for is not shown, but for a conflict", () => {
  const exceptions: Row[] = [{ id: "p1", kind: "parked", reason: "waits", trade: trade("C", 3) }, { id: "c1", kind: "conflict", reason: "another", trade: trade("D", 4) }];
  expect(shown(withKeptOut([], exceptions, QUERY))).toEqual([["D", "conflict"]]);
  expect(withKeptOut([], exceptions, { ...NO_FILTERS, counterparty: "X" })).toEqual([]);
});

test("filters narrow where the user is, and the engine is asked", () => {
  const filters = { ...NO_FILTERS, desk: "FX1", counterparty: "BANK", status: "in force" as const };
  expect(tradesQuery({ place: { node: "FX" }, limit: 5, filters })).toMatchObject({ node: "FX1", counterparty: "BANK", action: "new", kept_out: false, limit: 5 });
  expect(tradesQuery({ place: { dealer: "ann" }, limit: 5, filters: { ...NO_FILTERS, dealer: "bob" } })).toMatchObject({ node: undefined, dealer: "ann", kept_out: undefined });
  expect(exceptionsQuery({ place: { node: "FX" }, limit: 5, filters })).toBe(null);
  expect(exceptionsQuery({ place: { node: "FX" }, limit: 5, filters: { ...filters, status: "kept out" } })).toMatchObject({ node: "FX1" });
});

test("an address that says no known status asks for any", () => {
  expect(filtersIn({ "t-status": "amended", "t-source": "manual" })).toEqual({ ...NO_FILTERS, status: "amended", source: "manual" });
  expect(filtersIn({ "t-status": "odd" })).toEqual(NO_FILTERS);
});

test("cancelled and amended ones say so", () => {
  const rows = withKeptOut([trade("A", 2, { action: "cancel" }), trade("B", 1, { action: "amend" })], [], QUERY);
  expect(shown(rows)).toEqual([["A", "cancelled"], ["B", "amended"]]);
});
