// Times and ages as text. Times are microseconds since 1970 UTC, shown in the reader's zone, which is named.

import { UNKNOWN } from "./numbers";

const locale = typeof navigator === "undefined" ? "en-US" : navigator.language;

const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const zoned = new Intl.DateTimeFormat(locale, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short",
});
const dated = new Intl.DateTimeFormat(locale, {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  timeZoneName: "short",
});
const day = new Intl.DateTimeFormat(locale, { year: "numeric", month: "2-digit", day: "2-digit" });

/** 14:03:22 */
export const clockText = (ts: number | null): string => (ts === null ? UNKNOWN : clock.format(ts / 1000));

/** 14:03:22 CET */
export const timeText = (ts: number | null): string => (ts === null ? UNKNOWN : zoned.format(ts / 1000));

/** The time today; the date as well for another day. `now` is the engine's. */
export function momentText(ts: number | null, now: number | null): string {
  if (ts === null) return UNKNOWN;
  const isToday = now !== null && day.format(ts / 1000) === day.format(now / 1000);
  return isToday ? clock.format(ts / 1000) : `${day.format(ts / 1000)} ${clock.format(ts / 1000)}`;
}

/** With the date, in the reader's zone and in UTC: for hovering. */
export function fullTimeText(ts: number | null): string {
  return ts === null ? UNKNOWN : `${dated.format(ts / 1000)} (${new Date(ts / 1000).toISOString().slice(0, 19).replace("T", " ")} UTC)`;
}

/** An age in words: 0.2 s, 14 s, 3 min, 2 h, 5 d. */
export function ageText(micros: number | null): string {
  if (micros === null) return UNKNOWN;
  const seconds = Math.max(0, micros) / 1e6;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${seconds.toFixed(0)} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  if (seconds < 84600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
