// The columns of the risk summary: options with their inputs and Greeks, their hedges, and the sums of both.

import { signedColumn } from "../amounts/columns";
import { instrumentOf, isPosition, only } from "../amounts/instruments";
import { leftOut, SET_ASIDE, sumUnknown } from "../amounts/reasons";
import { type Column, type Line, MEDIUM, WIDE } from "../grid/column";
import { link } from "../live/engine";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { isTrue, numberOf, textOf } from "../store/rows";
import { countText, direction, exactText, priceText, quantityText, UNKNOWN } from "../words/numbers";
import { ageText, fullTimeText } from "../words/times";
import { isOption, lacking } from "./lines";
import { atUnderlying, strikeText } from "./prices";

const DELTA_DECIMALS = 3;
const PER_CENT_DECIMALS = 2;
const AMOUNT_DECIMALS = 4;
const DATE_LETTERS = 10;

/** Letters for types of delta, and their words. */
const DELTA_TYPES: Readonly<Record<string, readonly [short: string, words: string]>> = {
  spot: ["S", "spot delta"],
  forward: ["F", "forward delta"],
  spot_pa: ["Spa", "premium-adjusted spot delta"],
  forward_pa: ["Fpa", "premium-adjusted forward delta"],
};

/** Why an amount of a row is not there. */
function unknownOf(row: Row): string {
  if (numberOf(row, "quantity") === null) return SET_ASIDE;
  return textOf(row, "reason") || (numberOf(row, "delta") === null ? "not known yet" : "unpriced, or no rate to the reporting currency");
}

/** Why a sum is not there, or what it leaves out: of the engine's row of a node, and of sums of what is listed. */
function lacks(row: Row, field: string): string {
  const count = lacking(row, field);
  if (count > 0) return `without ${countText(count, "position")} of which it is unknown`;
  return "unpriced_count" in row && !("unknown" in row) ? leftOut(row) : "";
}

function cash(id: string, label: string, title: string, more: Partial<Column> = {}): Column {
  const unknown = (line: Line): string =>
    isPosition(line) ? unknownOf(line.row) : lacks(line.row, id) || (id in line.row ? sumUnknown(line.row) : "not added up here");
  const column = signedColumn(id, label, title, "priced", unknown, (row) => lacks(row, id), { width: 84 });
  // Sums that do not have an amount say nothing of it.
  return { ...column, text: (line) => (isPosition(line) || id in line.row ? column.text(line) : ""), ...more };
}

/** A number of one position, as quoted. */
function quoted(id: string, label: string, title: string, text: (value: number | null, row: Row) => string, more: Partial<Column> = {}): Column {
  const isAbsent = (row: Row): boolean => !isOption(row) && !HEDGES_HAVE.has(id);
  return {
    id,
    label,
    title,
    width: 72,
    value: only((row) => numberOf(row, id), null),
    text: only((row) => (isAbsent(row) ? "" : text(numberOf(row, id), row)), ""),
    tone: only((row) => (numberOf(row, id) === null ? "unknown" : isTrue(row, "stale") ? "stale priced" : "priced"), ""),
    hover: only((row) => {
      if (isAbsent(row)) return "";
      const value = numberOf(row, id);
      if (value === null) return unknownOf(row);
      return exactText(value) + (isTrue(row, "stale") ? "; from an old price, vol or rate" : "");
    }, ""),
    ...more,
  };
}

const HEDGES_HAVE = new Set(["spot", "value", "delta", "price", "expiry_ts"]);

const percent = (value: number | null): string => priceText(value === null ? null : value * 100, PER_CENT_DECIMALS);

function nameHover({ row, kind }: Line): string {
  if (kind === "row") {
    const terms = isOption(row) ? `${textOf(instrumentOf(row), "exercise") || "option"} ${textOf(row, "option_type")} on ${textOf(row, "underlying")}` : `hedge in ${textOf(row, "underlying")}`;
    return [terms, textOf(row, "kind"), numberOf(row, "quantity") === null ? SET_ASIDE : "", textOf(row, "reason")].filter(Boolean).join("; ");
  }
  const counts = ([["option_count", "option"], ["hedge_count", "hedge"], ["stale_count", "old value"]] as const).flatMap(([field, word]) => {
    const count = numberOf(row, field);
    return count === null || count === 0 ? [] : [countText(count, word)];
  });
  return counts.join(", ");
}

function sourceHover(row: Row): string {
  const [ts, now] = [numberOf(row, "ts"), link.engineNow()];
  return [
    textOf(row, "source") && `from ${textOf(row, "source")}`,
    ts === null ? "" : `oldest input ${fullTimeText(ts)}${now === null ? "" : `, ${ageText(now - ts)} ago`}`,
    isTrue(row, "stale") && "old",
    textOf(row, "reason"),
  ].filter(Boolean).join("; ");
}

/** Where the value comes from, or why that matters no more. */
function sourceText(row: Row): string {
  const state = stateText(row);
  return (state === "expired" || state === "unpriced" ? state : textOf(row, "source")) || UNKNOWN;
}

/** A column that only sums have. */
const sumOnly = (column: Column): Column => ({
  ...column,
  value: (line) => (isPosition(line) ? null : column.value(line)),
  text: (line) => (isPosition(line) ? "" : column.text(line)),
  tone: (line, text) => (isPosition(line) ? "" : (column.tone?.(line, text) ?? "")),
  hover: (line) => (isPosition(line) ? "" : (column.hover?.(line) ?? "")),
});

/** `largest` gives the largest delta on the screen, for the bars. */
export function riskColumns(largest: () => number): readonly Column[] {
  return [
    {
      id: "instrument",
      label: "Underlying, option",
      title: "Underlyings, or buckets of expiries, with the engine's sums; below them options by expiry and strike, and the other positions in their underlying, which hedge them (in the first bucket where they have no date)",
      width: 160,
      left: true,
      tints: false,
      value: ({ row }) => textOf(row, "name") || textOf(row, "instrument"),
      text: ({ row }) => textOf(row, "name") || textOf(row, "instrument"),
      tone: (line) => (isPosition(line) && numberOf(line.row, "quantity") === null ? "alarm" : ""),
      hover: nameHover,
    },
    {
      id: "underlying",
      label: "Underlying",
      title: "What the option is on, or the position hedges in",
      width: 96,
      left: true,
      tints: false,
      optional: true,
      value: only((row) => textOf(row, "underlying"), null),
      text: only((row) => textOf(row, "underlying"), ""),
    },
    {
      id: "expiry",
      label: "Expiry",
      title: "Date of expiry; the moment of the cut on hover",
      width: 90,
      left: true,
      tints: false,
      value: ({ row }) => textOf(row, "expiry") || null,
      text: ({ row }) => textOf(row, "expiry").slice(0, DATE_LETTERS),
      tone: () => "quiet",
      hover: ({ row }) => {
        const [ts, years] = [numberOf(row, "expiry_ts"), numberOf(row, "years")];
        return ts === null ? textOf(row, "expiry") : `${fullTimeText(ts)}${years === null ? "" : `; ${priceText(years, AMOUNT_DECIMALS)} years`}`;
      },
    },
    {
      id: "strike",
      label: "Strike",
      title: "Strike with C for a call and P for a put",
      width: 80,
      tints: false,
      value: only((row) => numberOf(row, "strike"), null),
      text: only((row) => (isOption(row) ? strikeText(row) : ""), ""),
      hover: only((row) => (isOption(row) ? `${textOf(row, "option_type")} at ${exactText(numberOf(row, "strike"))}` : ""), ""),
    },
    {
      ...quoted("spot", "Spot", "Spot of the underlying that the options are valued with", atUnderlying, { width: 72 }),
      value: ({ row }) => numberOf(row, "spot"),
      text: ({ row, kind }) => (kind === "total" || (kind === "group" && numberOf(row, "spot") === null) ? "" : atUnderlying(numberOf(row, "spot"), row)),
    },
    quoted("vol", "Vol %", "Volatility in per cent a year: of the surface, of the option's own, or implied by its quote", percent, { width: 58 }),
    {
      id: "quantity",
      label: "Position",
      title: "Signed quantity in units of the instrument, long is positive",
      width: 108,
      value: only((row) => numberOf(row, "quantity"), null),
      text: only((row) => quantityText(numberOf(row, "quantity"), preferences.value.compact), ""),
      tone: (line, text) => (isPosition(line) ? direction(numberOf(line.row, "quantity"), text) : ""),
      hover: only((row) => (numberOf(row, "quantity") === null ? SET_ASIDE : exactText(numberOf(row, "quantity"))), ""),
    },
    quoted("value", "Value", "Value of one unit as quoted, before multiplier and quantity, in the cash currency", (value) => priceText(value, AMOUNT_DECIMALS), { width: 84, optional: WIDE }),
    quoted("delta", "Delta", "Delta of one unit as quoted, of the type beside it; 1 for hedges", (value) => priceText(value, DELTA_DECIMALS), { width: 64 }),
    {
      id: "delta_type",
      label: "Type",
      title: "Which delta: of spot (S) or of the forward (F), premium-adjusted (pa) or not",
      width: 48,
      left: true,
      tints: false,
      value: only((row) => textOf(row, "delta_type") || null, null),
      text: only((row) => DELTA_TYPES[textOf(row, "delta_type")]?.[0] ?? textOf(row, "delta_type"), ""),
      tone: () => "quiet",
      hover: only((row) => DELTA_TYPES[textOf(row, "delta_type")]?.[1] ?? "", ""),
    },
    cash("delta_base", "Delta base", "Delta of the position in units of the underlying (of its base currency)", { optional: WIDE, width: 104 }),
    sumOnly(cash("hedge_delta_cash", "Of hedges", "The part of Delta cash that is of hedges: positions in the underlying that are no options", { width: 108 })),
    cash("delta_cash", "Delta cash", "Value of the deltas at spot, reporting currency; the bar is against the largest on the screen", {
      width: 110,
      tone: (line, text) => `${isPosition(line) ? "bar " : ""}${direction(numberOf(line.row, "delta_cash"), text)} priced${isPosition(line) && isTrue(line.row, "stale") ? " stale" : ""}`,
      bar: only((row) => {
        const [delta, most] = [numberOf(row, "delta_cash"), largest()];
        return delta === null || most === 0 ? null : delta / most;
      }, null),
    }),
    cash("gamma_cash", "Gamma 1 %", "Change of Delta cash for a 1 % move of spot, reporting currency", { width: 112 }),
    cash("vega", "Vega", "For one vol point, reporting currency", { width: 80 }),
    cash("theta", "Theta", "For one calendar day, reporting currency", { width: 80 }),
    cash("total_pnl", "Total P&L", "Realised + unrealised since the opening balance, before fees, reporting currency", { width: 90 }),
    {
      id: "source",
      label: "Source",
      title: "Where the value comes from: quote, model, implied (the vol that the quote implies), pushed (Greeks from outside), taylor (those, moved to now); or that the option is expired, or nothing of it known",
      width: 74,
      left: true,
      tints: false,
      optional: MEDIUM,
      value: only((row) => sourceText(row), null),
      text: only((row) => sourceText(row), ""),
      tone: only((row) => STATE_TONES[stateText(row)] ?? "quiet", ""),
      hover: only(sourceHover, ""),
    },
    {
      id: "state",
      label: "State",
      title: "Live, old (an input is older than its bound) or expired (its cut is past); unpriced where nothing is known",
      width: 68,
      left: true,
      tints: false,
      optional: WIDE,
      value: only((row) => stateText(row), null),
      text: only((row) => stateText(row), ""),
      tone: only((row) => STATE_TONES[stateText(row)] ?? "quiet", ""),
      hover: only(sourceHover, ""),
    },
    quoted("rate_quote", "Rate quote %", "Rate of the quote currency, continuously compounded", percent, { optional: true, width: 84 }),
    quoted("rate_base", "Rate base %", "Rate of the base currency, or dividend yield, continuously compounded", percent, { optional: true, width: 84 }),
    cash("rho_quote", "Rho quote", "For one per cent on the rate of the quote currency", { optional: true }),
    cash("rho_base", "Rho base", "For one per cent on the rate of the base currency, or the dividend yield", { optional: true }),
    cash("vanna", "Vanna", "Change of Delta cash for one vol point", { optional: true }),
    cash("volga", "Volga", "Change of Vega for one vol point", { optional: true }),
  ];
}

const STATE_TONES: Readonly<Record<string, string>> = { old: "stale", unpriced: "alarm", expired: "stale" };

export function stateText(row: Row): string {
  if (textOf(row, "state") === "expired") return "expired";
  if (numberOf(row, "delta_cash") === null) return "unpriced";
  return isTrue(row, "stale") ? "old" : textOf(row, "state");
}
