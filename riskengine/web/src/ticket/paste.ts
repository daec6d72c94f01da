// Rows of a spreadsheet, as they come from its clipboard: cells apart by tabs, with or without headers.

import { type Item, type Made, newTrade, type Problem, type Reading } from "./booking";
import { type Draft, EMPTY, FIELDS, type FieldId } from "./fields";
import { contentName } from "./names";

export type PastedRow = {
  /** Counted from 1, as the spreadsheet would without its headers. */
  readonly line: number;
  readonly draft: Draft;
  /** null: it cannot be sent, for these reasons. */
  readonly item: Item | null;
  readonly problems: readonly Problem[];
};

export type Pasted = {
  readonly rows: readonly PastedRow[];
  readonly hasHeaders: boolean;
  /** Headers that name no field of a trade: their cells are not read. */
  readonly ignored: readonly string[];
  /** What was filled in or left out, for the reader. */
  readonly notes: readonly string[];
};

/** The most rows of one paste: a body of the engine holds them. */
export const MOST_ROWS = 2_000;

type ColumnRole = FieldId | "trade_id" | null;

/** Cells of a spreadsheet's clipboard: a cell in quotes may hold tabs, line ends and doubled quotes. */
export function cellsOf(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let at = 0;
  while (at < text.length) {
    let cell = "";
    if (text[at] === '"' && /^"(?:[^"]|"")*"(?=\t|\r|\n|$)/.test(text.slice(at))) {
      const whole = /^"((?:[^"]|"")*)"/.exec(text.slice(at));
      cell = (whole?.[1] ?? "").replaceAll('""', '"');
      at += whole?.[0].length ?? 0;
    } else {
      const end = text.slice(at).search(/[\t\r\n]/);
      cell = end < 0 ? text.slice(at) : text.slice(at, at + end);
      at += cell.length;
    }
    row.push(cell.trim());
    const mark = text[at];
    if (mark === "\t") {
      at += 1;
      if (at === text.length) row.push("");
      continue;
    }
    rows.push(row);
    row = [];
    at += text.startsWith("\r\n", at) ? 2 : 1;
  }
  if (row.length > 0) rows.push(row);
  return rows.filter((cells) => cells.some((cell) => cell !== ""));
}

/** Read what was pasted. `usual` fills the desk and the dealer of rows that name none. */
export function readPasted(text: string, usual: Pick<Draft, "desk" | "dealer">, reading: Reading): Pasted {
  const cells = cellsOf(text);
  const first = cells[0] ?? [];
  const headers = first.map(roleOf);
  const hasHeaders = headers.filter((role) => role !== null).length >= 2 && !first.some((cell) => /^[-+\u2212(]?\d/.test(cell));
  const roles: ColumnRole[] = hasHeaders ? headers : FIELDS.filter(({ more }) => more !== true).map(({ id }) => id);
  const body = hasHeaders ? cells.slice(1) : cells;
  const rows = body.slice(0, MOST_ROWS);
  const known = new Map<string, number>();
  const read = rows.map((row, place) => readRow(row, roles, place + 1, usual, reading, known));
  const notes: string[] = [];
  if (body.length > rows.length) notes.push(`${body.length - rows.length} rows beyond the first ${MOST_ROWS} are left out: paste them next`);
  for (const field of ["desk", "dealer"] as const) {
    const filled = read.filter(({ draft }, place) => usual[field] !== "" && draft[field] === usual[field] && cellOf(rows[place] ?? [], roles, field) === "").length;
    if (filled > 0) notes.push(`${field} ${usual[field]} for ${filled} without one`);
  }
  const timeless = read.filter(({ draft }) => draft.ts === "").length;
  if (timeless > 0) notes.push(`${timeless} without a time are dealt now`);
  if (!roles.includes("side")) notes.push("no column of sides: quantities below zero are sales");
  return { rows: read, hasHeaders, ignored: hasHeaders ? first.filter((cell, at) => cell !== "" && headers[at] === null) : [], notes };
}

function readRow(
  row: readonly string[], roles: readonly ColumnRole[], line: number, usual: Pick<Draft, "desk" | "dealer">, reading: Reading, known: Map<string, number>,
): PastedRow {
  const said = Object.fromEntries(FIELDS.map(({ id }) => [id, cellOf(row, roles, id)])) as Record<FieldId, string>;
  const draft: Draft = { ...EMPTY, ...said, desk: said.desk || usual.desk, dealer: said.dealer || usual.dealer };
  const surplus = row.slice(roles.length).filter((cell) => cell !== "");
  const signed = !roles.includes("side") && draft.side === "" && !/^[-\u2212(]/.test(draft.quantity) ? { ...draft, side: "buy" } : draft;
  const made: Made = surplus.length > 0 ? { problems: [{ field: "comment", reason: `${surplus.length} cells beyond the last column` }] } : newTrade(signed, reading, "");
  if ("problems" in made) return { line, draft, item: null, problems: made.problems };
  const tradeId = cellOf(row, roles, "trade_id") || contentName(made.item, draft.ts === "" ? reading.now.toDateString() : "", known);
  return { line, draft, item: { ...made.item, trade_id: tradeId }, problems: [] };
}

function cellOf(row: readonly string[], roles: readonly ColumnRole[], field: ColumnRole): string {
  const at = roles.indexOf(field);
  return at < 0 ? "" : (row[at] ?? "");
}

const NAMES: ReadonlyMap<string, ColumnRole> = new Map<string, ColumnRole>([
  ...FIELDS.flatMap(({ id, headers = [] }) => [plain(id), ...headers].map((name): [string, ColumnRole] => [name, id])),
  ...["tradeid", "id", "dealid", "ticket", "reference", "ref"].map((name): [string, ColumnRole] => [name, "trade_id"]),
]);

function roleOf(header: string): ColumnRole {
  return NAMES.get(plain(header)) ?? null;
}

/** Small letters and digits alone. */
function plain(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]/g, "");
}
