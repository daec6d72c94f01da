// Which limits are listed, and in which order: what wants somebody first, then as the engine lists them. Pure.

import { STATES } from "../amounts/limit_rows";
import type { Line } from "../grid/column";
import type { Place } from "../settings/address";
import type { Row } from "../store/messages";
import { textOf } from "../store/rows";

export type Wanted = {
  /** null: of every place that the user is shown. */
  readonly place: Place | null;
  /** Whether a node is the place or below it. */
  readonly isBelow: (node: string) => boolean;
  /** Only breaches, warnings and what is unknown. */
  readonly unwell: boolean;
};

const rank = (row: Row): number => STATES.indexOf(textOf(row, "state") as (typeof STATES)[number]);
const isUnwell = (row: Row): boolean => ["breach", "warning", "unknown"].includes(textOf(row, "state"));

function isOf(row: Row, { place, isBelow }: Wanted): boolean {
  if (place === null) return true;
  const node = textOf(row, "node");
  return "node" in place ? node !== "" && isBelow(node) : node === "" && textOf(row, "dealer") === place.dealer;
}

/** The lines of limits by their keys. A line moves when its state changes, and at no other time. */
export function limitLines(rows: ReadonlyMap<string, Row>, wanted: Wanted): Line[] {
  return [...rows]
    .filter(([, row]) => isOf(row, wanted) && (!wanted.unwell || isUnwell(row)))
    .toSorted(([, one], [, other]) => rank(one) - rank(other))
    .map(([key, row], place) => ({ key, kind: "row", row, parent: "", level: 0, open: null, place }));
}

/** How many of the limits stand in each state, in words: `2 breaches, 1 unknown, 14 ok`. */
export function countsText(rows: Iterable<Row>): string {
  const counts = new Map<string, number>();
  for (const row of rows) counts.set(textOf(row, "state"), (counts.get(textOf(row, "state")) ?? 0) + 1);
  const words = (state: string, count: number): string =>
    state === "breach" ? `${count} ${count === 1 ? "breach" : "breaches"}` : state === "warning" ? `${count} ${count === 1 ? "warning" : "warnings"}` : `${count} ${state.replaceAll("_", " ")}`;
  return STATES.flatMap((state) => {
    const count = counts.get(state) ?? 0;
    return count === 0 ? [] : [words(state, count)];
  }).join(", ");
}

/** What the stream's limits say of breaches: another text means that the list of breaches is another one. */
export function saidOfBreaches(rows: Iterable<Row>): string {
  const said: unknown[] = [];
  for (const row of rows) if (row["breach_id"] != null) said.push([row["breach_id"], row["acknowledged_ts"], row["reason"]]);
  return JSON.stringify(said);
}
