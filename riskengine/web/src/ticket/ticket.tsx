// The ticket: a line above the trades for who may book. Enter books; the answer stands below the line, where the row appears.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { instruments, link, type Session, session } from "../live/engine";
import { read, reasonOf } from "../live/http";
import type { Place } from "../settings/address";
import { prefer, preferences } from "../settings/preferences";
import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";
import { MANUAL_TAB, manualUrl, TICKET } from "../words/manual";
import { printable } from "../words/printable";
import { AheadOf } from "./ahead";
import { amendOf, cancelOf, draftOf, dropsContra, type Made, newTrade, ownTradeId, type Problem, type Reading } from "./booking";
import { EXAMPLES, localMark } from "./decimals";
import { type Draft, EMPTY, FIELDS, type FieldId, type TicketField } from "./fields";
import { Outcomes } from "./outcomes";
import { PastePanel } from "./paste_panel";
import { ownDesks, whyNot } from "./rights";
import { ownTrades, recall, send } from "./sent";

/** A trade of the list below that the user wants to change. */
const picked = signal<Row | null>(null);

export function pickTrade(row: Row): void {
  picked.value = { ...row };
}

/** Whether who looks may book at all. */
export const mayBook = (): boolean => session.value?.mayBook === true;

const MOST_CHOICES = 400;

export const markInUse = (): "." | "," => (preferences.value.decimalMark === "" ? localMark(navigator.language) : preferences.value.decimalMark === "," ? "," : ".");

export const readingNow = (): Reading => ({ mark: markInUse(), nowTs: link.engineNow() ?? Date.now() * 1000, now: new Date() });

export function Ticket({ place }: { place: Place }): JSX.Element | null {
  const who = session.value;
  return who?.mayBook === true ? <Line who={who} place={place} /> : null;
}

function Line({ who, place }: { who: Session; place: Place }): JSX.Element {
  const desks = ownDesks(who);
  const [draft, setDraft] = useState<Draft>(EMPTY);
  const [base, setBase] = useState<Row | null>(null);
  const [problems, setProblems] = useState<readonly Problem[]>([]);
  const [said, setSaid] = useState("");
  const [sure, setSure] = useState(false);
  const [pasted, setPasted] = useState<string | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const [touched, setTouched] = useState<ReadonlySet<FieldId>>(new Set());
  const filled = withUsual(draft, touched, who, desks, place);
  const more = preferences.value.ticketMore || (base !== null && FIELDS.some((field) => field.more === true && draft[field.id] !== ""));
  useEffect(recall, []);

  const focus = (field: FieldId): void => form.current?.querySelector<HTMLElement>(`[name="${field}"]`)?.focus();
  const leave = (): void => {
    setSure(false);
    setBase(null);
    setDraft(EMPTY);
    setTouched(new Set());
    setProblems([]);
    setSaid("");
  };

  useEffect(() => {
    const row = picked.value;
    if (row === null) return;
    picked.value = null;
    void openStored(row, who).then((found) => {
      setProblems([]);
      if (typeof found === "string") return setSaid(found);
      setSaid("");
      setSure(false);
      setBase(found);
      setDraft(draftOf(found, markInUse()));
      setTouched(new Set(["desk", "dealer"]));
      focus("quantity");
    });
  }, [picked.value]);

  /** One at a time: a second Enter before the answer would be a second trade. */
  const busy = useRef(false);

  const book = async (made: Made, note = ""): Promise<void> => {
    if (busy.current) return;
    if ("problems" in made) {
      setProblems(made.problems);
      const [first] = made.problems;
      if (first !== undefined) focus(first.field);
      return;
    }
    setProblems([]);
    setSaid(note);
    busy.current = true;
    const fate = await send(made.item).finally(() => void (busy.current = false));
    // What may be stored is not left in the fields, where Enter would book it under another name; without an answer it is kept below.
    if (["applied", "duplicate", "quarantined", "superseded", "parked", "unanswered"].includes(fate.status)) {
      setBase(null);
      setDraft(base === null ? { ...filled, quantity: "", price: "", comment: "", ts: "" } : EMPTY);
      focus("instrument");
    }
  };

  const make = (): Made => {
    const reading = readingNow();
    return base === null ? newTrade(filled, reading, ownTradeId(reading.now, crypto.getRandomValues(new Uint8Array(12)))) : amendOf(base, filled, reading);
  };

  const submit = (event: Event): void => {
    event.preventDefault();
    const made = make();
    const dropped = base !== null && "item" in made && dropsContra(base, made.item);
    void book(made, dropped ? `the exact cash ${textOf(base, "contra_amount")} was of another quantity or price, and is left out` : "");
  };

  const change = (field: FieldId, value: string): void => {
    setDraft({ ...draft, [field]: value });
    setTouched(new Set([...touched, field]));
    setProblems(problems.filter((problem) => problem.field !== field));
  };

  return (
    <section class="ticket" aria-label="Ticket" onKeyDown={(event) => {
      if (event.key === "Escape" && base !== null) leave();
      event.stopPropagation(); // letters are for the fields
    }}>
      <form ref={form} onSubmit={submit} autocomplete="off" onPaste={(event) => {
        const text = event.clipboardData?.getData("text/plain") ?? "";
        if (!/[\t\n]/.test(text.trim())) return;
        event.preventDefault();
        setPasted(text);
      }}>
        {FIELDS.filter((field) => field.more !== true || more).map((field) => (
          <Field key={field.id} field={field} value={filled[field.id]} problem={problems.find((problem) => problem.field === field.id)?.reason ?? ""}
            frozen={base !== null && field.id === "ts"} choices={choicesOf(field.id, who, desks)} onChange={(value) => change(field.id, value)} />
        ))}
        <span class="ticket-buttons">
          {base === null ? (
            <>
              <button type="submit" class="strong">Book</button>
              <button type="button" aria-expanded={more} onClick={() => prefer({ ticketMore: !more })}>{more ? "Less" : "More"}</button>
              <button type="button" aria-expanded={pasted !== null} onClick={() => setPasted(pasted === null ? "" : null)}>Paste rows</button>
            </>
          ) : (
            <>
              <button type="submit" class="strong">Amend</button>
              {sure ? (
                <button type="button" class="alarm" onClick={() => void book({ item: cancelOf(base, readingNow()) })}>Yes, cancel it</button>
              ) : (
                <button type="button" onClick={() => setSure(true)}>Cancel the trade</button>
              )}
              <button type="button" onClick={leave}>Leave</button>
            </>
          )}
          <span class="quiet">
            {base === null ? "Enter books" : <>Version {(numberOf(base, "version") ?? 1) + 1} of <b>{printable(`${textOf(base, "source")} ${textOf(base, "trade_id")}`)}</b></>}
            ; numbers are read as{" "}
            <select aria-label="How numbers are read" value={markInUse()} onChange={(event) => prefer({ decimalMark: event.currentTarget.value })}>
              {([".", ","] as const).map((mark) => <option key={mark} value={mark}>{EXAMPLES[mark]}</option>)}
            </select>
            {base === null && "; Enter on a line below amends or cancels it"} <a href={manualUrl(TICKET)} target={MANUAL_TAB}>manual</a>
          </span>
        </span>
      </form>
      <p class="alarm" role="alert">{printable([...problems.map(({ field, reason }) => `${labelOf(field)}: ${reason}`), said].filter(Boolean).join("; "))}</p>
      <AheadOf written={JSON.stringify([filled, base, markInUse()])} make={make} />
      <Outcomes />
      {pasted !== null && <PastePanel text={pasted} desk={filled.desk} dealer={filled.dealer} reading={readingNow} onClose={() => setPasted(null)} />}
    </section>
  );
}

const labelOf = (id: FieldId): string => FIELDS.find((field) => field.id === id)?.label ?? id;

type FieldProps = {
  field: TicketField; value: string; problem: string; frozen: boolean; choices: readonly string[]; onChange: (value: string) => void;
};

function Field({ field, value, problem, frozen, choices, onChange }: FieldProps): JSX.Element {
  const { id, label, title, width, required } = field;
  const shared = { name: id, title: problem || title, "aria-invalid": problem !== "", ...(required === true && { "aria-required": true as const }) };
  return (
    <label class={problem === "" ? "" : "alarm"}>
      <span>{label}</span>
      {id === "side" ? (
        <select {...shared} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
          <option value="">{"\u2014"}</option>
          <option value="buy">buy</option>
          <option value="sell">sell</option>
        </select>
      ) : (
        <input {...shared} type="text" style={{ width: `${width}px` }} value={value} disabled={frozen} spellcheck={false} autocomplete="off"
          {...(choices.length > 0 && { list: `ticket-${id}` })} {...(id === "ts" && { placeholder: frozen ? "unchanged" : "now" })}
          onInput={(event) => onChange(event.currentTarget.value)} />
      )}
      {choices.length > 0 && <datalist id={`ticket-${id}`}>{choices.map((choice) => <option key={choice} value={choice}>{printable(choice)}</option>)}</datalist>}
    </label>
  );
}

function choicesOf(field: FieldId, who: Session, desks: readonly string[]): readonly string[] {
  if (field === "desk") return desks.slice(0, MOST_CHOICES);
  if (field === "dealer") return who.dealers ?? [];
  return field === "instrument" ? [...instruments.value.keys()].slice(0, MOST_CHOICES) : [];
}

/** Desk and dealer are filled in where only one is possible, or where the user is, until the user writes there. */
function withUsual(draft: Draft, touched: ReadonlySet<FieldId>, who: Session, desks: readonly string[], place: Place): Draft {
  const desk = "node" in place && desks.includes(place.node) ? place.node : desks.length === 1 ? (desks[0] ?? "") : "";
  const here = "dealer" in place ? place.dealer : "";
  const dealer = who.dealers?.length === 1 ? (who.dealers[0] ?? "") : who.dealers === null || who.dealers.includes(here) ? here : "";
  return { ...draft, desk: draft.desk || (touched.has("desk") ? "" : desk), dealer: draft.dealer || (touched.has("dealer") ? "" : dealer) };
}

/** The newest version of a trade, exact; or a sentence why it cannot be changed here. */
async function openStored(row: Row, who: Session): Promise<Row | string> {
  const name = `${textOf(row, "source")} ${textOf(row, "trade_id")}`;
  const reason = whyNot(who, row);
  if (reason !== "") return `${name}: ${reason}`;
  try {
    const query = { source: textOf(row, "source"), trade_id: textOf(row, "trade_id"), exact: true, limit: 1000 };
    const found = rowsOf(await read("v1/trades", query), "rows").find((each) => numberOf(each, "leg") === (numberOf(row, "leg") ?? 0));
    if (found === undefined) return `${name} is not among the stored trades`;
    if (textOf(found, "action") === "cancel") return `${name} is cancelled: book a new trade`;
    ownTrades.add(textOf(found, "trade_id"));
    return found;
  } catch (problem) {
    return `${name} was not read: ${reasonOf(problem)}`;
  }
}
