// Something that a person does: sent once, and its answer stands where it was clicked.

import type { ComponentChildren, JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { isLive } from "./engine";
import { HttpRefusal, post } from "./http";
import type { Row } from "../store/messages";
import { printable } from "../words/printable";

export type Outcome = { readonly well: boolean; readonly text: string };

export type Acting = {
  readonly busy: boolean;
  readonly outcome: Outcome | null;
  /** Post a body; `said` makes the words of the answer. Returns whether it went well. */
  send(path: string, body: unknown, said: (answer: Row) => Outcome): Promise<boolean>;
  clear(): void;
};

export function useActing(): Acting {
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const sending = useRef(false);
  return {
    busy,
    outcome,
    clear: () => setOutcome(null),
    send: async (path, body, said) => {
      if (sending.current || !isLive()) return false;
      sending.current = true;
      setBusy(true);
      setOutcome(null);
      const came = await sent(path, body, said);
      sending.current = false;
      setBusy(false);
      setOutcome(came);
      return came.well;
    },
  };
}

async function sent(path: string, body: unknown, said: (answer: Row) => Outcome): Promise<Outcome> {
  try {
    return said(await post(path, body));
  } catch (failed) {
    if (failed instanceof HttpRefusal) return { well: false, text: `refused: ${failed.message}` };
    return { well: false, text: "no answer came: nobody knows whether it was done; look before you do it again" };
  }
}

/** The answer to what was done last. */
export function Said({ acting }: { acting: Acting }): JSX.Element {
  const { busy, outcome } = acting;
  return (
    <output class={`answer ${outcome === null ? "quiet" : outcome.well ? "good" : "alarm"}`} aria-live="polite">
      {busy ? "sending\u2026" : outcome === null ? "" : printable(outcome.text)}
    </output>
  );
}

type Props = { acting: Acting; onClick?: () => void; submit?: boolean; title?: string; disabled?: boolean; children: ComponentChildren };

/** A button that does something at the engine: not while the link is lost, and not twice at a time. It keeps the focus meanwhile. */
export function ActButton({ acting, onClick, submit, title, disabled, children }: Props): JSX.Element {
  const live = isLive();
  const off = acting.busy || !live || disabled === true;
  return (
    <button
      type={submit === true ? "submit" : "button"}
      class="act"
      aria-disabled={off}
      title={live ? (title ?? "") : "not while the engine is not live"}
      onClick={(event) => {
        if (off) event.preventDefault();
        else onClick?.();
      }}
    >
      {children}
    </button>
  );
}
