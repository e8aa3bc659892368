import assert from "node:assert/strict";
import { test } from "node:test";
import type { Report, Segment, Series, Track } from "../src/api/types";
import { holes, lanes, looked, MAX_ROWS, place, summarised } from "../src/timeline/lanes";

const segment = (id: string, start: number, end: number): Segment => ({ id, start, end, confidence: null, evidence: [] });

test("items that overlap are in different rows, and a free row is used again", () => {
  const placed = place([segment("a", 0, 4), segment("b", 2, 6), segment("c", 4, 5), segment("d", 6, 7)]);
  assert.deepEqual(
    placed.map(({ item, row }) => [item.id, row]),
    [["a", 0], ["b", 1], ["c", 0], ["d", 0]],
  );
});

test("more items at once than rows share the last one", () => {
  const placed = place(Array.from({ length: MAX_ROWS + 3 }, (_, index) => segment(`s${index}`, 0, 1)));
  assert.equal(Math.max(...placed.map(({ row }) => row)), MAX_ROWS - 1);
});

test("what nobody looked at is a hole", () => {
  assert.deepEqual(holes([[6, 8], [1, 4]], 12), [[0, 1], [4, 6], [8, 12]]);
  assert.deepEqual(holes([[0, 12]], 12), []);
  assert.deepEqual(holes([], 12), [[0, 12]]);
  assert.deepEqual(holes([[0, 11.98]], 12), [], "less than two frames are none");
});

test("it is said for how much of the video somebody looked, where that is not all of it", () => {
  assert.equal(looked([], 12), "");
  assert.equal(looked([[0, 10.6]], 12), "looked at 1.4 s of 12 s");
  assert.equal(looked([[0, 12]], 12), "did not look");
});

test("a lane has holes where its analyzer says that it did not look, gaps of a series are none", () => {
  const series = { id: "a/speed", analyzer: "a", kind: "series", t0: 0, dt: 1, unit: "1", values: [null, 1, 2, null, null, 3] };
  const report = { name: "a", analysed: [[0, 6]] } as unknown as Report;
  const [group] = lanes([series as unknown as Track], new Map([["a", report]]), new Map(), [], 8);
  assert.deepEqual(group?.lanes[0]?.holes, [[6, 8]]);
});

test("every track but scalars has its lane, in the order of the groups; unknown ones come last", () => {
  const track = (id: string, kind: string) =>
    ({ id, analyzer: id.split("/")[0], kind, items: [], values: [], t0: 0, dt: 1, unit: "1", method: "model" }) as unknown as Track;
  const found = lanes(
    [track("x/new", "segment"), track("b/loudness", "series"), track("a/boxes", "object"), track("a/numbers", "scalar")],
    new Map(),
    new Map([["a", "detect"], ["b", "light"]]),
    ["detect", "speech", "light"],
    12,
  );
  assert.deepEqual(
    found.map(({ name, lanes: own }) => [name, own.map(({ id }) => id)]),
    [["detect", ["a/boxes"]], ["light", ["b/loudness"]], ["other", ["x/new"]]],
  );
});

test("a series keeps its peaks and its gaps however many values share a pixel", () => {
  const values = [1, 9, 2, 3, null, null, null, null, -5, 0];
  const series = { kind: "series", t0: 0, dt: 1, values } as unknown as Series;
  assert.deepEqual(summarised(series, 0, 8, 2), [[1, 9], null]);
  assert.deepEqual(summarised(series, 0, 10, 5), [[1, 9], [2, 3], null, null, [-5, 0]]);
});
