// Times on the slider over the day: its ends, steps by keys, and times as they are typed. Pure. Microseconds but where it says seconds.

export const DAY_US = 86_400e6;

/** The ends of the slider, in whole seconds. */
export type Ruler = { readonly first: number; readonly last: number };

export const rulerOf = (first: number, now: number): Ruler => ({ first: Math.floor(Math.min(first, now) / 1e6), last: Math.floor(now / 1e6) });

const SECOND = 1e6;
const MINUTE = 60 * SECOND;

/** Where a key leads from a time; null for keys that lead nowhere. Beyond the end is the end, which is live. */
export function stepped(at: number, key: string, fine: boolean, ruler: Ruler): number | null {
  const small = fine ? SECOND : MINUTE;
  const steps: Readonly<Record<string, number>> = { ArrowLeft: -small, ArrowDown: -small, ArrowRight: small, ArrowUp: small, PageDown: -10 * MINUTE, PageUp: 10 * MINUTE };
  if (key === "Home") return ruler.first * SECOND;
  if (key === "End") return Infinity;
  const step = steps[key];
  return step === undefined ? null : Math.max(ruler.first * SECOND, at + step);
}

/** As the engine reads it: `2026-12-01T14:32:05Z`, to the whole second below. */
export const asOfText = (ts: number): string => new Date(Math.floor(ts / SECOND) * 1000).toISOString().replace(".000Z", "Z");

/** A typed time in the reader's zone: `14:32`, `14:32:05`, with a date before it, or with an offset. A time alone is the last one that was. */
export function readTime(text: string, now: number): number | null {
  const parts = /^(?:(\d{4}-\d{2}-\d{2})[T ])?(\d{1,2}):(\d{2})(?::(\d{2}))?(Z|[+-]\d{2}:?\d{2})?$/i.exec(text.trim());
  if (parts === null) return null;
  const [, date, hours = "", minutes = "", seconds = "0", offset] = parts;
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return null;
  const padded = `${hours.padStart(2, "0")}:${minutes}:${seconds.padStart(2, "0")}`;
  if (date !== undefined) {
    const found = Date.parse(`${date}T${padded}${offset?.toUpperCase() ?? ""}`);
    return Number.isNaN(found) ? null : found * 1000;
  }
  const today = new Date(now / 1000);
  const found = offset === undefined ? today.setHours(Number(hours), Number(minutes), Number(seconds), 0) : Date.parse(`${new Date(now / 1000).toISOString().slice(0, 10)}T${padded}${offset.toUpperCase()}`);
  if (Number.isNaN(found)) return null;
  return found * 1000 > now ? found * 1000 - DAY_US : found * 1000;
}
