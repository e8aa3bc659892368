/** Lanes of the timeline: one a track, its items in rows so that none covers another. */
import type { Item, Report, Series, Track } from "../api/types";
import { span } from "../document/items";
import { lasting } from "../text/words";

/** An item with its place: half-open span in seconds and row from 0. */
export interface Placed {
  readonly item: Item;
  readonly start: number;
  readonly end: number;
  readonly row: number;
}

export interface Lane {
  readonly id: string;
  readonly analyzer: string;
  readonly group: string;
  readonly track: Track;
  readonly placed: readonly Placed[];
  readonly rows: number;
  /** Spans in seconds that its analyzer did not look at. */
  readonly holes: readonly (readonly [number, number])[];
}

export interface LaneGroup {
  readonly name: string;
  readonly lanes: readonly Lane[];
}

export const MAX_ROWS = 6;
export const OTHER = "other";
export const NOT_LOOKED = "did not look";

/** Rows from above, each item in the first that is free; beyond the last row they share it. */
export function place(items: readonly Item[]): Placed[] {
  const free: number[] = [];
  const ordered = items.flatMap((item) => {
    const held = span(item);
    return held ? [{ item, start: held[0], end: held[1] }] : [];
  });
  ordered.sort((a, b) => a.start - b.start || b.end - a.end);
  return ordered.map((one) => {
    const found = free.findIndex((end) => end <= one.start);
    const row = found >= 0 ? found : Math.min(free.length, MAX_ROWS - 1);
    free[row] = Math.max(free[row] ?? 0, one.end, one.start + 1e-6);
    return { ...one, row };
  });
}

/** What lies between the analysed spans of a video. */
export function holes(analysed: Report["analysed"], duration: number): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  let reached = 0;
  for (const [start, end] of [...analysed].sort((a, b) => a[0] - b[0])) {
    if (start > reached + 0.05) found.push([reached, start]);
    reached = Math.max(reached, end);
  }
  if (duration > reached + 0.05) found.push([reached, duration]);
  return found;
}

/** For how much of the video somebody looked, where it is not all of it. */
export function looked(without: Lane["holes"], duration: number): string {
  const missed = without.reduce((sum, [start, end]) => sum + end - start, 0);
  if (missed === 0) return "";
  const seen = duration - missed;
  return seen > 0.005 ? `looked at ${lasting(seen)} of ${lasting(duration)}` : NOT_LOOKED;
}

/** All lanes, by group in the order of `groups`; groups that it does not name come last. */
export function lanes(
  tracks: readonly Track[],
  reports: ReadonlyMap<string, Report>,
  groupOf: ReadonlyMap<string, string>,
  groups: readonly string[],
  duration: number,
): LaneGroup[] {
  const all = tracks.flatMap((track) => (track.kind === "scalar" ? [] : [lane(track, reports, groupOf, duration)]));
  const names = [...groups, OTHER].filter((name, index, list) => list.indexOf(name) === index);
  const byGroup = names.map((name) => ({ name, lanes: all.filter((one) => one.group === name) }));
  return byGroup.filter((one) => one.lanes.length > 0);
}

function lane(
  track: Exclude<Track, { kind: "scalar" }>,
  reports: ReadonlyMap<string, Report>,
  groupOf: ReadonlyMap<string, string>,
  duration: number,
): Lane {
  const analyzer = track.analyzer ?? "";
  const placed = track.kind === "series" ? [] : track.kind === "event" ? inOneRow(track.items) : place(track.items);
  const analysed = reports.get(analyzer)?.analysed ?? [];
  return {
    id: track.id ?? "",
    analyzer,
    group: groupOf.get(analyzer) ?? OTHER,
    track,
    placed,
    rows: placed.reduce((most, one) => Math.max(most, one.row + 1), 1),
    holes: holes(analysed, duration),
  };
}

function inOneRow(items: readonly Item[]): Placed[] {
  return items.flatMap((item) => {
    const held = span(item);
    return held ? [{ item, start: held[0], end: held[1], row: 0 }] : [];
  });
}

/** A value for each of `buckets` equal parts of a span of a series: least and greatest in it, null without any. */
export function summarised(
  track: Series,
  start: number,
  end: number,
  buckets: number,
): (readonly [number, number] | null)[] {
  const length = (end - start) / buckets;
  return Array.from({ length: buckets }, (_, bucket) => {
    const first = Math.floor((start + bucket * length - track.t0) / track.dt + 1e-9);
    const last = Math.max(first + 1, Math.ceil((start + (bucket + 1) * length - track.t0) / track.dt - 1e-9));
    let [low, high] = [Infinity, -Infinity];
    for (const value of track.values.slice(Math.max(0, first), Math.max(0, last))) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    return low <= high ? ([low, high] as const) : null;
  });
}
