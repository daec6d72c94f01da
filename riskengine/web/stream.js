// The websocket protocol of /v1/stream without a page: subscriptions that hold rows, and a link that heals itself.
//
// One update moves every view of the connection from its last seq to the next, so that what is on one screen adds up.
// An update that does not start at the last seq is not applied: the views are marked unsynced and asked for again.

import { checksum } from "./checksum.js";

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 8000;
const LOADING_RETRY_MS = 500;
const HELLO_WITHIN_MS = 5000;
const BEATS_MISSED = 3;
const REFUSED = 1008;
const HEARD = new Set(["hello", "snapshot", "update", "heartbeat", "bye", "error"]);

const keyText = (values) => JSON.stringify(values);

/** One subscription and its rows by key; `synced` says whether they are those of the connection's seq. */
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
      const held = this.rows.get(key);
      if (held) Object.assign(held, row);
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
 * The link to the engine: `onChange()` follows whatever changed, `onError(id, text)` a request that was refused,
 * `onRefused()` that the engine does not know who this is, or knows it no more: somebody has to log in.
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

  /** A view that is asked for now and again after every reconnect. */
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
      else if (!opened) this.askWhether();
      if (socket === this.socket) this.lost();
    };
  }

  /** A browser does not say why a handshake was refused; a plain request is told. */
  async askWhether() {
    try {
      const { status } = await fetch(this.statusUrl, { cache: "no-store", signal: AbortSignal.timeout(HELLO_WITHIN_MS) });
      if (status === 401 || status === 403) this.onRefused();
    } catch {
      // nobody is there: `lost` tries again
    }
  }

  /** Asks /readyz first: an engine that is loading says how far it is. */
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

  /** A link that falls silent is down, whatever the socket believes; what it still says is not heard. */
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
    if (HEARD.has(message.type)) this[message.type](message);
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

  /** Something was missed, or a copy has drifted: what is shown stays, greyed, until whole snapshots come. */
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
    // The quickest message says most about the difference of the two clocks; the slow drift lets it follow a step.
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
