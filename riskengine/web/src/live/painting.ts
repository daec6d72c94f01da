// When the screen is painted: once a frame, everything at once, so that all numbers on it are of one snapshot.
//
// Components that show what the stream says read `painted`, and are drawn anew when it rises; without that a component is
// drawn only when its own properties change. Grids and curves are painters of their own.

import { signal } from "@preact/signals";

export const painted = signal(0);

const painters = new Set<() => void>();
let planned = false;

/** Call `paint` with every painting until the returned function is called. */
export function paintWith(paint: () => void): () => void {
  painters.add(paint);
  paintSoon();
  return () => painters.delete(paint);
}

export function paintSoon(): void {
  if (planned) return;
  planned = true;
  requestAnimationFrame(paintNow);
}

/** Paint at once, so that what is read off grids is of one snapshot. */
export function paintNow(): void {
  planned = false;
  painted.value += 1;
  for (const paint of painters) paint();
}
