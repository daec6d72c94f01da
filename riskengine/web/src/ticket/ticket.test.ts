import { describe, expect, test } from "vitest";
import { amendOf, cancelOf, draftOf, dropsContra, itemWords, newTrade, ownTradeId, type Reading } from "./booking";
import { type DecimalMark, readDecimal } from "./decimals";
import { countWords, fateOf } from "./fates";
import { type Draft, EMPTY } from "./fields";
import { readDate, readMoment } from "./moments";
import { cellsOf, MOST_ROWS, readPasted } from "./paste";

const NOW_TS = 1_772_625_600_123_456;
const READING: Reading = { mark: ".", nowTs: NOW_TS, now: new Date(2026, 2, 4, 12, 0, 0) };
const DEAL: Draft = { ...EMPTY, instrument: "EURUSD", side: "buy", quantity: "1,000,000", price: "1.0842", desk: "FX1", dealer: "ann" };
const USUAL = { desk: "FX1", dealer: "ann" };

describe("numbers", () => {
  test.each<[string, DecimalMark, "quantity" | "price", string]>([
    ["1000000", ".", "quantity", "1000000"], ["1,000,000", ".", "quantity", "1000000"], ["1.000.000,5", ",", "quantity", "1000000.5"],
    ["1 000 000", ".", "quantity", "1000000"], ["1\u202f000\u00a0000,25", ",", "quantity", "1000000.25"], ["1'000", ".", "quantity", "1000"],
    ["5m", ".", "quantity", "5000000"], ["2.5mio", ".", "quantity", "2500000"], ["1,25k", ",", "quantity", "1250"], ["0.5k", ".", "quantity", "500"],
    ["(1,000)", ".", "quantity", "-1000"], ["\u22125", ".", "quantity", "-5"], ["007.50", ".", "price", "7.5"], [".5", ".", "price", "0.5"],
    ["1,0842", ",", "price", "1.0842"], ["1.0842", ".", "price", "1.0842"], ["1,234.5", ".", "price", "1234.5"],
    ["123456789012345.0123456789", ".", "quantity", "123456789012345.0123456789"], ["1,000", ".", "quantity", "1000"],
  ])("%s with %s in a %s is %s", (text, mark, what, value) => {
    expect(readDecimal(text, mark, what)).toEqual({ value });
  });

  test.each<[string, DecimalMark, "quantity" | "price"]>([
    ["1.0842", ",", "price"], ["1,0842", ".", "price"], ["1,00", ".", "quantity"], ["1.084", ",", "price"], ["1,084", ".", "price"], ["abc", ".", "quantity"],
    ["1e6", ".", "quantity"], ["", ".", "quantity"], [".", ".", "price"], ["1.2.3", ".", "price"], ["5x", ".", "quantity"], ["(-5)", ".", "quantity"], ["--5", ".", "price"],
  ])("%s with %s is refused in a %s, with the reason", (text, mark, what) => {
    expect(readDecimal(text, mark, what)).toHaveProperty("problem");
  });
});

describe("times", () => {
  test("a time of day is of today, in the zone of the browser", () => {
    expect(readMoment("10:31", READING.now)).toEqual({ ts: new Date(2026, 2, 4, 10, 31).getTime() * 1000 });
    expect(readMoment("2026-03-03 10:31:05.25", READING.now)).toEqual({ ts: new Date(2026, 2, 3, 10, 31, 5).getTime() * 1000 + 250_000 });
  });

  test("a time with an offset is sent as it is", () => {
    expect(readMoment("2026-03-03T10:31:05.123456Z", READING.now)).toEqual({ ts: "2026-03-03T10:31:05.123456Z" });
  });

  test.each(["25:00", "2026-02-30 10:00", "noon", "03/04/2026 10:00"])("%s is no time", (text) => {
    expect(readMoment(text, READING.now)).toHaveProperty("problem");
  });

  test("a date has one reading or none", () => {
    expect([readDate("2026-12-01"), readDate("1.12.2026")]).toEqual([{ value: "2026-12-01" }, { value: "2026-12-01" }]);
    expect(readDate("01/12/2026")).toHaveProperty("problem");
  });
});

describe("a ticket", () => {
  test("is a trade whose numbers are texts, of now and of the source manual", () => {
    expect(newTrade(DEAL, READING, "T-1")).toEqual({
      item: { source: "manual", trade_id: "T-1", ts: NOW_TS, instrument: "EURUSD", side: "buy", quantity: "1000000", price: "1.0842", desk: "FX1", dealer: "ann" },
    });
  });

  test("that lacks something says all of it", () => {
    const made = newTrade({ ...EMPTY, price: "1,0842" }, READING, "T-1");
    expect("problems" in made && made.problems.map(({ field }) => field)).toEqual(["instrument", "quantity", "side", "price", "desk"]);
  });

  test("names itself anew each time", () => {
    const name = (byte: number): string => ownTradeId(READING.now, new Uint8Array(12).fill(byte));
    expect(name(31)).toMatch(/^T-2026030[34]-Z{12}$/);
    expect(name(0)).not.toBe(name(1));
  });

  const STORED = { source: "manual", trade_id: "T-1", leg: 0, version: 1, action: "new", ts: NOW_TS, instrument: "EURUSD", side: "buy", quantity: "1000000", price: "1.0842",
    desk: "FX1", dealer: "ann", fees: "0", fees_currency: "USD", value_date: "2026-03-06", trade_date: "", contra_amount: null, legs: null, counterparty: "BANK" };

  test("amends the stored version: the next one, of the same time, with what was not touched", () => {
    const draft = { ...draftOf(STORED, ","), price: "1,0843" };
    expect(draft).toMatchObject({ quantity: "1000000", fees: "", counterparty: "BANK" });
    expect(amendOf(STORED, draft, { ...READING, mark: "," })).toEqual({
      item: { source: "manual", trade_id: "T-1", leg: 0, version: 2, action: "amend", ts: NOW_TS, booked_ts: NOW_TS, instrument: "EURUSD", side: "buy", quantity: "1000000",
        price: "1.0843", desk: "FX1", dealer: "ann", value_date: "2026-03-06", counterparty: "BANK" },
    });
  });

  test("keeps an exact cash amount while nothing that makes it changes", () => {
    const exact = { ...STORED, contra_amount: "1084199.99" };
    const same = amendOf(exact, { ...draftOf(exact, "."), comment: "so" }, READING);
    const other = amendOf(exact, { ...draftOf(exact, "."), price: "1.09" }, READING);
    expect("item" in same && [same.item["contra_amount"], dropsContra(exact, same.item)]).toEqual(["1084199.99", false]);
    expect("item" in other && [other.item["contra_amount"], dropsContra(exact, other.item)]).toEqual([undefined, true]);
  });

  test("cancels the next version, and names what it takes out", () => {
    const item = cancelOf({ ...STORED, version: 3 }, READING);
    expect(item).toEqual({
      source: "manual", trade_id: "T-1", leg: 0, version: 4, action: "cancel", ts: NOW_TS, instrument: "EURUSD", desk: "FX1", dealer: "ann", counterparty: "BANK", booked_ts: NOW_TS,
    });
    expect(itemWords(item)).toBe("cancel T-1, version 4");
  });
});

describe("pasted rows", () => {
  test("cells in quotes hold tabs, line ends and quotes", () => {
    expect(cellsOf('a\t"b\t""c""\nd"\te\r\n\r\nf\t\t')).toEqual([["a", 'b\t"c"\nd', "e"], ["f", "", ""]]);
  });

  test("with headers are read by their names, in any order and in other words", () => {
    const { rows, hasHeaders, ignored } = readPasted("Qty\tPair\tB/S\tRate\tCpty\tMood\n5m\tEURUSD\tSLD\t1.0842\tBANK\tgood", USUAL, READING);
    expect([hasHeaders, ignored]).toEqual([true, ["Mood"]]);
    expect(rows[0]?.item).toMatchObject({ quantity: "5000000", instrument: "EURUSD", side: "sell", price: "1.0842", counterparty: "BANK", desk: "FX1", dealer: "ann" });
  });

  test("without headers are in the order of the ticket", () => {
    const { rows, hasHeaders } = readPasted("EURUSD\tbuy\t1000\t1.0842\tbob\tFX2\t2026-03-06\tBANK\tso", USUAL, READING);
    expect(hasHeaders).toBe(false);
    expect(rows[0]?.item).toMatchObject({ dealer: "bob", desk: "FX2", value_date: "2026-03-06", counterparty: "BANK", comment: "so" });
  });

  test("without a column of sides the sign of the quantity says it", () => {
    const { rows, notes } = readPasted("symbol\tqty\tpx\nEURUSD\t-5\t1.1\nEURUSD\t(6)\t1.1\nEURUSD\t7\t1.1", USUAL, READING);
    expect(rows.map(({ item }) => [item?.["side"], item?.["quantity"]])).toEqual([["sell", "5"], ["sell", "6"], ["buy", "7"]]);
    expect(notes.join()).toContain("quantities below zero are sales");
  });

  test("that cannot be read say why and cost only themselves", () => {
    const { rows } = readPasted("EURUSD\tbuy\t1.000.00\t1.1\nEURUSD\tup\t1\t1.1\nEURUSD\tbuy\t1\t1.1", USUAL, READING);
    expect(rows.map(({ item, problems }) => [item !== null, problems.map(({ field }) => field)])).toEqual([[false, ["quantity"]], [false, ["side"]], [true, []]]);
  });

  test("pasted again are the same trades, and two equal deals stay two", () => {
    const text = "EURUSD\tbuy\t1\t1.1\nEURUSD\tbuy\t1\t1.1\nEURUSD\tbuy\t2\t1.1";
    const names = (reading: Reading): unknown[] => readPasted(text, USUAL, reading).rows.map(({ item }) => item?.["trade_id"]);
    expect(new Set(names(READING)).size).toBe(3);
    expect(names({ ...READING, nowTs: NOW_TS + 5 })).toEqual(names(READING));
    expect(names({ ...READING, now: new Date(2026, 2, 5, 12) })).not.toEqual(names(READING));
  });

  test("keep the names that they bring", () => {
    expect(readPasted("trade_id\tsymbol\tside\tqty\tpx\nX1\tEURUSD\tb\t1\t1.1", USUAL, READING).rows[0]?.item?.["trade_id"]).toBe("X1");
  });

  test("beyond the most are left out, and that is said", () => {
    const { rows, notes } = readPasted("EURUSD\tbuy\t1\t1.1\n".repeat(MOST_ROWS + 3), USUAL, READING);
    expect([rows.length, notes[0]]).toEqual([MOST_ROWS, `3 rows beyond the first ${MOST_ROWS} are left out: paste them next`]);
  });
});

describe("fates", () => {
  test("say what would be and what was, with reasons and notices", () => {
    const notice = { kind: "off_market", reason: "5 is +40 % from the mark" };
    expect(fateOf({ status: "applied", reason: "", notices: [notice] }, true)).toEqual({ status: "applied", words: "valid", reason: "5 is +40 % from the mark", tone: "fair" });
    expect(fateOf({ status: "applied", reason: "", late: true }, false)).toMatchObject({ words: "booked", tone: "good" });
    expect(fateOf({ status: "rejected", reason: "desk: is missing" }, false)).toMatchObject({ words: "refused", reason: "desk: is missing", tone: "alarm" });
    expect(fateOf({ status: "new_word", reason: "" }, true)).toMatchObject({ words: "new_word", tone: "alarm" });
  });

  test("are counted", () => {
    const fates = ["applied", "rejected", "applied"].map((status) => fateOf({ status, reason: "" }, true));
    expect(countWords(fates)).toBe("2 valid, 1 refused");
  });
});
