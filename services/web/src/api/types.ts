/** Names for the types of the OpenAPI document. `schema.d.ts` is generated from it: page and API cannot drift apart. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type JobView = Schemas["JobView"];
export type JobSummary = Schemas["JobSummary"];
export type AnalyzerState = Schemas["AnalyzerState"];
export type AnalyzerInfo = Schemas["AnalyzerInfo"];
export type GroupInfo = Schemas["GroupInfo"];
export type Report = Schemas["AnalyzerReport"];
export type MediaInfo = Schemas["MediaInfo"];
export type Document = Schemas["Document"];
export type Excerpt = Schemas["Excerpt"];
export type Snapshot = Schemas["Snapshot"];
export type Problem = Schemas["Problem"];
export type Session = Schemas["Session"];
export type Status = Report["status"];

/** Every track that an analyzer of this version can give. */
export type Track = Document["tracks"][number];
export type Series = Extract<Track, { kind: "series" }>;
export type SegmentTrack = Extract<Track, { kind: "segment" }>;
export type EventTrack = Extract<Track, { kind: "event" }>;
export type ObjectTrack = Extract<Track, { kind: "object" }>;
export type ScalarTrack = Extract<Track, { kind: "scalar" }>;
export type Segment = Omit<Schemas["LabelledSegment"], "label">;
export type Moment = Schemas["Event"];
export type Followed = Schemas["TrackedObject"];
export type Scalar = Schemas["Scalar"];
export type Speech = Schemas["SpeechSegment"];
export type Caption = Schemas["Caption"];
export type Item = Segment | Moment | Followed | Scalar;
export type Box = Schemas["TimedBox"]["box"];

/** The track with an id, with the type that the document's schema gives it. */
export type TrackOf<Id extends Track["id"]> = Extract<Track, { id?: Id }>;

/** What one analyzer ended in: OpenAPI says `BaseTrack`, the document's schema says which. */
export interface Outcome {
  readonly report: Report;
  readonly tracks: readonly Track[];
}

/** The states of a job in which nothing changes any more. */
export function hasEnded(state: JobView["state"]): boolean {
  return state !== "queued" && state !== "running";
}
