import { expect, test } from "vitest";
import { EngineClock } from "./engine_clock";

const NOON = 1_772_625_600_000_000;

test("the engine's time is unknown before its first message", () => {
  expect(new EngineClock().at(5)).toBeNull();
});

test("a delayed message does not put the estimate back by more than the drift", () => {
  const clock = new EngineClock();
  clock.note(NOON, 1000);
  clock.note(NOON + 1_000_000, 2900); // 900 ms late
  expect(clock.at(2900)).toBe(NOON + 1_900_000 - 5_000);
});

test("after a pause in which only the engine's clock ran, the next message puts it right", () => {
  const clock = new EngineClock();
  clock.note(NOON, 1000);
  clock.note(NOON + 3_600_000_000, 1500);
  expect(clock.at(1500)).toBe(NOON + 3_600_000_000);
});
