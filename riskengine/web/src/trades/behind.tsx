// What is behind a position: its newest trades, live, and the receipt of its numbers with the mark that it is valued with.

import { render, type JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { link } from "../live/engine";
import { HttpRefusal, type Query, read, reasonOf } from "../live/http";
import { painted, paintWith } from "../live/painting";
import { address, type Place } from "../settings/address";
import type { Row } from "../store/messages";
import { isTrue, numberOf, rowOf, rowsOf, textOf } from "../store/rows";
import { countText, exactText, quantityText, sizeText, UNKNOWN } from "../words/numbers";
import { printable } from "../words/printable";
import { ageText, fullTimeText, momentText } from "../words/times";
import { signedQuantity, tradePrice } from "./columns";
import { KEPT_OUT_KINDS, tradeKey } from "./kept_out";
import { NO_FILTERS } from "./query";
import { OptionTerms } from "./option_terms";
import { TradeList } from "./trade_list";

const NEWEST = 50;
const RECEIPT_EVERY_MS = 2_000;

/** Draw it into an element; the returned function takes it away. `onClose` is Escape, `exactly` what the trades must say. */
export function drawBehind(host: HTMLElement, place: Place, row: Row, onClose: () => void, exactly: Query = {}): () => void {
  render(<Behind place={place} row={row} onClose={onClose} exactly={exactly} />, host);
  return () => render(null, host);
}

function Behind({ place, row, onClose, exactly }: { place: Place; row: Row; onClose: () => void; exactly: Query }): JSX.Element {
  const instrument = textOf(row, "instrument");
  const box = useRef<HTMLDivElement>(null);
  return (
    <div
      class="behind"
      ref={box}
      role="region"
      aria-label={`Behind ${printable(instrument)}`}
      tabIndex={0}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
        event.stopPropagation(); // arrows scroll here
      }}
    >
      <Trades place={place} instrument={instrument} row={row} exactly={exactly} />
      <Receipt place={place} instrument={instrument} />
    </div>
  );
}

function Trades({ place, instrument, row, exactly }: { place: Place; instrument: string; row: Row; exactly: Query }): JSX.Element {
  const list = useMemo(() => new TradeList({ place, limit: NEWEST, filters: { ...NO_FILTERS, instrument }, exactly }), []);
  useEffect(() => {
    const stop = paintWith(() =>
      list.follow(`${row["trade_count"]} ${row["last_trade_ts"]} ${row["quantity"]} ${row["net_cash"]} ${link.connection.epoch}`),
    );
    return () => {
      stop();
      list.stop();
    };
  }, [list]);
  void painted.value;
  const now = link.engineNow();
  return (
    <div>
      <h3>
        Trades <span class="quiet">{address.value.moment === null ? "" : "stored by now, not then: "}{list.problem || (list.loaded ? countWords(list) : "reading\u2026")}</span>
      </h3>
      <table>
        <thead>
          <tr><th>Time</th><th class="right">Quantity</th><th class="right">Price</th><th>Dealer</th><th>Desk</th><th>Status</th><th>Counterparty</th><th>Trade</th></tr>
        </thead>
        <tbody>
          {list.rows.map((trade) => {
            const status = textOf(trade, "status");
            const kept = KEPT_OUT_KINDS.has(status);
            return (
              <tr key={tradeKey(trade)} class={kept ? "alarm" : status === "cancelled" ? "quiet" : ""}>
                <td title={fullTimeText(numberOf(trade, "ts"))}>{momentText(numberOf(trade, "ts"), now)}</td>
                <td class="right">{quantityText(signedQuantity(trade))}</td>
                <td class="right">{tradePrice(trade)}</td>
                <td>{printable(textOf(trade, "dealer"))}</td>
                <td>{printable(textOf(trade, "desk"))}</td>
                <td title={kept ? printable(textOf(trade, "reason")) : ""}>{status}</td>
                <td>{printable(textOf(trade, "counterparty"))}</td>
                <td>{printable(`${textOf(trade, "source")} ${textOf(trade, "trade_id")}`)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function countWords({ rows, total }: TradeList): string {
  const kept = rows.filter((row) => KEPT_OUT_KINDS.has(textOf(row, "status"))).length;
  const newest = total !== null && total > NEWEST ? `newest ${NEWEST} of ` : "";
  return `${newest}${sizeText(total)} stored${kept > 0 ? `, ${kept} kept out` : ""}`;
}

/** Exact figures of one moment, read again every few seconds while it is open. */
function Receipt({ place, instrument }: { place: Place; instrument: string }): JSX.Element {
  const [receipt, setReceipt] = useState<Row | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const ended = new AbortController();
    const load = async (): Promise<void> => {
      try {
        setReceipt(await read("v1/receipt", { ...place, instrument }, ended.signal));
        setProblem("");
      } catch (failed) {
        if (!ended.signal.aborted) setProblem(reasonOf(failed));
        if (failed instanceof HttpRefusal && failed.status < 500) clearInterval(timer);
      }
    };
    const timer = setInterval(() => void load(), RECEIPT_EVERY_MS);
    void load();
    return () => {
      clearInterval(timer);
      ended.abort();
    };
  }, []);

  const figures = rowOf(receipt ?? undefined, "row");
  const mark = rowOf(receipt ?? undefined, "mark");
  const rate = rowOf(receipt ?? undefined, "rate");
  const steps = rowsOf(receipt ?? undefined, "arithmetic");
  const option = rowOf(receipt ?? undefined, "option");
  return (
    <>
      <div>
        <h3>
          Receipt <span class="quiet">{problem || (receipt === null ? "reading\u2026" : `exact, of snapshot ${receipt["seq"]}`)}</span>
        </h3>
        <dl>
          <dt>Mark</dt>
          <dd>{markWords(mark)}</dd>
          <dt>Rate</dt>
          <dd>{rateWords(rate)}</dd>
          {figures !== undefined && (
            <>
              <dt>From</dt>
              <dd>{countText(Number(figures["trade_count"] ?? 0), "trade")} of {countText(rowsOf(receipt ?? undefined, "positions").length, "position")}</dd>
            </>
          )}
          {steps.map((step, place) => (
            <StepLine key={place} step={step} />
          ))}
        </dl>
      </div>
      {option !== undefined && <div class="option"><OptionTerms option={option} /></div>}
    </>
  );
}

function StepLine({ step }: { step: Row }): JSX.Element {
  const name = textOf(step, "name") || textOf(step, "field");
  const value = step["value"] ?? step["result"];
  return (
    <>
      <dt>{printable(name.replaceAll("_", " "))}</dt>
      <dd title={printable(textOf(step, "formula"))}>
        {value === null || value === undefined ? UNKNOWN : printable(String(value))}
        <span class="quiet"> {printable(textOf(step, "formula"))}</span>
      </dd>
    </>
  );
}

function markWords(mark: Row | undefined): string {
  if (mark === undefined) return UNKNOWN;
  const price = mark["price"];
  if (price === null || price === undefined) return `${UNKNOWN} there is none`;
  const age = numberOf(mark, "age_ms");
  const parts = [String(price), textOf(mark, "kind"), textOf(mark, "source") && `from ${textOf(mark, "source")}`, age !== null && `${ageText(age * 1000)} old`, isTrue(mark, "stale") && "stale"];
  return printable(parts.filter(Boolean).join(", "));
}

function rateWords(rate: Row | undefined): string {
  if (rate === undefined) return UNKNOWN;
  const value = rate["value"];
  const shown = typeof value === "number" ? exactText(value) : typeof value === "string" ? value : `${UNKNOWN} there is none`;
  return printable(`${textOf(rate, "from")} to ${textOf(rate, "to")}: ${shown}`);
}
