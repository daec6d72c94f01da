import { expect, test } from "vitest";
import { fitted } from "./column";

const PLAIN = [undefined, undefined, undefined];

test("columns that miss by a little are made narrower, so that the last one is not cut", () => {
  const widths = fitted([148, 500, 700], PLAIN, 1_334);
  expect(widths.reduce((sum, width) => sum + width, 0)).toBeLessThanOrEqual(1_334);
  expect(Math.min(...widths)).toBeGreaterThan(140);
});

test("columns that fit, and those that miss by much, stay as they are", () => {
  expect(fitted([100, 100, 100], PLAIN, 300)).toEqual([100, 100, 100]);
  expect(fitted([100, 100, 100], PLAIN, 200)).toEqual([100, 100, 100]);
});

test("an elastic column takes what is left, and gives down to its least width", () => {
  const elastic = [undefined, 56, undefined];
  expect(fitted([100, 88, 116], elastic, 500)).toEqual([100, 284, 116]);
  expect(fitted([100, 88, 116], elastic, 280)).toEqual([100, 64, 116]);
  expect(fitted([100, 88, 116], elastic, 200)).toEqual([100, 56, 116]);
  expect(fitted([100, 284, 116], elastic, 300)).toEqual([100, 84, 116]);
});
