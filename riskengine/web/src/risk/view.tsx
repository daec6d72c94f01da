// The risk summary: options and hedges by underlying or by expiry, what expires next, exposures as bars, and the curve of the place.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Curve } from "../curve/curve";
import type { Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { instruments, isLive, link, nodes, useTable } from "../live/engine";
import { painted, paintSoon } from "../live/painting";
import { chosenPlace, nameOf, totalsOf } from "../live/place";
import { address, choose, type Place } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf } from "../store/rows";
import { drawBehind } from "../trades/behind";
import { countText } from "../words/numbers";
import { printable } from "../words/printable";
import { riskColumns } from "./columns";
import { ExpiriesPanel } from "./expiries";
import { CurrencyBars, SectorBars } from "./exposures";
import { LISTED, listedOf, riskLines, TOTAL } from "./lines";

const DETAIL_HEIGHT = 264;

export function RiskView(): JSX.Element | null {
  void painted.value;
  const place = chosenPlace();
  if (place === null) return null;
  return (
    <>
      <RiskPanel place={place} byExpiry={address.value.choices["by"] === "expiry"} />
      <div class="below three">
        <div class="stacked">
          <ExpiriesPanel place={place} />
          <SectorBars place={place} />
        </div>
        <CurrencyBars place={place} />
        {preferences.value.curveShown && <Curve place={place} />}
      </div>
    </>
  );
}

function RiskPanel({ place, byExpiry }: { place: Place; byExpiry: boolean }): JSX.Element {
  const table = useTable({ view: "risk", ...place });
  const owners = useTable("dealer" in place ? { view: "dealers" } : { view: "nodes" });
  const changes = useMemo(() => table.follow(), [table]);
  useEffect(() => () => table.unfollow(changes), [table, changes]);
  const closed = useRef(new Set<string>());
  const details = useRef(new Set<string>());
  const shown = useRef<{ place: string; arrangement: string; sums: Row | null }>({ place: "", arrangement: "", sums: null });
  const largest = useRef(0);
  const columns = useMemo(() => riskColumns(() => largest.current), []);
  void painted.value;

  const paint = (grid: LiveGrid): void => {
    if (shown.current.place !== JSON.stringify(place)) details.current.clear(); // what is behind a line is of another place now
    const arrangement = JSON.stringify([place, byExpiry, [...closed.current], [...details.current], instruments.value.size]);
    const isNew = arrangement !== shown.current.arrangement;
    if (isNew || !changes.none || table.summary !== shown.current.sums) {
      largest.current = [...table.rows.values()].reduce((most, row) => Math.max(most, Math.abs(numberOf(row, "delta_cash") ?? 0)), 0);
      const how = { byExpiry, isClosed: (key: string) => closed.current.has(key), asOf: link.connection.asOf, details: details.current };
      const lines = table.filled ? riskLines(table.rows, table.summary, how) : [];
      grid.show(lines, changes.all || isNew ? "all" : new Set([...changes.changed, ...changes.added]));
      shown.current = { place: JSON.stringify(place), arrangement, sums: table.summary };
      changes.clear();
    }
    grid.pin(table.filled ? totalLines(totalsOf(place, "dealer" in place ? owners : nodes), table.summary) : []);
  };

  const toggle = ({ key, kind, open }: Line): void => {
    if (open === null) return;
    const flipped = kind === "row" ? details.current : closed.current;
    if (!flipped.delete(key)) flipped.add(key);
    paintSoon();
  };

  const name = printable(nameOf(place));
  const listed = listedOf(table.summary);
  return (
    <GridPanel
      name="risk"
      label={`Options and hedges of ${name}`}
      columns={columns}
      paint={paint}
      fitted
      onToggle={toggle}
      onPick={toggle}
      detail={(line, host) => drawBehind(host, place, line.row, () => {
        details.current.delete(line.parent);
        paintSoon();
      })}
      detailHeight={DETAIL_HEIGHT}
    >
      <h2>{name}</h2>
      <div role="group" aria-label="Lines are by" class="switch">
        <button type="button" aria-pressed={!byExpiry} onClick={() => choose("by", "")}>Underlying</button>
        <button type="button" aria-pressed={byExpiry} onClick={() => choose("by", "expiry")}>Expiry</button>
      </div>
      {table.refusal !== "" && <span class="alarm" role="alert">{printable(table.refusal)}</span>}
      {table.refusal === "" && !table.synced && isLive() && <span class="quiet">fetching rows…</span>}
      {table.synced && <span class="quiet">{said(listed)}</span>}
    </GridPanel>
  );
}

function said(listed: Row): string {
  const [options, hedges, old] = ["option_count", "hedge_count", "stale_count"].map((field) => numberOf(listed, field) ?? 0);
  if (options === 0 || options === undefined) return "no open options";
  return `${countText(options, "option")}, ${countText(hedges ?? 0, "hedge")}${old ? `, ${countText(old, "old value")}` : ""}`;
}

/** The engine's own row of the place, and what of it is listed below. */
function totalLines(owner: Row | undefined, sums: Row | null): Line[] {
  const line = (key: string, row: Row): Line => ({ key, kind: "total", row, parent: "", level: 0, open: null, place: 0 });
  const listed = line(LISTED, listedOf(sums));
  return owner === undefined ? [listed] : [line(TOTAL, { ...owner, name: "All positions" }), listed];
}
