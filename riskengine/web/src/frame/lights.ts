// The three lights: what the page knows of its connection, of trades and of prices. A light is green only where the page knows
// that all is well; `unsure` is a green ring for what looks well and cannot be known.

import type { LinkState } from "../store/link";
import type { Row } from "../store/messages";
import { isTrue, numberOf, rowOf, rowsOf, textOf } from "../store/rows";
import { countText, sizeText } from "../words/numbers";
import { ageText, fullTimeText } from "../words/times";

export type Look = "good" | "unsure" | "fair" | "bad" | "off";
export type Light = { readonly look: Look; readonly words: string; readonly knows: readonly string[] };
export type Lights = { readonly connection: Light; readonly trades: Light; readonly prices: Light };

export type Seen = {
  readonly link: LinkState;
  /** Milliseconds since the last message; null before the first. */
  readonly silentMs: number | null;
  readonly host: string;
  /** The engine's time; null before its first message. */
  readonly now: number | null;
  readonly asOf: number | null;
  /** Of which moment of the past the page is, in words; empty: it is live. */
  readonly moment?: string;
  /** The tops of what the user is shown, and whether they are of the connection's seq. */
  readonly tops: readonly Row[];
  readonly topsInStep: boolean;
  readonly status: Row | undefined;
  readonly statusInStep: boolean;
  /** Open positions of the ladders on the screen, an instrument once. */
  readonly positions: readonly Row[];
};

const USUAL_STALE_S = 60;
const QUIET_AFTER_S = 10;
const KEPT_OUT = new Set(["quarantined", "parked", "conflict", "unmatched", "unreadable"]);
const FEED_FAULTS = new Set(["feed_gap", "feed_anew", "feed_silent"]);
const AHEAD_MS = 1_000;

export function lightsOf(seen: Seen): Lights {
  return { connection: connectionLight(seen), trades: tradesLight(seen), prices: pricesLight(seen) };
}

const seconds = (ms: number): string => ageText(ms * 1000);

function connectionLight({ link, silentMs, host, asOf }: Seen): Light {
  const held = asOf === null ? "no numbers have come yet" : `the grey numbers are as of ${fullTimeText(asOf)}`;
  switch (link.name) {
    case "live":
      return { look: "good", words: silentMs === null ? "" : seconds(silentMs), knows: [`connected to ${host}; last message ${seconds(silentMs ?? 0)} ago`] };
    case "silent":
      return { look: "bad", words: `silent ${seconds(link.forMs)}`, knows: [`nothing heard from ${host} for ${seconds(link.forMs)}; ${held}`] };
    case "hangs":
      return { look: "bad", words: `engine hangs ${seconds(link.forMs)}`, knows: [`${host} answers, and has published nothing for ${seconds(link.forMs)}; ${held}`] };
    case "loading":
      return { look: "fair", words: link.state, knows: [`the engine of ${host} is ${link.state}; ${held}`] };
    case "connecting":
      return { look: "off", words: "connecting", knows: [`connecting to ${host}; ${held}`] };
    case "down":
      return {
        look: "bad",
        words: `down, retry in ${Math.ceil(link.retryInMs / 1000)} s`,
        knows: [`not connected to ${host}; ${held}`],
      };
  }
}

const past = (moment: string): Light => ({ look: "off", words: moment, knows: [`the page is ${moment}, not live: this light tells of now alone`] });

const UNKNOWN: Light = { look: "off", words: "unknown", knows: ["unknown while the connection is not live"] };

function tradesLight({ link, now, tops, topsInStep, status, statusInStep, moment = "" }: Seen): Light {
  if (moment !== "") return past(moment);
  if (link.name !== "live" || !topsInStep || !statusInStep || now === null) return UNKNOWN;
  const newest = Math.max(0, ...tops.map((row) => numberOf(row, "last_trade_ts") ?? 0));
  const applied = numberOf(status, "last_trade_at");
  const count = tops.reduce((all, row) => all + (numberOf(row, "trade_count") ?? 0), 0);
  const latest = applied ?? (newest || null);
  const knows = [
    `${countText(count, "trade")} in force`,
    latest === null ? "no trade yet" : `newest ${applied === null ? "dealt" : "applied"} ${ageText(now - latest)} ago, ${fullTimeText(latest)}`,
  ];
  const words = latest === null ? "none" : ageText(now - latest);
  const warnings = rowsOf(status, "warnings");
  const sources = rowsOf(status, "feeds").filter((feed) => feed["alive"] !== null);
  const faults = sources.filter((feed) => isTrue(feed, "gap") || isTrue(feed, "anew") || feed["alive"] === false);
  const faulty = faults.length > 0 || warnings.some((warning) => FEED_FAULTS.has(textOf(warning, "kind")));
  knows.push(...faults.map(feedWords));
  if (textOf(status, "state") === "degraded") {
    return { look: "bad", words: "store away", knows: ["the store does not answer: no trade can be taken", ...knows] };
  }
  if (faulty) return { look: "bad", words: faults.length > 0 ? faultWords(faults) : "see warnings", knows };
  const kept = warnings.filter((warning) => KEPT_OUT.has(textOf(warning, "kind")));
  if (kept.length > 0) return { look: "fair", words, knows: [...knows, ...kept.map((warning) => textOf(warning, "text"))] };
  if (sources.length > 0) return { look: "good", words, knows: [...knows, `${countText(sources.length, "source")} beat, none with a gap`] };
  return { look: "unsure", words, knows: [...knows, "no source sends heartbeats: silence cannot be told from a quiet market"] };
}

function feedWords(feed: Row): string {
  const faults: string[] = [];
  if (isTrue(feed, "gap")) faults.push(`${countText(numberOf(feed, "missing_count") ?? 0, "trade")} missing`);
  if (isTrue(feed, "anew")) faults.push("numbers anew");
  const age = numberOf(feed, "age_ms");
  if (feed["alive"] === false) faults.push(age === null ? "silent since the start" : `silent for ${seconds(age)}`);
  return `${textOf(feed, "source") || "(no name)"}: ${faults.join(", ")}`;
}

function faultWords(feeds: readonly Row[]): string {
  const counts: [number, string][] = [
    [feeds.filter((feed) => isTrue(feed, "gap")).length, "with gaps"],
    [feeds.filter((feed) => isTrue(feed, "anew")).length, "number anew"],
    [feeds.filter((feed) => feed["alive"] === false).length, "silent"],
  ];
  return counts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : [])).join(", ");
}

function pricesLight({ link, now, tops, topsInStep, status, statusInStep, positions, moment = "" }: Seen): Light {
  if (moment !== "") return past(moment);
  if (link.name !== "live" || !topsInStep || !statusInStep || now === null) return UNKNOWN;
  const sum = (field: string): number => tops.reduce((all, row) => all + (numberOf(row, field) ?? 0), 0);
  const [stale, unpriced, held] = [sum("stale_count"), sum("unpriced_count"), sum("position_count")];
  const marked = positions.filter((row) => numberOf(row, "mark_ts") !== null);
  const old = marked.filter((row) => isTrue(row, "stale")).length;
  const bare = positions.length - marked.length;
  const shut = marked.length > 0 && marked.every((row) => isTrue(row, "closed"));
  const [ts, age] = [numberOf(status, "ts"), numberOf(status, "last_tick_age_ms")];
  const newest = ts === null || age === null ? null : ts - age * 1000;
  const tickAge = newest === null ? null : Math.max(0, now - newest);
  const staleAfterS = numberOf(rowOf(status, "policies"), "stale_after_s") ?? USUAL_STALE_S;
  const ahead = rowsOf(status, "feeds").filter((feed) => (numberOf(feed, "clock_skew_ms") ?? 0) > AHEAD_MS);
  const oldest = tops.reduce<number | null>((least, row) => {
    const each = numberOf(row, "oldest_mark_ts");
    return each === null ? least : least === null ? each : Math.min(least, each);
  }, null);

  const knows = [
    tickAge === null ? "no price has come since the start" : `newest price ${ageText(tickAge)} old`,
    `${sizeText(stale)} of ${countText(held, "position")} valued with an old price or rate, ${sizeText(unpriced)} unpriced`,
    ...(marked.length > 0 ? [`on this screen ${sizeText(old)} of ${countText(marked.length, "mark")} old${shut ? ", their markets are shut" : ""}`] : []),
    ...(bare > 0 ? [`on this screen ${countText(bare, "open position")} without a mark`] : []),
    ...(oldest === null ? [] : [`oldest mark in use ${ageText(now - oldest)} old`]),
    ...ahead.map((feed) => `${textOf(feed, "source") || "(no name)"}: its clock runs ahead by ${seconds(numberOf(feed, "clock_skew_ms") ?? 0)}`),
  ];
  const counted = old > 0 ? `${sizeText(old)} of ${sizeText(marked.length)} old` : stale > 0 ? `${sizeText(stale)} old` : unpriced > 0 ? `${sizeText(unpriced)} unpriced` : "";
  const words = counted || (tickAge === null ? "none" : ageText(tickAge));
  const mostOld = 2 * old > marked.length || (held > 0 && 2 * stale > held);
  const nonePriced = held > 0 && unpriced >= held;
  const silent = !shut && (tickAge === null ? held > 0 : tickAge > staleAfterS * 1e6);
  const isQuiet = tickAge === null || tickAge > QUIET_AFTER_S * 1e6;
  if (mostOld || nonePriced || silent) return { look: "bad", words, knows };
  return { look: stale + unpriced + old + bare + ahead.length > 0 || isQuiet ? "fair" : "good", words, knows };
}
