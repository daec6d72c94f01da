import { describe, expect, test } from "vitest";
import type { Row } from "../store/messages";
import { Gathered, REST_MS } from "./gathered";
import { OtherTrades, tradeWords } from "./others";
import { type LightNow, RedLights, STAYS_MS } from "./reds";
import { PnlSteps, readStep } from "./steps";

const DAY = 1_772_571_600_000_000;

describe("steps of P&L", () => {
  test("are whole ones since the last that was told, both ways", () => {
    const steps = new PnlSteps();
    const told = [1_000, 1_900, 2_000, 2_900, 1_100, 1_000, -1_500].map((value) => steps.look(value, DAY, 1_000)?.steps ?? 0);
    expect(told).toEqual([0, 0, 1, 0, 0, -1, -2]);
  });

  test("do not swing around one level", () => {
    const steps = new PnlSteps();
    const told = [0, 1_000, 999, 1_001, 999, 1_001].map((value) => steps.look(value, DAY, 1_000)?.steps ?? 0);
    expect(told).toEqual([0, 1, 0, 0, 0, 0]);
  });

  test("begin anew with a trading day, and nothing unknown counts", () => {
    const steps = new PnlSteps();
    expect([steps.look(5_000, DAY, 1_000), steps.look(null, DAY, 1_000), steps.look(0, DAY + 1, 1_000)]).toEqual([null, null, null]);
    expect(steps.look(1_000, DAY + 1, 1_000)).toEqual({ steps: 1, value: 1_000 });
  });

  test.each([["50,000", 50_000], ["50k", 50_000], ["1.5m", 1_500_000], ["0", null], ["-5", null], ["much", null], ["", null]])("%s is a step of %s", (text, step) => {
    expect(readStep(text)).toBe(step);
  });
});

describe("red lights", () => {
  const light = (look: string): Record<string, LightNow> => ({ prices: { look, words: "20 of 31 old", knows: [] } });

  test("are told once, when they stay red, and again only after they were well", () => {
    const reds = new RedLights();
    const told = (look: string, now: number): number => reds.look(light(look), now).length;
    expect([told("bad", 0), told("bad", STAYS_MS - 1), told("bad", STAYS_MS), told("bad", STAYS_MS + 1)]).toEqual([0, 0, 1, 0]);
    expect([told("off", 9_000), told("bad", 10_000), told("bad", 20_000)]).toEqual([0, 0, 0]);
    expect([told("fair", 30_000), told("bad", 31_000), told("bad", 31_000 + STAYS_MS)]).toEqual([0, 0, 1]);
  });

  test("that blink are not told", () => {
    const reds = new RedLights();
    const told = [0, 1, 2, 3, 4, 5].flatMap((at) => reds.look(light(at % 2 === 0 ? "bad" : "good"), at * STAYS_MS));
    expect(told).toEqual([]);
  });
});

describe("no storm", () => {
  const one = (kind: string, body: string, count = 1) => ({ kind, title: "t", body, count });

  test("the first is told at once, the others of its kind together with their count", () => {
    const gathered = new Gathered();
    gathered.add(one("trade", "a"));
    expect(gathered.take(0)).toEqual([one("trade", "a")]);
    for (let n = 0; n < 500; n += 1) gathered.add(one("trade", `b${n}`, 2));
    gathered.add(one("red", "x"));
    expect(gathered.take(1)).toEqual([one("red", "x")]);
    expect([gathered.take(REST_MS - 1), gathered.waitMs(REST_MS - 1)]).toEqual([[], 1]);
    expect(gathered.take(REST_MS)).toEqual([one("trade", "b499", 1_000)]);
    expect([gathered.take(3 * REST_MS), gathered.waitMs(0)]).toEqual([[], null]);
  });
});

describe("trades of others", () => {
  const trade = (store_seq: number, dealer: string): Row => ({ store_seq, dealer, side: "buy", quantity: 1_000_000, instrument: "EURUSD", price: 1.0842, action: "new", trade_id: `t${store_seq}` });
  const isOwn = (row: Row): boolean => row["dealer"] === "ann";

  test("are those stored since the last look, without one's own", () => {
    const others = new OtherTrades();
    expect(others.look([trade(3, "bob"), trade(2, "ann")], 2, isOwn).count).toBe(0);
    const { count, newest } = others.look([trade(6, "ann"), trade(5, "bob"), trade(4, "cid"), trade(3, "bob")], 5, isOwn);
    expect([count, newest?.["store_seq"]]).toEqual([2, 5]);
    expect(others.look([trade(6, "ann")], 5, isOwn).count).toBe(0);
  });

  test("count also where they are not among the newest by time", () => {
    const others = new OtherTrades();
    others.look([trade(3, "bob")], 3, isOwn);
    expect(others.look([trade(4, "bob")], 10, isOwn).count).toBe(7);
  });

  test("are told in words", () => {
    expect(tradeWords(trade(1, "bob"))).toBe("bob buy 1,000,000 EURUSD at 1.0842");
    expect(tradeWords({ ...trade(1, "bob"), action: "cancel" })).toBe("bob cancelled t1");
  });
});
