// Reads over HTTP: what is not in the stream.

import type { Row } from "../store/messages";
import { isRow } from "../store/rows";
import { HERE } from "./browser";

export class HttpRefusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | boolean | undefined>;

export function urlOf(path: string, query: Query = {}): URL {
  const url = new URL(path, HERE);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
  return url;
}

/** The object behind a path. Throws HttpRefusal with the engine's own words, or what `fetch` throws. */
export async function read(path: string, query: Query = {}, signal?: AbortSignal): Promise<Row> {
  const answer = await fetch(urlOf(path, query), { cache: "no-store", ...(signal && { signal }) });
  const told: unknown = await answer.json().catch(() => null);
  if (!answer.ok) {
    const detail = typeof told === "object" && told !== null && "detail" in told ? String(told.detail) : answer.statusText;
    throw new HttpRefusal(answer.status, detail);
  }
  if (!isRow(told as Row)) throw new HttpRefusal(answer.status, "not an object");
  return told as Row;
}

/** Why a read failed, for people. */
export function reasonOf(problem: unknown): string {
  if (problem instanceof HttpRefusal) return problem.message;
  return "the engine does not answer";
}
