import { expect, test } from "vitest";
import { Connection, type Sent } from "./connection";
import { Subscriptions } from "./subscriptions";

test("two watchers of the same view share it until the last lets go", () => {
  const sent: Sent[] = [];
  const connection = new Connection((message) => sent.push(message), () => undefined, () => undefined);
  connection.hear({ type: "hello", protocol: 1, epoch: 1, seq: 1, reporting_currency: "USD", heartbeat_ms: 1000 });
  const subscriptions = new Subscriptions(connection);
  const one = subscriptions.watch({ view: "ladder", node: "FX1" });
  const other = subscriptions.watch({ node: "FX1", view: "ladder" });
  const another = subscriptions.watch({ view: "ladder", node: "FX2" });
  expect(other.table).toBe(one.table);
  expect(another.table).not.toBe(one.table);
  one.release();
  one.release();
  expect(sent.map(({ op }) => op)).toEqual(["subscribe", "subscribe"]);
  other.release();
  expect(sent.at(-1)).toEqual({ op: "unsubscribe", id: "ladder-0" });
});
