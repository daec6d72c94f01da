// What the browser lends to the link: its clocks, its websocket, and whether the engine is ready.

import type { Readiness, Surroundings } from "../store/link";

export const HERE = new URL(".", location.href.replace(/#.*$/, ""));

const streamUrl = new URL("v1/stream", HERE);
streamUrl.protocol = HERE.protocol === "https:" ? "wss:" : "ws:";

export const HOST = HERE.host;

async function ready(withinMs: number): Promise<Readiness> {
  const answer = await fetch(new URL("readyz", HERE), { cache: "no-store", signal: AbortSignal.timeout(withinMs) });
  if (answer.ok) return { ready: true };
  const told: unknown = await answer.json();
  const said = (name: string): unknown => (typeof told === "object" && told !== null ? (told as Record<string, unknown>)[name] : null);
  const [state, phase, progress] = [said("state"), said("phase"), said("progress")];
  return {
    ready: false,
    state: typeof state === "string" ? state : "loading",
    phase: typeof phase === "string" ? phase : "",
    progress: typeof progress === "number" ? progress : null,
  };
}

async function denied(withinMs: number): Promise<boolean> {
  const { status } = await fetch(new URL("v1/session", HERE), { cache: "no-store", signal: AbortSignal.timeout(withinMs) });
  return status === 401 || status === 403;
}

export const browser: Surroundings = {
  now: () => performance.now(),
  wall: () => Date.now(),
  random: () => Math.random(),
  later: (work, ms) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
  open: (events) => {
    const socket = new WebSocket(streamUrl);
    socket.addEventListener("open", () => events.opened());
    socket.addEventListener("message", (event: MessageEvent<string>) => events.message(event.data));
    socket.addEventListener("close", ({ code }) => events.closed(code));
    return { send: (text) => socket.send(text), close: () => socket.close() };
  },
  ready,
  denied,
};
