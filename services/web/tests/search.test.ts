import assert from "node:assert/strict";
import { test } from "node:test";
import type { Track } from "../src/api/types";
import { places, search } from "../src/document/search";

const word = (start: number, text: string) => ({ start, end: start + 0.3, text, confidence: 0.9 });
const TRACKS = [
  {
    id: "object_detection/objects",
    kind: "object",
    items: [{ id: "o1", label: "cup", start: 6, end: 8, confidence: 0.8, evidence: [], boxes: [{ t: 6.25, box: [0, 0, 1, 1] }] }],
  },
  {
    id: "text_overlay/captions",
    kind: "segment",
    items: [{ id: "x1", text: "COFFEE CUP", start: 5, end: 7, confidence: 1, evidence: [], box: [0, 0, 1, 1] }],
  },
  {
    id: "speech_transcription/segments",
    kind: "segment",
    items: [
      {
        id: "s1",
        text: "A cup, and one more cup.",
        start: 1,
        end: 3,
        confidence: 1,
        evidence: [],
        words: [word(1, "A"), word(1.2, "cup,"), word(1.5, "and"), word(1.8, "one"), word(2, "more"), word(2.4, "cup.")],
      },
    ],
  },
  { id: "audio_analysis/loudness", kind: "series", values: [1], t0: 0, dt: 1, unit: "LUFS" },
] as unknown as Track[];

test("words said come first, each at its own time; then text, then things from when they are seen", () => {
  assert.deepEqual(
    search(TRACKS, "cup").map(({ where, t }) => [where, t]),
    [["said", 1.2], ["said", 2.4], ["shown", 5], ["seen", 6.25]],
  );
});

test("case, accents and spaces around do not matter, and the hit marks the characters as they stand", () => {
  const [hit] = search(TRACKS, "  CÚP ");
  assert.equal(hit?.text.slice(hit.from, hit.to), "cup");
  assert.deepEqual(places("Das CAFÉ ist zu", "cafe"), [[4, 8]]);
  assert.deepEqual(places("İstanbul cup", "cup"), [[9, 12]], "a letter that folds to two does not shift the rest");
});

test("a phrase over several words is found at its first word", () => {
  assert.deepEqual(search(TRACKS, "one more").map(({ t }) => t), [1.8]);
});

test("nothing is found for nothing", () => {
  assert.deepEqual(search(TRACKS, "   "), []);
  assert.deepEqual(search(TRACKS, "zebra"), []);
});
