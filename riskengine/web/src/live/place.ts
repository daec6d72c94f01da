// The node or dealer that the user chose, and the rows that tell of it.

import { address, type Place } from "../settings/address";
import type { Request, Row } from "../store/messages";
import { textOf } from "../store/rows";
import type { Table } from "../store/table";
import { nodes, roots } from "./engine";

/** The chosen place; without a choice the top of what the user is shown. null until that is known. */
export function chosenPlace(): Place | null {
  if (address.value.place !== null) return address.value.place;
  const [top] = roots();
  return top === undefined ? null : { node: textOf(top, "node") };
}

export const ladderOf = (place: Place): Request => ({ view: "ladder", ...place });

export const nameOf = (place: Place): string => ("node" in place ? place.node : place.dealer || "(no dealer)");

/** The row of totals of a place. */
export function totalsOf(place: Place, dealers: Table | null): Row | undefined {
  return "node" in place ? nodes.get(place.node) : dealers?.get(place.dealer);
}

/** From the top to a node: names, the node last. */
export function pathTo(node: string): string[] {
  const path = [node];
  for (let row = nodes.get(node); row !== undefined && path.length <= nodes.rows.size; ) {
    const parent = textOf(row, "parent");
    if (!parent) break;
    path.unshift(parent);
    row = nodes.get(parent);
  }
  return path;
}

/** Children by parent, in the engine's order; roots under the empty name. */
export function childrenByParent(): Map<string, Row[]> {
  const found = new Map<string, Row[]>();
  for (const row of nodes.rows.values()) {
    const parent = textOf(row, "parent");
    const siblings = found.get(parent);
    if (siblings === undefined) found.set(parent, [row]);
    else siblings.push(row);
  }
  return found;
}
