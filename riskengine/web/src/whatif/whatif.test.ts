import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { beforeAfterLines, outcomeWords, reservations, ruleLines, sideUnknown } from "./answers";
import { Asked, type Told, whatIfBody } from "./asked";
import { type Names, readShifts, readTrades } from "./typed";

const NAMES: Names = {
  instruments: new Set(["EURUSD", "EURUSD C1.10", "ACME"]),
  desks: new Set(["FX1", "EQ1"]),
  dealers: new Set(["ann"]),
  currencies: new Set(["EUR", "USD"]),
  desk: "",
  dealer: "",
  markOf: (instrument) => (instrument === "ACME" ? "91.5" : ""),
};
const READING = { mark: "." as const, nowTs: 1_000_000, now: new Date(0) };
const trade = (text: string, names = NAMES) => readTrades(text, names, READING)[0];
const shift = (text: string) => readShifts(text, NAMES, READING)[0];

test.each([
  ["buy 5m EURUSD 1.0842 FX1", { side: "buy", quantity: "5000000", instrument: "EURUSD", price: "1.0842", desk: "FX1" }],
  ["FX1 ann s 1,000 eurusd at 1.1", { side: "sell", quantity: "1000", instrument: "EURUSD", price: "1.1", desk: "FX1", dealer: "ann" }],
  ["buy 2m EURUSD C1.10 0.012 FX1", { instrument: "EURUSD C1.10", quantity: "2000000", price: "0.012" }],
  ["-300 ACME 91 EQ1", { side: "sell", quantity: "300", price: "91" }],
  ["buy 300 ACME EQ1", { price: "91.5" }],
])("a typed trade is read: %s", (text, wanted) => {
  const read = trade(text);
  expect(read?.problem).toBe("");
  expect(read?.sent).toMatchObject(wanted);
});

test.each([
  ["buy 5m GBPUSD 1.3 FX1", /no instrument that is known/],
  ["buy 5m EURUSD 1.0842", /which desk\? One of FX1, EQ1/],
  ["buy 5m EURUSD FX1", /no price/],
  ["buy 5m EURUSD 1.1 1.2 FX1", /more numbers/],
  ["buy 5m EURUSD 1.1 FX1 bob", /bob: neither/],
  ["5m EURUSD 1.1 FX1", /side is missing/],
  ["buy EURUSD FX1 1.1.1", /no price|is no number/],
])("a typed trade that cannot be read says why, and is not sent: %s", (text, why) => {
  const read = trade(text);
  expect(read?.sent).toBeNull();
  expect(read?.problem).toMatch(why);
});

test("a place that is one desk fills it in; empty lines keep the numbers of lines", () => {
  const read = readTrades("\n\nbuy 1 ACME 91", { ...NAMES, desk: "EQ1" }, READING);
  expect(read.map(({ line, sent }) => [line, sent?.["desk"]])).toEqual([[3, "EQ1"]]);
});

test("pasted rows are read as those of the ticket", () => {
  const [read] = readTrades("Symbol\tB/S\tQty\tPx\tBook\nEURUSD\tB\t1m\t1.1\tFX1", NAMES, READING);
  expect(read?.sent).toMatchObject({ instrument: "EURUSD", side: "buy", quantity: "1000000", desk: "FX1" });
});

test("a decimal comma is read as the reader writes it, and a mark is written alike", () => {
  const [read, marked] = readTrades("buy 1.000 ACME 91,25 EQ1\nbuy 1 ACME EQ1", NAMES, { ...READING, mark: "," });
  expect(read?.sent).toMatchObject({ quantity: "1000", price: "91.25" });
  expect(marked?.sent).toMatchObject({ price: "91.5" });
});

test.each([
  ["EUR -5%", { factor: "spot", currency: "EUR", relative: -0.05 }],
  ["EURUSD +0.01", { factor: "spot", instrument: "EURUSD", absolute: 0.01 }],
  ["EURUSD C1.10 vol", null],
  ["vol EURUSD C1.10 +2 pts", { factor: "vol", instrument: "EURUSD C1.10", absolute: 0.02 }],
  ["vol all 10%", { factor: "vol", all: true, relative: 0.1 }],
  ["rate USD +50bp", { factor: "rate", currency: "USD", absolute: 0.005 }],
  ["rate USD 0.5%", { factor: "rate", currency: "USD", absolute: 0.005 }],
  ["sector Tech hardware -10%", { factor: "spot", sector: "Tech hardware", relative: -0.1 }],
  ["shock 2016-06-24", { shock: "2016-06-24" }],
  ["vol all 0.02", null],
  ["EUR 5bp", null],
  ["EUR", null],
  ["XYZ -5%", null],
  ["shock", null],
])("a shift is read, or refused with a reason: %s", (text, wanted) => {
  const read = shift(text);
  if (wanted === null) expect([read?.sent, read?.problem === ""]).toEqual([null, false]);
  else expect([read?.sent, read?.problem]).toEqual([wanted, ""]);
});

test("a minus sign of a spreadsheet is one", () => {
  expect(shift("EUR \u22125%")?.sent).toMatchObject({ relative: -0.05 });
});

const answer = (more: Row = {}): Row => ({ rows: [{ node: "FX", before: { total_pnl: 1, vega: null, unpriced_count: 2 }, after: { total_pnl: -2, vega: 3, unpriced_count: 0 }, change: { total_pnl: -3, vega: null, unpriced_count: -2 } }], ...more });

test("a node has a line of each number that was told; what is unknown stays so, with its reason", () => {
  const lines = beforeAfterLines(answer(), () => false);
  expect(lines.map(({ row }) => [row["name"], row["before"], row["change"]])).toEqual([["FX", undefined, undefined], ["Total P&L", 1, -3], ["Vega", null, null], ["Unpriced", 2, -2]]);
  expect(sideUnknown(lines[2]?.row ?? {}, "before")).toBe("2 positions of the node cannot be valued");
  expect(beforeAfterLines(answer(), () => true)).toHaveLength(1);
  expect(beforeAfterLines(undefined, () => false)).toEqual([]);
});

test("rules stand with the worst first, and name the line of their trade", () => {
  const told: Row = { outcome: "refuse", rules: [{ rule: "market", outcome: "pass", trade: 1 }, { rule: "vega", outcome: "refuse", trade: null }, { rule: "instrument", outcome: "unknown", trade: 0 }] };
  expect(ruleLines(told, (trade) => trade + 10).map(({ row }) => [row["measure"], row["on"]])).toEqual([["vega", "all"], ["instrument", "line 10"], ["market", "line 11"]]);
  expect(outcomeWords(told)).toBe("\u2716 refuse: 1 of 3 rules");
});

test("what the numbers are without is said", () => {
  const said = reservations(answer({ unvalued: [{ instrument: "X", reason: "no vol" }], standing: [{ index: 0, instruments: 2 }] }));
  expect(said).toEqual(["after is without X (no vol)", "shift 1 found 2 instruments without a price or vol"]);
  expect(reservations(answer())).toEqual([]);
});

const question = { nodes: ["FX"], trades: [], moves: [{ shock: "2008-10" }, { factor: "spot", all: true, relative: 0.1 }], withVar: true };

test("a shock stands beside the shifts, and VaR is asked for where it is wanted", () => {
  expect(whatIfBody(question)).toEqual({ nodes: ["FX"], trades: [], shifts: [{ factor: "spot", all: true, relative: 0.1 }], shock: "2008-10", var: true });
});

test("an answer to an older question is dropped, whenever it comes", async () => {
  const answers: ((told: Told) => void)[] = [];
  const asked = new Asked(() => undefined, () => new Promise<Told>((resolve) => answers.push(resolve)));
  const [first, second] = [asked.ask(question, "one"), asked.ask(question, "two")];
  answers[1]?.({ answer: { seq: 2 }, problem: "" });
  await second;
  answers[0]?.({ answer: { seq: 1 }, problem: "" });
  await first;
  expect([asked.whatif.answer, asked.of]).toEqual([{ seq: 2 }, "two"]);
});

test("a refusal leaves no older answer beside it", async () => {
  let refuses = false;
  const asked = new Asked(() => undefined, () => Promise.resolve(refuses ? { answer: undefined, problem: "shifts.relative[0]: too far" } : { answer: { seq: 1 }, problem: "" }));
  await asked.ask(question, "it");
  refuses = true;
  await asked.ask(question, "it");
  expect(asked.whatif).toEqual({ answer: undefined, problem: "shifts.relative[0]: too far" });
  asked.forget();
  expect(asked.whatif).toEqual({ answer: undefined, problem: "" });
});
