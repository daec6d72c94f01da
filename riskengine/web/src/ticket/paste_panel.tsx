// Rows from a spreadsheet: the fate of each, as the engine judges it, before anything is booked.

import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { post, reasonOf } from "../live/http";
import { preferences } from "../settings/preferences";
import { rowsOf } from "../store/rows";
import { countText } from "../words/numbers";
import { printable } from "../words/printable";
import type { Item, Reading } from "./booking";
import { countWords, type Fate, fateOf, unsendable } from "./fates";
import { FIELDS, type FieldId } from "./fields";
import { ZONE } from "./moments";
import { MOST_ROWS, type PastedRow, readPasted } from "./paste";
import { postAll } from "./sent";

const POSTED_AT_ONCE = 500;
const SHOWN: readonly FieldId[] = ["instrument", "side", "quantity", "price", "desk", "dealer", "value_date", "counterparty"];
const WAIT_MS = 250;

type Props = { text: string; desk: string; dealer: string; reading: () => Reading; onClose: () => void };

export function PastePanel({ text, desk, dealer, reading, onClose }: Props): JSX.Element {
  const [written, setWritten] = useState(text);
  const [fates, setFates] = useState<ReadonlyMap<number, Fate>>(new Map());
  const [problem, setProblem] = useState("");
  const [keptOutToo, setKeptOutToo] = useState(false);
  const [busy, setBusy] = useState(false);
  useEffect(() => setWritten(text), [text]);
  const { decimalMark } = preferences.value;
  const pasted = useMemo(() => readPasted(written, { desk, dealer }, reading()), [written, desk, dealer, decimalMark]);

  useEffect(() => {
    let ended = false;
    setFates(new Map(pasted.rows.flatMap(({ line, problems }) => (problems.length === 0 ? [] : [[line, unsendable(problems.map(({ field, reason }) => `${field}: ${reason}`))] as const]))));
    const timer = setTimeout(() => {
      void judge(pasted.rows).then(
        (found) => {
          if (!ended) setFates((known) => new Map([...known, ...found]));
          if (!ended) setProblem("");
        },
        (failed) => void (ended || setProblem(`not checked: ${reasonOf(failed)}`)),
      );
    }, WAIT_MS);
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [pasted]);

  const bookable = pasted.rows.filter(({ line }) => {
    const status = fates.get(line)?.words;
    return status === "valid" || (keptOutToo && status === "would be kept out");
  });
  const keptOut = [...fates.values()].filter(({ words }) => words === "would be kept out").length;
  const unanswered = pasted.rows.filter(({ line }) => fates.get(line)?.status === "unanswered");

  const book = async (rows: readonly PastedRow[]): Promise<void> => {
    setBusy(true);
    for (let first = 0; first < rows.length; first += POSTED_AT_ONCE) {
      const some = rows.slice(first, first + POSTED_AT_ONCE);
      const found = await postAll(some.flatMap(({ item }) => (item === null ? [] : [item])));
      setFates((known) => new Map([...known, ...some.flatMap(({ line }, place) => (found[place] === undefined ? [] : [[line, found[place]] as const]))]));
    }
    setBusy(false);
  };

  return (
    <div class="paste" role="region" aria-label="Paste rows" onKeyDown={(event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      onClose();
    }}>
      <label>
        <span class="quiet">Rows of a spreadsheet, with headers or in the order of the ticket ({FIELDS.filter(({ more }) => more !== true).map(({ label }) => label.toLowerCase()).join(", ")}); at most {MOST_ROWS}. Times without an offset are read in {ZONE}.</span>
        <textarea rows={pasted.rows.length === 0 ? 5 : 2} spellcheck={false} value={written} autofocus onInput={(event) => setWritten(event.currentTarget.value)} />
      </label>
      <div class="tools">
        <b role="status">{problem || (pasted.rows.length === 0 ? "nothing to book yet" : `${countText(pasted.rows.length, "row")}: ${countWords(pasted.rows.flatMap(({ line }) => fates.get(line) ?? [])) || "being checked\u2026"}`)}</b>
        <span class="quiet">{printable([...pasted.notes, ...(pasted.ignored.length > 0 ? [`not read: ${pasted.ignored.join(", ")}`] : [])].join("; "))}</span>
        <span class="space" />
        {keptOut > 0 && <label class="tick"><input type="checkbox" checked={keptOutToo} onChange={(event) => setKeptOutToo(event.currentTarget.checked)} />also what would be kept out</label>}
        {unanswered.length > 0 && <button type="button" disabled={busy} onClick={() => void book(unanswered)}>Send {countText(unanswered.length, "row")} again</button>}
        <button type="button" class="strong" disabled={busy || bookable.length === 0} onClick={() => void book(bookable)}>Book {countText(bookable.length, "row")}</button>
        <button type="button" onClick={onClose}>Close</button>
      </div>
      {pasted.rows.length > 0 && <Preview rows={pasted.rows} fates={fates} />}
    </div>
  );
}

function Preview({ rows, fates }: { rows: readonly PastedRow[]; fates: ReadonlyMap<number, Fate> }): JSX.Element {
  return (
    <div class="scrolled" tabIndex={0} role="region" aria-label="The fate of each row">
      <table>
        <thead>
          <tr><th>Row</th><th>Fate</th><th>Why</th>{SHOWN.map((id) => <th key={id} class={isNumber(id) ? "right" : ""}>{FIELDS.find((field) => field.id === id)?.label}</th>)}<th>Trade</th></tr>
        </thead>
        <tbody>
          {rows.map(({ line, draft, item }) => {
            const fate = fates.get(line);
            return (
              <tr key={line} class={`fate-${fate?.tone ?? "quiet"}`} data-status={fate?.status ?? ""}>
                <td class="right">{line}</td>
                <td><b>{fate?.words ?? "\u2026"}</b></td>
                <td class="why">{printable(fate?.reason ?? "")}</td>
                {SHOWN.map((id) => <td key={id} class={isNumber(id) ? "right" : ""} title={printable(draft[id])}>{printable(shownAs(item, draft[id], id))}</td>)}
                <td>{printable(String(item?.["trade_id"] ?? ""))}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** As it will be sent; as it was written where it cannot be sent. */
const shownAs = (item: Item | null, written: string, id: FieldId): string => (item === null ? written : String(item[id] ?? ""));
const isNumber = (id: FieldId): boolean => id === "quantity" || id === "price";

/** The fate of each row that can be sent, by its line: all at once, because each is judged behind those before it. */
async function judge(rows: readonly PastedRow[]): Promise<[number, Fate][]> {
  const readable = rows.filter(({ item }) => item !== null);
  if (readable.length === 0) return [];
  const results = rowsOf(await post("v1/trades/check", readable.map(({ item }) => item)), "results");
  return readable.map(({ line }, place) => [line, fateOf(results[place] ?? {}, true)]);
}
