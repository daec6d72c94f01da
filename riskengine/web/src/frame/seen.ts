// What the lights look at, gathered from the link and its tables.

import { HOST } from "../live/browser";
import { link, linkState, nodes, roots, status } from "../live/engine";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import type { Seen } from "./lights";

export function seen(): Seen {
  return {
    link: linkState(),
    silentMs: link.silentMs(),
    host: HOST,
    now: link.engineNow(),
    asOf: link.connection.asOf,
    tops: roots(),
    topsInStep: nodes.synced,
    status: status.only,
    statusInStep: status.synced,
    positions: positionsOnScreen(),
  };
}

/** Open positions of every ladder on the screen; an instrument counts once, old if it is old anywhere. */
function positionsOnScreen(): Row[] {
  const found = new Map<string, Row>();
  for (const table of link.connection.tables.values()) {
    if (table.request.view !== "ladder" || !table.synced) continue;
    for (const row of table.rows.values()) {
      if (numberOf(row, "quantity") === 0) continue;
      const instrument = textOf(row, "instrument");
      if (found.get(instrument)?.["stale"] !== true) found.set(instrument, row);
    }
  }
  return [...found.values()];
}
