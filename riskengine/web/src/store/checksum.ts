// The checksum of rows, over values rather than text, by which a screen finds out that its copy has drifted
// (manual/stream.md).

import type { Row } from "./messages";

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
const utf8 = new TextEncoder();
const double = new DataView(new ArrayBuffer(8));
const doubleBytes = new Uint8Array(double.buffer);

function crc(start: number, bytes: Uint8Array): number {
  let value = start;
  for (const byte of bytes) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 0xff] ?? 0);
  return value;
}

function rowChecksum(row: Row): number {
  let value = 0xffffffff;
  for (const name of Object.keys(row).toSorted()) {
    const field = row[name];
    if (typeof field === "number") {
      double.setFloat64(0, field + 0); // turns minus zero into zero
      value = crc(crc(value, utf8.encode(`${name}n`)), doubleBytes);
    } else if (typeof field === "string") value = crc(value, utf8.encode(`${name}s${field}`));
    else if (typeof field === "boolean") value = crc(value, utf8.encode(name + (field ? "t" : "f")));
  }
  return (value ^ 0xffffffff) >>> 0;
}

/** The checksum of all rows of a view, in any order. */
export function checksum(rows: Iterable<Row>): number {
  let sum = 0;
  for (const row of rows) sum = (sum + rowChecksum(row)) % 2 ** 32;
  return sum;
}
