// The layouts that the user has kept: go to one, keep the present one, forget one.

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { forgetLayout, keepLayout, layoutNames, takeLayout } from "../settings/layouts";
import { printable } from "../words/printable";

const LONGEST = 40;

export function LayoutList({ onTaken }: { onTaken: () => void }): JSX.Element {
  const [name, setName] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const names = layoutNames();
  const forget = (each: string): void => {
    forgetLayout(each);
    input.current?.focus(); // its own button is gone
  };
  const keep = (event: Event): void => {
    event.preventDefault();
    const wanted = name.trim();
    if (wanted === "") return;
    keepLayout(wanted);
    setName("");
  };
  return (
    <section class="layouts" aria-label="Layouts">
      <h3>Layouts</h3>
      {names.length === 0 && <p class="quiet">Where the page is, its columns and what is shown, under a name.</p>}
      <ul>
        {names.map((each) => (
          <li key={each}>
            <button type="button" onClick={() => { takeLayout(each); onTaken(); }}>{printable(each)}</button>
            <button type="button" aria-label={`Forget the layout ${printable(each)}`} title="Forget it" onClick={() => forget(each)}>×</button>
          </li>
        ))}
      </ul>
      <form class="line" onSubmit={keep}>
        <input type="text" ref={input} aria-label="Name of the present layout" placeholder="name" maxLength={LONGEST} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        <button type="submit">{names.includes(name.trim()) ? "Replace" : "Keep this one"}</button>
      </form>
    </section>
  );
}
