// The desk blotter: the tree or the dealers with all their amounts; below it the trades and the curve of where the user is.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Curve } from "../curve/curve";
import type { Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { nodes, useTable } from "../live/engine";
import { painted, paintSoon } from "../live/painting";
import { childrenByParent, chosenPlace, totalsOf } from "../live/place";
import { address, choose, go, type Place } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { textOf } from "../store/rows";
import { mayBook, pickTrade, Ticket } from "../ticket/ticket";
import { TradesPanel } from "../trades/trades_panel";
import { BLOTTER_COLUMNS } from "./columns";
import { dealerLines, treeLines } from "./lines";

const placeOf = (row: Row): Place => ("dealer" in row ? { dealer: textOf(row, "dealer") } : { node: textOf(row, "node") });

export function BlotterView(): JSX.Element | null {
  void painted.value;
  const place = chosenPlace();
  if (place === null) return null;
  return (
    <>
      <Desks byDealer={address.value.choices["by"] === "dealer"} named={address.value.choices["dealers"] ?? ""} />
      <div class="below">
        {address.value.moment === null ? <Trades place={place} /> : <p class="panel quiet past">Trades are listed as they are now: go live to see them. A line of the ladder has the receipt of the moment.</p>}
        {preferences.value.curveShown && <Curve place={place} />}
      </div>
    </>
  );
}

function Trades({ place }: { place: Place }): JSX.Element {
  const dealers = useTable("dealer" in place ? { view: "dealers" } : { view: "nodes" });
  const said = (): string => {
    const row = totalsOf(place, dealers);
    return `${row?.["trade_count"]} ${row?.["last_trade_ts"]} ${row?.["fees"]} ${row?.["realised_pnl"]}`;
  };
  // Drawn anew when it is of another place, not with every painting.
  const ticket = useMemo(() => <Ticket place={place} />, [JSON.stringify(place), nodes.rows.size]);
  return (
    <TradesPanel key={JSON.stringify(place)} place={place} said={said} {...(mayBook() && { onPick: pickTrade })}>
      {ticket}
    </TradesPanel>
  );
}

function Desks({ byDealer, named }: { byDealer: boolean; named: string }): JSX.Element {
  const table = useTable(byDealer ? { view: "dealers" } : { view: "nodes" });
  const changes = useMemo(() => table.follow(), [table]);
  useEffect(() => () => table.unfollow(changes), [table, changes]);
  const flipped = useRef(new Set<string>());
  const arranged = useRef("");

  const paint = (grid: LiveGrid): void => {
    const arrangement = JSON.stringify([byDealer, named, [...flipped.current]]);
    const isNew = arrangement !== arranged.current;
    if (!isNew && changes.none) return;
    const tree = byDealer ? { lines: dealerLines(table.rows, named), total: null } : treeLines(childrenByParent(), nodes.rows.size, flipped.current);
    grid.show(tree.lines, changes.all || isNew ? "all" : new Set([...changes.changed, ...changes.added]));
    grid.pin(tree.total === null ? [] : [{ key: "total", kind: "total", row: tree.total, parent: "", level: 0, open: null, place: 0 }]);
    arranged.current = arrangement;
    changes.clear();
  };

  const toggle = ({ row, open }: Line): void => {
    if (open === null) return;
    const node = textOf(row, "node");
    if (!flipped.current.delete(node)) flipped.current.add(node);
    paintSoon();
  };

  return (
    <GridPanel
      name="blotter"
      label={byDealer ? "Dealers" : "Desks"}
      columns={BLOTTER_COLUMNS}
      paint={paint}
      fitted
      onToggle={toggle}
      onSelect={({ row }) => go({ place: placeOf(row) })}
      onPick={({ row }) => go({ view: "ladder", place: placeOf(row) })}
    >
      <div role="group" aria-label="Lines are" class="switch">
        <button type="button" aria-pressed={!byDealer} onClick={() => choose("by", "")}>Desks</button>
        <button type="button" aria-pressed={byDealer} onClick={() => choose("by", "dealer")}>Dealers</button>
      </div>
      {byDealer && (
        <input type="search" class="filter" aria-label="Only dealers whose name has" placeholder="only names with" value={named}
          onInput={(event) => choose("dealers", event.currentTarget.value)} />
      )}
      <span class="quiet">click: trades below; Enter or double click: ladder</span>
    </GridPanel>
  );
}
