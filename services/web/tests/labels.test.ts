import assert from "node:assert/strict";
import { test } from "node:test";
import { common, LABEL_PIXELS, placed, type Rect } from "../src/document/labels";

const PICTURE = { width: 400, height: 300 };
const box = (left: number, top: number, width: number, height: number): Rect => ({ left, top, width, height });

function overlaps(places: readonly (Rect | null)[]): number {
  const shown = places.filter((place) => place !== null);
  return shown.filter((a, index) => shown.some((b, other) => other > index && common(a, b) > 0)).length;
}

test("a label alone stands above its box, and below where there is no room above", () => {
  assert.deepEqual(placed([{ box: box(50, 60, 100, 100), width: 80 }], PICTURE), [box(49, 60 - LABEL_PIXELS - 2, 80, LABEL_PIXELS)]);
  assert.deepEqual(placed([{ box: box(50, 4, 100, 100), width: 80 }], PICTURE), [box(49, 106, 80, LABEL_PIXELS)]);
});

test("labels of boxes that share a corner all have a place of their own", () => {
  const labels = [90, 80, 120].map((width) => ({ box: box(100, 100, 120, 90), width }));
  const places = placed(labels, PICTURE);
  assert.equal(places.filter((place) => place !== null).length, 3);
  assert.equal(overlaps(places), 0);
});

test("of lines of text close together none is covered: labels stand beside them, or are left out", () => {
  const lines = Array.from({ length: 8 }, (_, row) => ({ box: box(10, 40 + 20 * row, 150, 14), width: 130 }));
  const places = placed(lines, PICTURE);
  assert.equal(overlaps(places), 0);
  assert.ok(places.every((place) => place !== null));
  const wide = lines.map(({ width, box: line }) => ({ width, box: { ...line, width: 380 } }));
  const left = placed(wide, PICTURE);
  assert.deepEqual(left.map((place) => place !== null), [true, ...Array(6).fill(false), true]);
  assert.ok(left.every((place) => !place || wide.every(({ box: line }) => common(place, line) === 0)));
});

test("a label keeps off what is taken", () => {
  const [place] = placed([{ box: box(60, 60, 200, 60), width: 90 }], PICTURE, [box(0, 0, 400, 60)]);
  assert.equal(place?.top, 122);
});

test("a label stays in the picture, and a box around another counts as its ground", () => {
  const [right] = placed([{ box: box(380, 100, 20, 20), width: 90 }], PICTURE);
  assert.equal(right?.left, 310);
  const [, face] = placed([{ box: box(20, 30, 300, 250), width: 90 }, { box: box(100, 90, 60, 60), width: 70 }], PICTURE);
  assert.equal(face?.top, 70);
});
