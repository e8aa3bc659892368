import assert from "node:assert/strict";
import { test } from "node:test";
import { looksAt, mixed, unpacked } from "../src/document/shown";
import { peaks } from "../src/timeline/sound";

const look = (t: number) => ({ t, box: [t, 0, 1, 1] as [number, number, number, number] });

test("between two looks a box is on its way from the first to the second", () => {
  const found = looksAt([look(1), look(1.25)], 1.125);
  assert.deepEqual([found?.first.t, found?.next?.t, found?.share], [1, 1.25, 0.5]);
  assert.deepEqual(mixed([0, 1], [1, 3], 0.5), [0.5, 2]);
});

test("nothing is drawn before the first look, long after the last, or in a long gap", () => {
  const looks = [look(1), look(5)];
  assert.equal(looksAt(looks, 0.9), null);
  assert.equal(looksAt(looks, 3), null);
  assert.equal(looksAt(looks, 5.5), null);
  assert.equal(looksAt(looks, 5.2)?.next, null);
});

test("a mask's runs go column after column", () => {
  // a picture of 2 rows and 3 columns whose middle column is a person
  assert.deepEqual([...unpacked([2, 3], [2, 2, 2])], [0, 1, 0, 0, 1, 0]);
  assert.deepEqual([...unpacked([2, 2], [0, 4])], [1, 1, 1, 1], "a mask may begin with a person");
});

test("a waveform's peaks are shares of the loudest", () => {
  assert.deepEqual([...peaks(new Float32Array([0, -0.5, 0.25, 0]), 2)], [1, 0.5]);
});
