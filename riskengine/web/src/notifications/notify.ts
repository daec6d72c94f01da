// Looks for what the user wants to be told of, with every message of the engine and every second, also in a hidden tab.

import { effect, signal } from "@preact/signals";
import { isLive, link, listen, nodes, session, status, subscriptions } from "../live/engine";
import { read } from "../live/http";
import { nameOf } from "../live/place";
import { go, type Place } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";
import type { Table } from "../store/table";
import { ownTrades } from "../ticket/sent";
import { amountText, countText, sizeText } from "../words/numbers";
import { Gathered, type Notice } from "./gathered";
import { OtherTrades, tradeWords } from "./others";
import { type LightNow, RedLights } from "./reds";
import { type Means, show, sound, wakeWithTouch } from "./speak";
import { PnlSteps, readStep } from "./steps";

export type Reason = "red" | "step" | "trade";

const LOOK_EVERY_MS = 1_000;
const LEAST_MS = 400;
const READ_EVERY_MS = 3_000;
const NEWEST = 200;

/** The newest notices, for tests and for who missed one. */
export const notices = signal<readonly (Notice & { at: number })[]>([]);
const MOST_NOTICES = 20;

export const isTold = (reason: Reason, means: Means): boolean => preferences.value.told.includes(`${reason} by ${means}`);
const isWanted = (reason: Reason): boolean => isTold(reason, "notification") || isTold(reason, "sound");

export function watchedPlace(): Place | null {
  try {
    const place: unknown = JSON.parse(preferences.value.watched || "null");
    if (typeof place !== "object" || place === null) return null;
    if ("node" in place && typeof place.node === "string") return { node: place.node };
    return "dealer" in place && typeof place.dealer === "string" ? { dealer: place.dealer } : null;
  } catch {
    return null;
  }
}

class Watchman {
  private readonly gathered = new Gathered();
  private readonly reds = new RedLights();
  private readonly steps = new PnlSteps();
  private others = new OtherTrades();
  private watched = "";
  private step: number | null = null;
  private dealers: { table: Table; release: () => void } | null = null;
  private lastLook = -Infinity;
  private lastRead = -Infinity;
  private seen = "";
  private reading = false;

  constructor(private readonly lights: () => Readonly<Record<string, LightNow>>) {}

  /** Choose anew whom to watch, after a change of preferences. */
  choose(): void {
    const { watched, pnlStep } = preferences.value;
    const place = watchedPlace();
    const step = readStep(pnlStep);
    if (watched !== this.watched || step !== this.step) this.steps.reset();
    if (watched !== this.watched) {
      this.others = new OtherTrades();
      this.seen = "";
    }
    [this.watched, this.step] = [watched, step];
    const needsDealers = place !== null && "dealer" in place && (isWanted("step") || isWanted("trade"));
    if (needsDealers && this.dealers === null) this.dealers = subscriptions.watch({ view: "dealers" });
    if (!needsDealers && this.dealers !== null) {
      this.dealers.release();
      this.dealers = null;
    }
  }

  look(): void {
    const now = performance.now();
    if (now - this.lastLook < LEAST_MS) return;
    this.lastLook = now;
    if (isWanted("red")) {
      for (const { name, words } of this.reds.look(this.lights(), now)) this.tell("red", `${LIGHT_NAMES[name] ?? name}: ${words}`, "A light of riskengine turned red", 1);
    }
    const place = watchedPlace();
    const row = place === null ? undefined : "node" in place ? nodes.get(place.node) : this.dealers?.table.get(place.dealer);
    if (place !== null && row !== undefined && isLive() && status.synced) {
      if (isWanted("step")) this.lookAtProfit(place, row);
      if (isWanted("trade")) this.lookAtTrades(place, row, now);
    }
    for (const notice of this.gathered.take(now)) speak(notice);
  }

  private lookAtProfit(place: Place, row: Row): void {
    if (this.step === null) return;
    const step = this.steps.look(numberOf(row, "day_pnl"), numberOf(row, "day_start_ts"), this.step);
    if (step === null) return;
    const way = step.steps > 0 ? "up" : "down";
    this.tell("step", `${way} ${countText(Math.abs(step.steps), "step")} of ${sizeText(this.step)}`, `${nameOf(place)} ${amountText(step.value)} today`, 1);
  }

  private lookAtTrades(place: Place, row: Row, now: number): void {
    const said = `${row["trade_count"]} ${row["last_trade_ts"]} ${row["fees"]} ${row["realised_pnl"]} ${link.connection.epoch}`;
    if (said === this.seen || this.reading || now - this.lastRead < READ_EVERY_MS) return;
    [this.seen, this.lastRead, this.reading] = [said, now, true];
    const others = this.others;
    read("v1/trades", { ...place, versions: "all", limit: NEWEST })
      .then((answer) => {
        if (others !== this.others) return; // of a place that is not watched any more
        const { count, newest } = others.look(rowsOf(answer, "rows"), numberOf(answer, "total") ?? 0, isOwn);
        if (count > 0) this.tell("trade", newest === null ? "" : tradeWords(newest), `${nameOf(place)}: a trade of somebody else`, count);
      })
      .catch(() => void (this.seen = "")) // asked again with the next change
      .finally(() => void (this.reading = false));
  }

  private tell(kind: Reason, body: string, title: string, count: number): void {
    this.gathered.add({ kind, body, title, count });
  }
}

const LIGHT_NAMES: Readonly<Record<string, string>> = { trades: "trades", prices: "prices", connection: "link" };

/** Booked on this page, or by the user's own dealers. */
function isOwn(row: Row): boolean {
  const dealer = textOf(row, "dealer");
  const who = session.value;
  return ownTrades.has(textOf(row, "trade_id")) || (dealer !== "" && (dealer === who?.name || who?.dealers?.includes(dealer) === true));
}

function speak(notice: Notice): void {
  const { kind, title, body, count } = notice;
  const reason = kind as Reason;
  const counted = count > 1 ? `${countText(count, "time")}; the last: ${body}` : body;
  const many = reason === "trade" && count > 1 ? `${countText(count, "trade")} of others; the newest: ${body}` : counted;
  notices.value = [{ ...notice, body: many, at: Date.now() }, ...notices.value].slice(0, MOST_NOTICES);
  const place = watchedPlace();
  if (isTold(reason, "notification")) show(kind, title, many, () => void (reason !== "red" && place !== null && go({ view: reason === "trade" ? "blotter" : "ladder", place, choices: {} })));
  if (isTold(reason, "sound")) sound(reason === "red");
}

/** Begin to watch. `lights` says what the lights show now. Returns what ends it. */
export function startNotifications(lights: () => Readonly<Record<string, LightNow>>): () => void {
  const watchman = new Watchman(lights);
  const look = (): void => watchman.look();
  const stops = [effect(() => watchman.choose()), listen(look)];
  const timer = setInterval(look, LOOK_EVERY_MS);
  wakeWithTouch(() => preferences.value.told.some((told) => told.endsWith("by sound")));
  return () => {
    clearInterval(timer);
    for (const stop of stops) stop();
  };
}
