// The morning as a checklist with times, and how things stand now; comparing engine and store again stands with it.

import type { JSX } from "preact";
import { link, roots, session, status } from "../live/engine";
import { painted } from "../live/painting";
import { isTrue, numberOf, rowOf } from "../store/rows";
import { MANUAL_TAB, manualUrl } from "../words/manual";
import { countText } from "../words/numbers";
import { printable } from "../words/printable";
import { ageText, fullTimeText, momentText } from "../words/times";
import { ActButton, Said, useActing } from "../live/acting";
import { type Check, phaseChecks, stateChecks, type Standing } from "./checklist";
import { mayOperate } from "../live/rights";

const MARKS: Readonly<Record<Standing, readonly [sign: string, words: string]>> = {
  well: ["\u2713", "well"], look: ["!", "needs a look"], unknown: ["?", "not known"],
};

type Props = { open: number | null; /** Whether a break is open. */ broken: boolean; onChanged: () => void };

export function Morning({ open, broken, onChanged }: Props): JSX.Element {
  void painted.value;
  const start = rowOf(status.only, "start");
  const [root] = roots();
  const seconds = numberOf(start, "seconds");
  const up = numberOf(rowOf(status.only, "start"), "epoch");
  return (
    <>
      <div class="tools">
        <h2>Morning</h2>
        <span class="quiet">{start === undefined ? "of the whole house: not shown to this token" : `${up === null ? "" : `epoch ${up}, `}${seconds === null ? "" : `live after ${ageText(seconds * 1e6)}`}`}</span>
      </div>
      <div class="scroll" tabIndex={0} role="group" aria-label="Checklist of the morning">
        <ul class="checks">
          {stateChecks(status.only, root, open).map((check) => <Item key={check.name} check={check} />)}
        </ul>
        <Compare broken={broken} onChanged={onChanged} />
        <h3>Start</h3>
        <ul class="checks">
          {phaseChecks(start).map((check) => <Item key={check.name} check={check} />)}
          {start === undefined && <li class="quiet">not shown to this token</li>}
        </ul>
      </div>
    </>
  );
}

function Item({ check }: { check: Check }): JSX.Element {
  const [sign, said] = MARKS[check.standing];
  return (
    <li class={check.standing} title={fullTimeText(check.at).replace(/^\u2014$/, "")}>
      <i aria-label={said} role="img">{sign}</i>
      <a href={manualUrl(check.about)} target={MANUAL_TAB} title="In the manual">{printable(check.name)}</a>
      <span>{printable(check.text)}</span>
      <time>{[check.took ?? "", check.at === null ? "" : momentText(check.at, link.engineNow())].filter(Boolean).join(", ")}</time>
    </li>
  );
}

/** Engine against store, now; a repair takes the store's values where they differ. */
function Compare({ broken, onChanged }: { broken: boolean; onChanged: () => void }): JSX.Element | null {
  const acting = useActing();
  if (!mayOperate(session.value)) return null;
  const run = async (repair: boolean): Promise<void> => {
    await acting.send("v1/reconcile", { repair }, (report) => {
      const breaks = Array.isArray(report["breaks"]) ? report["breaks"].length : 0;
      const compared = countText(numberOf(report, "compared") ?? 0, "position");
      return isTrue(report, "clean") ? { well: true, text: `clean: ${compared} agree with the store` } : { well: repair, text: `${countText(breaks, "break")} in ${compared}${repair ? ", the store's values taken" : ": in the work list"}` };
    });
    onChanged();
  };
  return (
    <p class="acts">
      <ActButton acting={acting} onClick={() => void run(false)} title="Compare every position with the store's trades now">Compare now</ActButton>
      <ActButton acting={acting} disabled={!broken} onClick={() => void run(true)} title={broken ? "Compare, and take the store's values where they differ" : "no break is open: there is nothing to repair"}>Compare and repair</ActButton>
      <Said acting={acting} />
    </p>
  );
}
