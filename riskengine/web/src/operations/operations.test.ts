import { expect, test } from "vitest";
import { dateText, duesOf, ofKinds } from "./agenda";
import { lacking, recordOf } from "./records";
import { breakCase, casesOf, countsByKind, detailFacts, EFFECTS, exceptionCase, comparedFacts } from "./cases";
import { phaseChecks, stateChecks } from "./checklist";
import { mayComment, mayOperate } from "../live/rights";

const TRADE = { source: "desk", trade_id: "t1", leg: 0, version: 1, desk: "FX1", dealer: "ann", instrument: "EURUSD", price: 1.1, quantity: 5, comment: "" };
const conflict = { id: "conflict:1", kind: "conflict", ts: 5, reason: "another came first", instrument: "EURUSD", trade: TRADE, detail: { stands: { ...TRADE, price: 1.2 } }, verdict: null };
const late = { id: "late:1", kind: "late", ts: null, reason: "late", trade: null, detail: { owner: "FX2" }, verdict: "accept", verdict_by: "ann", verdict_ts: 7, comment: "known" };
const broken = { break_id: 3, kind: "quantity", node: "FX1", instrument: "EURUSD", here: { quantity: 5, net_cash: "-5.5" }, there: null, status: "open", first_seen_ts: 2, comment: "" };

test("what is open comes first, breaks before exceptions, and what was decided last", () => {
  const [exceptions, breaks] = [{ rows: [late, conflict] }, { rows: [broken] }];
  expect(casesOf(exceptions, breaks).map(({ key }) => key)).toEqual(["break:3", "conflict:1", "late:1"]);
  expect(casesOf(undefined, undefined)).toEqual([]);
});

test("a case says where it is and what is wrong; what nobody noted is unknown, not now", () => {
  expect(exceptionCase(conflict)).toMatchObject({ where: "FX1 \u00b7 ann", since: 5, verdict: "" });
  expect(exceptionCase(late)).toMatchObject({ where: "FX2", since: null, verdict: "accept", by: "ann" });
  expect(breakCase(broken)).toMatchObject({ where: "FX1", what: "quantity: here 5 (cash -5.5), in the store nothing", verdict: "" });
  expect(breakCase({ ...broken, status: "repaired" }).verdict).toBe("repaired");
});

test("open cases are counted by kind", () => {
  expect(countsByKind(casesOf({ rows: [conflict, late, { ...conflict, id: "c2" }] }, { rows: [broken] }))).toEqual([["break", 1], ["conflict", 2]]);
});

test("of two versions what differs stands first, beside what stands", () => {
  const [first, ...others] = comparedFacts(TRADE, { ...TRADE, price: 1.2 });
  expect(first).toEqual({ name: "price", value: "1.1", other: "1.2" });
  expect(others.every(({ other }) => other === undefined)).toBe(true);
  expect(others.map(({ name }) => name)).not.toContain("comment");
});

test("what only one side has is compared with nothing", () => {
  expect(comparedFacts(undefined, { quantity: "5", fees: {} })).toEqual([{ name: "quantity", value: "", other: "5" }]);
});

test("a detail is one line a fact, with what is inside others named by both, and unknown said", () => {
  expect(detailFacts({ late_by_s: 62.8, before: { average_price: null }, holders: [{ desk: "FX1", quantity: 5 }], stands: TRADE })).toEqual([
    { name: "late by s", value: "62.8" },
    { name: "before: average price", value: "unknown" },
    { name: "holders", value: "FX1 5" },
  ]);
});

test("a time is written as people say it, with its zone", () => {
  expect(comparedFacts({ ts: 1_700_000_000_000_000, received_ts: null }, undefined)).toEqual([{ name: "executed", value: "2023-11-14 22:13:20.000 UTC" }]);
});

test("every kind can be accepted, and only some rejected", () => {
  expect(Object.entries(EFFECTS).filter(([, { reject }]) => reject !== undefined).map(([kind]) => kind)).toEqual(["conflict", "quarantined", "suspect", "expired"]);
});

const START = {
  phases: [{ phase: "lease", started_ts: 1, seconds: 0.01 }, { phase: "live", started_ts: 9, seconds: null }],
  trades_loaded: 5, trades_total: 5, openings: 1, unreadable: 0, unjudged: 0, openings_left_out: 0, compared: 4, mismatches: [], closed: "2026-11-30", made_up: [],
};
const standings = (...of: Parameters<typeof stateChecks>): Record<string, string> => Object.fromEntries(stateChecks(...of).map(({ name, standing }) => [name, standing]));

test("the morning is well where all is known to be, and not known is not well", () => {
  const root = { unpriced_count: 0, stale_count: 0, position_count: 4 };
  const feeds = [{ source: "desk", alive: true, gap: false, anew: false }];
  expect(standings({ start: START, feeds, last_reconciliation: { clean: true, compared: 4 } }, root, 0)).toEqual({
    loaded: "well", store: "well", "last close": "well", reconciliation: "well", sources: "well", prices: "well", "work list": "well",
  });
  expect(standings(undefined, undefined, null)).toEqual({
    loaded: "unknown", store: "unknown", "last close": "look", reconciliation: "unknown", sources: "unknown", prices: "unknown", "work list": "unknown",
  });
});

test.each([
  ["loaded", { start: { ...START, unreadable: 2 } }],
  ["store", { start: { ...START, mismatches: [{}] } }],
  ["last close", { start: { ...START, closed: null } }],
  ["reconciliation", { start: START, last_reconciliation: { clean: false, found: 1, compared: 4 } }],
  ["sources", { start: START, feeds: [{ source: "desk", alive: true, gap: true }] }],
])("%s needs a look where something is wrong with it", (name, status) => {
  expect(standings(status, undefined, null)[name]).toBe("look");
});

test("a comparison that goes on in the background is not known, and a phase at work is not done", () => {
  expect(standings({ start: { ...START, compared: null } }, undefined, null)["store"]).toBe("unknown");
  expect(phaseChecks({ phases: [{ phase: "replay", started_ts: 1, seconds: null }] })[0]).toMatchObject({ standing: "unknown", about: "morning#phases.replay" });
});

test("pairs stand together by when they settle, with the holidays that delay them", () => {
  const row = (name: string, due: string, what = ""): { kind: string; name: string; due: string; what: string } => ({ kind: "value_date", name, due, what });
  const rows = [row("EURUSD", "2026-12-03"), row("USDCAD", "2026-12-02"), row("USDJPY", "2026-12-04", "later than usual: holiday of JPY 2026-12-03"), { kind: "holiday", name: "JPY" }];
  expect(duesOf(rows)).toEqual([
    { due: "2026-12-02", pairs: ["USDCAD"], reasons: [] },
    { due: "2026-12-03", pairs: ["EURUSD"], reasons: [] },
    { due: "2026-12-04", pairs: ["USDJPY"], reasons: ["holiday of JPY 2026-12-03"] },
  ]);
  expect(ofKinds(rows, "holiday")).toHaveLength(1);
  expect(dateText("no date")).toBe("no date");
});

test("who may do what", () => {
  expect([mayOperate({ roles: ["ops"] }), mayOperate({ roles: ["dealer"] }), mayOperate(null)]).toEqual([true, false, false]);
  expect([mayComment({ roles: ["dealer"] }), mayComment({ roles: ["viewer"] }), mayComment({ roles: ["ops"] })]).toEqual([true, false, true]);
});

test("a record has what was written and no more, a time or a kind, and the name that it keeps", () => {
  const written = { node: "FX1", currency: " USD ", amount: "1000000.25", comment: "", ratio: "4:1" };
  expect(recordOf("cash", written, "x", 5)).toEqual({ cash_id: "x", ts: 5, node: "FX1", currency: "USD", amount: "1000000.25" });
  expect(recordOf("split", written, "x", 5)).toEqual({ action_id: "x", kind: "split", ratio: "4:1" });
  expect([lacking("cash", written), lacking("split", written), lacking("carry", {})]).toEqual(["", "instrument", "desk"]);
});
