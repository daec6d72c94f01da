// The way to the engine: asks whether it is ready, opens the websocket, notices silence, and comes back by itself.
//
// A link that is silent for two heartbeats counts as old, whatever the socket says; one that is silent for ten is given up.
// When the computer slept (its clock ran and nothing else did), what comes first may be from before: the link is made anew.

import { Connection, type Sent } from "./connection";
import { EngineClock } from "./engine_clock";
import { type Message, readMessage, type Refusal } from "./messages";

const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 10_000;
const LOADING_RETRY_MS = 500;
const HELLO_WITHIN_MS = 5_000;
const READY_WITHIN_MS = 5_000;
const SILENT_AFTER_BEATS = 2;
const SILENT_SLACK_MS = 400;
const GIVE_UP_AFTER_BEATS = 10;
const SLEPT_AFTER_MS = 5_000;
const HANGS_AFTER_MS = 2_000;
const LOGIN_IS_OVER = 1008;

/** What the browser lends; tests lend their own. */
export type Surroundings = {
  /** Milliseconds of a clock that only runs. */
  now(): number;
  /** Milliseconds of the clock on the wall, which somebody may set. */
  wall(): number;
  random(): number;
  later(work: () => void, ms: number): () => void;
  open(events: SocketEvents): Socket;
  ready(withinMs: number): Promise<Readiness>;
  /** Whether the engine refuses this user: a browser hides why it refused a websocket. */
  denied(withinMs: number): Promise<boolean>;
};
export type SocketEvents = { opened(): void; message(text: string): void; closed(code: number): void };
export type Socket = { send(text: string): void; close(): void };
export type Readiness = { ready: true } | { ready: false; state: string; phase: string; progress: number | null };

export type LinkState =
  | { name: "connecting" }
  | { name: "loading"; state: string; phase: string; progress: number | null }
  | { name: "live" }
  /** Connected, and nothing heard for two heartbeats. */
  | { name: "silent"; forMs: number }
  /** The engine answers and publishes nothing. */
  | { name: "hangs"; forMs: number }
  | { name: "down"; retryInMs: number };

export class Link {
  readonly clock = new EngineClock();
  readonly connection: Connection;
  /** When the last message came; null before the first. */
  heardAt: number | null = null;
  private phase: "connecting" | "loading" | "open" | "down" = "connecting";
  private loading: { state: string; phase: string; progress: number | null } = { state: "", phase: "", progress: null };
  private retryAt = 0;
  private retryMs = FIRST_RETRY_MS;
  private byeMs: number | null = null;
  private socket: Socket | null = null;
  private stopRetry: () => void = () => undefined;
  private stopWatch: () => void = () => undefined;
  private seenWall: number;

  constructor(
    private readonly around: Surroundings,
    private readonly events: { changed(): void; refused(refusal: Refusal): void; loginNeeded(): void },
  ) {
    this.seenWall = around.wall();
    this.connection = new Connection(
      (message: Sent) => this.socket?.send(JSON.stringify(message)),
      () => this.restart(),
      (refusal) => events.refused(refusal),
    );
  }

  /** How the link is now. The answer ages by itself: ask again. */
  state(): LinkState {
    const now = this.around.now();
    if (this.phase === "loading") return { name: "loading", ...this.loading };
    if (this.phase === "down") return { name: "down", retryInMs: Math.max(0, this.retryAt - now) };
    if (this.phase === "connecting") return { name: "connecting" };
    const silentMs = now - (this.heardAt ?? now);
    if (silentMs > SILENT_AFTER_BEATS * this.connection.heartbeatMs + SILENT_SLACK_MS) return { name: "silent", forMs: silentMs };
    const publishAgeMs = this.connection.publishAgeMs ?? 0;
    return publishAgeMs > HANGS_AFTER_MS ? { name: "hangs", forMs: publishAgeMs } : { name: "live" };
  }

  /** The moment that the page shows, microseconds; null: now. */
  standsAt: number | null = null;

  /** The time that ages on the page are counted to: the engine's, or that of the moment it shows. null before its first message. */
  engineNow(): number | null {
    return this.standsAt ?? this.clockNow();
  }

  /** The engine's time in microseconds, null before its first message. */
  clockNow(): number | null {
    return this.clock.at(this.around.now());
  }

  /** Milliseconds since the last message; null before the first. */
  silentMs(): number | null {
    return this.heardAt === null ? null : this.around.now() - this.heardAt;
  }

  async connect(): Promise<void> {
    this.stopRetry();
    this.phase = this.phase === "loading" ? "loading" : "connecting";
    this.events.changed();
    const answer = await this.around.ready(READY_WITHIN_MS).catch(() => null);
    if (answer === null) {
      this.lost();
    } else if (answer.ready) {
      this.openSocket();
    } else {
      this.phase = "loading";
      this.loading = answer;
      this.retryIn(LOADING_RETRY_MS);
    }
    this.events.changed();
  }

  /** Look at the clocks: call it a few times a second, and when the page comes back into sight. */
  look(): void {
    const wall = this.around.wall();
    const slept = wall - this.seenWall > SLEPT_AFTER_MS;
    this.seenWall = wall;
    if (this.phase !== "open") return;
    const silentMs = this.around.now() - (this.heardAt ?? this.around.now());
    if (slept || silentMs > GIVE_UP_AFTER_BEATS * this.connection.heartbeatMs) this.restart();
  }

  /** Give up this connection and make another at once. */
  restart(): void {
    const socket = this.socket;
    this.lost(FIRST_RETRY_MS);
    socket?.close();
  }

  private openSocket(): void {
    this.phase = "connecting";
    let opened = false;
    const socket = this.around.open({
      opened: () => {
        opened = true;
      },
      message: (text) => {
        if (socket === this.socket) this.hear(text);
      },
      closed: (code) => {
        if (code === LOGIN_IS_OVER) this.events.loginNeeded();
        else if (!opened) void this.askWhy();
        if (socket === this.socket) this.lost(opened ? undefined : this.retryMs);
      },
    });
    this.socket = socket;
    this.stopWatch();
    this.stopWatch = this.around.later(() => {
      if (socket !== this.socket || this.phase === "open") return;
      this.lost();
      socket.close();
    }, HELLO_WITHIN_MS);
  }

  private async askWhy(): Promise<void> {
    if (await this.around.denied(READY_WITHIN_MS).catch(() => false)) this.events.loginNeeded();
  }

  private hear(text: string): void {
    let message: Message | null;
    try {
      message = readMessage(text);
    } catch {
      this.restart();
      return;
    }
    const now = this.around.now();
    this.look(); // a message after a sleep may be from before it
    if (this.socket === null) return;
    this.heardAt = now;
    if (message === null) return;
    if (message.type === "hello") {
      this.phase = "open";
      this.retryMs = FIRST_RETRY_MS;
      this.clock.reset();
    }
    if (message.type === "heartbeat") this.clock.note(message.ts, now);
    else if (message.type === "snapshot" || message.type === "update") this.clock.note(message.as_of, now);
    else if (message.type === "bye") this.byeMs = message.reconnect_after_ms;
    this.connection.hear(message);
    this.events.changed();
  }

  private lost(retryMs?: number): void {
    this.stopWatch();
    this.socket = null;
    this.connection.lose();
    this.phase = "down";
    // Drawn from the upper half, so that a thousand screens do not come back in one moment.
    this.retryIn(this.byeMs ?? (retryMs ?? this.retryMs) * (0.5 + this.around.random() / 2));
    this.byeMs = null;
    this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
    this.events.changed();
  }

  private retryIn(ms: number): void {
    this.stopRetry();
    this.retryAt = this.around.now() + ms;
    this.stopRetry = this.around.later(() => void this.connect(), ms);
  }
}
