// The columns of limits and of their breaches.

import { boundedText, measured, measureText, placeText, stateText, stateTone, unknownReason, useBar, useTicks, useUnknown } from "../amounts/limit_rows";
import { moment, words } from "../amounts/plain_columns";
import { type Column, MEDIUM, WIDE } from "../grid/column";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { exactText, percentText } from "../words/numbers";

const NO_BREACH = "no breach lasts";

/** A number in the unit of the line's measure, with words for what is unknown. */
function number(id: string, label: string, title: string, unknown: (row: Row) => string, more: Partial<Pick<Column, "optional" | "width" | "tone">> = {}): Column {
  return {
    id, label, title, width: 112,
    value: ({ row }) => numberOf(row, id),
    text: ({ row }) => measured(textOf(row, "measure"), numberOf(row, id), preferences.value.compact),
    tone: ({ row }) => (numberOf(row, id) === null ? "unknown" : ""),
    hover: ({ row }) => {
      const value = numberOf(row, id);
      return value === null ? unknown(row) : [exactText(value), unknownReason(row)].filter(Boolean).join("; ");
    },
    ...more,
  };
}

const state: Column = {
  ...words("state", "State", "ok, warning, breach, or unknown where the number or a part of it is; per trade bounds intended trades alone", 102, stateText),
  tone: ({ row }) => stateTone(row),
  hover: ({ row }) => [textOf(row, "state").replaceAll("_", " "), unknownReason(row)].filter(Boolean).join(": "),
};

/** A bound or a distance. */
function bound(id: string, label: string, title: string, unknown: (row: Row) => string, more: Partial<Pick<Column, "optional" | "width" | "tone">> = {}): Column {
  return { ...number(id, label, title, unknown, more), text: ({ row }) => boundedText(textOf(row, "measure"), numberOf(row, id), preferences.value.compact) };
}

const use: Column = {
  id: "use_percent", label: "Used", title: "Share of the limit that is used", width: 80, tints: false,
  value: ({ row }) => numberOf(row, "use_percent"),
  text: ({ row }) => (numberOf(row, "use_percent") === null && textOf(row, "state") === "per_trade" ? "" : percentText(numberOf(row, "use_percent"))),
  tone: ({ row }) => `priced ${numberOf(row, "use_percent") === null ? "unknown" : stateTone(row)}`,
  hover: ({ row }) => (numberOf(row, "use_percent") === null ? useUnknown(row) : `${exactText(numberOf(row, "use_percent"))} %`),
};

const useOfLimit: Column = {
  id: "bar", label: "Use", title: "The share that is used as a bar; ticks: where it warns, and the limit. The bar ends at 125 %", width: 88, elastic: 56, left: true, tints: false,
  value: ({ row }) => numberOf(row, "use_percent"),
  text: () => "",
  tone: ({ row }) => `use-bar priced ${stateTone(row)}`,
  hover: ({ row }) => use.hover?.({ row, key: "", kind: "row", parent: "", level: 0, open: null, place: 0 }) ?? "",
  bar: ({ row }) => useBar(row),
  ticks: ({ row }) => useTicks(row),
};

/** A cell that says nothing where no breach lasts: that is no unknown. */
const ofBreach = (column: Column): Column => ({ ...column, text: (line) => (line.row["breach_id"] == null ? "" : column.text(line)) });

export const LIMIT_COLUMNS: readonly Column[] = [
  words("limit_id", "Limit", "Its name over all versions", 128),
  state,
  words("place", "Of", "The node or dealer that it bounds", 96, placeText),
  words("measure", "Measure", "What is bounded, in the reporting currency unless it is a quantity, a share or a count", 176, measureText),
  use,
  useOfLimit,
  { ...number("value", "Now", "The number at this snapshot, in the unit of its measure", unknownReason), tone: ({ row }) => (numberOf(row, "value") === null ? "unknown" : "priced") },
  { ...bound("headroom", "Headroom", "How much further the number may go; below 0 how far it is beyond", unknownReason), tone: ({ row }) => ((numberOf(row, "headroom") ?? 0) < 0 ? "alarm priced" : numberOf(row, "headroom") === null ? "unknown" : "priced") },
  bound("limit", "Bound", "The limit, in the unit of its measure", () => ""),
  words("side", "Breaks", "Whether a number breaks it above, below, or on either side of 0", 84, undefined, { optional: WIDE }),
  words("severity", "Is", "hard refuses a checked trade, soft warns of it", 52, undefined, { optional: MEDIUM }),
  ofBreach({ ...moment("first_seen_ts", "Since", "When the breach that lasts was first seen", NO_BREACH, { optional: 1_320 }), width: 96 }),
  ofBreach(number("worst", "Worst", "The worst number of the breach that lasts", () => NO_BREACH, { optional: 1_320, width: 104 })),
  words("acknowledged_by", "Known to", "Who acknowledged the breach that lasts", 92, (row) => (row["breach_id"] == null ? "" : textOf(row, "acknowledged_by") || "nobody"), {
    optional: 1_140, tone: ({ row }) => (row["breach_id"] != null && textOf(row, "acknowledged_by") === "" ? "alarm" : ""),
    hover: ({ row }) => (row["breach_id"] == null ? NO_BREACH : textOf(row, "reason") || "nobody has acknowledged it"),
  }),
  words("subject", "Largest", "Which name, sector or position the number is of", 112, undefined, { optional: WIDE }),
  bound("warn_at", "Warns at", "The number from which it warns", () => "", { optional: WIDE }),
  words("owner", "Owner", "Who answers for the limit", 96, undefined, { optional: WIDE }),
  { ...words("version", "Version", "The version in force", 64, (row) => exactText(numberOf(row, "version"))), optional: true },
  { ...words("from", "From", "Its first trading day", 92), optional: true },
  { ...words("to", "To", "Its last trading day; empty: no end", 92), optional: true },
];

export const BREACH_COLUMNS: readonly Column[] = [
  words("limit_id", "Breach of", "The limit that it breaks", 136, undefined, { tone: ({ row }) => (numberOf(row, "ended_ts") === null ? "alarm" : "quiet") }),
  words("place", "Of", "The node or dealer", 88, placeText),
  words("measure", "Measure", "What is bounded", 140, measureText),
  { ...moment("first_seen_ts", "First seen", "The first snapshot that showed it"), width: 116 },
  number("worst", "Worst", "The worst number of it", () => "not known: no snapshot since the start has shown it"),
  bound("limit", "Bound", "The limit that it breaks", () => ""),
  words("severity", "Is", "hard or soft", 52, undefined, { optional: MEDIUM }),
  words("acknowledged_by", "Known to", "Who acknowledged it", 92, (row) => textOf(row, "acknowledged_by") || "nobody", { tone: ({ row }) => (textOf(row, "acknowledged_by") === "" && numberOf(row, "ended_ts") === null ? "alarm" : "quiet") }),
  words("reason", "Why it may stand", "The reason given with the acknowledgement", 180, undefined, { elastic: 120 }),
  { ...moment("worst_ts", "Worst at", "When it was worst", "not known"), optional: 1_000 },
  { ...moment("ended_ts", "Ended", "When the number had come back by the hysteresis", "it lasts"), optional: MEDIUM },
];
