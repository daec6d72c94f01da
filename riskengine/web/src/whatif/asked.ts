// A check and a what-if, asked together: the newest question wins, and each keeps its own answer or the reason why there is none.

import type { Row } from "../store/messages";
import type { Item } from "../ticket/booking";
import type { Shift, Shock } from "./typed";

export type Question = {
  readonly nodes: readonly string[];
  readonly trades: readonly Item[];
  readonly moves: readonly (Shift | Shock)[];
  readonly withVar: boolean;
};

export type Told = { readonly answer: Row | undefined; readonly problem: string };

const NOTHING: Told = { answer: undefined, problem: "" };

/** The body of `POST /v1/whatif`. Of several shocks the last one counts: the engine takes one. */
export function whatIfBody({ nodes, trades, moves, withVar }: Question): Record<string, unknown> {
  const shocks = moves.flatMap((move) => ("shock" in move ? [String(move["shock"])] : []));
  const shifts = moves.filter((move) => !("shock" in move));
  const shock = shocks.at(-1);
  return { nodes, trades, shifts, ...(shock !== undefined && { shock }), ...(withVar && { var: true }) };
}

export class Asked {
  check: Told = NOTHING;
  whatif: Told = NOTHING;
  /** The name of the question that the answers are of; empty where there are none. */
  of = "";
  /** Rises with every answer. */
  version = 0;
  private newest = 0;

  constructor(
    private readonly changed: () => void,
    /** The answer to a body that is posted, or the reason why there is none. */
    private readonly tell: (path: string, body: unknown) => Promise<Told>,
  ) {}

  /** Ask both; an answer to an older question is dropped. */
  async ask(question: Question, name: string): Promise<void> {
    this.newest += 1;
    const mine = this.newest;
    const [check, whatif] = await Promise.all([
      question.trades.length === 0 ? NOTHING : this.tell("v1/check", question.trades),
      this.tell("v1/whatif", whatIfBody(question)),
    ]);
    if (mine !== this.newest) return;
    this.of = name;
    this.check = check;
    this.whatif = whatif;
    this.version += 1;
    this.changed();
  }

  /** Nothing is asked: what was answered is of something else. */
  forget(): void {
    this.newest += 1;
    this.of = "";
    this.check = NOTHING;
    this.whatif = NOTHING;
    this.version += 1;
    this.changed();
  }

  stop(): void {
    this.newest += 1;
  }
}
