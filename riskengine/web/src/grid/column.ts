// What a grid shows: lines, and columns that make text of them.

import type { Row } from "../store/messages";

/** One line of a grid. Lines below another one follow it, in whatever order the user sorts. */
export type Line = {
  readonly key: string;
  readonly kind: "row" | "group" | "fold" | "total" | "detail";
  readonly row: Row;
  /** The key of the line above it; empty at the top. */
  readonly parent: string;
  readonly level: number;
  /** Whether lines below it are shown; null where there are none. */
  readonly open: boolean | null;
  /** Its place among its siblings while nothing is sorted. */
  readonly place: number;
};

export type Column = {
  readonly id: string;
  readonly label: string;
  /** Unit, formula and source: shown over the header. */
  readonly title: string;
  readonly width: number;
  /** Words stand left, numbers right. */
  readonly left?: boolean;
  /** Not shown unless the user wants it, or, with a number, unless the grid is so many pixels wide. */
  readonly optional?: true | number;
  /** Takes what is left of the grid's width, or gives of its own down to so many pixels. */
  readonly elastic?: number;
  /** Whether a change tints the cell. */
  readonly tints?: boolean;
  /** By what it is sorted, and whether it has changed; null is unknown, and last. */
  value(line: Line): number | string | null;
  text(line: Line): string;
  /** Classes of the cell: up, down, zero, unknown, stale, quiet, alarm, and `priced` for what depends on prices. */
  tone?(line: Line, text: string): string;
  /** The exact value, or why there is none. */
  hover?(line: Line): string;
  /** What copying and CSV give; without it the value. */
  exact?(line: Line): string;
  /** A bar behind the text, from -1 to 1. */
  bar?(line: Line): number | null;
  /** Where limits stand on the bar; without them it has none. */
  ticks?(line: Line): Ticks | null;
};

/** Places on a bar, as fractions of the cell from its left side: of limits, and of where they warn. At most two each. */
export type Ticks = { readonly limit: readonly number[]; readonly warn: readonly number[] };

/** Pixels from which on a grid shows columns that say more of others, and columns that a small one leaves out. */
export const WIDE = 1_640;
export const MEDIUM = 720;

/** Whether a grid of a width shows a column that nobody has chosen or left out. */
export const isUsual = ({ optional }: Column, width: number): boolean => optional === undefined || (optional !== true && width >= optional);

/** The most that columns are made narrower so that all of them are in sight. */
const MOST_SQUEEZED = 0.08;

const total = (widths: readonly number[]): number => widths.reduce((sum, width) => sum + width, 0);

/** Widths that fit into so many pixels: elastic columns take or give first. They stay as they are where they miss by more than a little. */
export function fitted(widths: readonly number[], elastic: readonly (number | undefined)[], room: number): number[] {
  const count = elastic.filter((least) => least !== undefined).length;
  const spare = count === 0 ? 0 : (room - total(widths)) / count;
  const stretched = widths.map((width, at) => {
    const least = elastic[at];
    return least === undefined ? width : Math.max(least, Math.floor(width + spare));
  });
  const wanted = total(stretched);
  if (wanted <= room || wanted * (1 - MOST_SQUEEZED) > room) return stretched;
  return stretched.map((width) => Math.floor((width * room) / wanted));
}

/** Lines under their parents, siblings in the order given; folded lines and their like stay last. */
export function hang<Item>(items: readonly Item[], lineOf: (item: Item) => Line): Item[] {
  const below = new Map<string, Item[]>();
  const keys = new Set(items.map((item) => lineOf(item).key));
  for (const item of items) {
    const { parent } = lineOf(item);
    const under = keys.has(parent) ? parent : "";
    const siblings = below.get(under);
    if (siblings === undefined) below.set(under, [item]);
    else siblings.push(item);
  }
  const hung: Item[] = [];
  const visit = (key: string): void => {
    const siblings = below.get(key) ?? [];
    const isLast = (item: Item): boolean => lineOf(item).kind === "fold";
    for (const item of [...siblings.filter((item) => !isLast(item)), ...siblings.filter(isLast)]) {
      hung.push(item);
      visit(lineOf(item).key);
    }
  };
  visit("");
  return hung;
}

/** Unknown values last, whichever way is up. */
export function compare(one: unknown, other: unknown, descending: boolean): number {
  if (one === null || other === null) return one === other ? 0 : (one === null) === descending ? -1 : 1;
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), undefined, { numeric: true });
}
