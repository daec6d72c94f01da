// The lines of the desk blotter: the tree below the top, or dealers.

import type { Line } from "../grid/column";
import type { Row } from "../store/messages";
import { textOf } from "../store/rows";
import { keyText } from "../store/table";

/** From this many nodes on only the upper levels start open. */
const MANY = 300;

export type Tree = { readonly lines: Line[]; readonly total: Row | null };

/** `children` by parent with the roots under the empty name. A single root is the total, and its children the first level. */
export function treeLines(children: ReadonlyMap<string, readonly Row[]>, count: number, flipped: ReadonlySet<string>): Tree {
  const roots = children.get("") ?? [];
  const [root] = roots;
  const total = roots.length === 1 && root !== undefined && children.has(textOf(root, "node")) ? root : null;
  const lines: Line[] = [];
  const visit = (row: Row, parent: string, level: number): void => {
    const node = textOf(row, "node");
    const below = children.get(node);
    const open = below === undefined ? null : isOpen(node, level, count, flipped);
    lines.push({ key: nodeKey(node), kind: "row", row, parent, level, open, place: lines.length });
    if (open === true) for (const child of below ?? []) visit(child, nodeKey(node), level + 1);
  };
  for (const row of total === null ? roots : (children.get(textOf(total, "node")) ?? [])) visit(row, "", 0);
  return { lines, total };
}

export const isOpen = (node: string, level: number, count: number, flipped: ReadonlySet<string>): boolean =>
  (count <= MANY || level < 1) !== flipped.has(node);

/** As the stream's table has it. */
export const nodeKey = (node: string): string => keyText([node]);

/** Dealers by name; `named` leaves those of which the name has these letters. */
export function dealerLines(rows: ReadonlyMap<string, Row>, named = ""): Line[] {
  const letters = named.trim().toLowerCase();
  return [...rows]
    .filter(([, row]) => textOf(row, "dealer").toLowerCase().includes(letters))
    .toSorted(([, one], [, other]) => (textOf(one, "dealer") < textOf(other, "dealer") ? -1 : 1))
    .map(([key, row], place) => ({ key, kind: "row", row, parent: "", level: 0, open: null, place }));
}
