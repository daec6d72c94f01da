// What a user has opened and closed in a ladder.

import type { Line } from "../grid/column";
import { prefer, preferences } from "../settings/preferences";

/** Pixels of what an open line shows below it. */
export const LADDER_DETAIL_HEIGHT = 264;

/** Open or close a line: the flat positions, a group, or what is behind a position. */
export function toggleLine({ key, kind }: Line, groups: Set<string>, details: Set<string>): void {
  if (kind === "fold") prefer({ showFlat: !preferences.value.showFlat });
  else if (kind === "group") flip(groups, key);
  else if (kind === "row") flip(details, key);
}

function flip(set: Set<string>, key: string): void {
  if (!set.delete(key)) set.add(key);
}
