import assert from "node:assert/strict";
import { test } from "node:test";
import { besides } from "../src/document/lines";

const LINE = { start: 1, end: 4, words: [{ start: 1.2 }, { start: 2 }, { start: 3 }] };

test("from elsewhere a line is entered at its first word", () => {
  assert.deepEqual([0, 1, 4, 9].map((now) => besides(LINE, now, 1)), [1.2, 1.2, 1.2, 1.2]);
  assert.equal(besides({ ...LINE, words: [] }, 9, 1), 1, "a line without words has its start");
});

test("in a line it goes from word to word, and stays at its ends", () => {
  assert.deepEqual([1.2, 1.9, 2.0005, 3, 3.9].map((now) => besides(LINE, now, 1)), [2, 2, 3, 3, 3]);
  assert.deepEqual([3.5, 3, 2, 1.2].map((now) => besides(LINE, now, -1)), [3, 2, 1.2, 1.2]);
});
