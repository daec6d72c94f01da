// Which columns a grid shows. Their order is changed by dragging headers, or with Shift and the arrows on a header.

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ColumnChoice } from "../settings/preferences";
import { MANUAL_TAB, manualUrl } from "../words/manual";
import type { Column } from "./column";
import { paragraphOf } from "./paragraphs";

type Props = { grid: string; columns: readonly Column[]; choices: readonly ColumnChoice[]; onChange: (id: string, shown: boolean) => void };

export function ColumnChooser({ grid, columns, choices, onChange }: Props): JSX.Element {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const shown = new Set(choices.flatMap(({ id, shown }) => (shown ? id : [])));

  useEffect(() => {
    if (!open) return;
    box.current?.querySelector("input")?.focus();
    const leave = (event: Event): void => {
      if (event.target instanceof Node && box.current?.parentElement?.contains(event.target) === false) setOpen(false);
    };
    addEventListener("pointerdown", leave);
    return () => removeEventListener("pointerdown", leave);
  }, [open]);

  return (
    <div class="chooser" onKeyDown={(event) => event.key === "Escape" && (setOpen(false), event.stopPropagation())}>
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>Columns</button>
      {open && (
        <div class="popover" role="group" aria-label="Columns" ref={box}>
          {columns.slice(1).map(({ id, label, title }) => {
            const about = paragraphOf(grid, id);
            return (
              <div class="with-about" key={id}>
                <label title={title}>
                  <input type="checkbox" checked={shown.has(id)} onChange={(event) => onChange(id, event.currentTarget.checked)} />
                  {label}
                </label>
                {about !== undefined && <a class="about" href={manualUrl(about)} target={MANUAL_TAB} aria-label={`${label} in the manual`}>?</a>}
              </div>
            );
          })}
        </div>
      )}
    </div>
  );
}
