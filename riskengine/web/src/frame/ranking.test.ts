import { expect, test } from "vitest";
import { ranked } from "./ranking";

const NAMES = ["EURUSD", "AUDEUR", "EUR", "EUROSTOXX", "ESTRU", "FX1"].map((name) => ({ kind: "instrument" as const, name }));

test("the whole name, then beginnings, then insides, then letters in order", () => {
  expect(ranked(NAMES, " eur ", 9).map(({ name }) => name)).toEqual(["EUR", "EURUSD", "EUROSTOXX", "AUDEUR"]);
  expect(ranked(NAMES, "esd", 9).map(({ name }) => name)).toEqual(["EURUSD"]);
  expect(ranked(NAMES, "eus", 9).map(({ name }) => name)).toEqual(["EURUSD", "EUROSTOXX"]);
});

test("no letters find nothing, and at most so many are given", () => {
  expect(ranked(NAMES, "  ", 9)).toEqual([]);
  expect(ranked(NAMES, "e", 2)).toHaveLength(2);
});
