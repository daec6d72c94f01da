// Reads that are repeated while a component is shown: for what the stream does not say. Each keeps its last answer, why the
// last try failed, and when it was read, so that the page can say how old it is.

import { useEffect, useMemo } from "preact/hooks";
import type { Row } from "../store/messages";
import { isLive, link } from "./engine";
import { HttpRefusal, post, type Query, read, reasonOf } from "./http";
import { paintSoon, paintWith } from "./painting";

/** What the stream says changes together with the answer; never asked more often than this for it. */
const REST_MS = 1_000;

/** Refusals that pass: not there yet, gone already, too many questions at once. */
const PASSING = new Set([404, 410, 429]);

export class Polled {
  answer: Row | undefined = undefined;
  /** Why the newest try failed; empty where it did not. */
  problem = "";
  /** Whether the engine refuses to say it at all: nothing is asked again. */
  refused = false;
  /** Rises with every answer and every failure. */
  version = 0;
  private readAt: number | null = null;
  private startedAt = -Infinity;
  private epoch = -1;
  private seen = "";
  private running: AbortController | null = null;

  constructor(
    path: string,
    query: Query,
    private readonly everyMs: number,
    /** What the stream says of it: another text means that there is something new to read. */
    private readonly said: () => string = () => "",
    /** How it is asked, where that is no plain read. */
    private readonly ask: (signal: AbortSignal) => Promise<Row> = (signal) => read(path, query, signal),
  ) {}

  /** Milliseconds since the answer came; null before the first. */
  get ageMs(): number | null {
    return this.readAt === null ? null : performance.now() - this.readAt;
  }

  /** Read now, whenever it was read. */
  again(): void {
    this.startedAt = -Infinity;
    paintSoon();
  }

  /** Called with every painting: reads when it is due, at once from another engine, and never from one that is not live. */
  look(): void {
    const epoch = link.connection.epoch ?? -1;
    const [since, said] = [performance.now() - this.startedAt, this.said()];
    const isDue = since >= this.everyMs || epoch !== this.epoch || (said !== this.seen && since >= REST_MS);
    if (!isDue || this.running !== null || !isLive() || document.hidden || (this.refused && epoch === this.epoch)) return;
    this.epoch = epoch;
    this.seen = said;
    void this.load();
  }

  stop(): void {
    this.running?.abort();
    this.running = null;
  }

  private async load(): Promise<void> {
    const running = new AbortController();
    this.running = running;
    this.startedAt = performance.now();
    try {
      this.answer = await this.ask(running.signal);
      this.readAt = performance.now();
      this.problem = "";
      this.refused = false;
    } catch (failed) {
      if (running.signal.aborted) return;
      this.problem = reasonOf(failed);
      this.refused = failed instanceof HttpRefusal && failed.status < 500 && !PASSING.has(failed.status);
    } finally {
      if (this.running === running) this.running = null;
    }
    this.version += 1;
    paintSoon();
  }
}

/** What a path says, read again every `everyMs` while the component is shown, and when the stream says something else of it. */
export function usePolled(path: string, query: Query, everyMs: number, said?: () => string): Polled {
  const name = JSON.stringify([path, query, everyMs]);
  const polled = useMemo(() => new Polled(path, query, everyMs, said), [name]);
  useLooked(polled);
  return polled;
}

/** The answer to a question that is posted, asked again every `everyMs` while the component is shown. */
export function usePosted(path: string, body: unknown, everyMs: number): Polled {
  const name = JSON.stringify([path, body, everyMs]);
  const polled = useMemo(() => new Polled(path, {}, everyMs, undefined, () => post(path, body)), [name]);
  useLooked(polled);
  return polled;
}

function useLooked(polled: Polled): void {
  useEffect(() => {
    const stop = paintWith(() => polled.look());
    return () => {
      stop();
      polled.stop();
    };
  }, [polled]);
}
