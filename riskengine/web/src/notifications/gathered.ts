// No storm: the first of a kind is told at once, what follows within a while is told together, with how many there were.

export type Notice = { readonly kind: string; readonly title: string; readonly body: string; readonly count: number };

/** Between two notices of a kind. */
export const REST_MS = 10_000;

export class Gathered {
  private readonly resting = new Map<string, number>();
  private readonly held = new Map<string, Notice>();

  add(notice: Notice): void {
    const before = this.held.get(notice.kind);
    this.held.set(notice.kind, { ...notice, count: notice.count + (before?.count ?? 0) });
  }

  /** What is to be told now. `now` is of a clock that only rises, milliseconds. */
  take(now: number): Notice[] {
    const due = [...this.held.values()].filter(({ kind }) => now >= (this.resting.get(kind) ?? -Infinity));
    for (const { kind } of due) {
      this.held.delete(kind);
      this.resting.set(kind, now + REST_MS);
    }
    return due;
  }

  /** Milliseconds until something is due; null while nothing is held. */
  waitMs(now: number): number | null {
    const due = [...this.held.keys()].map((kind) => Math.max(0, (this.resting.get(kind) ?? now) - now));
    return due.length === 0 ? null : Math.min(...due);
  }
}
