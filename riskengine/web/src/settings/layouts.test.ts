import { beforeEach, expect, test, vi } from "vitest";

beforeEach(() => {
  vi.stubGlobal("history", { pushState: () => undefined, replaceState: () => undefined });
});

const { address } = await import("./address");
const { forgetLayout, keepLayout, layoutNames, takeLayout, taken } = await import("./layouts");
const { DEFAULTS, prefer, preferences } = await import("./preferences");

test("a layout brings back where the page was, its columns and what was shown", () => {
  const columns = { ladder: [{ id: "mark", shown: true, width: 90 }] };
  address.value = { view: "blotter", moment: null, place: { node: "FX1" }, choices: { by: "dealer" } };
  prefer({ columns, showFlat: true });
  keepLayout("mine");
  address.value = { view: "ladder", moment: null, place: null, choices: {} };
  prefer({ columns: {}, showFlat: false, theme: "dark" });
  const before = taken.value;
  takeLayout("mine");
  expect(address.value).toEqual({ view: "blotter", moment: null, place: { node: "FX1" }, choices: { by: "dealer" } });
  expect(preferences.value).toMatchObject({ columns, showFlat: true, theme: "dark" });
  expect(taken.value).toBe(before + 1);
  forgetLayout("mine");
  expect(layoutNames()).toEqual([]);
});

test.each([null, 5, {}, { address: "#/risk", columns: [], flags: {} }, { address: "#/risk", columns: { ladder: 1 }, flags: {} }])(
  "what is no layout changes nothing: %j",
  (kept) => {
    prefer({ ...DEFAULTS, layouts: { odd: kept } });
    address.value = { view: "ladder", moment: null, place: null, choices: {} };
    takeLayout("odd");
    takeLayout("unknown");
    expect(address.value.view).toBe("ladder");
  },
);
