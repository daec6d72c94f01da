// What a user has opened and closed in a ladder.

/** Pixels of what an open line shows below it. */
export const LADDER_DETAIL_HEIGHT = 264;

export function flip(set: Set<string>, key: string): void {
  if (!set.delete(key)) set.add(key);
}
