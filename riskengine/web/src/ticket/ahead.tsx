// What the engine would say of the ticket as it is written, before it is booked: shown where it is not plain.

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { post } from "../live/http";
import { rowsOf, textOf } from "../store/rows";
import { printable } from "../words/printable";
import type { Item, Made } from "./booking";
import { type Fate, fateOf } from "./fates";

const PAUSE_MS = 350;

type Ahead = { readonly fate: Fate; readonly instrument: string };

/** `make` reads the ticket; `written` changes with it. */
export function AheadOf({ written, make }: { written: string; make: () => Made }): JSX.Element {
  const [ahead, setAhead] = useState<Ahead | null>(null);
  useEffect(() => {
    setAhead(null);
    const made = make();
    if ("problems" in made) return undefined;
    let ended = false;
    const timer = setTimeout(() => {
      void ask(made.item).then((found) => void (ended || setAhead(found)), () => undefined); // booking says what is wrong
    }, PAUSE_MS);
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [written]);

  const words = ahead === null ? "" : wordsOf(ahead);
  return <p class={`ahead fate-${ahead?.fate.tone ?? "quiet"}`} role="status" hidden={words === ""}>{printable(words)}</p>;
}

async function ask(item: Item): Promise<Ahead> {
  const [result = {}] = rowsOf(await post("v1/trades/check", [item]), "results");
  const instrument = textOf(result, "instrument");
  return { fate: fateOf(result, true), instrument: instrument === item["instrument"] ? "" : instrument };
}

function wordsOf({ fate, instrument }: Ahead): string {
  const plain = fate.status === "applied" && fate.reason === "";
  const parts = [plain ? "" : `${fate.words}${fate.reason ? `: ${fate.reason}` : ""}`, instrument === "" ? "" : `a forward: ${instrument}`];
  const said = parts.filter((part) => part !== "").join("; ");
  return said === "" ? "" : `As written: ${said}`;
}
