// Reads over HTTP: what is not in the stream.

import { address } from "../settings/address";
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

/** Paths that a page which shows a moment of the past asks about it; everything else they say is of now. */
const OF_MOMENTS = new Set(["v1/nodes", "v1/dealers", "v1/positions", "v1/ladder", "v1/exposure", "v1/risk", "v1/receipt"]);

function ofMoment(path: string, query: Query): Query {
  const { moment } = address.value;
  return moment === null || !OF_MOMENTS.has(path) ? query : { ...query, as_of: moment.asOf, known: moment.known };
}

/** The object behind a path. Throws HttpRefusal with the engine's own words, or what `fetch` throws. */
export async function read(path: string, query: Query = {}, signal?: AbortSignal): Promise<Row> {
  return objectOf(await fetch(urlOf(path, ofMoment(path, query)), { cache: "no-store", ...(signal && { signal }) }));
}

const POST_WITHIN_MS = 20_000;

/** Send a body as JSON and read the answer. Throws as `read` does: without HttpRefusal nobody knows whether it came. */
export async function post(path: string, body: unknown): Promise<Row> {
  const told = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  return objectOf(await fetch(urlOf(path), { ...told, cache: "no-store", signal: AbortSignal.timeout(POST_WITHIN_MS) }));
}

async function objectOf(answer: Response): Promise<Row> {
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
