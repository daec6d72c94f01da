// Numbers as text, in the reader's own format. Unknown is an em dash, never 0; negative numbers have a true minus sign, as
// wide as a plus.

export const UNKNOWN = "\u2014";
export const MINUS = "\u2212";

const MOST_DECIMALS = 10;
const locale = typeof navigator === "undefined" ? "en-US" : navigator.language;

const formats = new Map<string, Intl.NumberFormat>();

function format(least: number, most: number, notation: "standard" | "compact" = "standard"): Intl.NumberFormat {
  const name = `${least} ${most} ${notation}`;
  let found = formats.get(name);
  if (found === undefined) {
    // Whole amounts round half away from zero, as on paper.
    found = new Intl.NumberFormat(locale, { minimumFractionDigits: least, maximumFractionDigits: most, notation });
    formats.set(name, found);
  }
  return found;
}

function signed(value: number, shown: Intl.NumberFormat, plus: string): string {
  const text = shown.format(Math.abs(value));
  if (!/[1-9]/.test(text)) return text; // rounds to zero: no sign
  return (value < 0 ? MINUS : plus) + text;
}

/** A profit or an exposure in whole units: +1,204,331; compact +1.2M. */
export function amountText(value: number | null, compact = false): string {
  return value === null ? UNKNOWN : signed(value, compact ? format(0, 1, "compact") : format(0, 0), "+");
}

/** A size or a count without direction: 1,204,331. */
export function sizeText(value: number | null, compact = false): string {
  return value === null ? UNKNOWN : signed(value, compact ? format(0, 1, "compact") : format(0, 0), "");
}

/** A signed quantity, with the decimals that it has. */
export function quantityText(value: number | null, compact = false): string {
  return value === null ? UNKNOWN : signed(value, compact ? format(0, 1, "compact") : format(0, MOST_DECIMALS), "+");
}

/** A price with the decimals of its instrument. */
export function priceText(value: number | null, decimals: number): string {
  const places = Math.min(Math.max(decimals, 0), MOST_DECIMALS);
  return value === null ? UNKNOWN : signed(value, format(places, places), "");
}

/** A distance in pips, ticks or per cent: +12.3. */
export function distanceText(value: number | null, decimals = 1): string {
  return value === null ? UNKNOWN : signed(value, format(decimals, decimals), "+");
}

export function percentText(value: number | null): string {
  return value === null ? UNKNOWN : `${signed(value, format(1, 1), "")} %`;
}

/** Every digit that the engine sent, for hovering and copying: as a spreadsheet reads it. */
export function exactText(value: number | null): string {
  return value === null ? "" : String(value);
}

/** The colour class of a signed number as shown: up, down, zero or unknown. */
export function direction(value: number | null, text: string): "up" | "down" | "zero" | "unknown" {
  if (value === null) return "unknown";
  if (!/[1-9]/.test(text)) return "zero";
  return value < 0 ? "down" : "up";
}

/** `3 trades`, `1 trade`. */
export function countText(count: number, one: string, many = `${one}s`): string {
  return `${format(0, 0).format(count)} ${count === 1 ? one : many}`;
}
