// Follows the ladder of a node, and prints what it holds: one line of JSON after each message that moved it.
// Written from riskengine/manual/stream.md alone; needs nothing but Node (20: node --experimental-websocket).
//
//   node ladder.mjs http://127.0.0.1:8321 FX1

const [base, node] = process.argv.slice(2);
const url = base.replace(/^http/, "ws") + "/v1/stream";
const utf8 = new TextEncoder();

let rows = new Map(); // by instrument; kept while there is no connection
let epoch = null, seq = null, fresh = false;
let verified = 0, resyncs = 0, connections = 0, failures = 0;

function show(status) {
  const held = [...rows.values()];
  console.log(JSON.stringify({ status, epoch, seq, verified, resyncs, connections, rows: held }));
}

// -- "Checksums"

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 0xff];
  return (crc ^ 0xffffffff) >>> 0;
}

function rowChecksum(row) {
  const parts = [];
  for (const name of Object.keys(row).sort()) {
    const value = row[name];
    if (typeof value === "number") {
      const double = new DataView(new ArrayBuffer(8));
      double.setFloat64(0, value + 0); // minus zero becomes zero
      parts.push(...utf8.encode(name + "n"), ...new Uint8Array(double.buffer));
    } else if (typeof value === "string") parts.push(...utf8.encode(name + "s" + value));
    else if (typeof value === "boolean") parts.push(...utf8.encode(name + (value ? "t" : "f")));
  }
  return crc32(Uint8Array.from(parts));
}

const checksum = () => [...rows.values()].reduce((sum, row) => (sum + rowChecksum(row)) % 2 ** 32, 0);

// -- one connection

function connect() {
  const socket = new WebSocket(url);
  const say = (message) => socket.send(JSON.stringify(message));
  let silenceMs = 10_000, reconnectMs = null, watchdog = null;

  function heard() { // "Is it alive?"
    clearTimeout(watchdog);
    watchdog = setTimeout(() => { show("stale"); socket.close(); ended(); }, silenceMs);
  }

  function resync() {
    fresh = false;
    resyncs += 1;
    say({ op: "resync", id: "l" });
  }

  function update(message) {
    const gap = message.prev_seq !== seq;
    seq = message.seq;
    if (!fresh) return;
    if (gap) return resync();
    const change = message.views.l ?? { rows: [], removed: [] };
    for (const row of change.rows) rows.set(row.instrument, { ...rows.get(row.instrument), ...row });
    for (const [instrument] of change.removed) rows.delete(instrument);
    const told = message.checksums?.l;
    if (told !== undefined) {
      if (told !== checksum()) return resync();
      verified += 1;
    }
    show("live");
  }

  const hear = {
    hello(message) {
      connections += 1;
      ({ epoch, seq } = message);
      silenceMs = 3 * message.heartbeat_ms;
      say({ op: "subscribe", id: "l", view: "ladder", node });
    },
    snapshot(message) {
      failures = 0;
      fresh = true;
      seq = message.seq;
      rows = new Map(message.rows.map((row) => [row.instrument, row]));
      show("live");
    },
    update,
    bye(message) { reconnectMs = message.reconnect_after_ms; },
    error(message) { console.error(`${message.title}: ${message.detail}`); },
  };

  let over = false;
  function ended() { // "Coming back"
    if (over) return;
    over = true;
    clearTimeout(watchdog);
    if (fresh) show("disconnected");
    fresh = false;
    const longest = Math.min(10_000, 250 * 2 ** failures++);
    setTimeout(connect, reconnectMs ?? longest * (0.5 + Math.random() / 2));
  }

  socket.onmessage = (event) => {
    heard();
    const message = JSON.parse(event.data);
    hear[message.type]?.(message);
  };
  socket.onclose = socket.onerror = ended;
}

connect();
