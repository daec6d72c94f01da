// Trades over HTTP, read again whenever the stream says that something was dealt.

import { HttpRefusal, read, reasonOf } from "../live/http";
import { paintSoon } from "../live/painting";
import type { Row } from "../store/messages";
import { numberOf, rowsOf, textOf } from "../store/rows";
import { KEPT_OUT_KINDS, withKeptOut } from "./kept_out";
import { exceptionsQuery, type TradeQuery, tradesQuery } from "./query";

const REST_MS = 400;
/** A reading that took long (a filter over millions of trades) is not made again before so many times as long. */
const RESTS = 4;
const TRY_AGAIN_MS = 2_000;
const MANY = 1_000;

export class TradeList {
  rows: readonly Row[] = [];
  /** How many trades there are in all. */
  total: number | null = null;
  /** How many of them are among `rows`; the others of `rows` are versions in conflict. */
  stored = 0;
  problem = "";
  loaded = false;
  /** Rises with every answer. */
  version = 0;
  private seen: string | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: AbortController | null = null;
  private lastStart = -Infinity;
  private lastTook = 0;

  constructor(private query: TradeQuery) {}

  /** Ask for other trades: what is shown goes, because it is of another place. */
  ask(query: TradeQuery): void {
    if (JSON.stringify(query) === JSON.stringify(this.query)) return;
    const grows = JSON.stringify({ ...query, limit: 0 }) === JSON.stringify({ ...this.query, limit: 0 });
    this.query = query;
    if (!grows) {
      this.rows = [];
      this.total = null;
      this.loaded = false;
    }
    this.seen = null;
  }

  /** Call with what the stream says of trades of this place: another text means that there are new ones. */
  follow(said: string): void {
    if (said === this.seen) return;
    this.seen = said;
    this.plan(Math.max(0, this.lastStart + Math.max(REST_MS, this.lastTook * RESTS) - performance.now()));
  }

  stop(): void {
    clearTimeout(this.timer);
    this.running?.abort();
  }

  private plan(ms: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.load(), ms);
  }

  private async load(): Promise<void> {
    this.running?.abort();
    const running = new AbortController();
    this.running = running;
    this.lastStart = performance.now();
    const asked = exceptionsQuery(this.query);
    try {
      const [trades, exceptions] = await Promise.all([
        read("v1/trades", tradesQuery(this.query), running.signal),
        asked === null ? {} : read("v1/exceptions", { ...asked, limit: MANY }, running.signal),
      ]);
      const kept = rowsOf(exceptions, "rows").filter((row) => KEPT_OUT_KINDS.has(textOf(row, "kind")));
      const stored = rowsOf(trades, "rows");
      this.rows = withKeptOut(stored, kept, this.query.filters);
      this.total = numberOf(trades, "total");
      this.stored = stored.length;
      this.problem = "";
    } catch (problem) {
      if (running.signal.aborted) return;
      this.problem = reasonOf(problem);
      if (problem instanceof HttpRefusal && problem.status < 500) [this.rows, this.total, this.stored] = [[], null, 0];
      if (!(problem instanceof HttpRefusal) || problem.status >= 500) this.plan(TRY_AGAIN_MS);
    }
    this.lastTook = performance.now() - this.lastStart;
    this.loaded = true;
    this.version += 1;
    paintSoon();
  }
}
