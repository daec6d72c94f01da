import { expect, test } from "vitest";
import { readAddress, writeAddress } from "./address";
import { DEFAULTS, readPreferences } from "./preferences";

test.each([
  "#/ladder",
  "#/blotter?node=FX1",
  "#/ladder?dealer=",
  "#/risk?node=FX&by=expiry&as_of=2026-12-01T14%3A32%3A05Z&known=now",
  "#/ladder?node=A+%26+B%2F%3F%23&group=currency&columns=instrument%2Cmark",
])("an address is read back as it was written: %s", (hash) => {
  expect(writeAddress(readAddress(hash))).toBe(hash);
});

test("an empty address is the first view at the top", () => {
  expect(readAddress("")).toEqual({ view: "ladder", moment: null, place: null, choices: {} });
});

test("preferences that do not fit are the defaults, one by one", () => {
  expect(readPreferences('{"compact": true, "theme": 7, "toggled": {}, "columns": null, "old": 1}')).toEqual({ ...DEFAULTS, compact: true });
  expect(readPreferences("{")).toEqual(DEFAULTS);
  expect(readPreferences(null)).toEqual(DEFAULTS);
});
