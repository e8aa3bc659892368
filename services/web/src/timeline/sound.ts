/** The waveform: how loud the sound is, from the file itself where the browser can decode it. */
import { address } from "../api/client";
import type { MediaInfo, Series } from "../api/types";

/** Peaks every 1/PER_SECOND seconds, 0..1 of the loudest. */
export interface Waveform {
  readonly perSecond: number;
  readonly peaks: Float32Array;
}

const PER_SECOND = 100;
const SAMPLE_RATE = 8000;
/** Larger or longer files are not fetched as a whole for their sound; the measured loudness is drawn instead. */
const MOST_BYTES = 64e6;
const MOST_SECONDS = 20 * 60;
/** Loudness below this, in LUFS, is drawn as silence (EBU R 128's absolute gate is -70). */
const SILENT_LUFS = -50;

/** Decode a job's sound. Null when it has none, is too large, or is nothing that this browser can decode. */
export async function decode(job: string, media: MediaInfo, signal: AbortSignal): Promise<Waveform | null> {
  const hasSound = media.streams.some((stream) => stream.chosen && stream.kind === "audio");
  if (!hasSound || media.size_bytes > MOST_BYTES || media.duration_seconds > MOST_SECONDS) return null;
  const response = await fetch(address.video(job), { signal });
  if (!response.ok) return null;
  try {
    const sound = await new OfflineAudioContext(1, 1, SAMPLE_RATE).decodeAudioData(await response.arrayBuffer());
    return { perSecond: PER_SECOND, peaks: peaks(sound.getChannelData(0), SAMPLE_RATE / PER_SECOND) };
  } catch (error) {
    if (error instanceof DOMException && error.name === "EncodingError") return null;
    throw error;
  }
}

/** The greatest size of each `length` samples, as a share of the greatest of all. */
export function peaks(samples: Float32Array, length: number): Float32Array {
  const found = new Float32Array(Math.ceil(samples.length / length));
  let greatest = 1e-6;
  samples.forEach((sample, index) => {
    const at = Math.floor(index / length);
    const size = Math.abs(sample);
    if (size > (found[at] ?? 0)) found[at] = size;
    if (size > greatest) greatest = size;
  });
  return found.map((peak) => peak / greatest);
}

/** A waveform from measured loudness: coarser, but of any file. */
export function fromLoudness(track: Series): Waveform {
  const before = Math.round(track.t0 / track.dt);
  const shares = track.values.map((value) => (value === null ? 0 : Math.max(0, 1 - value / SILENT_LUFS)));
  const found = new Float32Array(before + shares.length);
  found.set(shares, before);
  return { perSecond: 1 / track.dt, peaks: found };
}
