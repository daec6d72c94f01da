// What the lights look at, gathered from the link and its tables.

import { HOST } from "../live/browser";
import { link, linkState, nodes, roots, status } from "../live/engine";
import { momentWords } from "../live/moment";
import { address } from "../settings/address";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import type { Seen } from "./lights";

export function seen(): Seen {
  return {
    link: linkState(),
    silentMs: link.silentMs(),
    host: HOST,
    now: link.engineNow(),
    moment: address.value.moment === null ? "" : momentWords(),
    asOf: link.connection.asOf,
    tops: roots(),
    topsInStep: nodes.synced,
    status: status.only,
    statusInStep: status.synced,
    positions: positionsOnScreen(),
  };
}

/** Open positions of every ladder and risk on the screen; an instrument counts once, old if it is old anywhere. */
function positionsOnScreen(): Row[] {
  const found = new Map<string, Row>();
  for (const table of link.connection.tables.values()) {
    const { view } = table.request;
    if ((view !== "ladder" && view !== "risk") || !table.synced) continue;
    for (const told of table.rows.values()) {
      const row = view === "ladder" ? told : asPosition(told);
      if (numberOf(row, "quantity") === 0) continue;
      const instrument = textOf(row, "instrument");
      if (found.get(instrument)?.["stale"] !== true) found.set(instrument, row);
    }
  }
  return [...found.values()];
}

/** A row of a risk as one of a ladder: its value is what stands for a mark. */
const asPosition = (row: Row): Row => ({ ...row, mark_ts: numberOf(row, "value") === null ? null : (row["ts"] ?? null) });
