// One case: what is known of it, what each action does, and what became of it. It stays after it has left the list.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { link, session } from "../live/engine";
import { painted } from "../live/painting";
import type { Row } from "../store/messages";
import { rowOf, textOf } from "../store/rows";
import { MANUAL_TAB, manualUrl, type Paragraph } from "../words/manual";
import { printable } from "../words/printable";
import { fullTimeText, momentText } from "../words/times";
import { ActButton, Said, useActing } from "../live/acting";
import { type Case, detailFacts, EFFECTS, type Fact, comparedFacts } from "./cases";
import { mayComment, mayOperate } from "../live/rights";

type Props = { one: Case; listed: boolean; focus: number; onClose: () => void; onDone: () => void };

const aboutOf = ({ kind, isBreak, row }: Case): Paragraph => (isBreak ? `reconciliation#kinds-of-break.${textOf(row, "kind")}` : `reading#exceptions.${kind}`);

export function CasePanel({ one, listed, focus, onClose, onDone }: Props): JSX.Element {
  void painted.value;
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (focus > 0) (box.current?.querySelector<HTMLElement>("input[name=comment]") ?? box.current)?.focus();
  }, [focus, one.key]);
  const { row } = one;
  const stands = rowOf(rowOf(row, "detail"), "stands");
  const trade = rowOf(row, "trade");
  return (
    <>
      <div class="tools">
        <h2>{printable(one.kind.replaceAll("_", " "))}</h2>
        <a href={manualUrl(aboutOf(one))} target={MANUAL_TAB}>what it means</a>
        <span class="space" />
        <button type="button" onClick={onClose} title="Escape">Morning</button>
      </div>
      <div class="scroll case" ref={box} tabIndex={-1} role="group" aria-label="Case" onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), onClose())}>
        <p class="what">{printable(one.what)}</p>
        <p class="quiet">
          {[one.where, one.instrument, one.since === null ? "since when is not known" : `since ${momentText(one.since, link.engineNow())}`].filter(Boolean).map(printable).join(", ")}
          {!listed && <b> {"\u00b7"} it has left the list</b>}
        </p>
        <Actions key={one.key} one={one} listed={listed} onDone={onDone} />
        {one.verdict !== "" && <p>{printable(`${one.verdict} by ${one.by || "nobody named"}`)} <span class="quiet" title={fullTimeText(one.at)}>{momentText(one.at, link.engineNow())}</span></p>}
        {one.comment !== "" && <blockquote>{printable(one.comment)}</blockquote>}
        <Facts title={trade === undefined ? "" : `Trade ${textOf(trade, "source")} ${textOf(trade, "trade_id")}, version ${trade["version"] ?? ""}`} other={stands === undefined ? "" : "stands"} facts={comparedFacts(trade, stands)} />
        {one.isBreak && <Facts title="Here" other="in the store" facts={comparedFacts(rowOf(row, "here"), rowOf(row, "there") ?? {})} />}
        <Facts title="What is known" other="" facts={detailFacts(one.isBreak ? seenOf(row) : rowOf(row, "detail"))} />
        <p class="quiet id" title="Its name for good">{printable(one.key)}</p>
      </div>
    </>
  );
}

function Actions({ one, listed, onDone }: { one: Case; listed: boolean; onDone: () => void }): JSX.Element | null {
  const acting = useActing();
  const [comment, setComment] = useState("");
  const decides = one.isBreak || !mayOperate(session.value) ? undefined : EFFECTS[one.kind];
  if (!mayComment(session.value)) return <p class="quiet">accepting and rejecting need the role ops, a comment the role dealer or ops</p>;
  const act = async (action: "accept" | "reject" | "comment"): Promise<void> => {
    const path = one.isBreak ? `v1/breaks/${encodeURIComponent(one.key.replace("break:", ""))}` : `v1/exceptions/${one.key.split("/").map(encodeURIComponent).join("/")}`;
    const body = one.isBreak ? { comment } : { action, comment };
    const done = await acting.send(path, body, (answer) => ({ well: true, text: `${WORDS[action]} by ${textOf(answer, "verdict_by") || session.value?.name || "you"}, stored and in force` }));
    if (done) {
      setComment("");
      onDone();
    }
  };
  const lacks = missing(comment);
  return (
    <form class="acts" onSubmit={(event) => { event.preventDefault(); if (lacks === "") void act("comment"); }}>
      <input type="text" name="comment" aria-label="Comment" placeholder="comment: why" maxLength={2000} value={comment} onInput={(event) => setComment(event.currentTarget.value)} />
      <div>
        {decides !== undefined && <ActButton acting={acting} disabled={!listed} title={decides.accept} onClick={() => void act("accept")}>Accept</ActButton>}
        {decides?.reject !== undefined && <ActButton acting={acting} disabled={!listed} title={decides.reject} onClick={() => void act("reject")}>Reject</ActButton>}
        <ActButton acting={acting} disabled={lacks !== ""} title={lacks || "decides nothing; Enter in the field does the same"} onClick={() => void act("comment")}>Comment</ActButton>
      </div>
      {one.isBreak && mayOperate(session.value) && <p class="quiet">It ends with its cause, or with <i>Compare and repair</i> under Morning, which takes the store's values.</p>}
      {decides !== undefined && (
        <p class="quiet">
          Accept: {decides.accept}.{decides.reject !== undefined && ` Reject: ${decides.reject}.`}
        </p>
      )}
      <Said acting={acting} />
    </form>
  );
}

const seenOf = (row: Row): Row => ({ times_seen: row["times_seen"] ?? null, last_seen_ts: row["last_seen_ts"] ?? null, trades: row["trades"] ?? null });

const WORDS = { accept: "accepted", reject: "rejected", comment: "comment" } as const;

const missing = (comment: string): string => (comment.trim() === "" ? "write a comment first" : "");

function Facts({ title, other, facts }: { title: string; other: string; facts: readonly Fact[] }): JSX.Element | null {
  if (facts.length === 0) return null;
  return (
    <table class="facts">
      <thead><tr><th scope="col" colSpan={2}>{printable(title)}</th><th scope="col">{other || <span class="quiet" />}</th></tr></thead>
      <tbody>
        {facts.map(({ name, value, other: there }) => (
          <tr key={name} class={there === undefined ? "" : "differs"}><th scope="row">{printable(name)}</th><td>{printable(value) || "\u2014"}</td><td>{there === undefined ? "" : printable(there) || "\u2014"}</td></tr>
        ))}
      </tbody>
    </table>
  );
}
