// A ladder by counterparty or strategy: lines of what the engine says of every part, and sums that add up to the total.

import type { Line } from "../grid/column";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { addPosition, type Arrangement, FLAT, isFlat, sumOf } from "./lines";

/** Columns of trades by which the engine parts a ladder. */
export const ATTRIBUTES: Readonly<Record<string, string>> = { counterparty: "Counterparty", strategy: "Strategy" };

/** Why a part lacks what only a whole position has. */
export const OF_WHOLE = "of the whole position: it hangs on trades of others too; group by instrument to see it";

const REST = "Rest: balances, carry, corporate actions";
const UNATTRIBUTED = "Not attributed: the stored trades are being read again";
const SPLIT = ["realised_pnl", "unrealised_pnl"] as const;

/** What a group is called, and what comes after the names: the rest, then what is not attributed. */
function groupOf(row: Row, by: string): { key: string; name: string; rank: number } {
  const kind = textOf(row, "kind");
  if (kind === "trades") {
    const name = textOf(row, "group");
    return { key: `group:${name}`, name: name || `(no ${by})`, rank: name === "" ? 1 : 0 };
  }
  return kind === "rest" ? { key: "rest:", name: REST, rank: 2 } : { key: "unattributed:", name: UNATTRIBUTED, rank: 3 };
}

/** Lines by group, then instrument. Flat parts are folded into one line of their group, so that a group is what is below it. */
export function attributeLines(rows: readonly Row[], by: string, how: Omit<Arrangement, "groupOf">): Line[] {
  const groups = new Map<string, { name: string; rank: number; rows: Row[] }>();
  for (const row of rows) {
    const { key, name, rank } = groupOf(row, by);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { name, rank, rows: [row] });
    else group.rows.push(row);
  }
  const lines: Line[] = [];
  const ordered = [...groups].toSorted(([, one], [, other]) => one.rank - other.rank || (one.name < other.name ? -1 : 1));
  for (const [key, group] of ordered) {
    const isOpen = !how.isClosed(key);
    lines.push({ key, kind: "group", row: { ...partSum(group.rows), name: group.name }, parent: "", level: 0, open: isOpen, place: lines.length });
    if (isOpen) addParts(lines, key, group.rows, how);
  }
  return lines;
}

function addParts(lines: Line[], parent: string, rows: readonly Row[], how: Omit<Arrangement, "groupOf">): void {
  const add = (row: Row, under: string, level: number): void =>
    addPosition(lines, `${parent}\u001f${textOf(row, "instrument")}`, { ...row, why: OF_WHOLE }, under, level, { ...how, groupOf: null });
  for (const row of rows) if (!isFlat(row)) add(row, parent, 1);
  const flat = rows.filter(isFlat);
  if (flat.length === 0) return;
  const key = `${parent}\u001f${FLAT}`;
  lines.push({ key, kind: "fold", row: { ...partSum(flat), name: `${flat.length} flat` }, parent, level: 1, open: how.showFlat, place: lines.length });
  if (how.showFlat) for (const row of flat) add(row, key, 2);
}

/** As `sumOf`; but what only whole positions have is unknown as soon as one of the parts lacks it. */
export function partSum(rows: readonly Row[]): Row {
  const sum = sumOf(rows);
  for (const field of SPLIT) if (rows.some((row) => numberOf(row, field) === null)) sum[field] = null;
  return { ...sum, why: OF_WHOLE };
}
