// A curve of one measure of a node: its history, continued by what the stream says, and its greatest fall.

export type Fall = { readonly amount: number; readonly from: number; readonly to: number };

/** A point of a history: seconds since 1970, the last value of its stretch, and the highest in it. */
export type Point = { readonly time: number; readonly value: number | null; readonly max: number | null };

const SHORT_S = 300;
const GAP_STRETCHES = 10;

export class Series {
  readonly times: number[] = [];
  /** Unknown moments are gaps. */
  readonly values: (number | null)[] = [];
  private peak = -Infinity;
  private peakAt = 0;

  /** `fall` is the engine's own, of every sample: the points are of stretches. */
  constructor(
    points: readonly Point[],
    public fall: Fall | null,
    private readonly stretchS: number,
  ) {
    for (const { time, value, max } of points) {
      const last = this.times.at(-1);
      // Within a day nothing is drawn over a time without samples; over days the closes are joined.
      if (last !== undefined && stretchS < SHORT_S && time - last > GAP_STRETCHES * stretchS) this.push(last + stretchS, null);
      this.push(time, value);
      if (max !== null && max > this.peak) [this.peak, this.peakAt] = [max, time];
    }
  }

  private push(time: number, value: number | null): void {
    this.times.push(time);
    this.values.push(value);
  }

  get last(): number | null {
    return this.values.at(-1) ?? null;
  }

  /** A newer value: in place of the last one while that is of the same stretch, else behind it. */
  extend(time: number, value: number | null): void {
    const last = this.times.at(-1);
    if (last !== undefined && time <= last) return;
    const before = this.times.at(-2);
    if (last !== undefined && before !== undefined && time - before < this.stretchS) {
      this.times[this.times.length - 1] = time;
      this.values[this.values.length - 1] = value;
    } else this.push(time, value);
    if (value === null) return;
    if (value > this.peak) [this.peak, this.peakAt] = [value, time];
    else if (this.peak - value > (this.fall?.amount ?? 0)) this.fall = { amount: this.peak - value, from: this.peakAt, to: time };
  }
}
