import assert from "node:assert/strict";
import { test } from "node:test";
import type { Item } from "../src/api/types";
import { details, headline } from "../src/document/items";

const SHARES = { angry: 0.04, disgust: 0, fear: 0.1, happy: 0.2, sad: 0.06, surprise: 0, neutral: 0.6 };
const MIXED = { id: "d-f1", start: 0, end: 2, confidence: 0.7, evidence: [], looks: 8, shares: SHARES } as unknown as Item;

test("a distribution's headline names the classes that have most of it, the largest first", () => {
  assert.equal(headline(MIXED), "neutral 60 %, happy 20 %, fear 10 %");
});

test("its details leave no class out", () => {
  assert.deepEqual(details(MIXED), [
    "confidence 0.70",
    "looks: 8",
    "shares: angry 0.04, disgust 0, fear 0.1, happy 0.2, sad 0.06, surprise 0, neutral 0.6",
  ]);
});
