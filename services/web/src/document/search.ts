/** Search in one document: words said, text shown, things seen, and every other name that a track gives. */
import type { Followed, Item, Speech, Track } from "../api/types";
import { headline, span } from "./items";

export type Where = "said" | "shown" | "seen" | "noted";

/** One place where the words were found. `from` and `to` mark them in `text`; `t` is where to jump to, in seconds. */
export interface Hit {
  readonly where: Where;
  readonly text: string;
  readonly from: number;
  readonly to: number;
  readonly t: number;
  readonly start: number;
  readonly end: number;
  readonly track: string;
  readonly item: string;
}

const SAID = "speech_transcription/segments";
const SHOWN = "text_overlay/captions";
const ORDER: readonly Where[] = ["said", "shown", "seen", "noted"];

/** Every hit for a query, by where it was found, then by time. An empty query finds nothing. */
export function search(tracks: readonly Track[], query: string): Hit[] {
  const wanted = folded(query.trim()).text;
  if (!wanted) return [];
  const hits = tracks.flatMap((track) => (track.kind === "series" ? [] : inTrack(track, wanted)));
  return hits.sort((a, b) => ORDER.indexOf(a.where) - ORDER.indexOf(b.where) || a.t - b.t);
}

function inTrack(track: Exclude<Track, { kind: "series" }>, wanted: string): Hit[] {
  const id = track.id ?? "";
  const where: Where = id === SAID ? "said" : id === SHOWN ? "shown" : track.kind === "object" ? "seen" : "noted";
  return (track.items as readonly Item[]).flatMap((item) => inItem(item, wanted, where, id));
}

function inItem(item: Item, wanted: string, where: Where, track: string): Hit[] {
  const held = span(item);
  if (!held) return [];
  const text = headline(item);
  return places(text, wanted).map(([from, to]) => {
    const t = where === "said" ? wordTime(item as Speech, text, from) : where === "seen" ? seenFrom(item) : held[0];
    return { where, text, from, to, t, start: held[0], end: held[1], track, item: item.id };
  });
}

/** Where the wanted, folded text stands in a text, as ranges of its characters. */
export function places(text: string, wanted: string): (readonly [number, number])[] {
  const { text: plainText, origin } = folded(text);
  const found: (readonly [number, number])[] = [];
  for (let at = plainText.indexOf(wanted); at >= 0; at = plainText.indexOf(wanted, at + wanted.length)) {
    found.push([origin[at] ?? 0, origin[at + wanted.length] ?? text.length]);
  }
  return found;
}

/** A text in lower case without accents, and from which character of it each one comes. */
function folded(text: string): { text: string; origin: number[] } {
  let plainText = "";
  const origin: number[] = [];
  let at = 0;
  for (const character of text) {
    const kept = character.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    for (let index = 0; index < kept.length; index++) origin.push(at);
    plainText += kept;
    at += character.length;
  }
  return { text: plainText, origin };
}

/** When the word at a character of a segment's text is said; the segment's start where words have no times. */
function wordTime(segment: Speech, text: string, from: number): number {
  let at = 0;
  for (const word of segment.words) {
    const found = text.indexOf(word.text.trim(), at);
    if (found < 0) continue;
    at = found + word.text.trim().length;
    if (at > from) return word.start;
  }
  return segment.start;
}

/** The first moment at which a thing was seen. */
function seenFrom(item: Item): number {
  const boxes = (item as Partial<Followed>).boxes;
  return boxes?.[0]?.t ?? span(item)?.[0] ?? 0;
}
