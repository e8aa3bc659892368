import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnalyzerState, JobView } from "../src/api/types";
import { standing } from "../src/document/standing";

const job = (place: number | null, ...statuses: readonly AnalyzerState["status"][]) =>
  ({
    queue_position: place,
    eta_seconds: null,
    analyzers: statuses.map((status, index) => ({ name: `a${index}`, status, error: null })),
  }) as unknown as JobView;

test("a job waits for its turn only while nobody looks at it", () => {
  assert.equal(standing(job(3, "queued", "queued")).title, "Waiting for its turn");
  assert.equal(standing(job(3, "running", "queued")).title, "Looking at it", "it has begun since its place was asked for");
  assert.ok(!standing(job(3, "running", "queued")).facts.join().includes("place"));
  assert.equal(standing(job(null, "ok", "queued")).title, "Looking at it");
});

test("where the cache knew some of it, the rest waits", () => {
  const { title, facts } = standing(job(2, "ok", "queued", "unavailable"));
  assert.equal(title, "The rest waits for its turn");
  assert.deepEqual(facts, ["place 2 in the queue", "1 of 2 analyzers ended", "1 of 3 do not run"]);
  assert.equal(standing(job(2, "queued", "unavailable")).title, "Waiting for its turn", "who does not run has not ended");
});
