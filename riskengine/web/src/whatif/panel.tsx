// The drawer at the ladder: intended trades and shifts as they are typed, what each rule says of the trades, and every number before
// and after. Nothing is booked; the engine is asked again when the text changes, and on demand.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { GridPanel } from "../grid/panel";
import { instruments, isLive, nodes, useTable } from "../live/engine";
import { post, reasonOf } from "../live/http";
import { painted, paintSoon } from "../live/painting";
import { childrenByParent, ladderOf, pathTo } from "../live/place";
import type { Place } from "../settings/address";
import { numberOf, textOf } from "../store/rows";
import type { Table } from "../store/table";
import { readingNow } from "../ticket/ticket";
import { MANUAL_TAB, manualUrl } from "../words/manual";
import { printable } from "../words/printable";
import { timeText } from "../words/times";
import { beforeAfterLines, outcomeTone, outcomeWords, reservations, ruleLines } from "./answers";
import { Asked, type Question, type Told } from "./asked";
import { BEFORE_AFTER_COLUMNS, RULE_COLUMNS } from "./columns";
import { type Names, type ReadLine, readShifts, readTrades } from "./typed";

/** What is typed stays while one looks elsewhere. */
const written = signal({ trades: "", shifts: "", withVar: false });

async function tell(path: string, body: unknown): Promise<Told> {
  try {
    return { answer: await post(path, body), problem: "" };
  } catch (failed) {
    return { answer: undefined, problem: reasonOf(failed) };
  }
}

const WAIT_MS = 350;
const MARK_DECIMALS = 10;

export function WhatIfPanel({ place, onClose }: { place: Place; onClose: () => void }): JSX.Element {
  void painted.value;
  const held = useTable(ladderOf(place));
  const dealers = useTable({ view: "dealers" });
  const asked = useMemo(() => new Asked(paintSoon, tell), []);
  useEffect(() => () => asked.stop(), [asked]);
  const { trades, shifts, withVar } = written.value;
  const names = namesAt(place, held, dealers);
  const readT = readTrades(trades, names, readingNow());
  const readS = readShifts(shifts, names, readingNow());
  const question = questionOf(place, readT, readS, withVar);
  const key = question === null ? "" : JSON.stringify({ ...question, trades: question.trades.map((trade) => ({ ...trade, ts: 0 })) });

  useEffect(() => {
    if (question === null) {
      asked.forget();
      return undefined;
    }
    const timer = setTimeout(() => void asked.ask(question, key), WAIT_MS);
    return () => clearTimeout(timer);
  }, [key]);

  const again = (): void => void (question !== null && asked.ask(question, key));
  return (
    <div class="whatif" role="region" aria-label="What if" onKeyDown={(event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        onClose();
      } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        again();
      }
    }}>
      <section class="panel asked" aria-label="Intended">
        <div class="tools">
          <h2>What if</h2>
          <a href={manualUrl("screens#what-if-at-the-ladder")} target={MANUAL_TAB}>how to write</a>
          <span class="space" />
          <button type="button" aria-disabled={question === null || !isLive()} title="Ctrl+Enter" onClick={again}>Ask again</button>
          <button type="button" onClick={onClose} title="Escape">Close</button>
        </div>
        <div class="scroll">
          <Box name="trades" label="Intended trades, typed or pasted, one a line" placeholder={"buy 5m EURUSD 1.0842 FX1\nsell 300 ACME 91 EQ1"} value={trades} lines={readT} />
          <Box name="shifts" label="Shifts, one a line" placeholder={"EUR -5%\nvol all +2pts\nrate USD +50bp\nshock 2016-06-24"} value={shifts} lines={readS} />
          <label class="tick"><input type="checkbox" checked={withVar} onChange={(event) => (written.value = { ...written.value, withVar: event.currentTarget.checked })} />VaR and expected shortfall too</label>
        </div>
      </section>
      <Rules asked={asked} asks={asked.of !== key} lines={readT} />
      <BeforeAfter asked={asked} asks={asked.of !== key} />
    </div>
  );
}

type BoxProps = { name: "trades" | "shifts"; label: string; placeholder: string; value: string; lines: readonly ReadLine<unknown>[] };

function Box({ name, label, placeholder, value, lines }: BoxProps): JSX.Element {
  return (
    <div class="box">
      <label>
        <span class="quiet">{label}</span>
        <textarea name={name} rows={Math.min(8, Math.max(2, value.split("\n").length))} spellcheck={false} placeholder={placeholder} value={value} onInput={(event) => (written.value = { ...written.value, [name]: event.currentTarget.value })} />
      </label>
      {lines.length > 0 && (
        <div role="status">
          <ul class="outcomes" aria-label={`How ${name} are read`}>
            {lines.map(({ line, words, problem }) => (
              <li key={line} class={problem === "" ? "" : "alarm"}>{line}: {printable(problem === "" ? words : `not read: ${problem}`)}</li>
            ))}
          </ul>
        </div>
      )}
    </div>
  );
}

/** Of which moment an answer is, that it is being asked for, or why there is none. */
function Of({ asked, asks, what, none }: { asked: Asked; asks: boolean; what: "check" | "whatif"; none: string }): JSX.Element {
  const { answer, problem } = asked[what];
  if (asks) return <span class="quiet">{"asking\u2026"}</span>;
  if (problem !== "") return <span class="alarm" role="alert">not answered: {printable(problem)}</span>;
  if (answer === undefined) return <span class="quiet">{none}</span>;
  return <span class="quiet">of {timeText(numberOf(answer, "as_of"))}, snapshot {numberOf(answer, "epoch")}.{numberOf(answer, "seq")}</span>;
}

function Rules({ asked, asks, lines }: { asked: Asked; asks: boolean; lines: readonly ReadLine<unknown>[] }): JSX.Element {
  void painted.value;
  const sent = lines.filter(({ sent: item }) => item !== null);
  const { answer } = asked.check;
  const seen = useRef<unknown>(null);
  const of = useRef(sent);
  of.current = sent;
  return (
    <GridPanel
      name="rules"
      label="Rules before the trade"
      columns={RULE_COLUMNS}
      paint={(grid) => {
        if (seen.current === (asked.check.answer ?? "none")) return;
        seen.current = asked.check.answer ?? "none";
        grid.show(ruleLines(asked.check.answer, (trade) => of.current[trade]?.line ?? trade + 1), "all");
      }}
    >
      <h2>Rules</h2>
      {answer !== undefined && !asks && <b role="status" class={outcomeTone(textOf(answer, "outcome"))}>{outcomeWords(answer)}</b>}
      <Of asked={asked} asks={asks} what="check" none="of intended trades, without the shifts" />
    </GridPanel>
  );
}

function BeforeAfter({ asked, asks }: { asked: Asked; asks: boolean }): JSX.Element {
  void painted.value;
  const closed = useRef(new Set<string>());
  const seen = useRef("");
  const { answer } = asked.whatif;
  const said = answer === undefined ? [] : reservations(answer);
  const toggle = ({ key, open }: { key: string; open: boolean | null }): void => {
    if (open === null) return;
    if (!closed.current.delete(key)) closed.current.add(key);
    paintSoon();
  };
  return (
    <GridPanel
      name="whatif"
      label="Before and after"
      columns={BEFORE_AFTER_COLUMNS}
      onToggle={toggle}
      onPick={toggle}
      paint={(grid) => {
        const now = JSON.stringify([asked.version, [...closed.current]]);
        if (seen.current === now) return;
        seen.current = now;
        grid.show(beforeAfterLines(asked.whatif.answer, (key) => closed.current.has(key)), "all");
      }}
    >
      <h2>Before and after</h2>
      <Of asked={asked} asks={asks} what="whatif" none="write a trade or a shift" />
      {said.length > 0 && <span class="fair" role="status" title={printable(said.join("; "))}>{printable(said.join("; "))}</span>}
    </GridPanel>
  );
}

/** The desks below a place, or all. */
function desksAt(place: Place): string[] {
  const parents = childrenByParent();
  const leaves = [...nodes.rows.values()].map((row) => textOf(row, "node")).filter((node) => !parents.has(node));
  return "dealer" in place ? leaves : leaves.filter((leaf) => pathTo(leaf).includes(place.node));
}

function namesAt(place: Place, held: Table, dealers: Table): Names {
  const desks = desksAt(place);
  const listed = [...instruments.value.values()];
  const every = [...nodes.rows.values()].map((row) => textOf(row, "node"));
  const parents = childrenByParent();
  return {
    instruments: new Set(instruments.value.keys()),
    desks: new Set([...desks, ...every.filter((node) => !parents.has(node))]),
    dealers: new Set([...dealers.rows.values()].map((row) => textOf(row, "dealer")).filter(Boolean)),
    currencies: new Set(listed.flatMap((row) => [textOf(row, "base_currency"), textOf(row, "quote_currency")]).filter(Boolean)),
    desk: desks.length === 1 ? (desks[0] ?? "") : "",
    dealer: "dealer" in place ? place.dealer : "",
    markOf: (instrument) => {
      const row = [...held.rows.values()].find((each) => textOf(each, "instrument") === instrument);
      const mark = numberOf(row, "mark");
      return mark === null ? "" : mark.toFixed(MARK_DECIMALS).replace(/\.?0+$/, "");
    },
  };
}

/** The nodes that a question is about: where the user is with what is above it, and the desks of the trades. */
function questionOf(place: Place, trades: ReturnType<typeof readTrades>, shifts: ReturnType<typeof readShifts>, withVar: boolean): Question | null {
  const items = trades.flatMap(({ sent }) => (sent === null ? [] : [sent]));
  const moves = shifts.flatMap(({ sent }) => (sent === null ? [] : [sent]));
  if (items.length + moves.length === 0) return null;
  const desks = [...new Set(items.map((item) => String(item["desk"])))];
  const tops = "node" in place ? pathTo(place.node) : desks.flatMap((desk) => pathTo(desk));
  const about = [...new Set([...tops.toReversed(), ...desks])].filter((node) => nodes.get(node) !== undefined);
  return { nodes: about.slice(0, MOST_NODES), trades: items, moves, withVar };
}

const MOST_NODES = 50;
