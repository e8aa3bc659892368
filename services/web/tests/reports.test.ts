import assert from "node:assert/strict";
import { test } from "node:test";
import type { Report } from "../src/api/types";
import { canRunAgain } from "../src/document/reports";

const report = (status: Report["status"], retryable: boolean | null) =>
  ({ status, error: retryable === null ? null : { code: "why", message: "why", retryable } }) as Report;

test("what may end otherwise can be run again, and nothing else", () => {
  const may = [report("failed", true), report("timeout", true), report("partial", true), report("cancelled", false)];
  assert.deepEqual(may.map(canRunAgain), [true, true, true, true]);
  const cannot = [report("ok", null), report("partial", null), report("failed", false), report("unavailable", false)];
  assert.deepEqual([...cannot, report("skipped", false), report("skipped", true)].map(canRunAgain), Array(6).fill(false));
});
