import assert from "node:assert/strict";
import { test } from "node:test";
import { isAfter } from "../src/api/follow";

test("of a stream that begins again only what is new counts", () => {
  assert.deepEqual(["8-0", "9-1", "9-2", "9-10", "10-0"].filter((id) => isAfter(id, "9-2")), ["9-10", "10-0"]);
  assert.ok(isAfter("1-0", ""), "the first of all");
});
