// Steps of a P&L: how far it has gone since it was last told, in whole steps.

export type Step = { readonly steps: number; readonly value: number };

export class PnlSteps {
  private anchor: number | null = null;
  private day: number | null = null;

  /**
   * The whole steps since the last ones that were told, negative for a fall; null where there are none. The first known value, and
   * that of a new trading day, is where counting begins. An unknown value changes nothing.
   */
  look(value: number | null, dayStartTs: number | null, step: number): Step | null {
    if (value === null || !(step > 0)) return null;
    if (this.anchor === null || dayStartTs !== this.day) {
      [this.anchor, this.day] = [value, dayStartTs];
      return null;
    }
    const steps = Math.trunc((value - this.anchor) / step);
    if (steps === 0) return null;
    this.anchor += steps * step;
    return { steps, value };
  }

  /** Begin anew: another place, or another step. */
  reset(): void {
    this.anchor = null;
  }
}

/** A step as a person types it, in digits with groups or `k` and `m`; null for what is none. */
export function readStep(text: string): number | null {
  const parts = /^(\d+(?:\.\d+)?)(k|m)?$/.exec(text.replace(/[\s,'\u00a0\u202f]/g, "").toLowerCase());
  if (parts === null) return null;
  const value = Number(parts[1]) * (parts[2] === "k" ? 1e3 : parts[2] === "m" ? 1e6 : 1);
  return value > 0 ? value : null;
}
