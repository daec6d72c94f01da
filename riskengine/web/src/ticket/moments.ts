// Times and dates as people type them: local ones in the zone of this browser, refused where that has no such time, or has it twice.

import type { Read } from "./decimals";

export type Moment = { readonly ts: number | string } | { readonly problem: string };

const LOCAL = /^(?:(\d{4})-(\d{2})-(\d{2})[ T])?(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?$/;
const WITH_OFFSET = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$/i;
const HOUR_MS = 3_600_000;

export const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Microseconds since the epoch, or the text itself where it has an offset. `10:31` is of the day of `now`. */
export function readMoment(text: string, now: Date): Moment {
  const trimmed = text.trim();
  if (WITH_OFFSET.test(trimmed)) return { ts: trimmed.replace(" ", "T") };
  const parts = LOCAL.exec(trimmed);
  if (parts === null) return { problem: `\u201c${trimmed}\u201d is no time: 10:31, 2026-12-01 10:31:05 or 2026-12-01T10:31:05Z is expected` };
  const [, year, month, day, hour, minute, second = "0", part = ""] = parts;
  const wanted: [number, number, number, number, number, number] = [
    year === undefined ? now.getFullYear() : Number(year), month === undefined ? now.getMonth() : Number(month) - 1,
    day === undefined ? now.getDate() : Number(day), Number(hour), Number(minute), Number(second),
  ];
  const found = new Date(...wanted);
  if (!isSame(found, wanted)) return { problem: `\u201c${trimmed}\u201d: there is no such time in ${ZONE}` };
  if ([HOUR_MS, -HOUR_MS].some((ms) => isSame(new Date(found.getTime() + ms), wanted))) {
    return { problem: `\u201c${trimmed}\u201d is twice in ${ZONE}: write it with an offset, as in 2026-10-25T02:30:00+01:00` };
  }
  return { ts: found.getTime() * 1000 + Number(part.padEnd(6, "0")) };
}

const isSame = (date: Date, [year, month, day, hour, minute, second]: readonly number[]): boolean =>
  date.getFullYear() === year && date.getMonth() === month && date.getDate() === day &&
  date.getHours() === hour && date.getMinutes() === minute && date.getSeconds() === second;

/** A date as YYYY-MM-DD, also from 1.12.2026; 01/12/2026 is refused, because it has two readings. */
export function readDate(text: string): Read {
  const trimmed = text.trim();
  if (/^\d{4}-\d{2}-\d{2}$/.test(trimmed)) return { value: trimmed };
  const dotted = /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/.exec(trimmed);
  if (dotted !== null) return { value: `${dotted[3]}-${dotted[2]?.padStart(2, "0")}-${dotted[1]?.padStart(2, "0")}` };
  return { problem: `\u201c${trimmed}\u201d is no date: 2026-12-01 is expected` };
}
