// Numbers and times as text. Unknown is an em dash, never 0; negative numbers have a true minus sign, as wide as a plus.

export const UNKNOWN = "\u2014";

const MINUS = "\u2212";
const PRICE_DIGITS = 10;
const MAX_PRICE_DECIMALS = 6;

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const exact = new Intl.NumberFormat("en-US", { maximumFractionDigits: 10 });
const fixed = Array.from({ length: MAX_PRICE_DECIMALS + 1 }, (_, decimals) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short",
});

function signed(value, format, plus) {
  const text = format.format(Math.abs(value));
  if (!/[1-9]/.test(text)) return text; // rounds to zero: no sign
  return (value < 0 ? MINUS : plus) + text;
}

export const known = (value) => value !== null && value !== undefined;

/** A profit or an exposure in whole units: +1,204,331. */
export const amount = (value) => (known(value) ? signed(value, whole, "+") : UNKNOWN);

/** A size without direction: 1,204,331. */
export const size = (value) => (known(value) ? signed(value, whole, "") : UNKNOWN);

/** A signed quantity with all its decimals. */
export const quantity = (value) => (known(value) ? signed(value, exact, "+") : UNKNOWN);

/** Every digit that the server sent, for hovering and copying. */
export const digits = (value) => (known(value) ? String(value).replace("-", MINUS) : UNKNOWN);

export const price = (value, decimals) => (known(value) ? signed(value, fixed[decimals], "") : UNKNOWN);

/** The decimals of a price: by its magnitude, or more if the value has more. */
export function priceDecimals(value) {
  const least = Math.abs(value) >= 1000 ? 2 : Math.abs(value) >= 20 ? 3 : 5;
  const part = value.toPrecision(PRICE_DIGITS).replace(/0+$/, "").split(".")[1] ?? "";
  return Math.min(Math.max(least, part.length), MAX_PRICE_DECIMALS);
}

/** The colour class of a signed number: "up", "down", "zero" or "unknown". */
export function direction(value, text) {
  if (!known(value)) return "unknown";
  if (!/[1-9]/.test(text)) return "zero";
  return value < 0 ? "down" : "up";
}

/** An age in microseconds, in words: 0.2 s, 14 s, 3 min, 2 h, 5 d. */
export function age(micros) {
  if (!known(micros)) return UNKNOWN;
  const seconds = Math.max(0, micros) / 1e6;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 59.5) return `${seconds.toFixed(0)} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  if (seconds < 84600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** A time of day in the user's zone, with the name of the zone. */
export const time = (ts) => (known(ts) ? clock.format(ts / 1000) : UNKNOWN);
