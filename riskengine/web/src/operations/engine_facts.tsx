// Everything else that the engine says of itself: versions, clocks, counts, clients, settings that decide numbers.

import type { JSX } from "preact";
import { status } from "../live/engine";
import { painted } from "../live/painting";
import type { Json, Row } from "../store/messages";
import { isRow } from "../store/rows";
import { exactText, sizeText, UNKNOWN } from "../words/numbers";
import { printable } from "../words/printable";
import { fullTimeText, momentText } from "../words/times";

const HIDDEN = new Set(["feeds", "warnings", "start", "last_reconciliation", "policies", "counts", "evictions", "ticks"]);
/** Numbers that name something: nobody groups their digits. */
const NAMES = new Set(["epoch", "seq", "pid", "watermark"]);
const GROUPS: readonly [field: string, title: string][] = [
  ["counts", "Trades"], ["ticks", "Ticks"], ["evictions", "Clients dropped"], ["policies", "Settings that decide numbers"],
];

const words = (name: string): string => name.replaceAll("_", " ");

export function valueOf(name: string, value: Json | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (typeof value === "number") return name.endsWith("_ts") || name === "ts" || name === "as_of" || name === "last_trade_at" ? momentText(value, null) : Number.isInteger(value) && !NAMES.has(name) ? sizeText(value) : exactText(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : Object.entries(isRow(value) ? value : {}).map(([inner, each]) => `${words(inner)} ${valueOf(inner, each)}`).join(", ") || "none";
}

export function EngineFacts(): JSX.Element {
  void painted.value;
  const engine = status.only;
  const plain = Object.fromEntries(Object.entries(engine ?? {}).filter(([name]) => !HIDDEN.has(name)));
  return (
    <section class="panel ops" aria-label="Engine">
      <div class="engine" tabIndex={0} role="group" aria-label="What the engine says of itself">
        <Facts title="Engine" row={plain} />
        {GROUPS.map(([field, title]) => {
          const row = engine?.[field];
          return row !== undefined && isRow(row) ? <Facts key={field} title={title} row={row} /> : null;
        })}
      </div>
    </section>
  );
}

function Facts({ title, row }: { title: string; row: Row }): JSX.Element {
  return (
    <div>
      <h3>{title}</h3>
      <dl>
        {Object.entries(row).map(([name, value]) => (
          <div key={name}><dt>{printable(words(name))}</dt><dd title={value === null ? "not known, or not shown to this token" : typeof value === "number" && value > 1e15 ? fullTimeText(value) : ""}>{printable(valueOf(name, value))}</dd></div>
        ))}
      </dl>
    </div>
  );
}
