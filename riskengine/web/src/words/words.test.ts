import { expect, test } from "vitest";
import { amountText, direction, distanceText, priceText, quantityText, sizeText } from "./numbers";
import { printable } from "./printable";
import { ageText } from "./times";

test.each([
  [amountText(1204331.4), "+1,204,331"],
  [amountText(-0.5), "\u22121"],
  [amountText(-0.4), "0"],
  [amountText(0), "0"],
  [amountText(null), "\u2014"],
  [amountText(1204331, true), "+1.2M"],
  [amountText(-3_400, true), "\u22123.4K"],
  [sizeText(17), "17"],
  [quantityText(-1500.25), "\u22121,500.25"],
  [priceText(1.1, 5), "1.10000"],
  [priceText(-0.00001, 5), "\u22120.00001"],
  [distanceText(12.34), "+12.3"],
])("%s is %s", (text, expected) => {
  expect(text).toBe(expected);
});

test("what rounds to zero has no direction, and what is unknown has none either", () => {
  expect([direction(-0.2, "0"), direction(-2, "\u22122"), direction(2, "+2"), direction(null, "\u2014")]).toEqual([
    "zero", "down", "up", "unknown",
  ]);
});

test.each([
  [0, "0.0 s"], [-5e6, "0.0 s"], [9.94e6, "9.9 s"], [9.96e6, "10 s"], [59.4e6, "59 s"], [61e6, "1 min"], [7.2e9, "2 h"],
  [86_400e6 * 5, "5 d"], [null, "\u2014"],
])("an age of %s us is %s", (micros, expected) => {
  expect(ageText(micros)).toBe(expected);
});

test("controls and turned directions are made visible", () => {
  expect(printable("de\u001bsk\u009b\u202eABC")).toBe("de\\x1bsk\\x9b\\u202eABC");
});
