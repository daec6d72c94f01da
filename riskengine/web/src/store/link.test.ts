import { expect, test } from "vitest";
import { Link, type Readiness, type SocketEvents, type Surroundings } from "./link";

/** A world in which time passes when the test says so. */
class World implements Surroundings {
  ms = 0;
  wallMs = 1_000_000;
  answer: Readiness | Error = { ready: true };
  sockets: { events: SocketEvents; sent: string[]; closed: boolean }[] = [];
  private timers: { at: number; work: () => void }[] = [];

  now = () => this.ms;
  wall = () => this.wallMs;
  random = () => 1;

  later = (work: () => void, ms: number) => {
    const timer = { at: this.ms + ms, work };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  };

  open = (events: SocketEvents) => {
    const socket = { events, sent: [] as string[], closed: false };
    this.sockets.push(socket);
    return { send: (text: string) => void socket.sent.push(text), close: () => void (socket.closed = true) };
  };

  isDenied = false;
  denied = async () => this.isDenied;

  ready = async () => {
    if (this.answer instanceof Error) throw this.answer;
    return this.answer;
  };

  async pass(ms: number) {
    const end = this.ms + ms;
    for (;;) {
      const next = this.timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.wallMs += next.at - this.ms;
      this.ms = next.at;
      this.timers = this.timers.filter((timer) => timer !== next);
      next.work();
      await settle();
    }
    this.wallMs += end - this.ms;
    this.ms = end;
  }

  get last() {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("no socket");
    return socket;
  }

  say(message: object) {
    this.last.events.message(JSON.stringify(message));
  }
}

const settle = async () => {
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
};
const HELLO = { type: "hello", protocol: 1, epoch: 7, seq: 3, reporting_currency: "USD", heartbeat_ms: 1000 };
const BEAT = { type: "heartbeat", epoch: 7, seq: 3, ts: 1_772_625_600_000_000, publish_age_ms: 10 };

async function live() {
  const world = new World();
  let logins = 0;
  const link = new Link(world, { changed: () => undefined, refused: () => undefined, loginNeeded: () => (logins += 1) });
  await link.connect();
  world.last.events.opened();
  world.say(HELLO);
  return { world, link, logins: () => logins };
}

test("two heartbeats of silence make it old within three seconds, and any message new again", async () => {
  const { world, link } = await live();
  await world.pass(2_300);
  expect(link.state().name).toBe("live");
  await world.pass(200);
  expect(link.state().name).toBe("silent");
  world.say(BEAT);
  expect(link.state().name).toBe("live");
});

test("an engine that beats and publishes nothing hangs", async () => {
  const { world, link } = await live();
  world.say({ ...BEAT, publish_age_ms: 2_400 });
  expect(link.state()).toEqual({ name: "hangs", forMs: 2_400 });
});

test("a lost link comes back with growing pauses, and at once to the first after it was live", async () => {
  const { world, link } = await live();
  const pauses: number[] = [];
  world.answer = new Error("nobody there");
  world.last.events.closed(1006);
  for (let times = 0; times < 8; times += 1) {
    const state = link.state();
    if (state.name !== "down") throw new Error(state.name);
    pauses.push(state.retryInMs);
    await world.pass(state.retryInMs);
  }
  expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  world.answer = { ready: true };
  await world.pass(10_000);
  world.say(HELLO);
  expect(link.state().name).toBe("live");
  world.last.events.closed(1006);
  expect(link.state()).toEqual({ name: "down", retryInMs: 250 });
});

test("after bye it comes back when the engine said", async () => {
  const { world, link } = await live();
  world.say({ type: "bye", reconnect_after_ms: 1250 });
  world.last.events.closed(1012);
  expect(link.state()).toEqual({ name: "down", retryInMs: 1250 });
});

test("an engine that loads says how far it is, and is asked again", async () => {
  const world = new World();
  world.answer = { ready: false, state: "loading", phase: "trades", progress: 0.5 };
  const link = new Link(world, { changed: () => undefined, refused: () => undefined, loginNeeded: () => undefined });
  await link.connect();
  expect(link.state()).toMatchObject({ name: "loading", phase: "trades", progress: 0.5 });
  world.answer = { ready: true };
  await world.pass(500);
  world.say(HELLO);
  expect(link.state().name).toBe("live");
});

test("ten heartbeats of silence end the connection, and late words of the old one are not heard", async () => {
  const { world, link } = await live();
  const old = world.last;
  await world.pass(10_100);
  link.look();
  expect(old.closed).toBe(true);
  await world.pass(250);
  old.events.message(JSON.stringify(HELLO));
  expect([world.sockets.length, link.state().name]).toEqual([2, "connecting"]);
});

test("a computer that slept trusts nothing that comes first, and connects anew", async () => {
  const { world, link } = await live();
  world.wallMs += 600_000; // its other clock stood still
  world.say(BEAT);
  expect(link.state().name).toBe("down");
  await world.pass(250);
  world.say(HELLO);
  expect(link.state().name).toBe("live");
});

test("a login that is over asks for another", async () => {
  const { world, logins } = await live();
  world.last.events.closed(1008);
  expect(logins()).toBe(1);
});

test("a handshake that is refused because of the login asks for another", async () => {
  const world = new World();
  world.isDenied = true;
  let logins = 0;
  const link = new Link(world, { changed: () => undefined, refused: () => undefined, loginNeeded: () => (logins += 1) });
  await link.connect();
  world.last.events.closed(1006);
  await settle();
  expect(logins).toBe(1);
});

test("a message that is none ends the connection", async () => {
  const { world, link } = await live();
  world.last.events.message("{");
  expect(link.state().name).toBe("down");
});

test("a hello that does not come is waited for five seconds", async () => {
  const world = new World();
  const link = new Link(world, { changed: () => undefined, refused: () => undefined, loginNeeded: () => undefined });
  await link.connect();
  await world.pass(5_000);
  expect([link.state().name, world.last.closed]).toEqual(["down", true]);
});
