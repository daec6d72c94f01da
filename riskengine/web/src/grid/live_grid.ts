// A grid of lines over AG Grid: takes the lines of now, and changes only what differs. Keyboard, copying and CSV are here.

import {
  type CellKeyDownEvent,
  type ColDef,
  type ColumnState,
  createGrid,
  type FullWidthCellKeyDownEvent,
  type GridApi,
  type GridOptions,
  type ICellRendererComp,
  type ICellRendererParams,
  type IRowNode,
} from "ag-grid-community";
import type { ColumnChoice } from "../settings/preferences";
import { openManual, type Paragraph } from "../words/manual";
import { printable, printableLines } from "../words/printable";
import { Cell, type CellParams, TreeCell } from "./cell";
import { type Column, compare, fitted, hang, isUsual, type Line } from "./column";
import { type HeaderParams, HeaderName } from "./header";
import { gridTheme, styleNonce } from "./modules";

const ROW_HEIGHT = 24;
const TINT_MS = 300;
const DETAIL_HEIGHT = 240;
const HEADER_HEIGHT = 28;
/** What a vertical scroll bar takes, or the strip that stands in for one that is drawn over the cells. */
const SCROLL_BAR_PX = 16;
/** Under the header, and under the totals. */
const BORDERS_PX = 2;

export type LiveGridOptions = {
  /** What screen readers call it. */
  readonly label: string;
  readonly columns: readonly Column[];
  /** Where the manual says what a column is. */
  readonly about: (column: Column) => Paragraph | undefined;
  /** The user opened or closed a line. */
  readonly onToggle: (line: Line) => void;
  /** Enter on a line, or a double click. */
  readonly onPick: (line: Line) => void;
  /** A click on a line, or Space. */
  readonly onSelect: (line: Line, how: "click" | "key") => void;
  /** The cell that has the focus, or null. */
  readonly onFocus: (line: Line | null, column: Column | null) => void;
  /** Columns in their order were changed by the user. */
  readonly onColumns: (columns: ColumnChoice[]) => void;
  /** Draws what an open line shows below it; returns what takes it away. */
  readonly detail?: (line: Line, host: HTMLElement) => () => void;
  readonly detailHeight?: number;
  readonly filters?: boolean;
};

export class LiveGrid {
  private readonly api: GridApi<Line>;
  private readonly byId: ReadonlyMap<string, Column>;
  private lines = new Map<string, Line>();
  private readonly looks = new Map<string, string>();
  private totals: readonly Line[] = [];
  private restoring = false;
  private overflows = false;

  constructor(
    private readonly host: HTMLElement,
    private readonly options: LiveGridOptions,
  ) {
    this.byId = new Map(options.columns.map((column) => [column.id, column]));
    this.api = createGrid(host, this.gridOptions());
    this.api.setGridAriaProperty("label", options.label);
  }

  destroy(): void {
    this.api.destroy();
  }

  /** Show these lines. Lines whose key is in `changed` are written anew, and so are groups. */
  show(lines: readonly Line[], changed: ReadonlySet<string> | "all"): void {
    const next = new Map(lines.map((line) => [line.key, line]));
    const add: Line[] = [];
    const update: Line[] = [];
    for (const line of lines) {
      const old = this.lines.get(line.key);
      if (old === undefined) add.push(line);
      else if (changed === "all" || changed.has(line.key) || line.kind !== "row" || !sameStand(old, line)) update.push(line);
    }
    const remove = [...this.lines.values()].filter(({ key }) => !next.has(key));
    this.lines = next;
    if (add.length + update.length + remove.length === 0) return;
    this.api.applyTransaction({ add, update, remove });
    for (const { key } of remove) this.looks.delete(key);
    for (const line of add) this.looks.set(line.key, lookOf(line));
    this.redress(update);
  }

  /** The lines that stay on top: totals. */
  pin(totals: readonly Line[]): void {
    const same = totals.length === this.totals.length && totals.every(({ key }, place) => key === this.totals[place]?.key);
    this.totals = totals;
    if (!same) {
      this.api.setGridOption("pinnedTopRowData", [...totals]);
      for (const line of totals) this.looks.set(line.key, lookOf(line));
      return;
    }
    totals.forEach((line, place) => this.api.getPinnedTopRow(place)?.updateData(line));
    this.redress(totals);
  }

  /** Write anew the cells of a column that changes by itself, such as an age. */
  refresh(columns: readonly string[]): void {
    const shown = columns.filter((id) => this.api.getColumn(id)?.isVisible());
    if (shown.length > 0) this.api.refreshCells({ columns: shown, force: true, suppressFlash: true });
  }

  refreshAll(): void {
    this.api.refreshCells({ force: true, suppressFlash: true });
  }

  /** Arrange the columns as the user did; those that are not named follow in their usual order. */
  arrange(choices: readonly ColumnChoice[]): void {
    const usual: ColumnState[] = this.options.columns.map((column) => ({ colId: column.id, width: column.width, hide: !isUsual(column, this.host.clientWidth) }));
    const named = choices.filter(({ id }) => this.byId.has(id));
    const first = named.map(({ id, shown, width }) => ({ colId: id, hide: !shown, ...(width !== undefined && { width }) }));
    const rest = usual.filter(({ colId }) => !named.some(({ id }) => id === colId));
    this.restoring = true;
    this.api.applyColumnState({ state: [...first, ...rest], applyOrder: true });
    this.restoring = false;
    this.fit();
  }

  columns(): ColumnChoice[] {
    return this.api.getColumnState().map(({ colId, hide, width }) => ({ id: colId, shown: hide !== true, ...(width != null && { width }) }));
  }

  setShown(id: string, shown: boolean): void {
    this.api.setColumnsVisible([id], shown);
  }

  /** How high the lines of now are, with header and scroll bar. */
  get height(): number {
    const details = [...this.lines.values()].filter(({ kind }) => kind === "detail").length;
    const below = details * ((this.options.detailHeight ?? DETAIL_HEIGHT) - ROW_HEIGHT);
    return (this.lines.size + this.totals.length) * ROW_HEIGHT + below + HEADER_HEIGHT + BORDERS_PX + (this.overflows ? SCROLL_BAR_PX : 0);
  }

  focusFirst(): void {
    const [first] = this.api.getAllDisplayedColumns();
    if (first !== undefined) this.api.setFocusedCell(0, first);
  }

  focusLine(key: string): void {
    const node = this.api.getRowNode(key);
    const [first] = this.api.getAllDisplayedColumns();
    if (node?.rowIndex == null || first === undefined) return;
    this.api.ensureIndexVisible(node.rowIndex);
    this.api.setFocusedCell(node.rowIndex, first);
  }

  /** What is on the screen, line by line, with exact numbers: cells apart by `separator`. */
  table(separator: "\t" | ","): string {
    const columns = this.shownColumns();
    const lines: Line[] = [...this.totals];
    this.api.forEachNodeAfterFilterAndSort(({ data }) => {
      if (data !== undefined && data.kind !== "detail") lines.push(data);
    });
    const quote = separator === "," ? csvCell : plainCell;
    const rows = [columns.map(({ label }) => label), ...lines.map((line) => columns.map((column) => exactCell(column, line)))];
    return rows.map((cells) => cells.map(quote).join(separator)).join(separator === "," ? "\r\n" : "\n");
  }

  private shownColumns(): Column[] {
    return this.api.getAllDisplayedColumns().flatMap((column) => this.byId.get(column.getColId()) ?? []);
  }

  /** Rows whose flags changed while their numbers did not: their tones are written anew. */
  private redress(lines: readonly Line[]): void {
    const nodes: IRowNode<Line>[] = [];
    for (const line of lines) {
      const look = lookOf(line);
      const before = this.looks.get(line.key);
      this.looks.set(line.key, look);
      if (before === undefined || before === look) continue;
      const node = line.kind === "total" ? this.pinnedNode(line.key) : this.api.getRowNode(line.key);
      if (node !== undefined) nodes.push(node);
    }
    if (nodes.length > 0) this.api.refreshCells({ rowNodes: nodes, force: true, suppressFlash: true });
  }

  private pinnedNode(key: string): IRowNode<Line> | undefined {
    return this.api.getPinnedTopRow(this.totals.findIndex((line) => line.key === key));
  }

  private gridOptions(): GridOptions<Line> {
    const { detail } = this.options;
    return {
      theme: gridTheme,
      styleNonce,
      columnDefs: this.options.columns.map((column, place) => this.definition(column, place === 0)),
      rowData: [],
      getRowId: ({ data }) => data.key,
      rowHeight: ROW_HEIGHT,
      headerHeight: HEADER_HEIGHT,
      rowBuffer: 0,
      // A line that comes is drawn whole, with everything else of its snapshot: never as an empty row that is filled a frame later.
      suppressAnimationFrame: true,
      animateRows: false,
      suppressColumnMoveAnimation: true,
      suppressMovableColumns: false,
      ensureDomOrder: true,
      cellFlashDuration: TINT_MS,
      cellFadeDuration: 0,
      tooltipShowDelay: 400,
      tooltipHideDelay: 20_000,
      enableCellTextSelection: false,
      suppressCellFocus: false,
      overlayNoRowsTemplate: "<span></span>",
      suppressNoRowsOverlay: true,
      getRowClass: ({ data }) => `line-${data?.kind ?? "row"}`,
      // One Tab stop a grid: arrows move inside, Tab leaves.
      tabToNextCell: () => false,
      tabToNextHeader: () => false,
      postSortRows: ({ nodes }) => this.settle(nodes),
      onCellKeyDown: (event) => this.press(event),
      onCellClicked: ({ data, column, event }) => {
        if (data === undefined) return;
        if (data.open !== null && column.getColId() === this.options.columns[0]?.id && isTwisty(event)) this.options.onToggle(data);
        else this.options.onSelect(data, "click");
      },
      onCellDoubleClicked: ({ data }) => {
        if (data !== undefined) this.options.onPick(data);
      },
      onCellFocused: ({ rowIndex, rowPinned, column }) => {
        const node = rowPinned === "top" ? this.api.getPinnedTopRow(rowIndex ?? 0) : this.api.getDisplayedRowAtIndex(rowIndex ?? -1);
        const id = typeof column === "object" && column !== null ? column.getColId() : "";
        this.options.onFocus(node?.data ?? null, this.byId.get(id) ?? null);
      },
      onColumnMoved: ({ finished }) => void (finished && this.noteColumns()),
      onGridSizeChanged: () => this.fit(),
      onColumnVisible: () => this.noteColumns(),
      onColumnResized: ({ finished, source }) => void (finished && source !== "api" && this.noteColumns()),
      ...(detail !== undefined && {
        isFullWidthRow: ({ rowNode }) => rowNode.data?.kind === "detail",
        fullWidthCellRenderer: detailHost(detail),
        embedFullWidthRows: false,
        getRowHeight: ({ data }) => (data?.kind === "detail" ? (this.options.detailHeight ?? DETAIL_HEIGHT) : ROW_HEIGHT),
      }),
    };
  }

  private definition(column: Column, isFirst: boolean): ColDef<Line> {
    const about = this.options.about(column);
    return {
      colId: column.id,
      headerName: column.label,
      headerTooltip: column.title,
      headerComponentParams: { innerHeaderComponent: HeaderName, innerHeaderComponentParams: (about === undefined ? {} : { about }) satisfies HeaderParams },
      suppressHeaderKeyboardEvent: ({ event }) => this.helps(event, column),
      initialWidth: column.width,
      minWidth: 40,
      initialHide: !isUsual(column, this.host.clientWidth),
      ...(isFirst && { pinned: "left", lockPinned: true, lockPosition: "left" }),
      sortable: true,
      resizable: true,
      sortingOrder: column.left === true ? ["asc", "desc", null] : ["desc", "asc", null],
      ...(this.options.filters === true && { filter: column.left === true ? "agTextColumnFilter" : "agNumberColumnFilter" }),
      suppressHeaderMenuButton: this.options.filters !== true,
      suppressHeaderFilterButton: this.options.filters !== true,
      ...(column.left !== true && { type: "rightAligned" }),
      valueGetter: ({ data }) => (data === undefined ? null : column.value(data)),
      comparator: (one, other, _a, _b, descending) => compare(one, other, descending),
      cellRenderer: isFirst ? TreeCell : Cell,
      cellRendererParams: { column_: column } satisfies Partial<CellParams>,
      enableCellChangeFlash: column.tints !== false && column.left !== true,
      tooltipValueGetter: ({ data }) => (data === undefined ? "" : printableLines(column.hover?.(data) ?? "")),
      suppressKeyboardEvent: ({ event, data }) => isFirst && data !== undefined && this.turns(event, data),
    };
  }

  /** Right opens, Left closes, in the first column; elsewhere they move. */
  private turns(event: KeyboardEvent, line: Line): boolean {
    const wants = event.key === "ArrowRight" ? true : event.key === "ArrowLeft" ? false : null;
    if (wants === null || line.open === null || line.open === wants) return false;
    if (event.type === "keydown") this.options.onToggle(line);
    return true;
  }

  /** F1 opens the manual at the column, from its header and its cells. */
  private helps(event: KeyboardEvent, column: Column): boolean {
    if (event.key !== "F1") return false;
    const about = this.options.about(column);
    if (event.type !== "keydown" || about === undefined) return true;
    event.preventDefault();
    openManual(about);
    return true;
  }

  private press({ data, event, column }: CellKeyDownEvent<Line> | (FullWidthCellKeyDownEvent<Line> & { column?: undefined })): void {
    if (data === undefined || !(event instanceof KeyboardEvent)) return;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    const at = column === undefined ? undefined : this.byId.get(column.getColId());
    if (at !== undefined && this.helps(event, at)) return;
    if (event.key === "Enter" && plain) this.options.onPick(data);
    else if (event.key === " " && plain) this.options.onSelect(data, "key");
    else if (event.key === "Escape" && data.open === true && plain) this.options.onToggle(data);
    else if (event.key === "c" && plain) this.copyLine(data);
    else if (event.key === "c" && (event.ctrlKey || event.metaKey) && at !== undefined) void copy(exactCell(at, data));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private copyLine(line: Line): void {
    void copy(this.shownColumns().map((column) => plainCell(exactCell(column, line))).join("\t"));
  }

  private settle(nodes: IRowNode<Line>[]): void {
    const isSorted = this.api?.getColumnState().some(({ sort }) => sort != null) ?? false;
    const ordered = isSorted ? nodes : nodes.toSorted((a, b) => (a.data?.place ?? 0) - (b.data?.place ?? 0));
    const hung = hang(ordered, (node) => node.data ?? NO_LINE);
    hung.forEach((node, place) => {
      nodes[place] = node;
    });
  }

  /** Columns that miss by a little are made narrower, so that the last one is not cut. */
  private fit(): void {
    const shown = this.api.getAllDisplayedColumns();
    const before = shown.map((column) => column.getActualWidth());
    const elastic = shown.map((column) => this.byId.get(column.getColId())?.elastic);
    const widths = fitted(before, elastic, this.host.clientWidth - SCROLL_BAR_PX);
    this.restoring = true;
    if (String(widths) !== String(before)) this.api.setColumnWidths(shown.map((column, at) => ({ key: column, newWidth: widths[at] ?? column.getActualWidth() })));
    this.restoring = false;
    this.overflows = shown.reduce((sum, column) => sum + column.getActualWidth(), 0) > this.host.clientWidth;
  }

  private noteColumns(): void {
    if (this.restoring) return;
    this.fit();
    this.options.onColumns(this.columns());
  }
}

const NO_LINE: Line = { key: "", kind: "row", row: {}, parent: "", level: 0, open: null, place: 0 };

const sameStand = (one: Line, other: Line): boolean =>
  one.open === other.open && one.parent === other.parent && one.level === other.level && one.row === other.row && one.place === other.place;

/** What decides tones beside the numbers. */
const lookOf = ({ row, open }: Line): string =>
  `${row["stale"]}${row["closed"]}${row["quarantined"]}${row["unpriced_count"]}${row["stale_count"]}${row["state"]}${open}`;

const isTwisty = (event: Event | null | undefined): boolean =>
  event?.target instanceof Element && event.target.closest(".twisty") !== null;

function exactCell(column: Column, line: Line): string {
  if (column.exact !== undefined) return column.exact(line);
  const value = column.value(line);
  return value === null ? "" : typeof value === "number" ? String(value) : printable(value);
}

const plainCell = (text: string): string => text.replace(/[\t\r\n]/g, " ");

/** A cell of a CSV that is safe to open in a spreadsheet: text that would be a formula gets an apostrophe. */
function csvCell(text: string): string {
  const isNumber = /^-?\d+(\.\d+)?(e[-+]?\d+)?$/i.test(text);
  const safe = !isNumber && /^\s*[=+\-@\t\r'\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export async function copy(text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
}

/** A renderer of full rows that gives its element to `draw`. */
function detailHost(draw: (line: Line, host: HTMLElement) => () => void): new () => ICellRendererComp<Line> {
  return class implements ICellRendererComp<Line> {
    private readonly gui = document.createElement("div");
    private end: () => void = () => undefined;

    init({ data }: ICellRendererParams<Line>): void {
      this.gui.className = "detail";
      if (data !== undefined) this.end = draw(data, this.gui);
    }

    getGui(): HTMLElement {
      return this.gui;
    }

    refresh(): boolean {
      return true;
    }

    destroy(): void {
      this.end();
    }
  };
}
