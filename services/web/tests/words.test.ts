import assert from "node:assert/strict";
import { test } from "node:test";
import { between, bytes, clock, count, lasting, measure, number, title } from "../src/text/words";

test("a moment is said as the report says it", () => {
  assert.equal(clock(3.52), "0:03.5");
  assert.equal(clock(59.96), "1:00.0", "rounding carries into the minute");
  assert.equal(clock(3723.5), "1:02:03.5");
  assert.equal(clock(12, 0), "0:12");
  assert.equal(clock(1.2345, 2), "0:01.23");
  assert.equal(clock(-0.01), "0:00.0", "nothing is before the start");
  assert.equal(between(3.5, 7), "0:03.5–0:07.0");
});

test("numbers keep three digits and carry their unit", () => {
  assert.equal(number(-18.94), "−18.9");
  assert.equal(number(0.001), "0");
  assert.equal(number(-0.001), "0", "no minus zero");
  assert.equal(number(4513), "4,513");
  assert.equal(measure(null, "LUFS"), "not measured");
  assert.equal(measure(0.229, "share"), "22.9 %");
  assert.equal(measure(7, "1"), "7");
  assert.equal(measure(-12.49, "LUFS"), "−12.5 LUFS");
});

test("lengths, sizes and counts are for people", () => {
  assert.equal(lasting(8.44), "8.44 s");
  assert.equal(lasting(60), "1 min");
  assert.equal(lasting(200), "3 min 20 s");
  assert.equal(lasting(7500), "2 h 5 min");
  assert.equal(bytes(891_772), "892 kB");
  assert.equal(bytes(2_678_405), "2.68 MB");
  assert.equal(count(1, "hit"), "1 hit");
  assert.equal(count(0, "hit"), "0 hits");
  assert.equal(title("speech_rate"), "Speech rate");
});
