// A cell: text, its tone and a bar. Written only where something changed.

import type { ICellRendererComp, ICellRendererParams } from "ag-grid-community";
import { printable } from "../words/printable";
import type { Column, Line, Ticks } from "./column";

export type CellParams = ICellRendererParams<Line> & { column_: Column };

export class Cell implements ICellRendererComp<Line> {
  private readonly gui = document.createElement("span");
  private text = "";
  private tone = "";

  init(params: CellParams): void {
    this.gui.className = "cell";
    this.paint(params);
  }

  getGui(): HTMLElement {
    return this.gui;
  }

  refresh(params: CellParams): boolean {
    this.paint(params);
    return true;
  }

  private paint({ data: line, column_: column }: CellParams): void {
    if (line === undefined) return;
    const text = column.text(line);
    const tone = column.tone?.(line, text) ?? "";
    if (text !== this.text) {
      this.text = text;
      this.gui.textContent = printable(text);
    }
    if (tone !== this.tone) {
      this.tone = tone;
      this.gui.className = `cell ${tone}`;
    }
    if (column.bar !== undefined) {
      const bar = column.bar(line) ?? 0;
      this.gui.style.setProperty("--bar", `${Math.round(Math.min(1, Math.abs(bar)) * 100)}%`);
      this.gui.dataset["side"] = bar < 0 ? "short" : "long";
      if (column.ticks !== undefined) paintTicks(this.gui, column.ticks(line));
    }
  }
}

const NOWHERE = "-20%";

/** Style sheets draw them; those that are not there stand outside of the cell. */
function paintTicks(gui: HTMLElement, ticks: Ticks | null): void {
  for (const kind of ["limit", "warn"] as const) {
    for (const at of [0, 1]) {
      const place = ticks?.[kind][at];
      gui.style.setProperty(`--${kind}-${at}`, place === undefined ? NOWHERE : `${(100 * place).toFixed(1)}%`);
    }
  }
  gui.classList.toggle("with-ticks", ticks !== null);
}

/** The first column of a tree: indented by its level, with a mark that opens and closes. */
export class TreeCell implements ICellRendererComp<Line> {
  private readonly gui = document.createElement("span");
  private readonly mark = document.createElement("span");
  private readonly name = document.createElement("span");

  init(params: CellParams): void {
    this.mark.className = "twisty";
    this.mark.setAttribute("aria-hidden", "true");
    this.gui.append(this.mark, this.name);
    this.paint(params);
  }

  getGui(): HTMLElement {
    return this.gui;
  }

  refresh(params: CellParams): boolean {
    this.paint(params);
    return true;
  }

  private paint(params: CellParams): void {
    const { data: line, column_: column, eGridCell } = params;
    if (line === undefined) return;
    const text = column.text(line);
    this.gui.className = `cell tree ${column.tone?.(line, text) ?? ""}`;
    this.gui.style.setProperty("--level", String(line.level));
    this.mark.textContent = line.open === null ? "" : line.open ? "\u25be" : "\u25b8";
    this.name.textContent = printable(text);
    if (line.open === null) eGridCell.removeAttribute("aria-expanded");
    else eGridCell.setAttribute("aria-expanded", String(line.open));
  }
}
