import { expect, test } from "vitest";
import { Series } from "./series";

const point = (time: number, value: number | null) => ({ time, value, max: value });

test("a newer value takes the place of the last one of its stretch, and then stands behind it", () => {
  const series = new Series([point(0, 1), point(60, 2)], null, 60);
  series.extend(70, 3);
  expect(series.times).toEqual([0, 60, 70]);
  series.extend(80, 4);
  expect([series.times, series.values]).toEqual([[0, 60, 80], [1, 2, 4]]);
  series.extend(79, 9);
  expect(series.last).toBe(4);
});

test("the greatest fall goes on from the engine's own", () => {
  const series = new Series([point(0, 10), point(60, 4)], { amount: 6, from: 0, to: 60 }, 60);
  series.extend(120, 5);
  expect(series.fall).toEqual({ amount: 6, from: 0, to: 60 });
  series.extend(180, 1);
  expect(series.fall).toEqual({ amount: 9, from: 0, to: 180 });
  series.extend(240, 30);
  series.extend(300, 20);
  expect(series.fall).toEqual({ amount: 10, from: 240, to: 300 });
});

test("what is unknown is a gap and no fall", () => {
  const series = new Series([point(0, 10)], null, 60);
  series.extend(60, null);
  expect([series.fall, series.last]).toEqual([null, null]);
});
