// Operations, for the person at 06:30: today on top, the work list with a case or the morning beside it, and below that sources,
// cash, marks by hand, closes, calendars, the audit trail and the engine.

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { session, status } from "../live/engine";
import { painted } from "../live/painting";
import { chosenPlace } from "../live/place";
import { usePolled } from "../live/polled";
import { address, choose, type Place } from "../settings/address";
import { rowOf } from "../store/rows";
import { casesOf, type Case } from "./cases";
import { CasePanel } from "./case_panel";
import { EngineFacts } from "./engine_facts";
import { Feeds } from "./feeds";
import { HandMarks } from "./hand_marks";
import { Audit, CalendarList, Cash, Closes } from "./lists";
import { Morning } from "./morning";
import { mayOperate } from "../live/rights";
import { Today } from "./today";
import { WorkList } from "./work_list";

/** Also what the stream does not tell of, such as what others decide. */
const WORK_EVERY_MS = 10_000;
const MOST_CASES = 1_000;

const PARTS: readonly [id: string, label: string, draw: (place: Place) => JSX.Element, onlyOps?: true][] = [
  ["sources", "Sources", () => <Feeds />],
  ["cash", "Cash ladder", (place) => <Cash place={place} />],
  ["marks", "Marks by hand", () => <HandMarks />],
  ["closes", "Closes", (place) => <Closes place={place} />],
  ["calendars", "Calendars", () => <CalendarList />],
  ["audit", "Audit trail", (place) => <Audit place={place} />, true],
  ["engine", "Engine", () => <EngineFacts />],
];

/** What changes with the exceptions: how many were kept out or noticed, how many positions are unpriced, the warnings. */
function saidOfExceptions(): string {
  const { applied: _, duplicates: __, ...counts } = rowOf(status.only, "counts") ?? {};
  return JSON.stringify([counts, status.only?.["unpriced_count"], status.only?.["quarantined_count"], status.only?.["warnings"]]);
}

const saidOfBreaks = (): string => JSON.stringify(status.only?.["last_reconciliation"] ?? null);

export function OperationsView(): JSX.Element | null {
  void painted.value;
  const { cases: which, kind = "" } = address.value.choices;
  const all = which === "all";
  const exceptions = usePolled("v1/exceptions", { limit: MOST_CASES }, WORK_EVERY_MS, saidOfExceptions);
  const breaks = usePolled("v1/breaks", { limit: MOST_CASES, status: all ? "all" : "open" }, WORK_EVERY_MS, saidOfBreaks);
  const [chosen, setChosen] = useState<{ one: Case; focus: number } | null>(null);
  // Once an answer, not with every painting: there may be thousands.
  const every = useMemo(() => casesOf(exceptions.answer, breaks.answer), [exceptions.version, breaks.version, exceptions, breaks]);
  const undecided = useMemo(() => every.filter(({ verdict }) => verdict === ""), [every]);
  const listed = useMemo(() => (all ? every : undecided).filter((one) => kind === "" || one.kind === kind), [every, undecided, all, kind]);
  const place = chosenPlace();
  if (place === null) return null;

  const open = exceptions.answer !== undefined && breaks.answer !== undefined ? undecided : null;
  const now = chosen === null ? undefined : every.find(({ key }) => key === chosen.one.key);
  const read = (): void => {
    exceptions.again();
    breaks.again();
  };
  const pick = (key: string, focus: boolean): void => {
    if (key === "") setChosen(null);
    const one = every.find((each) => each.key === key);
    if (one !== undefined) setChosen({ one, focus: focus ? (chosen?.focus ?? 0) + 1 : 0 });
  };
  const close = (): void => {
    const key = chosen?.one.key ?? "";
    setChosen(null);
    focusLine(key);
  };
  return (
    <>
      <Today place={place} cases={open} onKind={(picked) => choose("kind", picked === kind ? "" : picked)} />
      <div class="ops-middle">
        <WorkList listed={listed} kind={kind} all={all} exceptions={exceptions} breaks={breaks} chosen={chosen?.one.key ?? ""} onChoose={pick} />
        <section class="panel side ops" aria-label={chosen === null ? "Morning" : "Case"}>
          {chosen === null ? <Morning open={open === null ? null : open.length} broken={every.some(({ isBreak, verdict }) => isBreak && verdict === "")} onChanged={read} /> : <CasePanel one={now ?? chosen.one} listed={now !== undefined} focus={chosen.focus} onClose={close} onDone={read} />}
        </section>
      </div>
      <Parts place={place} />
    </>
  );
}

function Parts({ place }: { place: Place }): JSX.Element {
  const shown = PARTS.filter(([, , , onlyOps]) => onlyOps !== true || mayOperate(session.value));
  const [first] = shown;
  const part = shown.find(([id]) => id === address.value.choices["part"]) ?? first;
  return (
    <div class="ops-lower">
      <div role="group" aria-label="Part" class="switch">
        {shown.map(([id, label]) => <button key={id} type="button" aria-pressed={id === part?.[0]} onClick={() => choose("part", id === first?.[0] ? "" : id)}>{label}</button>)}
      </div>
      {part?.[2](place)}
    </div>
  );
}

/** Back to the line of a case, or to the first one where it has left the list. */
function focusLine(key: string): void {
  const grid = document.querySelector('[data-grid="cases"]');
  const cell = grid?.querySelector<HTMLElement>(`.ag-row[row-id="${CSS.escape(key)}"] .ag-cell`) ?? grid?.querySelector<HTMLElement>(".ag-row .ag-cell");
  cell?.focus();
}
