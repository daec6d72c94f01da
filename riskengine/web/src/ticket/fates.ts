// What became of a trade, or would: the engine's word for it in plain words, with the way out.

import type { Row } from "../store/messages";
import { rowsOf, textOf } from "../store/rows";

export type Tone = "good" | "fair" | "alarm" | "quiet";
export type Fate = { readonly status: string; readonly words: string; readonly reason: string; readonly tone: Tone };

type Said = readonly [would: string, did: string, tone: Tone];

const SAID: Readonly<Record<string, Said>> = {
  applied: ["valid", "booked", "good"],
  duplicate: ["booked already", "was booked already, and counts once", "quiet"],
  superseded: ["superseded: a later version stands", "stored, and superseded by a later version", "quiet"],
  parked: ["would wait for its trade", "stored, and waits for its trade", "fair"],
  quarantined: ["would be kept out", "stored, and kept out of every number", "fair"],
  conflict: ["conflicts with a stored trade", "refused: conflicts with a stored trade, which counts", "alarm"],
  rejected: ["refused", "refused", "alarm"],
};

/** The fate of a result of `POST /v1/trades`, or with `would` of `POST /v1/trades/check`. */
export function fateOf(result: Row, would: boolean): Fate {
  const status = textOf(result, "status");
  const [asked, done, tone] = SAID[status] ?? [status, status, "alarm"];
  const notices = rowsOf(result, "notices").map((notice) => textOf(notice, "reason"));
  const reasons = [textOf(result, "reason"), ...notices].filter((reason) => reason !== "");
  return { status, words: would ? asked : done, reason: reasons.join("; "), tone: tone === "good" && notices.length > 0 ? "fair" : tone };
}

/** A row that cannot be sent. */
export const unsendable = (reasons: readonly string[]): Fate => ({ status: "unreadable", words: "cannot be read", reason: reasons.join("; "), tone: "alarm" });

/** `12 valid, 2 refused`, in the order in which they first come. */
export function countWords(fates: readonly Fate[]): string {
  const counts = new Map<string, number>();
  for (const { words } of fates) counts.set(words, (counts.get(words) ?? 0) + 1);
  return [...counts].map(([words, count]) => `${count} ${words}`).join(", ");
}
