// The trade blotter: newest first, of where the user is, filtered by the headers.

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { link } from "../live/engine";
import { painted } from "../live/painting";
import type { Place } from "../settings/address";
import { sizeText } from "../words/numbers";
import { TRADE_COLUMNS } from "./columns";
import { tradeKey } from "./kept_out";
import { TradeList } from "./trade_list";

const FIRST = 200;
const MORE = 5;

type Props = { place: Place; /** What the stream says of the trades of the place. */ said: () => string };

export function TradesPanel({ place, said }: Props): JSX.Element {
  const [limit, setLimit] = useState(FIRST);
  const list = useMemo(() => new TradeList({ place, limit }), []);
  const shown = useRef(-1);
  useEffect(() => () => list.stop(), [list]);
  list.ask({ place, limit });
  void painted.value;

  const paint = (grid: LiveGrid): void => {
    list.follow(`${said()} ${link.connection.epoch}`);
    if (shown.current === list.version) return;
    shown.current = list.version;
    const lines: Line[] = list.rows.map((row, at) => ({ key: tradeKey(row), kind: "row", row, parent: "", level: 0, open: null, place: at }));
    grid.show(lines, "all");
  };

  return (
    <GridPanel name="trades" label="Trades" columns={TRADE_COLUMNS} paint={paint} filters>
      <h2>Trades</h2>
      <span class="quiet">{summary(list)}</span>
      {list.total !== null && list.rows.length < list.total && (
        <button type="button" onClick={() => setLimit(limit * MORE)}>More</button>
      )}
    </GridPanel>
  );
}

function summary(list: TradeList): string {
  if (list.problem !== "") return `not read: ${list.problem}`;
  if (!list.loaded) return "reading\u2026";
  return list.total === null ? "" : `newest ${sizeText(list.rows.length)} of ${sizeText(list.total)}; filter in the headers`;
}
