/** What the items of a document say, in words. */
import type { Item, Track } from "../api/types";
import { between, clock, measure, plain } from "../text/words";

const HEADLINES = ["message", "text", "label", "motion", "type", "name"] as const;
const SAID_ELSEWHERE = new Set(["id", "evidence", "start", "end", "t", "confidence", "boxes", "words", "box", "dt"]);
/** Of a longer list only its length is said. */
const MOST_SAID = 8;
/** Classes with less of a distribution are not in its headline. */
const LEAST_SHARE = 0.1;

function field(item: Item, name: string): unknown {
  return (item as Readonly<Record<string, unknown>>)[name];
}

function headlineField(item: Item): (typeof HEADLINES)[number] | undefined {
  return HEADLINES.find((name) => field(item, name));
}

/** What an item says, in as few words as it has. */
export function headline(item: Item): string {
  if ("value" in item) return `${plain(item.name)}: ${measure(item.value, item.unit)}`;
  if (typeof field(item, "years") === "number") return `about ${Math.round(field(item, "years") as number)} years`;
  const shares = field(item, "shares");
  if (isNamed(shares)) return mixture(shares as Readonly<Record<string, number>>);
  const colours = field(item, "colours");
  if (Array.isArray(colours)) return colours.map(({ hex }: { hex: string }) => hex).join(" ");
  const name = headlineField(item);
  if (!name) {
    if (typeof field(item, "colour") === "string") return String(field(item, "colour"));
    return details(item).find((said) => !said.startsWith("confidence")) ?? item.id;
  }
  const said = String(field(item, name));
  return name === "message" || name === "text" ? said : plain(said);
}

/** The classes that have most of a distribution, the largest first: neutral 69 %, sad 16 %. */
export function mixture(shares: Readonly<Record<string, number>>): string {
  const large = Object.entries(shares).filter(([, share]) => share >= LEAST_SHARE);
  large.sort(([, a], [, b]) => b - a);
  return large.map(([name, share]) => `${plain(name)} ${Math.round(share * 100)} %`).join(", ");
}

function isNamed(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** Colours of the picture that an item names, with their shares. */
export function swatches(item: Item): readonly { readonly hex: string; readonly share: number }[] {
  const [colours, colour] = [field(item, "colours"), field(item, "colour")];
  if (Array.isArray(colours)) return colours as { hex: string; share: number }[];
  return typeof colour === "string" ? [{ hex: colour, share: 1 }] : [];
}

/** Whether the headline quotes somebody: their words, in whatever language and direction. */
export function isQuote(item: Item): boolean {
  return headlineField(item) === "text";
}

/** From when until when an item holds; null for what holds for the whole video. */
export function span(item: Item): readonly [number, number] | null {
  if ("start" in item) return [item.start, item.end];
  return "t" in item ? [item.t, item.t] : null;
}

/** How much time spans, in seconds and ordered by start, cover together. */
export function covered(spans: readonly (readonly [number, number])[]): number {
  let [sum, reached] = [0, -Infinity];
  for (const [start, end] of spans) {
    sum += Math.max(0, end - Math.max(start, reached));
    reached = Math.max(reached, end);
  }
  return sum;
}

/** The item's moment or span. */
export function when(item: Item): string {
  const found = span(item);
  if (!found) return "";
  return found[0] === found[1] ? clock(found[0]) : between(...found);
}

/** A confidence as the model gave it; null where there is none. */
export function confidence(item: Item): number | null {
  return "confidence" in item ? item.confidence : null;
}

/** Everything else that an item says: confidence, number of boxes, and what its analyzer adds. */
export function details(item: Item): string[] {
  const said: string[] = [];
  const sure = confidence(item);
  if (sure !== null) said.push(`confidence ${sure.toFixed(2)}`);
  if ("boxes" in item) said.push(`seen at ${item.boxes.length} looks`);
  const headed = headlineField(item);
  for (const [name, value] of Object.entries(item)) {
    if (SAID_ELSEWHERE.has(name) || name === headed || "value" in item) continue;
    const text = valueText(value);
    if (text) said.push(`${plain(name)}: ${text}`);
  }
  return said;
}

function valueText(value: unknown): string {
  if (isNamed(value)) return Object.entries(value).map(([name, one]) => `${plain(name)} ${valueText(one)}`).join(", ");
  if (value === null || value === "" || typeof value === "object") return listText(value);
  return typeof value === "number" ? measure(value, "1") : plain(String(value));
}

function listText(value: unknown): string {
  if (!Array.isArray(value) || value.length === 0) return "";
  if (value.some((one) => one !== null && typeof one === "object")) return "";
  return value.length > MOST_SAID ? `${value.length} values` : value.map(valueText).join(", ");
}

/** The name of a track without its analyzer. */
export function trackName(track: Track): string {
  return plain((track.id ?? "").split("/")[1] ?? "");
}

/** How many things a track holds: items, or values that could be measured. */
export function size(track: Track): number {
  return track.kind === "series" ? track.values.filter((value) => value !== null).length : track.items.length;
}

/** The value of a series at a moment in seconds: null where it was not measured, undefined outside of it. */
export function valueAt(track: Extract<Track, { kind: "series" }>, t: number): number | null | undefined {
  return track.values[Math.floor((t - track.t0) / track.dt + 1e-9)];
}

/** The least and greatest value of a series; null when nothing was measured. */
export function range(track: Extract<Track, { kind: "series" }>): readonly [number, number] | null {
  let [low, high] = [Infinity, -Infinity];
  for (const value of track.values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : null;
}
