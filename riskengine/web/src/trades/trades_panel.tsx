// The trade blotter: newest first, of where the user is, filtered by the engine.

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { link, nodes } from "../live/engine";
import { painted } from "../live/painting";
import { address, type Place } from "../settings/address";
import type { Row } from "../store/messages";
import { sizeText } from "../words/numbers";
import { TRADE_COLUMNS } from "./columns";
import { Filters } from "./filters";
import { tradeKey } from "./kept_out";
import { filtersIn, isFiltered, type TradeQuery } from "./query";
import { TradeList } from "./trade_list";

const FIRST = 200;
const MORE = 5;

type Props = {
  place: Place;
  /** What the stream says of the trades of the place. */
  said: () => string;
  /** Enter on a line, or a double click. */
  onPick?: (trade: Row) => void;
  /** Above the trades, such as the ticket. */
  children?: ComponentChildren;
};

export function TradesPanel({ place, said, onPick, children }: Props): JSX.Element {
  const [limit, setLimit] = useState(FIRST);
  const filters = filtersIn(address.value.choices);
  const list = useMemo(() => new TradeList({ place, limit, filters }), []);
  const shown = useRef(-1);
  useEffect(() => () => list.stop(), [list]);
  const query: TradeQuery = { place, limit, filters };
  list.ask(query);
  void painted.value;
  // Drawn anew when it has other trades or filters, not with every painting: it may hold hundreds of choices.
  const tools = useMemo(() => <Filters place={place} filters={filters} rows={list.rows} />, [JSON.stringify([place, filters]), list.version, nodes.rows.size]);

  const paint = (grid: LiveGrid): void => {
    list.follow(`${said()} ${link.connection.epoch}`);
    if (shown.current === list.version) return;
    shown.current = list.version;
    const lines: Line[] = list.rows.map((row, at) => ({ key: tradeKey(row), kind: "row", row, parent: "", level: 0, open: null, place: at }));
    grid.show(lines, "all");
  };

  return (
    <div class="trades-panel">
      {children}
      <GridPanel name="trades" label="Trades" columns={TRADE_COLUMNS} paint={paint} {...(onPick !== undefined && { onPick: ({ row }: Line) => onPick(row) })}>
        <h2>Trades</h2>
        {tools}
        <span class="quiet" role="status">{summary(list, isFiltered(filters))}</span>
        {list.total !== null && list.stored < list.total && (
          <button type="button" onClick={() => setLimit(limit * MORE)}>More</button>
        )}
      </GridPanel>
    </div>
  );
}

function summary(list: TradeList, filtered: boolean): string {
  if (list.problem !== "") return `not read: ${list.problem}`;
  if (!list.loaded) return "reading\u2026";
  if (list.total === null) return "";
  const conflicts = list.rows.length - list.stored;
  const newest = list.stored < list.total ? "newest " : "";
  return `${newest}${sizeText(list.stored)} of ${sizeText(list.total)}${filtered ? " that the filters find" : ""}${conflicts > 0 ? `, and ${sizeText(conflicts)} in conflict` : ""}`;
}
