// A line that somebody asked for and that a view shows when it has it, such as an instrument picked in the finder.

import { signal } from "@preact/signals";

export const wantedInstrument = signal<string | null>(null);
