import { expect, test } from "vitest";
import { asOfText, DAY_US, readTime, rulerOf, stepped } from "./moments";

const at = (text: string): number => Date.parse(text) * 1000;
const NOW = at("2026-12-01T15:00:00Z");
const RULER = rulerOf(at("2026-11-30T22:00:00Z"), NOW);

test("a minute by an arrow, a second with Shift, ten minutes by a page", () => {
  const from = at("2026-12-01T14:32:05Z");
  const to = (key: string, fine = false): string => asOfText(stepped(from, key, fine, RULER) ?? 0);
  expect([to("ArrowLeft"), to("ArrowRight"), to("ArrowLeft", true), to("PageDown"), to("Home")]).toEqual([
    "2026-12-01T14:31:05Z", "2026-12-01T14:33:05Z", "2026-12-01T14:32:04Z", "2026-12-01T14:22:05Z", "2026-11-30T22:00:00Z",
  ]);
  expect(stepped(from, "End", false, RULER)).toBe(Infinity);
  expect(stepped(from, "x", false, RULER)).toBeNull();
});

test("nothing leads before the start of the day", () => {
  expect(stepped(at("2026-11-30T22:00:30Z"), "ArrowLeft", false, RULER)).toBe(at("2026-11-30T22:00:00Z"));
});

test("a time is asked for to the whole second below", () => {
  expect(asOfText(at("2026-12-01T14:32:05Z") + 999_999)).toBe("2026-12-01T14:32:05Z");
});

test("a time with a date or an offset is that one; a time alone is the last one that was", () => {
  expect(readTime("2026-11-27T14:32:05Z", NOW)).toBe(at("2026-11-27T14:32:05Z"));
  expect(readTime("2026-11-27 14:32Z", NOW)).toBe(at("2026-11-27T14:32:00Z"));
  expect(readTime("14:32:05Z", NOW)).toBe(at("2026-12-01T14:32:05Z"));
  expect(readTime("16:00Z", NOW)).toBe(at("2026-12-01T16:00:00Z") - DAY_US);
});

test.each(["", "14", "25:00", "14:61", "yesterday", "2026-13-45 14:32Z"])("what is no time is none: %s", (text) => {
  expect(readTime(text, NOW)).toBeNull();
});
