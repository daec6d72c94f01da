// A grid of spot and vol moves as a heat map: its axes, its cells and how strongly each is coloured. Pure.

import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";

/** Choices of the widest move of spot, a fraction, and of vol, absolute. */
export const SPOT_RANGES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5] as const;
export const VOL_RANGES = [0.01, 0.02, 0.05, 0.1] as const;
export const USUAL = { spot: 0.1, vol: 0.05 } as const;

const STEPS = { spot: 4, vol: 3 } as const;

/** Steps from -widest to widest, 0 among them, without the dust of binary fractions. */
export function axis(widest: number, steps: number): number[] {
  return Array.from({ length: 2 * steps + 1 }, (_, at) => Number(((widest * (at - steps)) / steps).toPrecision(12)) + 0);
}

export const axesOf = (spot: number, vol: number): { spot: number[]; vol: number[] } => ({ spot: axis(spot, STEPS.spot), vol: axis(vol, STEPS.vol) });

/** A choice out of the address that is among those there are. */
export function rangeOf(text: string | undefined, ranges: readonly number[], usual: number): number {
  const found = Number(text);
  return ranges.includes(found) ? found : usual;
}

/** What a heat map can show: field of the answer, label, and what it says. */
export const SHOWN: readonly (readonly [field: string, label: string, title: string])[] = [
  ["change", "P&L", "Change of total P&L against now"],
  ["net_exposure", "Net", "Net exposure there"],
  ["delta_cash", "Delta cash", "Delta cash there"],
  ["gamma_cash", "Gamma 1 %", "Gamma for a move of 1 % there"],
  ["vega", "Vega", "Vega there"],
];

export type Heat = {
  readonly spot: readonly number[];
  readonly vol: readonly number[];
  /** By row of vol, then of spot; null is unknown. */
  readonly cells: readonly (readonly (number | null)[])[];
  /** The largest number without its sign. */
  readonly most: number;
};

/** The map of one number of an answer, highest vol on top. null before there is an answer. */
export function heatOf(answer: Row | undefined, field: string): Heat | null {
  if (answer === undefined) return null;
  const rows = rowsOf(answer, "grid");
  const values = (name: string): number[] => [...new Set(rows.flatMap((row) => numberOf(row, name) ?? []))].toSorted((one, other) => one - other);
  const [spot, vol] = [values("spot"), values("vol").toReversed()];
  const found = new Map(rows.map((row) => [`${row["spot"]} ${row["vol"]}`, numberOf(row, field)]));
  const cells = vol.map((up) => spot.map((across) => found.get(`${across} ${up}`) ?? null));
  const most = cells.flat().reduce((largest: number, value) => Math.max(largest, Math.abs(value ?? 0)), 0);
  return { spot, vol, cells, most };
}

/** How strongly a cell is coloured, 0 to 1. */
export const strength = (value: number | null, most: number): number => (value === null || most === 0 ? 0 : Math.abs(value) / most);

/** The cell that an arrow leads to; the same at the edge. */
export function moved(at: readonly [row: number, column: number], key: string, heat: Heat): readonly [number, number] {
  const step: Readonly<Record<string, readonly [number, number]>> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const [down, right] = step[key] ?? [0, 0];
  const within = (place: number, count: number): number => Math.min(Math.max(place, 0), count - 1);
  return [within(at[0] + down, heat.vol.length), within(at[1] + right, heat.spot.length)];
}

/** Whether what moves has options whose vol can move with it; `rows` are instruments, `today` is as 2026-12-01. */
export function movesVol(scope: Readonly<Record<string, string | boolean>>, rows: Iterable<Row>, today: string): boolean {
  if ("currency" in scope) return false; // a currency has no vol
  for (const row of rows) {
    const expiry = textOf(row, "expiry").slice(0, 10);
    if (!textOf(row, "kind").endsWith("option") || (expiry !== "" && expiry < today)) continue;
    const under = textOf(row, "underlying") || `${textOf(row, "base_currency")}${textOf(row, "quote_currency")}`;
    if (scope["all"] === true || scope["sector"] === textOf(row, "sector")) return true;
    if (typeof scope["instrument"] === "string" && [under, textOf(row, "instrument")].includes(scope["instrument"])) return true;
  }
  return false;
}
