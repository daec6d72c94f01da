// Intended trades and shifts as people type them, a line each: `buy 5m EURUSD 1.0842 FX1`, `EUR -5%`. Pure. Pasted rows are read as
// those of the ticket.

import { type Item, newTrade, type Reading } from "../ticket/booking";
import { readDecimal } from "../ticket/decimals";
import { EMPTY, readSide } from "../ticket/fields";
import { readPasted } from "../ticket/paste";

/** What names mean here. */
export type Names = {
  readonly instruments: ReadonlySet<string>;
  readonly desks: ReadonlySet<string>;
  readonly dealers: ReadonlySet<string>;
  readonly currencies: ReadonlySet<string>;
  /** The desk of trades that name none; empty where there are several. */
  readonly desk: string;
  readonly dealer: string;
  /** The mark of an instrument as decimal text; empty where none is on the screen. */
  readonly markOf: (instrument: string) => string;
};

/** One line as it was read: what is sent, in words, or why nothing is. */
export type ReadLine<Sent> = { readonly line: number; readonly sent: Sent | null; readonly words: string; readonly problem: string };

export type Shift = Readonly<Record<string, string | number | boolean>>;
export type Shock = { readonly shock: string };

const lines = (text: string): [line: number, words: string][] =>
  text.split(/\r?\n/).flatMap((words, at): [number, string][] => (words.trim() === "" ? [] : [[at + 1, words.trim()]]));

/** The longest name that stands in the words, and the words without it. Names may have spaces. */
function taken(words: readonly string[], names: ReadonlySet<string>): { name: string; rest: string[] } | null {
  const known = new Map([...names].map((name) => [name.toLowerCase(), name]));
  for (let length = words.length; length > 0; length -= 1) {
    for (let first = 0; first + length <= words.length; first += 1) {
      const name = known.get(words.slice(first, first + length).join(" ").toLowerCase());
      if (name !== undefined) return { name, rest: [...words.slice(0, first), ...words.slice(first + length)] };
    }
  }
  return null;
}

const isNumber = (word: string): boolean => /^[-+\u2212(]?[\d.,']*\d[\d.,']*[a-z]{0,3}\)?$/i.test(word) && /^[-+\u2212(]?[\d.,]/.test(word);

/** Trades of a text: rows of a spreadsheet where it has tabs, else typed lines. */
export function readTrades(text: string, names: Names, reading: Reading): ReadLine<Item>[] {
  if (text.includes("\t")) {
    return readPasted(text, { desk: names.desk, dealer: names.dealer }, reading).rows.map(({ line, item, problems }) => ({
      line, sent: item, words: item === null ? "" : tradeWords(item), problem: problems.map(({ field, reason }) => `${field} ${reason}`).join("; "),
    }));
  }
  return lines(text).map(([line, words]) => readTrade(line, words.split(/\s+/), names, reading));
}

function readTrade(line: number, words: readonly string[], names: Names, reading: Reading): ReadLine<Item> {
  const instrument = taken(words, names.instruments);
  const desk = taken(instrument?.rest ?? words, names.desks);
  const dealer = taken(desk?.rest ?? instrument?.rest ?? words, names.dealers);
  const rest = (dealer?.rest ?? desk?.rest ?? instrument?.rest ?? [...words]).filter((word) => !/^(?:at|@|for)$/i.test(word));
  const side = rest.find((word) => readSide(word) !== null && !isNumber(word)) ?? "";
  const numbers = rest.filter((word) => isNumber(word)).map((word) => word.replace(/^@/, ""));
  const unread = rest.filter((word) => word !== side && !isNumber(word));
  const no = (problem: string): ReadLine<Item> => ({ line, sent: null, words: "", problem });
  if (instrument === null) return no(`no instrument that is known here is in ${words.join(" ")}`);
  if (unread.length > 0) return no(`${unread.join(", ")}: neither a side, a number, a desk nor a dealer`);
  if (numbers.length > 2) return no(`${numbers.join(", ")}: more numbers than a quantity and a price`);
  const [quantity = "", typed = ""] = numbers;
  const price = typed || names.markOf(instrument.name);
  if (price === "") return no("no price: it has no mark on this screen, so write one behind the quantity");
  const where = desk?.name ?? names.desk;
  if (where === "") return no(`which desk? One of ${[...names.desks].slice(0, 8).join(", ")}`);
  const draft = { ...EMPTY, instrument: instrument.name, side, quantity, price: typed || price.replace(".", reading.mark), desk: where, dealer: dealer?.name ?? names.dealer };
  const made = newTrade(draft, reading, `intended-${line}`);
  if ("problems" in made) return no(made.problems.map(({ field, reason }) => `${field} ${reason}`).join("; "));
  return { line, sent: made.item, words: tradeWords(made.item, typed === "" ? "at its mark" : "at"), problem: "" };
}

/** `buy 5,000,000 EURUSD at 1.0842, FX1 ann`. */
function tradeWords(item: Item, at = "at"): string {
  const whole = String(item["quantity"]).replace(/^\d+/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ","));
  return `${item["side"]} ${whole} ${item["instrument"]} ${at} ${item["price"]}, ${[item["desk"], item["dealer"]].filter(Boolean).join(" ")}`;
}

const SIZE = /^([-+\u2212]?[\d.,]+)\s*(%|bps?|pts?|points?)?$/i;

/** Shifts and shocks of a text, a line each. */
export function readShifts(text: string, names: Names, reading: Reading): ReadLine<Shift | Shock>[] {
  return lines(text).map(([line, words]) => readShift(line, words.split(/\s+/), names, reading));
}

function readShift(line: number, words: readonly string[], names: Names, reading: Reading): ReadLine<Shift | Shock> {
  const no = (problem: string): ReadLine<Shift | Shock> => ({ line, sent: null, words: "", problem });
  const [first = "", ...after] = words;
  if (/^shock$/i.test(first)) return after.length === 0 ? no("which shock? Such as 2016-06-24") : { line, sent: { shock: after.join(" ") }, words: `as in the shock ${after.join(" ")}`, problem: "" };
  const factor = /^(?:spot|vol|rate)$/i.test(first) ? first.toLowerCase() : "spot";
  const named = factor === first.toLowerCase() ? after : words;
  // A unit may stand apart: `+2 pts`.
  const unitApart = /^(?:%|bps?|pts?|points?)$/i.test(named.at(-1) ?? "");
  const size = SIZE.exec(named.slice(unitApart ? -2 : -1).join(""));
  const scopeWords = named.slice(0, unitApart ? -2 : -1);
  if (size === null) return no(`the last word is no size such as -5%, +0.01, 2pts or 50bp: ${words.join(" ")}`);
  const number = readDecimal(size[1] ?? "", reading.mark, "amount");
  if ("problem" in number) return no(`size ${number.problem}`);
  const scope = scopeOf(scopeWords, names);
  if (scope === null) return no(`${scopeWords.join(" ") || "nothing"}: neither all, an instrument, a currency nor \u201csector NAME\u201d`);
  const sized = sizeOf(factor, Number(number.value), (size[2] ?? "").toLowerCase());
  if (sized === null) return no(`${factor} moves by ${factor === "rate" ? "% or bp" : factor === "vol" ? "% of itself or pts" : "% or price units"}`);
  return { line, sent: { factor, ...scope, ...sized }, words: `${factor} of ${scopeWords.join(" ")} ${sizeWords(sized, factor)}`, problem: "" };
}

/** What `all`, an instrument, a currency or `sector NAME` bounds; null for other words. */
export function scopeOf(words: readonly string[], names: Pick<Names, "instruments" | "currencies">): Record<string, string | boolean> | null {
  const said = words.join(" ");
  if (/^(?:all|everything)$/i.test(said)) return { all: true };
  if (/^sector$/i.test(words[0] ?? "") && words.length > 1) return { sector: words.slice(1).join(" ") };
  const instrument = taken(words, names.instruments);
  if (instrument !== null && instrument.rest.length === 0) return { instrument: instrument.name };
  const currency = taken(words, names.currencies);
  return currency !== null && currency.rest.length === 0 ? { currency: currency.name } : null;
}

const PERCENT = 100;
const BASIS_POINTS = 10_000;

/** Rates move by percentage points a year, vols by points or a part of themselves, spot by a part or in price units. */
function sizeOf(factor: string, value: number, unit: string): { relative: number } | { absolute: number } | null {
  if (unit.startsWith("bp")) return factor === "rate" ? { absolute: value / BASIS_POINTS } : null;
  if (unit.startsWith("p")) return factor === "vol" ? { absolute: value / PERCENT } : null;
  if (unit === "%") return factor === "rate" ? { absolute: value / PERCENT } : { relative: value / PERCENT };
  return factor === "spot" ? { absolute: value } : null;
}

function sizeWords(sized: { relative: number } | { absolute: number }, factor: string): string {
  const signed = (value: number): string => `${value < 0 ? "\u2212" : "+"}${Number(Math.abs(value).toPrecision(10))}`;
  if ("relative" in sized) return `${signed(sized.relative * PERCENT)} %`;
  return absoluteWords(sized.absolute, factor, signed);
}

const absoluteWords = (value: number, factor: string, signed: (value: number) => string): string =>
  factor === "vol" ? `${signed(value * PERCENT)} points` : factor === "rate" ? `${signed(value * PERCENT)} % a year` : `${signed(value)} in price`;
