// Histories over HTTP.

import { read } from "../live/http";
import type { Place } from "../settings/address";
import { numberOf, rowOf, rowsOf } from "../store/rows";
import { type Fall, Series } from "./series";

/** How a curve of so many days is cut into stretches, so that it has a few hundred points. */
const STRETCHES: Readonly<Record<number, { bucket: string; seconds: number }>> = {
  1: { bucket: "1m", seconds: 60 },
  7: { bucket: "15m", seconds: 900 },
  30: { bucket: "1h", seconds: 3_600 },
  365: { bucket: "24h", seconds: 86_400 },
};

/** `since` cuts it off: microseconds, or null for so many days. */
export async function readHistory(place: Place, measure: string, days: number, since: number | null, signal: AbortSignal): Promise<Series> {
  const { bucket, seconds } = STRETCHES[days] ?? { bucket: "1m", seconds: 60 };
  const span = since === null ? { days } : { since };
  const answer = await read("v1/history", { ...place, measure, ...span, bucket }, signal);
  const points = rowsOf(answer, "rows").flatMap((row) => {
    const ts = numberOf(row, "ts");
    return ts === null ? [] : [{ time: ts / 1e6, value: numberOf(row, "value"), max: numberOf(row, "max") }];
  });
  return new Series(points, fallOf(rowOf(answer, "drawdown")), seconds);
}

function fallOf(row: ReturnType<typeof rowOf>): Fall | null {
  const [amount, from, to] = [numberOf(row, "amount"), numberOf(row, "peak_ts"), numberOf(row, "trough_ts")];
  return amount === null || from === null || to === null ? null : { amount, from: from / 1e6, to: to / 1e6 };
}
