// "Today", on top: the day, value dates, what expires or is fixed, ex-dates and holidays, prices that have not moved, the cash
// ladder, and how much needs a person.

import type { ComponentChildren, JSX } from "preact";
import { link } from "../live/engine";
import { painted } from "../live/painting";
import { usePolled, type Polled } from "../live/polled";
import type { Place } from "../settings/address";
import { preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";
import { MANUAL_TAB, manualUrl, type Paragraph } from "../words/manual";
import { amountText, countText, direction, exactText, sizeText, UNKNOWN } from "../words/numbers";
import { printable } from "../words/printable";
import { ageText, clockText, fullTimeText, momentText } from "../words/times";
import { Age } from "../live/age";
import { dateText, duesOf, ofKinds, shortDate } from "./agenda";
import { countsByKind, type Case } from "./cases";

const TODAY_EVERY_MS = 15_000;
const CASH_EVERY_MS = 30_000;
const CLOSE_EVERY_MS = 60_000;
const MOST_NAMED = 6;

type Props = { place: Place; cases: readonly Case[] | null; onKind: (kind: string) => void };

export function Today({ place, cases, onKind }: Props): JSX.Element {
  void painted.value;
  const today = usePolled("v1/today", { ahead: 5 }, TODAY_EVERY_MS);
  const rows = rowsOf(today.answer, "rows");
  const day = textOf(today.answer, "day");
  return (
    <section class="panel today ops" aria-label="Today">
      <div class="tools">
        <h2>Today</h2>
        <span class="quiet">{dateText(day)}</span>
        <Age polled={today} />
      </div>
      <div class="cards">
        <Day today={today.answer} place={place} />
        <Work cases={cases} onKind={onKind} />
        <ValueDates rows={rows} known={today.answer !== undefined} />
        <Card title="Expiries, fixings" about="reading#today" none={today.answer === undefined ? UNKNOWN : "none within five days"}>
          {ofKinds(rows, "expiry", "fixing").map((row) => <Dated key={`${textOf(row, "kind")} ${textOf(row, "name")}`} row={row} today={day} />)}
        </Card>
        <Card title="Ex-dates, holidays" about="reading#today" none={today.answer === undefined ? UNKNOWN : "none within five days"}>
          {ofKinds(rows, "ex_date", "holiday", "early_close").map((row) => <Dated key={`${textOf(row, "date")} ${textOf(row, "name")}`} row={row} today={day} />)}
        </Card>
        <Unmoved rows={ofKinds(rows, "unchanged")} known={today.answer !== undefined} />
        {"node" in place ? <CashLadder node={place.node} /> : <Card title="Cash" about="reading#the-cash-ladder" none={`${UNKNOWN} kept of nodes, not of dealers`}>{[]}</Card>}
      </div>
    </section>
  );
}

function Card({ title, about, none, children }: { title: string; about: Paragraph; none: string; children: ComponentChildren }): JSX.Element {
  const isEmpty = Array.isArray(children) && children.length === 0;
  return (
    <div class="card" role="group" aria-label={title}>
      <h3>{title} <a class="about" href={manualUrl(about)} target={MANUAL_TAB} aria-label={`${title} in the manual`}>?</a></h3>
      <ul tabIndex={0} aria-label={title}>{isEmpty ? <li class="quiet">{none}</li> : children}</ul>
    </div>
  );
}

function Line({ name, title, tone = "", children }: { name: string; title?: string; tone?: string; children: ComponentChildren }): JSX.Element {
  return <li title={printable(title ?? "")}><span class="quiet">{printable(name)}</span> <b class={tone}>{children}</b></li>;
}

/** When the trading day ends, and the close that it began with. */
function Day({ today, place }: { today: Row | undefined; place: Place }): JSX.Element {
  const close = usePolled("v1/closes", { limit: 1, ...place }, CLOSE_EVERY_MS);
  const [end, now] = [numberOf(today, "day_end_ts"), link.engineNow()];
  const left = end === null || now === null ? null : end - now;
  const closed = textOf(close.answer, "date") || textOf(today, "closed");
  return (
    <Card title="Day" about="accounting#the-day" none={UNKNOWN}>
      <Line name="day" title="the trading day that trades of now belong to">{textOf(today, "day") || UNKNOWN}</Line>
      <Line name="ends" title={end === null ? "no close is struck yet: the day is not known" : fullTimeText(end)}>
        {end === null ? UNKNOWN : `${clockText(end).slice(0, 5)}${left !== null && left > 0 ? `, in ${ageText(left)}` : ""}`}
      </Line>
      <Line name="closed" title={close.problem || "the day of the newest close that is struck"}>{closed || UNKNOWN}</Line>
      <Line name="struck" title={fullTimeText(numberOf(close.answer, "struck_ts"))}>
        {numberOf(close.answer, "struck_ts") === null ? UNKNOWN : `${clockText(numberOf(close.answer, "struck_ts"))}, v${sizeText(numberOf(close.answer, "version"))}`}
      </Line>
    </Card>
  );
}

function Work({ cases, onKind }: { cases: readonly Case[] | null; onKind: (kind: string) => void }): JSX.Element {
  return (
    <Card title="Needs a person" about="reading#exceptions" none={cases === null ? UNKNOWN : "nothing"}>
      {countsByKind(cases ?? []).map(([kind, count]) => (
        <li key={kind}>
          <button type="button" class="count" onClick={() => onKind(kind)} title="Only these in the work list">{printable(kind.replaceAll("_", " "))}</button>
          <b class="alarm">{sizeText(count)}</b>
        </li>
      ))}
    </Card>
  );
}

function ValueDates({ rows, known }: { rows: readonly Row[]; known: boolean }): JSX.Element {
  const dues = duesOf(rows);
  const most = Math.max(0, ...dues.map(({ pairs }) => pairs.length));
  return (
    <Card title="Spot dates" about="reading#today" none={known ? "no pair is loaded" : UNKNOWN}>
      {dues.map(({ due, pairs, reasons }) => {
        const named = pairs.length > MOST_NAMED || (pairs.length === most && dues.length > 1 && pairs.length > 2) ? countText(pairs.length, "pair") : pairs.join(" ");
        return <Line key={due} name={shortDate(due)} title={[dateText(due), pairs.join(" "), ...reasons].join("\n")} tone={reasons.length > 0 ? "stale" : ""}>{printable(named)}{reasons.length > 0 ? ` (${printable(reasons.join("; "))})` : ""}</Line>;
      })}
    </Card>
  );
}

function Dated({ row, today }: { row: Row; today: string }): JSX.Element {
  const [ts, positions] = [numberOf(row, "ts"), numberOf(row, "positions")];
  const what = [textOf(row, "what"), ts === null ? "" : fullTimeText(ts), positions === null ? "" : countText(positions, "open position")].filter(Boolean).join("; ");
  const [date, at] = [textOf(row, "date"), ts === null ? "" : clockText(ts).slice(0, 5)];
  const missing = textOf(row, "what").includes("not known yet");
  return <Line name={date === today ? `today ${at}`.trim() : `${shortDate(date)} ${at}`.trim()} title={what} tone={missing ? "alarm" : ""}>{printable(`${textOf(row, "name")}${said(row)}`)}</Line>;
}

function said(row: Row): string {
  switch (textOf(row, "kind")) {
    case "holiday": return " shut";
    case "early_close": return " closes early";
    case "ex_date": return ` ${textOf(row, "what")}`;
    case "fixing": return textOf(row, "what").includes("not known") ? " fixing missing" : " fixed";
    default: return "";
  }
}

function Unmoved({ rows, known }: { rows: readonly Row[]; known: boolean }): JSX.Element {
  return (
    <Card title="Unmoved prices" about="reading#today" none={known ? "none: all open markets moved" : UNKNOWN}>
      {rows.map((row) => (
        <Line key={textOf(row, "name")} name={textOf(row, "name")} title={textOf(row, "what")} tone="stale">
          {numberOf(row, "ts") === null ? UNKNOWN : momentText(numberOf(row, "ts"), link.engineNow())}
        </Line>
      ))}
    </Card>
  );
}

/** What flows in and out of the chosen node, all currencies in the reporting one. */
function CashLadder({ node }: { node: string }): JSX.Element {
  const ladder = usePolled("v1/cashladder", { node }, CASH_EVERY_MS);
  return (
    <Card title={`Cash of ${printable(node)}`} about="reading#the-cash-ladder" none={whyNone(ladder)}>
      {rowsOf(ladder.answer, "totals").map((row) => <Flow key={textOf(row, "bucket")} row={row} />)}
    </Card>
  );
}

const whyNone = (polled: Polled): string => (polled.problem !== "" ? `${UNKNOWN} ${polled.problem}` : polled.answer === undefined ? UNKNOWN : "nothing flows");

function Flow({ row }: { row: Row }): JSX.Element {
  const amount = numberOf(row, "amount_reporting");
  const text = amountText(amount, preferences.value.compact);
  const unpriced = numberOf(row, "unpriced_count") ?? 0;
  const bucket = textOf(row, "bucket");
  const title = amount === null ? "no rate is known" : `${exactText(amount)} ${link.connection.reportingCurrency}${unpriced > 0 ? `; without ${countText(unpriced, "amount")} in a currency without a rate` : ""}`;
  return <Line name={/^\d/.test(bucket) ? shortDate(bucket) : bucket} title={title} tone={`number ${direction(amount, text)}`}>{text}{unpriced > 0 ? "*" : ""}</Line>;
}
