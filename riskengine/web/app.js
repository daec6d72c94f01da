// The live page: the tree, one ladder and the dealers, painted from the views of one stream.

import { DEALER_COLUMNS, NODE_COLUMNS, ladderColumns } from "./columns.js";
import { Grid } from "./grid.js";
import * as n from "./numbers.js";
import { printable, printableLines } from "./printable.js";
import { Stream } from "./stream.js";

const AGES_EVERY_MS = 500;
const PRICES_RED_AFTER_US = 60e6;
const HANGS_AFTER_MS = 2000; // the engine publishes at least once a second
const AHEAD_MS = 1000; // a source whose clock runs ahead by more is named
const NAMED_FEEDS = 5;
const UNFOLDED_NODES = 300;
const KEPT_OUT = new Set(["quarantined", "parked", "conflict", "unmatched", "unreadable"]); // kinds of warnings

const $ = (id) => document.getElementById(id);
const here = new URL(".", location.href);
const streamUrl = new URL("v1/stream", here);
streamUrl.protocol = here.protocol === "https:" ? "wss:" : "ws:";

const stream = new Stream({
  url: streamUrl, readyUrl: new URL("readyz", here), statusUrl: new URL("v1/status", here), onChange: paintSoon, onError: showError,
  onRefused: () => location.replace(new URL("login", here)),
});
const nodes = stream.subscribe({ view: "nodes" }).view;
const dealers = stream.subscribe({ view: "dealers" }).view;
const status = stream.subscribe({ view: "status" }).view;

// -- what is on screen ------------------------------------------------------------------------------------------------

let chosen = null; // {node} or {dealer}, from the URL
let shown = null; // {id, view, place}: the ladder on screen; that of `chosen` once it has arrived
let requested = null; // the ladder that has been requested
let refusal = "";

function choose() {
  const words = new URLSearchParams(location.hash.slice(1));
  const root = tree().roots[0]?.node;
  chosen = words.has("dealer") ? { dealer: words.get("dealer") } : { node: words.get("node") ?? root };
  if (chosen.dealer === undefined && chosen.node === undefined) {
    chosen = null; // the tree has not come yet
    return;
  }
  const wanted = JSON.stringify(chosen);
  if (requested) stream.unsubscribe(requested.id);
  requested = null;
  refusal = "";
  if (shown && JSON.stringify(shown.place) === wanted) return;
  requested = { ...stream.subscribe({ view: "ladder", ...chosen }), place: chosen };
}

/** Show the requested ladder once it has arrived; until then the old one stays, under its own name. */
function showRequested() {
  if (!chosen) choose();
  if (!requested?.view.filled) return;
  if (shown) stream.unsubscribe(shown.id);
  shown = requested;
  requested = null;
  decimals.clear();
}

function showError(id, text) {
  if (requested?.id === id) refusal = text;
  else note(text);
}

// -- the tree ----------------------------------------------------------------------------------------------------

const toggled = new Set(); // nodes that the user opened or closed, against the rule of isOpen
const known = { shape: -1, rows: null, roots: [], children: new Map() };

/** Roots, and children by node; rebuilt when nodes come or go. */
function tree() {
  if (known.shape === nodes.shape) return known;
  const children = new Map();
  const roots = [];
  for (const row of nodes.rows.values()) {
    if (!row.parent) roots.push(row);
    else if (children.has(row.parent)) children.get(row.parent).push(row);
    else children.set(row.parent, [row]);
  }
  return Object.assign(known, { shape: nodes.shape, roots, children });
}

/** Small trees start open; of large ones only the upper levels do. */
const isOpen = (name, level) => (nodes.rows.size <= UNFOLDED_NODES || level < 1) !== toggled.has(name);

function treeLines() {
  const { roots, children } = tree();
  const lines = [];
  const visit = (row, level) => {
    const below = children.get(row.node);
    const expanded = below ? isOpen(row.node, level) : null;
    lines.push([row.node, row, { level, expanded, selected: chosen?.node === row.node }]);
    if (expanded) for (const child of below) visit(child, level + 1);
  };
  for (const root of roots) visit(root, 0);
  return lines;
}

function pickNode(name, what) {
  const line = nodeGrid.lines.get(name);
  const open = line.tr.getAttribute("aria-expanded");
  if (what === "pick") location.hash = new URLSearchParams({ node: name });
  else if (open !== null && (what === "toggle" || (what === "open") !== (open === "true"))) {
    if (!toggled.delete(name)) toggled.add(name);
    paintSoon();
  }
}

function pathOf(name) {
  const byName = new Map([...nodes.rows.values()].map((row) => [row.node, row]));
  const path = [];
  for (let row = byName.get(name); row && path.length < byName.size; row = byName.get(row.parent)) {
    path.unshift(row.node);
  }
  return path.length ? path : [name];
}

// -- the ladder --------------------------------------------------------------------------------------------------

const decimals = new Map(); // by instrument; they only grow, so that a column of prices does not jump
let flatOpen = false;

function decimalsOf(row) {
  let least = decimals.get(row.instrument) ?? 0;
  if (n.known(row.mark)) least = Math.max(least, n.priceDecimals(row.mark));
  else if (!least) {
    least = Math.max(0, ...[row.average_price, row.breakeven_price].filter(n.known).map(n.priceDecimals));
  }
  decimals.set(row.instrument, least);
  return least;
}

function ageOf(ts) {
  const now = stream.now();
  return now === null ? "" : n.age(now - ts);
}

/** The sum line, from the tree or the dealers, then open positions, then all flat ones folded into one line. */
function ladderLines() {
  const rows = [...shown.view.rows.values()].sort((one, other) => (one.instrument < other.instrument ? -1 : 1));
  const flat = rows.filter((row) => row.quantity === 0);
  const lines = rows.filter((row) => row.quantity !== 0).map((row) => [row.instrument, row]);
  const [[level, name]] = Object.entries(shown.place); // node or dealer
  const owner = [...(level === "node" ? nodes : dealers).rows.values()].find((row) => row[level] === name);
  if (owner) lines.unshift(["\u0000sum", { ...owner, instrument: "all", sum: true }, { className: "sum" }]);
  if (flat.length) {
    const folded = { ...flatSum(flat), instrument: `${flat.length} flat`, sum: true };
    lines.push(["\u0000flat", folded, { className: "fold", expanded: flatOpen, selected: false }]);
    if (flatOpen) lines.push(...flat.map((row) => [row.instrument, row, { className: "flat" }]));
  }
  return lines;
}

function flatSum(rows) {
  const sum = (field) => {
    const values = rows.map((row) => row[field]);
    return values.every(n.known) ? values.reduce((all, value) => all + value, 0) : null;
  };
  return {
    unrealised_pnl: sum("unrealised_pnl"), realised_pnl: sum("realised_pnl"), total_pnl: sum("total_pnl"),
    position_count: rows.length, unpriced_count: rows.filter((row) => !n.known(row.total_pnl)).length,
  };
}

function pickLadder(key, what) {
  if (key !== "\u0000flat" || (what === "open") === flatOpen && what !== "pick" && what !== "toggle") return;
  flatOpen = !flatOpen;
  paintSoon();
}

// -- painting ----------------------------------------------------------------------------------------------------

const nodeGrid = new Grid($("nodes"), NODE_COLUMNS, { onPick: pickNode });
const dealerGrid = new Grid($("dealers"), DEALER_COLUMNS, {
  onPick: (name, what) => {
    if (what === "pick") location.hash = new URLSearchParams({ dealer: name });
  },
});
const ladderGrid = new Grid($("ladder"), ladderColumns(decimalsOf, ageOf), { onPick: pickLadder });

let planned = false;

function paintSoon() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(paint);
}

function paint() {
  planned = false;
  showRequested();
  nodeGrid.paint(treeLines());
  const people = [...dealers.rows.values()].sort((one, other) => (one.dealer < other.dealer ? -1 : 1));
  dealerGrid.paint(people.map((row) => [row.dealer, row, { selected: chosen?.dealer === row.dealer }]));
  if (shown) ladderGrid.paint(ladderLines());
  paintPath();
  paintFrame();
}

function paintPath() {
  const place = shown?.place ?? chosen;
  let text = "";
  if (place?.dealer !== undefined) text = `Dealers \u203a ${place.dealer || "(none)"}`;
  else if (place?.node !== undefined) text = pathOf(place.node).join(" \u203a ");
  if (requested) text += refusal ? `  (${refusal})` : "  \u2026";
  write($("path"), text);
}

function paintFrame() {
  for (const [id, view] of [["nodes", nodes], ["dealers", dealers], ["ladder", shown?.view]]) {
    $(id).classList.toggle("unsynced", !view?.synced);
  }
  const percent = stream.progress === null ? "" : ` ${Math.round(stream.progress * 100)} %`;
  write($("loading"), stream.state === "loading" ? `${stream.detail || "loading"}${percent}` : "");
  const { reportingCurrency, asOf, epoch, seq } = stream;
  write($("cut"), n.known(asOf) ? `${reportingCurrency}   as of ${n.time(asOf)}   snapshot ${epoch}.${seq}` : "");
  paintWarnings();
  paintLights();
}

/** The engine's warnings; the last ones stay while the link is down. */
function paintWarnings() {
  const [engine] = status.rows.values();
  const texts = (engine?.warnings ?? []).map((warning) => `${printable(warning.text)} (since ${n.time(warning.since)})`);
  if (hangs()) texts.push(`the engine has published nothing for ${n.age(stream.publishAgeMs * 1000)}: all numbers are that old`);
  $("warnings").hidden = !texts.length;
  write($("warnings"), texts.join("\n"));
}

function write(element, text) {
  const shown = printableLines(text);
  if (element.textContent !== shown) element.textContent = shown;
}

// -- the four lights ---------------------------------------------------------------------------------------------

function paintLights() {
  const root = tree().roots[0];
  const now = stream.now();
  const since = (ts) => (now === null || !n.known(ts) ? null : Math.max(0, now - ts));
  const live = stream.state === "live" && nodes.synced;
  const marked = [...(shown?.view.rows.values() ?? [])];
  const newest = marked.reduce((last, row) => Math.max(last, row.mark_ts ?? 0), 0);
  const prices = since(newest || null);
  const old = live && prices !== null && prices > PRICES_RED_AFTER_US;
  const leftOut = keptOut();
  light("trades", !live ? "off" : leftOut.length ? "fair" : "good", n.age(since(root?.last_trade_ts)),
    `newest trade executed ${n.time(root?.last_trade_ts)}, ${n.size(root?.trade_count)} trades in force`
    + leftOut.map((text) => `; ${text}`).join(""));
  const held = marked.filter((row) => row.quantity !== 0 && n.known(row.mark_ts));
  const stale = held.filter((row) => row.stale).length; // by event time, whenever the tick arrived
  const partly = prices === null || stale > 0 || root?.unpriced_count > 0 || root?.stale_count > 0;
  const look = old || 2 * stale > held.length ? "bad" : partly ? "fair" : "good";
  light("prices", live ? look : "off", stale > 0 ? `${stale} of ${held.length} old` : n.age(prices),
    `newest mark of this ladder ${n.time(newest || null)}; ${stale} of ${held.length} marks that it is valued with are old; `
    + `oldest mark in use ${n.age(since(root?.oldest_mark_ts))} old; `
    + `${n.size(root?.unpriced_count)} positions unpriced, ${n.size(root?.stale_count)} on stale marks`);
  paintFeeds(live);
  light("link", live && !hangs() ? "good" : "bad", linkWords(), linkNote());
  document.body.classList.toggle("prices-old", old);
}

/** What the engine says of trades that it has and that no number on this page holds. */
function keptOut() {
  const [engine] = status.rows.values();
  return (engine?.warnings ?? []).filter((warning) => KEPT_OUT.has(warning.kind)).map((warning) => warning.text);
}

const FEED_WARNINGS = { feed_gap: "bad", feed_anew: "bad", feed_silent: "bad", clock_ahead: "fair" };

/** Sources of trades and ticks: what is missing, who is silent, whose clock is wrong. Who is not shown them sees the light alone. */
function paintFeeds(live) {
  const [engine] = status.rows.values();
  const feeds = engine?.feeds ?? [];
  const looks = (engine?.warnings ?? []).map((warning) => FEED_WARNINGS[warning.kind]);
  const look = looks.includes("bad") ? "bad" : looks.includes("fair") ? "fair" : "good";
  const counts = [
    [feeds.filter((feed) => feed.gap).length, "with gaps"], [feeds.filter((feed) => feed.anew).length, "number anew"],
    [feeds.filter((feed) => feed.alive === false).length, "silent"],
    [looks.includes("fair") ? feeds.filter((feed) => feed.clock_skew_ms > AHEAD_MS).length : 0, "ahead"],
  ].filter(([count]) => count > 0);
  const words = counts.length ? counts.map(([count, what]) => `${count} ${what}`).join(", ") : `${feeds.length}`;
  const bad = feeds.filter((feed) => feed.gap || feed.anew || feed.alive === false || feed.clock_skew_ms > AHEAD_MS);
  light("feeds", !live || (!feeds.length && look === "good") ? "off" : look, look !== "good" && !counts.length ? "see above" : words,
    bad.length ? bad.slice(0, NAMED_FEEDS).map(feedNote).join("; ") : `${feeds.length} sources of trades and prices, none with a fault`);
}

function feedNote(feed) {
  const faults = [];
  if (feed.gap) faults.push(`${n.size(feed.missing_count)} trades missing`);
  if (feed.anew) faults.push("numbers anew");
  if (feed.alive === false) faults.push(`silent${n.known(feed.age_ms) ? ` for ${n.age(feed.age_ms * 1000)}` : " since the start"}`);
  if (feed.clock_skew_ms > AHEAD_MS) faults.push(`its clock runs ahead by ${n.age(feed.clock_skew_ms * 1000)}`);
  return `${feed.source || "(no name)"}: ${faults.join(", ")}`;
}

/** Whether the engine answers but publishes nothing; its heartbeats carry the age of the newest snapshot. */
function hangs() {
  return stream.state === "live" && stream.publishAgeMs > HANGS_AFTER_MS;
}

function linkWords() {
  if (hangs()) return `engine hangs, ${n.age(stream.publishAgeMs * 1000)}`;
  if (stream.state === "live") return n.age((performance.now() - stream.heardAt) * 1000);
  if (stream.state === "down") return `down, retry in ${Math.max(0, Math.ceil((stream.retryAt - performance.now()) / 1000))} s`;
  return stream.state;
}

function linkNote() {
  if (stream.state === "live") return `connected to ${streamUrl.host}, last message ${linkWords()} ago`;
  const held = n.known(stream.asOf) ? `; the grey numbers are as of ${n.time(stream.asOf)}` : "";
  return `not connected to ${streamUrl.host}${held}`;
}

let openedLight = ""; // the light whose details are open

function light(name, look, words, details) {
  const button = $(`light-${name}`);
  if (button.className !== look) button.className = look;
  write(button.lastElementChild, words);
  button.title = printable(details);
  if (openedLight === name) note(`${name}: ${details}`);
  else button.removeAttribute("aria-expanded");
}

function note(text) {
  $("note").hidden = text === "";
  write($("note"), text);
}

function toggleDetails(name) {
  openedLight = openedLight === name ? "" : name;
  if (openedLight) $(`light-${name}`).setAttribute("aria-expanded", "true");
  else note("");
  paintSoon();
}

for (const name of ["trades", "prices", "feeds", "link"]) $(`light-${name}`).addEventListener("click", () => toggleDetails(name));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") toggleDetails(openedLight);
});
addEventListener("hashchange", () => {
  choose();
  paintSoon();
});
setInterval(paintSoon, AGES_EVERY_MS); // ages grow even if no number changes
stream.connect();
