// What expires today and in the next days: cut, size, how far spot is from the strike, and whether it may pin there.

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { signedColumn } from "../amounts/columns";
import type { Column, Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { link, useTable } from "../live/engine";
import { painted } from "../live/painting";
import type { Place } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { isTrue, numberOf, rowsOf, textOf } from "../store/rows";
import { direction, distanceText, exactText, priceText, quantityText } from "../words/numbers";
import { ageText, fullTimeText, momentText } from "../words/times";
import { atUnderlying, strikeText } from "./prices";

const DISTANCE_DECIMALS = 2;

function untilText(row: Row): string {
  const [ts, now] = [numberOf(row, "expiry_ts"), link.engineNow()];
  return ts === null || now === null ? "" : ageText(ts - now);
}

const band = (row: Row): string => (isTrue(row, "in_pin_band") ? "pin" : "");

const COLUMNS: readonly Column[] = [
  {
    id: "instrument", label: "Option", title: "Option that expires today or within five days, the nearest first", width: 150, left: true, tints: false,
    value: ({ row }) => textOf(row, "instrument"), text: ({ row }) => textOf(row, "instrument"), hover: ({ row }) => `${textOf(row, "option_type")} on ${textOf(row, "underlying")}`,
  },
  {
    id: "until", label: "In", title: "Time left to the cut, on the engine's clock", width: 44, tints: false,
    value: ({ row }) => numberOf(row, "expiry_ts"), text: ({ row }) => untilText(row), exact: ({ row }) => momentText(numberOf(row, "expiry_ts"), null),
    hover: ({ row }) => [textOf(row, "cut"), fullTimeText(numberOf(row, "expiry_ts"))].filter(Boolean).join("; "),
  },
  {
    id: "distance_percent", label: "Away %", title: "How far the strike lies above spot, in per cent of spot; pin where that is within the pin band", width: 88, tints: false,
    value: ({ row }) => numberOf(row, "distance_percent"),
    text: ({ row }) => `${band(row)} ${distanceText(numberOf(row, "distance_percent"), DISTANCE_DECIMALS)}`.trim(),
    tone: ({ row }) => (numberOf(row, "distance_percent") === null ? "unknown" : isTrue(row, "in_pin_band") ? "alarm priced" : "priced"),
    hover: ({ row }) => {
      const value = numberOf(row, "distance_percent");
      return value === null ? "no spot" : `${exactText(value)} %${isTrue(row, "in_pin_band") ? "; within the pin band" : ""}`;
    },
  },
  {
    id: "strike", label: "Strike", title: "Strike with C for a call and P for a put", width: 84, tints: false,
    value: ({ row }) => numberOf(row, "strike"), text: ({ row }) => strikeText(row),
    hover: ({ row }) => exactText(numberOf(row, "strike")),
  },
  {
    id: "size", label: "Size", title: "What changes hands: multiplier \u00d7 quantity, in units of the underlying (base currency)", width: 98,
    value: ({ row }) => numberOf(row, "size"), text: ({ row }) => quantityText(numberOf(row, "size"), preferences.value.compact),
    tone: ({ row }, text) => direction(numberOf(row, "size"), text), hover: ({ row }) => exactText(numberOf(row, "size")) || "not known: the position is set aside",
  },
  {
    id: "cut", label: "Cut", title: "Time and zone of the cut", width: 156, left: true, tints: false, optional: 520,
    value: ({ row }) => textOf(row, "cut"), text: ({ row }) => textOf(row, "cut") || "close", tone: () => "quiet", hover: ({ row }) => fullTimeText(numberOf(row, "expiry_ts")),
  },
  {
    id: "spot", label: "Spot", title: "Spot of the underlying", width: 74, optional: 600,
    value: ({ row }) => numberOf(row, "spot"), text: ({ row }) => atUnderlying(numberOf(row, "spot"), row), tone: ({ row }) => (numberOf(row, "spot") === null ? "unknown" : "priced"),
  },
  signedColumn("delta_cash", "Delta cash", "Value of its delta at spot, reporting currency", "priced", () => "not known yet", () => "", { width: 96, optional: 760 }),
  signedColumn("gamma_cash", "Gamma 1 %", "Change of Delta cash for a 1 % move of spot", "priced", () => "not known yet", () => "", { width: 96, optional: 760 }),
];

export function ExpiriesPanel({ place }: { place: Place }): JSX.Element {
  const table = useTable({ view: "risk", ...place });
  const shown = useRef({ sums: null as Row | null, minute: 0 });
  void painted.value;
  const expiries = rowsOf(table.summary ?? undefined, "expiries");

  const paint = (grid: LiveGrid): void => {
    const minute = Math.floor((link.engineNow() ?? 0) / 60e6);
    if (table.summary === shown.current.sums && minute === shown.current.minute) return;
    shown.current = { sums: table.summary, minute };
    const lines = rowsOf(table.summary ?? undefined, "expiries").map((row, at): Line => ({ key: `=${textOf(row, "instrument")}`, kind: "row", row, parent: "", level: 0, open: null, place: at }));
    grid.show(lines, "all");
    grid.refresh(["until"]);
  };

  const pin = numberOf(table.summary ?? undefined, "pin_band_percent");
  return (
    <GridPanel name="expiries" label="Expiries of the next five days" columns={COLUMNS} paint={paint} fitted>
      <h2>Expiries</h2>
      <span class="quiet">{expiries.length === 0 ? (table.synced ? "none within five days" : "") : `five days${pin === null ? "" : `, pin \u00b1${priceText(pin, 1)} %`}`}</span>
    </GridPanel>
  );
}
