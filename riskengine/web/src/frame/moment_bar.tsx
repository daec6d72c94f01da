// The slider over the day, and the label of a page that shows a moment of the past: nobody may take it for now.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { link, roots } from "../live/engine";
import { momentProblem, momentWords, toldMoment } from "../live/moment";
import { painted } from "../live/painting";
import { address, stand } from "../settings/address";
import { numberOf } from "../store/rows";
import { MANUAL_TAB, manualUrl } from "../words/manual";
import { printable } from "../words/printable";
import { clockText, fullTimeText } from "../words/times";
import { asOfText, DAY_US, readTime, rulerOf, stepped } from "../words/moments";

/** Whether the slider is shown; it always is while the page is of a moment. */
export const momentBar = signal(false);

const WAIT_MS = 250;
const SLIDER = "moment-slider";

/** The slider comes and goes; from a moment of the past, back to what is live. */
export function toggleMoments(): void {
  momentBar.value = address.value.moment === null && !momentBar.value;
  if (address.value.moment !== null) stand(null);
  if (momentBar.value) requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById(SLIDER)?.focus()));
}

export function MomentBar(): JSX.Element | null {
  void painted.value;
  const { moment } = address.value;
  if (moment === null && !momentBar.value) return null;
  return (
    <div class={`moment ${moment === null ? "" : "past"}`} role="region" aria-label="Moment of the day">
      {moment !== null && <Label />}
      <Slider />
      {moment !== null && <Known />}
      <button type="button" class="strong" disabled={moment === null} title="Back to what is live (End on the slider, or m)" onClick={() => stand(null)}>Live</button>
      <a href={manualUrl("screens#any-moment-of-the-day")} target={MANUAL_TAB}>manual</a>
    </div>
  );
}

/** Of which moment, and what of it is not as it was. */
function Label(): JSX.Element {
  const told = toldMoment.value;
  const problem = momentProblem.value;
  const said = problem !== "" ? `not read: ${problem}` : told === null ? "reading\u2026" : told.exactAt === null ? "nothing was recorded then: by the store alone" : `the recorded instant of ${fullTimeText(told.exactAt)}, snapshot ${told.epoch}.${told.seq}`;
  return (
    <p role="status">
      <b>{printable(momentWords())}, not live</b> <span>{printable(said)}</span>
      {told !== null && told.unknown.length > 0 && <span class="lacks">{printable(`not as it was: ${told.unknown.join("; ")}`)}</span>}
    </p>
  );
}

function Known(): JSX.Element {
  const { moment } = address.value;
  if (moment === null) return <span />;
  return (
    <div role="group" aria-label="What is known of it" class="switch">
      <button type="button" aria-pressed={moment.known === "then"} title="What was known then, as the screens said it" onClick={() => stand({ ...moment, known: "then" })}>Known then</button>
      <button type="button" aria-pressed={moment.known === "now"} title="What is known now of then: trades that came or were corrected later" onClick={() => stand({ ...moment, known: "now" })}>Known now</button>
    </div>
  );
}

/** The start of the trading day; a day back where no close is known. */
function dayStart(now: number): number {
  const starts = roots().flatMap((row) => numberOf(row, "day_start_ts") ?? []);
  const first = starts.length === 0 ? now - DAY_US : Math.min(...starts);
  return Math.max(first, now - DAY_US);
}

function Slider(): JSX.Element {
  const { moment } = address.value;
  const now = link.clockNow() ?? 0;
  const first = useRef<number | null>(null);
  first.current ??= moment === null ? dayStart(now) : now - DAY_US;
  const ruler = rulerOf(first.current, now);
  const asked = moment === null ? now : Date.parse(moment.asOf) * 1000;
  const shown = Number.isNaN(asked) ? now : asked;
  const [draft, setDraft] = useState<number | null>(null);
  const [typed, setTyped] = useState<string | null>(null);
  const [wrong, setWrong] = useState("");
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  /** Go to a time after a pause, so that a drag asks for where it ends. */
  const go = (ts: number, pauseMs = WAIT_MS): void => {
    setDraft(Math.min(ts, link.clockNow() ?? ts));
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setDraft(null);
      const known = address.value.moment?.known ?? "then";
      stand(ts >= (link.clockNow() ?? 0) ? null : { asOf: asOfText(ts), known });
    }, pauseMs);
  };
  const press = (event: KeyboardEvent): void => {
    const at = stepped(draft ?? shown, event.key, event.shiftKey, ruler);
    if (at === null) return;
    event.preventDefault();
    event.stopPropagation();
    go(at);
  };
  const at = draft ?? shown;
  const submit = (event: Event): void => {
    event.preventDefault();
    const ts = readTime(typed ?? "", now);
    setWrong(ts === null ? "write a time such as 14:32:05, or 2026-12-01 14:32" : "");
    if (ts === null) return;
    setTyped(null);
    go(ts, 0);
  };
  return (
    <>
      <input
        id={SLIDER} type="range" min={ruler.first} max={ruler.last} step={1} value={Math.round(Math.min(Math.max(at, ruler.first * 1e6), ruler.last * 1e6) / 1e6)}
        aria-label="Moment of the day" aria-valuetext={moment === null && draft === null ? "live" : clockText(at)}
        title="Arrows: a minute; with Shift a second; Page: ten minutes; End: live"
        onInput={(event) => go(event.currentTarget.valueAsNumber * 1e6)} onKeyDown={press}
      />
      <output class="at">{moment === null && draft === null ? "live" : clockText(at)}</output>
      <form class="line" onSubmit={submit}>
        <input type="text" name="moment" aria-label="Go to a time" aria-invalid={wrong !== ""} placeholder="14:32:05" value={typed ?? ""} onInput={(event) => setTyped(event.currentTarget.value)} />
      </form>
      {wrong !== "" && <span role="alert">{wrong}</span>}
    </>
  );
}
