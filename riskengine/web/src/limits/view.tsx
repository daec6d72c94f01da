// The limits: how each stands now with its use and headroom, over the stream; below them the breaches, and one of them in full.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { usePainter } from "../amounts/answered";
import type { Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { Age } from "../live/age";
import { isLive, nodes, roots, useTable } from "../live/engine";
import { painted } from "../live/painting";
import { chosenPlace, nameOf, pathTo } from "../live/place";
import { usePolled } from "../live/polled";
import { address, choose, go, type Place } from "../settings/address";
import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";
import type { Table } from "../store/table";
import { sizeText } from "../words/numbers";
import { printable } from "../words/printable";
import { BreachPanel } from "./breach_panel";
import { BREACH_COLUMNS, LIMIT_COLUMNS } from "./columns";
import { countsText, limitLines, saidOfBreaches } from "./lines";

/** Breaches are also read again when the stream's limits say that they are others. */
const BREACHES_EVERY_MS = 15_000;
const MOST_BREACHES = 1_000;

export function LimitsView(): JSX.Element | null {
  void painted.value;
  const limits = useTable({ view: "limits" });
  const all = address.value.choices["breaches"] === "all";
  const breaches = usePolled("v1/breaches", { limit: MOST_BREACHES, status: all ? "all" : "open" }, BREACHES_EVERY_MS, () => saidOfBreaches(limits.rows.values()));
  const [chosen, setChosen] = useState<{ row: Row; focus: number } | null>(null);
  const place = chosenPlace();
  if (place === null) return null;

  const id = chosen === null ? "" : textOf(chosen.row, "breach_id");
  const listed = rowsOf(breaches.answer, "rows").find((row) => textOf(row, "breach_id") === id);
  const open = (row: Row, focus: boolean): void => setChosen({ row, focus: focus ? (chosen?.focus ?? 0) + 1 : 0 });
  const close = (): void => {
    setChosen(null);
    document.querySelector<HTMLElement>(`[data-grid="breaches"] .ag-row[row-id="${CSS.escape(id)}"] .ag-cell`)?.focus();
  };
  const pick = (row: Row): void => {
    if (row["breach_id"] != null) open({ ...row, last_seen_ts: null, ended_ts: null }, true);
    else go({ view: "ladder", place: textOf(row, "node") ? { node: textOf(row, "node") } : { dealer: textOf(row, "dealer") }, choices: {} });
  };
  return (
    <>
      <LimitsPanel table={limits} place={place} onPick={pick} />
      <div class="ops-middle limits-lower">
        <Breaches breaches={breaches} all={all} onOpen={open} />
        {chosen !== null && <BreachPanel row={listed ?? chosen.row} focus={chosen.focus} onClose={close} onDone={() => breaches.again()} />}
      </div>
    </>
  );
}

function LimitsPanel({ table, place, onPick }: { table: Table; place: Place; onPick: (row: Row) => void }): JSX.Element {
  const changes = useMemo(() => table.follow(), [table]);
  useEffect(() => () => table.unfollow(changes), [table, changes]);
  const shown = useRef("");
  const { of = "", show = "" } = address.value.choices;
  const here = of === "here";
  void painted.value;

  const paint = (grid: LiveGrid): void => {
    const arrangement = JSON.stringify([here ? place : null, show, nodes.rows.size]);
    const isNew = arrangement !== shown.current;
    if (!isNew && changes.none) return;
    const wanted = { place: here ? place : null, isBelow: (node: string) => "node" in place && pathTo(node).includes(place.node), unwell: show === "unwell" };
    grid.show(table.filled ? limitLines(table.rows, wanted) : [], changes.all || isNew ? "all" : new Set([...changes.changed, ...changes.added]));
    shown.current = arrangement;
    changes.clear();
  };

  const top = roots().map((row) => textOf(row, "node"));
  const name = printable(nameOf(place));
  return (
    <GridPanel name="limits" label="Limits" columns={LIMIT_COLUMNS} paint={paint} filters fitted onPick={({ row }: Line) => onPick(row)}>
      <h2>Limits</h2>
      <div role="group" aria-label="Limits of" class="switch">
        <button type="button" aria-pressed={!here} onClick={() => choose("of", "")}>Every place</button>
        <button type="button" aria-pressed={here} onClick={() => choose("of", "here")} title={"node" in place && top.includes(place.node) ? "of all nodes, without dealers" : "without limits of other places"}>{name}{"node" in place ? " and below" : ""}</button>
      </div>
      <button type="button" aria-pressed={show === "unwell"} title="Breaches, warnings and what is unknown alone" onClick={() => choose("show", show === "unwell" ? "" : "unwell")}>Not well</button>
      {table.refusal !== "" && <span class="alarm" role="alert">{printable(table.refusal)}</span>}
      {table.refusal === "" && !table.synced && isLive() && <span class="quiet">{"fetching rows\u2026"}</span>}
      {table.synced && <span class="quiet" data-counts>{table.rows.size === 0 ? "no limit is in force" : countsText(table.rows.values())}</span>}
    </GridPanel>
  );
}

function Breaches({ breaches, all, onOpen }: { breaches: ReturnType<typeof usePolled>; all: boolean; onOpen: (row: Row, focus: boolean) => void }): JSX.Element {
  const paint = usePainter(breaches, (answer) => rowsOf(answer, "rows"), (row) => textOf(row, "breach_id"));
  const [listed, total] = [rowsOf(breaches.answer, "rows").length, numberOf(breaches.answer, "total")];
  return (
    <GridPanel name="breaches" label="Breaches" columns={BREACH_COLUMNS} paint={paint} filters onSelect={({ row }) => onOpen(row, false)} onPick={({ row }) => onOpen(row, true)}>
      <h2>Breaches</h2>
      <div role="group" aria-label="Which breaches" class="switch">
        <button type="button" aria-pressed={!all} onClick={() => choose("breaches", "")}>Open</button>
        <button type="button" aria-pressed={all} onClick={() => choose("breaches", "all")}>All</button>
      </div>
      <Age polled={breaches}>{total === null ? "" : `${sizeText(total)} listed${listed < total ? `: the newest ${sizeText(listed)}` : ""}${total > 0 ? "; Enter acknowledges" : ""}`}</Age>
    </GridPanel>
  );
}
