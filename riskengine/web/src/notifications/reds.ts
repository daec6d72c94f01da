// Lights that have turned red, and stayed so for a moment: a blink is not told.

export type LightNow = { readonly look: string; readonly words: string; readonly knows: readonly string[] };
export type Red = { readonly name: string; readonly words: string };

/** So long a light must be red. */
export const STAYS_MS = 2_000;

export class RedLights {
  private readonly since = new Map<string, number>();
  private readonly told = new Set<string>();

  /** The lights that are to be told now. `now` is of a clock that only rises, milliseconds. */
  look(lights: Readonly<Record<string, LightNow>>, now: number): Red[] {
    const found: Red[] = [];
    for (const [name, { look, words }] of Object.entries(lights)) {
      if (look !== "bad") {
        this.since.delete(name);
        if (look !== "off") this.told.delete(name); // unknown is not well again
        continue;
      }
      const since = this.since.get(name) ?? now;
      this.since.set(name, since);
      if (this.told.has(name) || now - since < STAYS_MS) continue;
      this.told.add(name);
      found.push({ name, words });
    }
    return found;
  }
}
