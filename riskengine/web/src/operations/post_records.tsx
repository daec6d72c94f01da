// Cash, carry and corporate actions that a person enters. Each record keeps its name until it is stored: sent again it is the same
// one, which counts once.

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ActButton, type Outcome, Said, useActing } from "../live/acting";
import { link } from "../live/engine";
import type { Row } from "../store/messages";
import { rowsOf, textOf } from "../store/rows";
import { FORMS, lacking, recordOf, type Words } from "./records";

const newDraft = (): { name: string; ts: number } => {
  const ts = Math.round(link.engineNow() ?? Date.now() * 1000);
  return { name: `page-${new Date(ts / 1000).toISOString().slice(0, 19)}-${Math.random().toString(36).slice(2, 8)}`, ts };
};

export function PostRecord({ node, onDone }: { node: string; onDone: () => void }): JSX.Element {
  const acting = useActing();
  const [kind, setKind] = useState("cash");
  const [written, setWritten] = useState<Words>({ node });
  const [draft, setDraft] = useState(newDraft);
  const form = FORMS[kind] ?? FORMS["cash"];
  const missing = lacking(kind, written);
  const change = (field: string, value: string): void => {
    setWritten({ ...written, [field]: value });
    if (acting.outcome?.well === true) acting.clear();
  };
  const post = async (): Promise<void> => {
    if (missing !== "" || form === undefined) return;
    if (!(await acting.send(form.path, recordOf(kind, written, draft.name, draft.ts), (answer) => storedAs(answer, draft.name)))) return;
    setDraft(newDraft());
    setWritten({ ...written, amount: "", ratio: "", comment: "" });
    onDone();
  };
  return (
    <form class="line" aria-label="Enter cash, carry or an action" onSubmit={(event) => { event.preventDefault(); void post(); }}>
      <select aria-label="What is entered" value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
        {Object.entries(FORMS).map(([id, { label }]) => <option key={id} value={id}>{label}</option>)}
      </select>
      {Object.entries(form?.fields ?? {}).map(([field, asked]) =>
        typeof asked === "string" ? (
          <input key={field} type="text" name={field} aria-label={field.replaceAll("_", " ")} placeholder={asked} value={written[field] ?? ""} onInput={(event) => change(field, event.currentTarget.value)} />
        ) : (
          <select key={field} aria-label={field} value={written[field] ?? ""} onChange={(event) => change(field, event.currentTarget.value)}>
            <option value="">{field}</option>
            {asked.map((each) => <option key={each} value={each}>{each.replaceAll("_", " ")}</option>)}
          </select>
        ),
      )}
      <ActButton acting={acting} disabled={missing !== ""} title={missing === "" ? "Enter does the same" : `name the ${missing.replaceAll("_", " ")}`} submit>Enter it</ActButton>
      <Said acting={acting} />
    </form>
  );
}

/** One that is stored already is as good as stored now: an answer got lost. */
function storedAs(answer: Row, name: string): Outcome {
  const [result] = rowsOf(answer, "results");
  const status = textOf(result, "status");
  if (status === "applied" || status === "duplicate") return { well: true, text: `${status === "applied" ? "stored" : "stored already"} as ${name}` };
  return { well: false, text: [status || "no result", textOf(result, "reason")].filter(Boolean).join(": ") };
}
