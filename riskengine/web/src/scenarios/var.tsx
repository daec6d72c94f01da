// Value at risk and expected shortfall of a place, what contributes to it, its scenarios, and its backtest with the traffic light.

import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { Line } from "../grid/column";
import type { LiveGrid } from "../grid/live_grid";
import { GridPanel } from "../grid/panel";
import { Age } from "../live/age";
import { painted } from "../live/painting";
import { childrenByParent } from "../live/place";
import { type Polled, usePolled } from "../live/polled";
import { address, choose, go, type Place } from "../settings/address";
import type { Row } from "../store/messages";
import { numberOf, textOf } from "../store/rows";
import { amountText, exactText, sizeText } from "../words/numbers";
import { printable } from "../words/printable";
import { DAY_COLUMNS, partColumns, scenarioColumns } from "./columns";
import { backtestText, carriedText, dayLines, lightText, notInIt, partLines, scenarioLines, varUnknown } from "./figures";

const VAR_EVERY_MS = 5_000;
const BACKTEST_EVERY_MS = 600_000;
const MOST = 5_000;

type By = "node" | "instrument" | "scenario";

const BY: readonly (readonly [By, string, string])[] = [
  ["node", "Children", "What each child contributes"],
  ["instrument", "Instruments", "What each instrument contributes"],
  ["scenario", "Scenarios", "The P&L of every scenario, the worst first"],
];

export function VarPanel({ place, name }: { place: Place; name: string }): JSX.Element {
  void painted.value;
  const { choices } = address.value;
  const intraday = choices["method"] === "intraday";
  const hasChildren = "node" in place && childrenByParent().has(place.node);
  const usual: By = hasChildren ? "node" : "instrument";
  const wanted = (choices["parts"] ?? usual) as By;
  const by = BY.some(([id]) => id === wanted) && (wanted !== "node" || hasChildren) ? wanted : usual;
  const polled = usePolled("v1/var", { ...place, by, method: intraday ? "intraday" : "historical", limit: MOST }, VAR_EVERY_MS);
  return (
    <Parts polled={polled} byScenario={by === "scenario"} onPick={({ row }) => {
      if (by === "node") go({ place: { node: textOf(row, "name") } });
      else if (by === "instrument") go({ view: "ladder", place, choices: {} });
    }}>
      <h2>VaR of {printable(name)}</h2>
      <div role="group" aria-label="Scenarios by" class="switch">
        <button type="button" aria-pressed={!intraday} title="By daily closes" onClick={() => choose("method", "")}>Daily</button>
        <button type="button" aria-pressed={intraday} title="By the last 60 minutes" onClick={() => choose("method", "intraday")}>Intraday</button>
      </div>
      <div role="group" aria-label="Parts" class="switch">
        {BY.filter(([id]) => id !== "node" || hasChildren).map(([id, label, title]) => <button key={id} type="button" title={title} aria-pressed={id === by} onClick={() => choose("parts", id === usual ? "" : id)}>{label}</button>)}
      </div>
      <Age polled={polled} />
      <Figures answer={polled.answer} />
    </Parts>
  );
}

/** VaR and ES with the rule behind them; what is not in them; and why there are none. */
function Figures({ answer }: { answer: Row | undefined }): JSX.Element | null {
  if (answer === undefined) return null;
  const [loss, tail] = [numberOf(answer, "var"), numberOf(answer, "es")];
  const amount = (value: number | null): string => amountText(value).replace(/^\+/, "");
  const [without, carried] = [notInIt(answer), carriedText(answer)];
  return (
    <dl class="figures">
      <div><dt>VaR</dt><dd class={loss === null ? "unknown" : ""} title={loss === null ? varUnknown(answer) : exactText(loss)}>{amount(loss)}</dd></div>
      <div><dt>ES</dt><dd class={tail === null ? "unknown" : ""} title={tail === null ? varUnknown(answer) : exactText(tail)}>{amount(tail)}</dd></div>
      <div class="rule"><dt>by</dt><dd>{printable(`${sizeText(numberOf(answer, "scenarios"))} scenarios at ${Number(textOf(answer, "confidence")) * 100} %${textOf(answer, "begins") ? `, ${textOf(answer, "begins")} to ${textOf(answer, "ends")}` : ""}`)}</dd></div>
      {loss === null && <div class="rule"><dt>unknown</dt><dd class="fair">{printable(varUnknown(answer))}</dd></div>}
      {without !== "" && <div class="rule"><dt>without</dt><dd class="fair" title={printable(without)}>{printable(without)}</dd></div>}
      {carried !== "" && <div class="rule"><dt>carried</dt><dd title={printable(carried)}>{printable(carried)}</dd></div>}
    </dl>
  );
}

type PartsProps = { polled: Polled; byScenario: boolean; onPick: (line: Line) => void; children: JSX.Element[] };

function Parts({ polled, byScenario, onPick, children }: PartsProps): JSX.Element {
  const most = useRef(0);
  const seen = useRef<unknown>(null);
  const latest = useRef(polled);
  latest.current = polled;
  const columns = useMemo(() => (byScenario ? scenarioColumns(() => most.current) : partColumns(() => most.current)), [byScenario]);
  const paint = (grid: LiveGrid): void => {
    const { answer } = latest.current;
    if (seen.current === (answer ?? "none")) return;
    seen.current = answer ?? "none";
    const lines = byScenario ? scenarioLines(answer) : partLines(answer);
    const field = byScenario ? "pnl" : "var_contribution";
    most.current = lines.reduce((found, { row }) => Math.max(found, Math.abs(numberOf(row, field) ?? 0)), 0);
    grid.show(lines, "all");
    grid.pin(byScenario || answer === undefined ? [] : [totalLine(answer)]);
    grid.refresh(["bar"]);
  };
  return (
    <GridPanel name={byScenario ? "var-scenarios" : "var"} label={byScenario ? "Scenarios of VaR" : "Contributions to VaR"} columns={columns} paint={paint} onPick={onPick}>
      {children}
    </GridPanel>
  );
}

/** The figures that the contributions sum to. */
function totalLine(answer: Row): Line {
  const [loss, tail] = [answer["var"] ?? null, answer["es"] ?? null];
  const reason = loss === null ? varUnknown(answer) : "";
  const row = { name: "All", var_contribution: loss, es_contribution: tail, var: loss, es: tail, share: loss === null || loss === 0 ? null : 100, reason };
  return { key: "total", kind: "total", row, parent: "", level: 0, open: null, place: 0 };
}

export function Backtest({ node }: { node: string }): JSX.Element {
  void painted.value;
  const polled = usePolled("v1/var/backtest", { node, limit: MOST }, BACKTEST_EVERY_MS);
  const seen = useRef<unknown>(null);
  const latest = useRef(polled);
  latest.current = polled;
  const { answer } = polled;
  const paint = (grid: LiveGrid): void => {
    const { answer: now } = latest.current;
    if (seen.current === (now ?? "none")) return;
    seen.current = now ?? "none";
    grid.show(dayLines(now), "all");
  };
  return (
    <GridPanel name="backtest" label="Backtest of VaR" columns={DAY_COLUMNS} paint={paint}>
      <h2>Backtest</h2>
      {answer !== undefined && <b class={`traffic ${textOf(answer, "light") || "none"}`} role="status"><i aria-hidden="true" />{printable(lightText(answer))}</b>}
      {answer !== undefined && <span>{printable(backtestText(answer))}</span>}
      <Age polled={polled} />
      <button type="button" title="Each stored day costs some ten milliseconds" onClick={() => polled.again()}>Work out again</button>
    </GridPanel>
  );
}
