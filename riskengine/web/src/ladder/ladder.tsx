// One ladder: what a node or dealer holds, by instrument, with its total on top.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { instruments, isLive, nodes, useTable } from "../live/engine";
import { painted, paintSoon } from "../live/painting";
import { ladderOf, nameOf, totalsOf } from "../live/place";
import { wantedInstrument } from "../live/wanted";
import type { Place } from "../settings/address";
import { preferences } from "../settings/preferences";
import { numberOf, textOf } from "../store/rows";
import { Changes, keyText, type Table } from "../store/table";
import { drawBehind } from "../trades/behind";
import { printable } from "../words/printable";
import { ladderColumns } from "./columns";
import { LADDER_DETAIL_HEIGHT, toggleLine } from "./folding";
import { GROUPS } from "./groups";
import { FLAT, isFlat, ladderLines, totalLine } from "./lines";

const AGES_EVERY_MS = 500;

type Props = { place: Place; group: string; children?: ComponentChildren };

export function Ladder({ place, group, children }: Props): JSX.Element {
  const table = useTable(ladderOf(place));
  const owners = useTable("dealer" in place ? { view: "dealers" } : { view: "nodes" });
  const changes = useMemo(() => table.follow(), [table]);
  useEffect(() => () => table.unfollow(changes), [table, changes]);
  const details = useRef(new Set<string>());
  const closed = useRef(new Set<string>());
  const shown = useRef({ place: "", arrangement: "", agesAt: 0 });
  const largest = useRef(0);
  const columns = useMemo(() => ladderColumns(() => largest.current), []);
  void painted.value;

  const paint = (grid: LiveGrid): void => {
    const groupOf = GROUPS[group]?.of ?? null;
    if (shown.current.place !== JSON.stringify(place)) {
      details.current.clear(); // what is behind a line is of another place now
      shown.current.place = JSON.stringify(place);
    }
    const { showFlat } = preferences.value;
    const arrangement = JSON.stringify([place, group, showFlat, [...details.current], [...closed.current], instruments.value.size]);
    const isNew = arrangement !== shown.current.arrangement;
    if (isNew || !changes.none) {
      largest.current = largestExposure(table);
      const lines = table.filled ? ladderLines(table.rows, { groupOf, isClosed: (key) => closed.current.has(key), showFlat, details: details.current }) : [];
      grid.show(lines, changes.all || isNew ? "all" : changedKeys(changes));
      shown.current.arrangement = arrangement;
      changes.clear();
    }
    grid.pin(table.filled ? totalLines(place, table, owners) : []);
    const now = performance.now();
    if (now - shown.current.agesAt > AGES_EVERY_MS) {
      shown.current.agesAt = now;
      grid.refresh(["age"]);
    }
    focusWanted(grid, table);
  };

  const toggle = (line: Line): void => {
    toggleLine(line, closed.current, details.current);
    paintSoon();
  };

  const name = nameOf(place);
  return (
    <GridPanel
      name="ladder"
      label={`Ladder of ${printable(name)}`}
      columns={columns}
      paint={paint}
      onToggle={toggle}
      onPick={toggle}
      detail={(line, host) => drawBehind(host, place, line.row, () => {
        details.current.delete(line.parent);
        paintSoon();
      })}
      detailHeight={LADDER_DETAIL_HEIGHT}
    >
      <h2>{printable(name)}</h2>
      {table.refusal !== "" && <span class="alarm" role="alert">{printable(table.refusal)}</span>}
      {table.refusal === "" && !table.synced && isLive() && <span class="quiet">fetching rows…</span>}
      {children}
    </GridPanel>
  );
}

const changedKeys = ({ changed, added }: Changes): ReadonlySet<string> => new Set([...changed, ...added]);

function largestExposure(table: Table): number {
  let most = 0;
  for (const row of table.rows.values()) most = Math.max(most, Math.abs(numberOf(row, "delta_cash") ?? 0));
  return most;
}

/** The engine's own row of the place: what the lines below add up to. */
function totalLines(place: Place, table: Table, owners: Table): Line[] {
  const owner = totalsOf(place, "dealer" in place ? owners : nodes);
  return owner === undefined ? [] : [totalLine(owner, [...table.rows.values()])];
}

/** Go to the instrument that was picked in the finder, once its row is here. */
function focusWanted(grid: LiveGrid, table: Table): void {
  const wanted = wantedInstrument.value;
  if (wanted === null || !table.synced) return;
  const row = [...table.rows.values()].find((each) => textOf(each, "instrument") === wanted);
  if (row === undefined) return;
  wantedInstrument.value = null;
  if (isFlat(row) && !preferences.value.showFlat) grid.focusLine(FLAT);
  else grid.focusLine(keyText(table.key.map((field) => row[field])));
}
