import assert from "node:assert/strict";
import { test } from "node:test";
import { held, moved, pictures, pixelsOf, secondsOf, showing, ticks, zoomed } from "../src/timeline/view";

const WHOLE = { start: 0, end: 12 };

test("pixels and seconds are each other's inverse", () => {
  const view = { start: 2, end: 6 };
  for (const t of [2, 3.3, 6]) assert.ok(Math.abs(secondsOf(view, 800, pixelsOf(view, 800, t)) - t) < 1e-9);
});

test("zooming keeps the moment under the pointer where it is", () => {
  const around = 7.5;
  const view = zoomed(WHOLE, 0.4, around, 12);
  assert.ok(Math.abs(pixelsOf(view, 1000, around) - pixelsOf(WHOLE, 1000, around)) < 1e-6);
  assert.ok(Math.abs(view.end - view.start - 4.8) < 1e-9);
});

test("a view stays inside of the video and has a shortest length", () => {
  assert.deepEqual(held({ start: -3, end: 1 }, 12), { start: 0, end: 4 });
  assert.deepEqual(moved({ start: 9, end: 11 }, 5, 12), { start: 10, end: 12 });
  assert.deepEqual(zoomed(WHOLE, 5, 3, 12), WHOLE);
  const close = zoomed(WHOLE, 1e-9, 12, 12);
  assert.deepEqual([close.end - close.start, close.end], [0.25, 12]);
  assert.deepEqual(held({ start: 0, end: 9 }, 0.1), { start: 0, end: 0.1 }, "a video shorter than the shortest view");
});

test("a moment outside of the view is brought into it", () => {
  const view = { start: 2, end: 4 };
  assert.equal(showing(view, 3, 12), view);
  const shown = showing(view, 9, 12);
  assert.ok(shown.start < 9 && shown.end > 9 && Math.abs(shown.end - shown.start - 2) < 1e-9);
});

test("ticks are round and far enough apart", () => {
  const { step, at } = ticks(WHOLE, 600, 64);
  assert.equal(step, 2);
  assert.deepEqual(at, [0, 2, 4, 6, 8, 10, 12]);
  assert.equal(ticks({ start: 0, end: 7200 }, 600, 64).step, 900);
});

test("pictures keep their moments while the view moves", () => {
  const first = pictures({ start: 0, end: 8 }, 800, 60, 12);
  const next = pictures({ start: 1, end: 9 }, 800, 60, 12);
  assert.equal(first.step, next.step);
  assert.ok(next.at.filter((t) => first.at.includes(t)).length >= next.at.length - 2);
  assert.ok(pictures({ start: 0, end: 20 }, 800, 60, 12).at.every((t) => t < 12), "none beyond the end");
});
