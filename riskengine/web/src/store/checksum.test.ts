import { expect, test } from "vitest";
import { checksum } from "./checksum";

test("the manual's worked row has the manual's checksum", () => {
  expect(checksum([{ instrument: "EURUSD", quantity: 100, stale: false, day_pnl: null }])).toBe(1746694927);
});

test("minus zero is zero, lists and objects are left out, order does not matter", () => {
  const one = { a: -0, b: "\u00e9\u{1f600}", c: null, d: true, e: [1], f: 2 ** 53 };
  const other = { f: 2 ** 53, d: true, b: "\u00e9\u{1f600}", a: 0, g: { h: 1 } };
  expect(checksum([one, {}])).toBe(checksum([{}, other]));
  expect(checksum([])).toBe(0);
});
