// A grid on the screen with what stands around it: its tools, the choice of columns, and in words what the chosen
// cell holds (the exact value, or why there is none), for keyboards and screen readers as well as for the mouse.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { instruments } from "../live/engine";
import { paintNow, paintWith } from "../live/painting";
import { address, choose } from "../settings/address";
import { type ColumnChoice, prefer, preferences } from "../settings/preferences";
import { printableLines } from "../words/printable";
import { type Column, isUsual, type Line } from "./column";
import { ColumnChooser } from "./column_chooser";
import { copy, LiveGrid, type LiveGridOptions } from "./live_grid";
import { paragraphOf } from "./paragraphs";

/** Tools above a grid, and the panel's borders. */
const AROUND_PX = 35;
/** A grid is never lower. */
const LEAST_PX = 80;

export type PanelProps = {
  /** Under which its columns are kept. */
  name: string;
  label: string;
  columns: readonly Column[];
  /** Give the grid the lines of now. */
  paint: (grid: LiveGrid) => void;
  onToggle?: (line: Line) => void;
  onPick?: (line: Line) => void;
  /** A click on a line, or Space; without it Space opens and closes. */
  onSelect?: (line: Line) => void;
  detail?: LiveGridOptions["detail"];
  detailHeight?: number;
  filters?: boolean;
  /** No higher than its lines. */
  fitted?: boolean;
  /** Tools of the view, left of the grid's own. */
  children?: ComponentChildren;
};

export function GridPanel(props: PanelProps): JSX.Element {
  const { name, label, columns, detail, detailHeight, filters, children } = props;
  const host = useRef<HTMLDivElement>(null);
  const box = useRef<HTMLElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const grid = useRef<LiveGrid | null>(null);
  const [focus, setFocus] = useState<{ line: Line; column: Column } | null>(null);
  const [choices, setChoices] = useState<ColumnChoice[]>([]);
  const inAddress = `${name}-columns`;

  useEffect(() => {
    if (host.current === null) return;
    const width = host.current.clientWidth;
    const usual = columns.filter((column) => isUsual(column, width)).map(({ id }) => id).join();
    const made = new LiveGrid(host.current, {
      label,
      columns,
      about: ({ id }) => paragraphOf(name, id),
      onToggle: (line) => latest.current.onToggle?.(line),
      onPick: (line) => latest.current.onPick?.(line),
      onSelect: (line, how) => {
        if (latest.current.onSelect !== undefined) latest.current.onSelect(line);
        else if (how === "key" && line.open !== null) latest.current.onToggle?.(line);
      },
      onFocus: (line, column) => setFocus(line !== null && column !== null ? { line, column } : null),
      onColumns: (now) => {
        setChoices(now);
        prefer({ columns: { ...preferences.value.columns, [name]: now } });
        const shown = now.flatMap(({ id, shown }) => (shown ? id : [])).join();
        choose(inAddress, shown === usual ? "" : shown);
      },
      // Asked of the newest properties: the grid outlives the place that it was made for.
      ...(detail !== undefined && { detail: (line, host) => latest.current.detail?.(line, host) ?? (() => undefined) }),
      ...(detailHeight !== undefined && { detailHeight }),
      ...(filters !== undefined && { filters }),
    });
    grid.current = made;
    made.arrange(chosenColumns(columns, preferences.value.columns[name] ?? [], address.value.choices[inAddress]));
    setChoices(made.columns());
    let [compact, known] = [preferences.value.compact, instruments.value];
    const stop = paintWith(() => {
      latest.current.paint(made);
      if (latest.current.fitted === true) box.current?.style.setProperty("--fit", `${Math.max(made.height, LEAST_PX) + AROUND_PX}px`);
      if (compact === preferences.value.compact && known === instruments.value) return;
      [compact, known] = [preferences.value.compact, instruments.value];
      made.refreshAll();
    });
    return () => {
      stop();
      made.destroy();
    };
  }, [columns, name]);

  const said = focus === null ? "" : `${focus.column.label}: ${focus.column.hover?.(focus.line) || focus.column.text(focus.line)}`;
  return (
    <section class={props.fitted === true ? "panel fitted" : "panel"} aria-label={label} data-grid={name} ref={box}>
      <div class="tools">
        {children}
        <p class="said" aria-live="off" title={printableLines(said)}>{printableLines(said)}</p>
        <ColumnChooser grid={name} columns={columns} choices={choices} onChange={(id, shown) => grid.current?.setShown(id, shown)} />
        <button type="button" title="Copy all lines and columns of this grid, with exact numbers" onClick={() => void copy(tableOf(grid.current, "\t"))}>
          Copy
        </button>
        <button type="button" title="Save all lines and columns of this grid as CSV" onClick={() => save(`${name}.csv`, tableOf(grid.current, ","))}>
          CSV
        </button>
      </div>
      <div class="grid" ref={host} />
    </section>
  );
}

/** The columns in the address win over those kept in the browser; these over the usual ones. */
function chosenColumns(columns: readonly Column[], kept: readonly ColumnChoice[], inAddress: string | undefined): ColumnChoice[] {
  if (inAddress === undefined) return [...kept];
  const named = inAddress.split(",");
  const widths = new Map(kept.map(({ id, width }) => [id, width]));
  const choice = (id: string, shown: boolean): ColumnChoice => {
    const width = widths.get(id);
    return { id, shown, ...(width !== undefined && { width }) };
  };
  return [...named.map((id) => choice(id, true)), ...columns.filter(({ id }) => !named.includes(id)).map(({ id }) => choice(id, false))];
}

function tableOf(grid: LiveGrid | null, separator: "\t" | ","): string {
  paintNow();
  return grid?.table(separator) ?? "";
}

function save(name: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
