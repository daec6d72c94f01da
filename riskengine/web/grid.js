// Tables that change in place: a cell is written only if its text has changed, and then tints for a moment.

import { printable, printableLines } from "./printable.js";

/**
 * A table of fixed columns. A column is {label, title, text(row), tone?(row, text), hover?(row), width, align?,
 * tints?}; `text` is the cell's text, `tone` its class, `hover` its title, computed only while the mouse is on it.
 */
export class Grid {
  constructor(table, columns, { onPick = null } = {}) {
    this.columns = columns;
    this.body = document.createElement("tbody");
    this.lines = new Map();
    this.order = [];
    table.append(widths(columns), heading(columns), this.body);
    table.addEventListener("mouseover", (event) => this.explain(event.target.closest("td")));
    if (onPick) listen(this.body, onPick);
  }

  /** Show `rows` ([key, row, options] in order); options: {className, level, expanded, selected, still}. */
  paint(rows) {
    const keys = rows.map(([key]) => key);
    if (keys.length !== this.order.length || keys.some((key, place) => key !== this.order[place])) this.arrange(keys);
    for (const [key, row, options] of rows) this.write(this.lines.get(key), row, options ?? {});
  }

  arrange(keys) {
    const wanted = new Set(keys);
    for (const [key, line] of this.lines) {
      if (!wanted.has(key)) {
        line.tr.remove();
        this.lines.delete(key);
      }
    }
    keys.forEach((key, place) => {
      let line = this.lines.get(key);
      if (!line) this.lines.set(key, (line = this.newLine(key)));
      const there = this.body.children[place] ?? null;
      if (there !== line.tr) this.body.insertBefore(line.tr, there);
    });
    this.order = keys;
  }

  newLine(key) {
    const tr = document.createElement("tr");
    tr.dataset.key = key;
    const cells = this.columns.map((column) => {
      const td = document.createElement("td");
      if (column.align === "left") td.className = "left";
      tr.append(td);
      return { td, text: null, tone: "", odd: false };
    });
    return { tr, cells, row: null, look: "" };
  }

  write(line, row, options) {
    line.row = row;
    this.dress(line, options);
    this.columns.forEach((column, place) => {
      const cell = line.cells[place];
      const text = column.text(row);
      const tone = column.tone ? column.tone(row, text) : "";
      if (text === cell.text && tone === cell.tone) return;
      const tints = cell.text !== null && text !== cell.text && column.tints !== false && !options.still;
      if (text !== cell.text) cell.td.textContent = printable(text);
      // Two classes with the same animation alternate: only a changed name restarts it.
      if (tints) cell.odd = !cell.odd;
      const tint = tints || cell.tinted ? (cell.odd ? "tint-odd" : "tint-even") : "";
      cell.tinted = tint !== "";
      cell.td.className = [column.align === "left" ? "left" : "", tone, tint].filter(Boolean).join(" ");
      cell.text = text;
      cell.tone = tone;
    });
  }

  dress(line, { className = "", level = null, expanded = null, selected = null }) {
    const look = `${className}|${level}|${expanded}|${selected}`;
    if (look === line.look) return;
    line.look = look;
    line.tr.className = [className, level === null ? "" : `level-${Math.min(level, 8)}`].filter(Boolean).join(" ");
    line.tr.tabIndex = selected === null ? -1 : 0;
    state(line.tr, "aria-level", level === null ? null : level + 1);
    state(line.tr, "aria-expanded", expanded);
    state(line.tr, "aria-selected", selected);
  }

  explain(td) {
    const line = td && this.lines.get(td.parentElement.dataset.key);
    if (!line?.row) return;
    const column = this.columns[[...td.parentElement.children].indexOf(td)];
    td.title = column.hover ? printableLines(column.hover(line.row)) : "";
  }
}

function state(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

function widths(columns) {
  const group = document.createElement("colgroup");
  for (const column of columns) {
    const col = document.createElement("col");
    col.className = `w-${column.width}`;
    group.append(col);
  }
  return group;
}

function heading(columns) {
  const head = document.createElement("thead");
  const tr = document.createElement("tr");
  for (const column of columns) {
    const th = document.createElement("th");
    th.scope = "col";
    th.textContent = column.label;
    th.title = column.title;
    if (column.align === "left") th.className = "left";
    tr.append(th);
  }
  head.append(tr);
  return head;
}

/** Turn clicks, Enter and arrow keys on rows into onPick(key, what); `what` is pick, toggle, open or close. */
function listen(body, onPick) {
  body.addEventListener("click", (event) => {
    const tr = event.target.closest("tr");
    if (!tr) return;
    // The triangle is in the padding before the text of the first cell.
    const first = event.target === tr.firstElementChild;
    const left = first ? parseFloat(getComputedStyle(event.target).paddingLeft) : 0;
    const onTriangle = tr.hasAttribute("aria-expanded") && first && event.offsetX < left;
    onPick(tr.dataset.key, onTriangle ? "toggle" : "pick");
  });
  body.addEventListener("keydown", (event) => {
    const tr = event.target.closest("tr");
    const steps = { ArrowDown: tr?.nextElementSibling, ArrowUp: tr?.previousElementSibling };
    const picks = { Enter: "pick", ArrowLeft: "close", ArrowRight: "open" };
    if (event.key in steps) steps[event.key]?.focus();
    else if (event.key in picks) onPick(tr.dataset.key, picks[event.key]);
    else return;
    event.preventDefault();
  });
}
