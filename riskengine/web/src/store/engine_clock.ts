// The engine's clock, from the times in its messages. The computer's own clock is never asked: somebody may set it.
//
// The newest time on the shortest way is the best estimate, so a message can only put the estimate forward; the slow
// drift lets it follow an engine whose clock was set back. A new connection begins anew.

const DRIFT_US_PER_MESSAGE = 5_000;

export class EngineClock {
  private aheadUs: number | null = null;

  reset(): void {
    this.aheadUs = null;
  }

  /** A message with the engine's time `ts` (microseconds) came at `nowMs` of a clock that only runs. */
  note(ts: number, nowMs: number): void {
    const ahead = ts - nowMs * 1000;
    this.aheadUs = this.aheadUs === null ? ahead : Math.max(ahead, this.aheadUs - DRIFT_US_PER_MESSAGE);
  }

  /** The engine's time in microseconds; null before its first message. */
  at(nowMs: number): number | null {
    return this.aheadUs === null ? null : nowMs * 1000 + this.aheadUs;
  }
}
