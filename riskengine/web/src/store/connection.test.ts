import { describe, expect, test } from "vitest";
import { checksum } from "./checksum";
import { Connection, type Sent } from "./connection";
import type { Hello, Patch, Row, Snapshot, Update } from "./messages";
import { keyText } from "./table";

const HELLO: Hello = { type: "hello", protocol: 1, epoch: 7, seq: 3, reporting_currency: "USD", heartbeat_ms: 1000 };

function connected() {
  const sent: Sent[] = [];
  let again = 0;
  const connection = new Connection((message) => sent.push(message), () => (again += 1), () => undefined);
  const id = connection.add({ view: "ladder", node: "FX1" });
  connection.hear(HELLO);
  const table = connection.tables.get(id);
  if (table === undefined) throw new Error("no table");
  return { connection, sent, id, table, times: () => again };
}

function snapshot(id: string, seq: number, rows: Row[]): Snapshot {
  return { type: "snapshot", id, epoch: 7, seq, as_of: seq, key: ["instrument"], rows };
}

function update(prev_seq: number, seq: number, views: Record<string, Patch>, checksums = {}): Update {
  return { type: "update", epoch: 7, prev_seq, seq, as_of: seq, views, checksums };
}

test("a view is asked for after hello, and again after every hello", () => {
  const { connection, sent, id } = connected();
  connection.lose();
  connection.hear({ ...HELLO, epoch: 8 });
  expect(sent).toEqual([0, 1].map(() => ({ op: "subscribe", id, view: "ladder", node: "FX1" })));
});

test("rows stay after a loss, count as out of step, and come back by a snapshot alone", () => {
  const { connection, id, table } = connected();
  connection.hear(snapshot(id, 3, [{ instrument: "EURUSD", mark: 1.1 }]));
  connection.lose();
  connection.hear(HELLO);
  connection.hear(update(3, 4, { [id]: { rows: [{ instrument: "EURUSD", mark: 1.2 }] } }));
  expect([table.synced, table.get("EURUSD")]).toEqual([false, { instrument: "EURUSD", mark: 1.1 }]);
  connection.hear(snapshot(id, 5, [{ instrument: "EURUSD", mark: 1.3 }]));
  expect([table.synced, table.get("EURUSD")?.["mark"]]).toEqual([true, 1.3]);
});

describe("an update that does not follow", () => {
  test.each([
    ["in seq", { ...update(4, 5, {}) }],
    ["in epoch", { ...update(3, 4, {}), epoch: 8 }],
  ])("%s asks for every view again", (_, message) => {
    const { connection, sent, id, table } = connected();
    connection.hear(snapshot(id, 3, []));
    connection.hear(message);
    expect(table.synced).toBe(false);
    expect(sent.at(-1)).toEqual({ op: "resync", id });
  });
});

test("a copy that drifted is asked for once, and the second time the connection is made anew", () => {
  const { connection, sent, id, table, times } = connected();
  connection.hear(snapshot(id, 3, [{ instrument: "A", mark: 1 }]));
  connection.hear(update(3, 4, {}, { [id]: 12345 }));
  expect([sent.at(-1), table.synced, times()]).toEqual([{ op: "resync", id }, false, 0]);
  connection.hear(snapshot(id, 5, [{ instrument: "A", mark: 1 }]));
  connection.hear(update(5, 6, {}, { [id]: 12345 }));
  expect(times()).toBe(1);
});

test("a checksum that agrees ends the doubt", () => {
  const { connection, id, table, times } = connected();
  const rows = [{ instrument: "A", mark: 1 }];
  connection.hear(snapshot(id, 3, rows));
  connection.hear(update(3, 4, {}, { [id]: 1 }));
  connection.hear(snapshot(id, 5, [{ instrument: "A", mark: 1 }]));
  connection.hear(update(5, 6, {}, { [id]: checksum(rows) }));
  connection.hear(update(6, 7, {}, { [id]: 1 }));
  expect([times(), table.synced]).toEqual([0, false]);
});

test("how often prices may come is said again after every hello", () => {
  const { connection, sent } = connected();
  connection.limit(10);
  connection.limit(10);
  connection.lose();
  connection.hear(HELLO);
  expect(sent.filter(({ op }) => op === "configure")).toEqual([0, 1].map(() => ({ op: "configure", max_hz: 10 })));
});

test("an error is kept with the view that was refused", () => {
  const { connection, id, table } = connected();
  connection.hear({ type: "error", id, title: "unknown name", detail: "unknown node 'FX1'" });
  expect(table.refusal).toBe("unknown name: unknown node 'FX1'");
});

/** A generator of numbers that are the same in every run. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The engine as a list of whole tables, one for each seq: nothing is patched in it. */
class NaiveEngine {
  readonly history: Map<string, Row>[] = [new Map()];

  constructor(private readonly draw: (below: number) => number) {}

  get seq(): number {
    return this.history.length - 1;
  }

  get now(): Map<string, Row> {
    return this.history.at(-1) ?? new Map();
  }

  step(): void {
    const next = new Map([...this.now].map(([key, row]) => [key, { ...row }]));
    for (let times = this.draw(4); times > 0; times -= 1) {
      const instrument = `I${this.draw(6)}`;
      const key = keyText([instrument]);
      if (this.draw(4) === 0) next.delete(key);
      else next.set(key, { instrument, mark: this.draw(3) === 0 ? null : this.draw(100), stale: this.draw(2) === 1 });
    }
    this.history.push(next);
  }

  /** What changed between two seqs, with only the fields that did. */
  between(from: number, to: number): Patch {
    const [before, after] = [this.history[from] ?? new Map<string, Row>(), this.history[to] ?? new Map<string, Row>()];
    const rows = [...after].flatMap(([key, row]) => {
      const old = before.get(key);
      if (old === undefined) return [{ ...row }];
      const changed = Object.entries(row).filter(([name, value]) => name === "instrument" || old[name] !== value);
      return changed.length > 1 ? [Object.fromEntries(changed)] : [];
    });
    const removed = [...before.keys()].filter((key) => !after.has(key)).map((key) => [key.slice(1)]);
    return { rows, removed };
  }
}

test.each(Array.from({ length: 60 }, (_, seed) => seed))("what is in step is what the engine had at that seq: run %i", (seed) => {
  const draw = seeded(seed);
  const engine = new NaiveEngine(draw);
  const asked: string[] = [];
  const connection = new Connection(
    (message) => {
      if (message.op === "subscribe" || message.op === "resync") asked.push(message.id);
    },
    () => {
      throw new Error("the copy drifted");
    },
    () => undefined,
  );
  const id = connection.add({ view: "ladder" });
  const table = connection.tables.get(id);
  const changes = table?.follow();
  const shown = new Map<string, Row>(); // what a grid shows that only asks what changed
  let at = 0; // where the server believes that the connection stands
  connection.hear({ ...HELLO, seq: 0 });

  for (let step = 0; step < 300; step += 1) {
    engine.step();
    const event = draw(12);
    if (event === 0) {
      connection.lose();
      asked.length = 0;
      connection.hear({ ...HELLO, seq: engine.seq });
      at = engine.seq;
    } else if (asked.length > 0 && event < 9) {
      asked.length = 0;
      connection.hear(snapshot(id, engine.seq, [...engine.now.values()].map((row) => ({ ...row }))));
      at = engine.seq;
    } else if (event < 11) {
      const isLost = event === 10;
      const sums = table?.synced ? { [id]: checksum(engine.now.values()) } : {};
      const message = update(at, engine.seq, { [id]: engine.between(at, engine.seq) }, sums);
      at = engine.seq;
      if (!isLost) connection.hear(message);
    }
    if (table?.synced !== true || changes === undefined) continue;
    expect(table.rows).toEqual(engine.history[connection.seq ?? -1]);
    if (draw(3) === 0) continue; // a painter that skips a turn
    if (changes.all) shown.clear();
    for (const key of changes.removed) expect(shown.delete(key)).toBe(true);
    for (const key of changes.all ? table.rows.keys() : [...changes.changed, ...changes.added]) {
      const row = table.rows.get(key);
      if (row !== undefined) shown.set(key, { ...row });
    }
    changes.clear();
    expect(shown).toEqual(table.rows);
  }
});

describe("tables that are held for a moment of the past", () => {
  const held = () => {
    const made = connected();
    const status = made.connection.add({ view: "status" });
    made.connection.hear(snapshot(made.id, 3, [{ instrument: "A", mark: 1 }]));
    made.connection.hold(true);
    made.table.replace(snapshot("", 0, [{ instrument: "A", mark: 9 }]));
    return { ...made, status };
  };

  test("are left alone by the stream, all but the status", () => {
    const { connection, sent, id, table } = held();
    expect(sent.at(-1)).toEqual({ op: "unsubscribe", id });
    connection.hear(update(3, 4, { [id]: { rows: [{ instrument: "A", mark: 2 }] } }, { [id]: 1 }));
    connection.hear(snapshot(id, 5, [{ instrument: "A", mark: 3 }]));
    connection.hear(update(7, 8, {}));
    expect([table.get("A")?.["mark"], table.synced]).toEqual([9, true]);
    expect(sent.filter((message) => message.op === "resync" && message.id === id)).toEqual([]);
  });

  test("outlive the connection, and are not asked for after hello", () => {
    const { connection, sent, id, table, status } = held();
    connection.lose();
    const before = sent.length;
    connection.hear({ ...HELLO, epoch: 8 });
    expect([table.synced, sent.slice(before)]).toEqual([true, [{ op: "subscribe", id: status, view: "status" }]]);
    expect(sent.slice(before).some((message) => message.op !== "configure" && message.id === id)).toBe(false);
  });

  test("are asked for when they are shown anew, and those that come meanwhile too", () => {
    const { connection, sent, id, table } = held();
    const other = connection.add({ view: "nodes" });
    const before = sent.length;
    connection.drop(connection.add({ view: "dealers" }));
    expect(sent.length).toBe(before);
    connection.hold(false);
    expect([table.synced, sent.slice(before)]).toEqual([false, [{ op: "subscribe", id, view: "ladder", node: "FX1" }, { op: "subscribe", id: other, view: "nodes" }]]);
    connection.hear(snapshot(id, 9, [{ instrument: "A", mark: 4 }]));
    expect([table.get("A")?.["mark"], table.synced]).toEqual([4, true]);
  });

  test("keep the time of their moment: the stream's is not theirs", () => {
    const { connection } = held();
    connection.asOf = 77;
    connection.hear(update(3, 4, {}));
    expect([connection.asOf, connection.seq]).toEqual([77, 4]);
  });
});
