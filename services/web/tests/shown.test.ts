import assert from "node:assert/strict";
import { test } from "node:test";
import { overlays } from "../src/document/overlays";
import { looksAt, mixed, unpacked } from "../src/document/shown";
import { peaks } from "../src/timeline/sound";

const LATER = 100;
const look = (t: number) => ({ t, box: [t, 0, 1, 1] as [number, number, number, number] });

test("between two looks a box is on its way from the first to the second", () => {
  const found = looksAt({ end: LATER, boxes: [look(1), look(1.25)] }, 1.125);
  assert.deepEqual([found?.first.t, found?.next?.t, found?.share], [1, 1.25, 0.5]);
  assert.deepEqual(mixed([0, 1], [1, 3], 0.5), [0.5, 2]);
});

test("nothing is drawn before the first look, long after the last, or in a long gap", () => {
  const looks = { end: LATER, boxes: [look(1), look(5)] };
  assert.equal(looksAt(looks, 0.9), null);
  assert.equal(looksAt(looks, 3), null);
  assert.equal(looksAt(looks, 5.5), null);
  assert.equal(looksAt(looks, 5.2)?.next, null);
});

test("nothing is drawn after the end, where another shot may be", () => {
  const ends = { end: 5.1, boxes: [look(4.75), look(5)] };
  assert.equal(looksAt(ends, 5.09)?.first.t, 5);
  assert.equal(looksAt(ends, 5.1), null);
  assert.equal(looksAt({ end: 4.9, boxes: [look(4.75), look(5)] }, 4.9), null, "not even on the way to a later look");
});

test("eyes, faces, things and bodies are drawn until their end", () => {
  const face = { t: 1, box: [0, 0, 1, 1], keypoints: Array(6).fill([0.5, 0.5]), landmarks: Array(33).fill([0.5, 0.5, 1]) };
  const item = { id: "f1", start: 0, end: 1.1, confidence: 1, label: "one", boxes: [face], evidence: ["face_detection/faces/f1"] };
  const eyes = { ...item, dt: 0.1, across: Array(20).fill(0), down: Array(20).fill(0) };
  const track = (id: string) => ({ id, kind: "object", items: id.startsWith("eye") ? [eyes] : [item] });
  const drawn = overlays(((id: string) => track(id)) as unknown as Parameters<typeof overlays>[0]);
  for (const name of ["objects", "products", "faces", "poses", "hands", "gaze"]) {
    const at = drawn.find((one) => one.name === name)?.at;
    const marks = (t: number) => Object.values(at?.(t) ?? {}).reduce((sum, one) => sum + ((one as unknown[] | null)?.length ?? 0), 0);
    assert.ok(marks(1.05) > 0, name);
    assert.equal(marks(1.15), 0, name);
  }
});

test("a mask ends at a cut", () => {
  const mask = { id: "m1", t: 1, size: [1, 1], counts: [0, 1] };
  const track = (id: string) => ({ id, items: id === "cut_analysis/shots" ? [{ start: 0 }, { start: 1.5 }] : id.includes("masks") ? [mask] : [] });
  const [drawn] = overlays(((id: string) => track(id)) as unknown as Parameters<typeof overlays>[0]);
  assert.deepEqual([1.4, 1.5].map((t) => Boolean(drawn?.at(t).mask)), [true, false]);
});

test("a mask's runs go column after column", () => {
  // a picture of 2 rows and 3 columns whose middle column is a person
  assert.deepEqual([...unpacked([2, 3], [2, 2, 2])], [0, 1, 0, 0, 1, 0]);
  assert.deepEqual([...unpacked([2, 2], [0, 4])], [1, 1, 1, 1], "a mask may begin with a person");
});

test("a waveform's peaks are shares of the loudest", () => {
  assert.deepEqual([...peaks(new Float32Array([0, -0.5, 0.25, 0]), 2)], [1, 0.5]);
});
