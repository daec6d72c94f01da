// A client of /v1/stream without a page: subscriptions that hold rows, and a link that reconnects.
//
// One update moves every view of the connection from one seq to the next, so that the numbers on one screen add up.
// An update that does not start at the last seq is not applied: the views become unsynced and are requested again.

import { checksum } from "./checksum.js";

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 8000;
const LOADING_RETRY_MS = 500;
const HELLO_WITHIN_MS = 5000;
const BEATS_MISSED = 3;
const REFUSED = 1008;
const KNOWN_TYPES = new Set(["hello", "snapshot", "update", "heartbeat", "bye", "error"]);

const keyText = (values) => JSON.stringify(values);

/** One subscription and its rows by key; `synced`: they are of the connection's seq. */
export class View {
  constructor(request) {
    this.request = request;
    this.key = [];
    this.rows = new Map();
    this.synced = false;
    this.filled = false;
    this.shape = 0; // rises when rows come or go
  }

  replace(message) {
    this.key = message.key;
    const rows = new Map();
    for (const row of message.rows) rows.set(this.keyOf(row), row);
    this.rows = rows;
    this.synced = this.filled = true;
    this.shape += 1;
  }

  patch({ rows = [], removed = [] }) {
    for (const row of rows) {
      const key = this.keyOf(row);
      const current = this.rows.get(key);
      if (current) Object.assign(current, row);
      else {
        this.rows.set(key, row);
        this.shape += 1;
      }
    }
    for (const key of removed) if (this.rows.delete(keyText(key))) this.shape += 1;
  }

  keyOf(row) {
    return keyText(this.key.map((field) => row[field]));
  }
}

/**
 * The link to the engine. It calls `onChange()` after every change, `onError(id, text)` after a refused request, and
 * `onRefused()` if the engine does not accept the login, or no longer: the user must log in.
 */
export class Stream {
  constructor({ url, readyUrl, statusUrl, onChange, onError, onRefused }) {
    Object.assign(this, { url, readyUrl, statusUrl, onChange, onError, onRefused });
    this.views = new Map();
    this.state = "connecting"; // connecting, loading, live, down
    this.progress = null;
    this.retryAt = 0;
    this.reportingCurrency = "";
    this.epoch = this.seq = this.asOf = null;
    this.heardAt = 0; // performance.now() of the last message
    this.publishAgeMs = null; // how old the engine's newest snapshot was at the last heartbeat
    this.clockAhead = null; // this machine's clock minus the engine's, microseconds
    this.socket = null;
    this.retryMs = FIRST_RETRY_MS;
    this.heartbeatMs = 1000;
    this.nextId = 0;
  }

  /** A view that is requested now, and again after every reconnect. */
  subscribe(request) {
    const id = `${request.view}-${this.nextId++}`;
    const view = new View(request);
    this.views.set(id, view);
    if (this.state === "live") this.ask(id, view);
    return { id, view };
  }

  unsubscribe(id) {
    this.views.delete(id);
    if (this.state === "live") this.send({ op: "unsubscribe", id });
  }

  /** The engine's time now in microseconds, null before its first message. */
  now() {
    return this.clockAhead === null ? null : Date.now() * 1000 - this.clockAhead;
  }

  async connect() {
    this.become("connecting");
    if (!(await this.isReady())) return;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.watch(socket, HELLO_WITHIN_MS);
    socket.onmessage = (event) => {
      if (socket === this.socket) this.hear(JSON.parse(event.data));
    };
    let opened = false;
    socket.onopen = () => {
      opened = true;
    };
    socket.onclose = ({ code }) => {
      if (code === REFUSED) this.onRefused();
      else if (!opened) this.checkLogin();
      if (socket === this.socket) this.lost();
    };
  }

  /** Browsers hide why a handshake was refused; a plain request shows the status. */
  async checkLogin() {
    try {
      const { status } = await fetch(this.statusUrl, { cache: "no-store", signal: AbortSignal.timeout(HELLO_WITHIN_MS) });
      if (status === 401 || status === 403) this.onRefused();
    } catch {
      // no server: `lost` tries again
    }
  }

  /** Ask /readyz first: an engine that is loading answers with its progress. */
  async isReady() {
    try {
      const answer = await fetch(this.readyUrl, { cache: "no-store", signal: AbortSignal.timeout(HELLO_WITHIN_MS) });
      if (answer.ok) return true;
      const { state, progress } = await answer.json();
      this.progress = typeof progress === "number" ? progress : null;
      this.become("loading", state);
      this.again(LOADING_RETRY_MS);
    } catch {
      this.lost();
    }
    return false;
  }

  lost() {
    clearTimeout(this.watchdog);
    this.socket = null;
    for (const view of this.views.values()) view.synced = false;
    this.again(this.byeMs ?? this.retryMs * (0.75 + Math.random() / 2));
    this.byeMs = null;
    this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
    this.become("down");
  }

  again(ms) {
    this.retryAt = performance.now() + ms;
    setTimeout(() => this.connect(), ms);
  }

  /** A silent link counts as down, whatever the socket says; later messages on it are ignored. */
  watch(socket, ms) {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      if (socket !== this.socket) return;
      this.lost();
      socket.close();
    }, ms);
  }

  become(state, detail = "") {
    this.state = state;
    this.detail = detail;
    this.onChange();
  }

  send(message) {
    this.socket.send(JSON.stringify(message));
  }

  ask(id, view) {
    this.send({ op: "subscribe", id, ...view.request });
  }

  hear(message) {
    this.heardAt = performance.now();
    this.watch(this.socket, BEATS_MISSED * this.heartbeatMs);
    if (KNOWN_TYPES.has(message.type)) this[message.type](message);
    this.onChange();
  }

  hello(message) {
    this.epoch = message.epoch;
    this.seq = message.seq;
    this.reportingCurrency = message.reporting_currency;
    this.heartbeatMs = message.heartbeat_ms;
    this.retryMs = FIRST_RETRY_MS;
    this.clockAhead = this.publishAgeMs = null;
    this.watch(this.socket, BEATS_MISSED * this.heartbeatMs);
    this.state = "live";
    for (const [id, view] of this.views) this.ask(id, view);
  }

  snapshot(message) {
    this.moveTo(message);
    this.views.get(message.id)?.replace(message);
  }

  update(message) {
    const follows = message.prev_seq === this.seq && message.epoch === this.epoch;
    this.moveTo(message);
    if (!follows) {
      this.resync();
      return;
    }
    for (const [id, patch] of Object.entries(message.views ?? {})) {
      const view = this.views.get(id);
      if (view?.synced) view.patch(patch);
    }
    for (const [id, sum] of Object.entries(message.checksums ?? {})) {
      const view = this.views.get(id);
      if (view?.synced && checksum(view.rows.values()) !== sum) this.resync([[id, view]]);
    }
  }

  /** An update was missed, or a copy has drifted: the old rows stay, greyed, until whole snapshots come. */
  resync(views = this.views) {
    for (const [id, view] of views) {
      view.synced = false;
      this.send({ op: "resync", id });
    }
  }

  moveTo({ epoch, seq, as_of: asOf }) {
    this.epoch = epoch;
    this.seq = seq;
    this.asOf = asOf;
  }

  heartbeat({ ts, publish_age_ms: publishAgeMs }) {
    this.publishAgeMs = publishAgeMs ?? null;
    // The fastest message gives the best estimate of the clock difference; the slow drift lets it follow a step.
    const ahead = Date.now() * 1000 - ts;
    this.clockAhead = this.clockAhead === null ? ahead : Math.min(ahead, this.clockAhead + 5000);
  }

  bye(message) {
    this.byeMs = message.reconnect_after_ms;
  }

  error({ id, title, detail }) {
    this.onError(id, [title, detail].filter(Boolean).join(": "));
  }
}
