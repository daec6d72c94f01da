// What was posted from this page and what became of it, newest first. A trade without an answer is kept in this browser, so
// that it can be sent again as it was: the same name and version count once, however often they come.

import { signal } from "@preact/signals";
import { session } from "../live/engine";
import { HttpRefusal, post, reasonOf } from "../live/http";
import { rowsOf } from "../store/rows";
import type { Item } from "./booking";
import { type Fate, fateOf } from "./fates";

export type Sent = { readonly item: Item; readonly at: number; readonly fate: Fate | null; readonly waiting: boolean };

const MOST_SHOWN = 6;
const MOST_KEPT = 500;

const WAITING: Fate = { status: "waiting", words: "sending\u2026", reason: "", tone: "quiet" };

export const sent = signal<readonly Sent[]>([]);

/** Names of the trades of this page: they are the user's own. */
export const ownTrades = new Set<string>();

export const keyOf = (item: Item): string => JSON.stringify([item["source"], item["trade_id"], item["leg"] ?? 0, item["version"] ?? 1]);

/** Send one trade, or send it again. Resolves with its fate. */
export async function send(item: Item): Promise<Fate> {
  const key = keyOf(item);
  note(item, WAITING, true);
  const [fate] = await postAll([item]);
  note(item, fate ?? WAITING, false);
  sent.value = sent.value.filter((one, place) => place < MOST_SHOWN || one.fate?.status === "unanswered" || keyOf(one.item) === key);
  return fate ?? WAITING;
}

/** Post trades and say what became of each. What has no answer is kept until it has one. */
export async function postAll(items: readonly Item[]): Promise<Fate[]> {
  for (const item of items) ownTrades.add(String(item["trade_id"]));
  keep(items, true);
  try {
    const results = rowsOf(await post("v1/trades", items), "results");
    keep(items, false);
    return items.map((_, place) => fateOf(results[place] ?? {}, false));
  } catch (problem) {
    const isRefused = problem instanceof HttpRefusal && problem.status >= 400 && problem.status < 500 && problem.status !== 408;
    if (isRefused) keep(items, false);
    const fate: Fate = isRefused
      ? { status: "refused", words: "refused", reason: reasonOf(problem), tone: "alarm" }
      : { status: "unanswered", words: "no answer: it may be booked or not", reason: `${reasonOf(problem)}; sent again it is the same trade and counts once`, tone: "alarm" };
    return items.map(() => fate);
  }
}

function note(item: Item, fate: Fate, waiting: boolean): void {
  const key = keyOf(item);
  sent.value = [{ item, at: Date.now(), fate, waiting }, ...sent.value.filter((one) => keyOf(one.item) !== key)];
}

export function forget(item: Item): void {
  sent.value = sent.value.filter((one) => keyOf(one.item) !== keyOf(item));
  keep([item], false);
}

// -- kept in this browser --------------------------------------------------------------------------------------------

const nameOf = (): string => `riskengine/${session.value?.name ?? "local"}/unanswered`;

/** Show what an earlier page of this user sent without an answer. */
export function recall(): void {
  const known = new Set(sent.value.map(({ item }) => keyOf(item)));
  const fate: Fate = { status: "unanswered", words: "no answer yet", reason: "sent from an earlier page; sent again it is the same trade and counts once", tone: "alarm" };
  const left = load().filter((item) => !known.has(keyOf(item)));
  for (const item of left) ownTrades.add(String(item["trade_id"]));
  sent.value = [...sent.value, ...left.map((item) => ({ item, at: Date.now(), fate, waiting: false }))];
}

function keep(items: readonly Item[], unanswered: boolean): void {
  const keys = new Set(items.map(keyOf));
  const others = load().filter((item) => !keys.has(keyOf(item)));
  try {
    localStorage.setItem(nameOf(), JSON.stringify((unanswered ? [...others, ...items] : others).slice(-MOST_KEPT)));
  } catch {
    // the browser keeps nothing: they are known until the page is closed
  }
}

function load(): Item[] {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(nameOf()) ?? "[]");
    return Array.isArray(read) ? read.filter((item): item is Item => typeof item === "object" && item !== null && typeof (item as Item)["trade_id"] === "string") : [];
  } catch {
    return [];
  }
}
