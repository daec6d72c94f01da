import { expect, test } from "vitest";
import type { Row } from "../store/messages";
import { dealerLines, treeLines } from "./lines";

const node = (name: string, parent: string): Row => ({ node: name, parent });
const CHILDREN = new Map<string, Row[]>([
  ["", [{ node: "ALL", parent: null }]],
  ["ALL", [node("EQ", "ALL"), node("FX", "ALL")]],
  ["FX", [node("FX1", "FX"), node("FX2", "FX")]],
]);

test("the single root is the total, and its tree starts below it", () => {
  const { lines, total } = treeLines(CHILDREN, 5, new Set());
  expect(total?.["node"]).toBe("ALL");
  expect(lines.map(({ key, level, open }) => [key, level, open])).toEqual([
    ["=EQ", 0, null], ["=FX", 0, true], ["=FX1", 1, null], ["=FX2", 1, null],
  ]);
});

test("what the user closed is closed, and large trees start closed below the first level", () => {
  expect(treeLines(CHILDREN, 5, new Set(["FX"])).lines).toHaveLength(2);
  expect(treeLines(CHILDREN, 5_000, new Set()).lines).toHaveLength(4);
});

test("a user who sees several tops gets them side by side and no total", () => {
  const tops = new Map<string, Row[]>([["", [node("FX1", ""), node("EQ1", "")]]]);
  expect(treeLines(tops, 2, new Set())).toMatchObject({ total: null, lines: [{ level: 0 }, { level: 0 }] });
});

test("dealers by name, those without a name first", () => {
  const rows = new Map<string, Row>([["b", { dealer: "bob" }], ["", { dealer: "" }]]);
  expect(dealerLines(rows).map(({ key }) => key)).toEqual(["", "b"]);
  expect(dealerLines(rows, " BO").map(({ key }) => key)).toEqual(["b"]);
  expect(dealerLines(rows, "x")).toEqual([]);
});
