import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { INK, OVERLAY_COLOURS } from "../src/views/drawing";
import { FULL_ALPHA } from "../src/timeline/draw";

/** Least contrast of text by WCAG 2.2 AA. What stands in the page itself is judged by axe-core; here: what is drawn. */
const LEAST = 4.5;
const HUES = ["detect", "segment", "people", "speech", "vlm", "caption", "light", "control", "other"];

type Colour = readonly number[];

const colour = (hex: string): Colour => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const mixed = (over: Colour, under: Colour, alpha: number): Colour =>
  over.map((value, index) => alpha * value + (1 - alpha) * (under[index] ?? 0));

/** WCAG 2.2, relative luminance and contrast ratio. */
function luminance(of: Colour): number {
  const [r = 0, g = 0, b = 0] = of.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: Colour, b: Colour): number {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

/** The colours of each theme, by name. */
const THEMES = [...readFileSync("src/style/tokens.css", "utf8").matchAll(/:root[^{]*\{([^}]*)\}/g)].map(([, rules = ""]) =>
  Object.fromEntries([...rules.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name = "", hex = ""]) => [name, hex])),
);

test("text on the timeline's marks can be read in every group's colour, light and dark", () => {
  assert.equal(THEMES.length, 3, "light, dark by choice, dark by the system");
  for (const theme of THEMES) {
    const [ink, paper] = [colour(theme["ink"] ?? ""), colour(theme["paper"] ?? "")];
    for (const name of HUES) {
      const ground = mixed(colour(theme[name] ?? ""), paper, FULL_ALPHA);
      assert.ok(contrast(ink, ground) >= LEAST, `${name} on ${theme["paper"]}: ${contrast(ink, ground)}`);
    }
  }
});

test("labels over the video can be read in the colour of every overlay", () => {
  for (const [name, hex] of Object.entries(OVERLAY_COLOURS)) {
    assert.ok(contrast(colour(INK), colour(hex)) >= LEAST, name);
  }
});
