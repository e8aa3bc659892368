/** Handing in a video: a resumable upload (tus 1.0), then a job on it. */
import { Upload } from "tus-js-client";
import { call, Refusal } from "./client";
import type { JobView } from "./types";

export interface Wishes {
  readonly analyzers: readonly string[];
  readonly priority: number;
  readonly deadline: number | null;
}

export interface Sending {
  /** The job, once the video is there. */
  readonly done: Promise<JobView>;
  /** Stop, and throw away what was sent. */
  cancel(): void;
}

const RETRY_MS = [0, 1000, 3000, 5000, 10_000];
/** A connection that breaks loses at most what the server has not written yet; a piece bounds one request's time. */
const CHUNK_BYTES = 64 * 1024 * 1024;

/** Send a file; `progress` is told the bytes that have arrived. A broken upload of the same file goes on. */
export function send(file: File, wishes: Wishes, progress: (sent: number, total: number) => void): Sending {
  let upload: Upload | undefined;
  const arrived = new Promise<string>((resolve, reject) => {
    upload = new Upload(file, {
      endpoint: new URL("/v1/uploads", location.href).href,
      metadata: { filename: file.name, filetype: file.type },
      chunkSize: CHUNK_BYTES,
      retryDelays: RETRY_MS,
      removeFingerprintOnSuccess: true,
      onProgress: progress,
      onError: (error) => reject(refusal(error)),
      onSuccess: () => resolve(new URL(upload?.url ?? "").pathname.split("/").at(-1) ?? ""),
    });
    upload.start();
  });
  return { done: arrived.then((id) => handIn({ upload: id, url: null }, wishes)), cancel: () => void upload?.abort(true) };
}

/** Hand in a video that an address leads to: the service fetches it, and answers when it has. */
export function sendAddress(url: string, wishes: Wishes): Promise<JobView> {
  return handIn({ upload: null, url }, wishes);
}

function handIn(video: { upload: string | null; url: string | null }, wishes: Wishes): Promise<JobView> {
  const body = {
    ...video,
    webhook_url: null,
    analyzers: [...wishes.analyzers],
    options: {},
    priority: wishes.priority,
    deadline_seconds: wishes.deadline,
  };
  return call("post", "/v1/jobs", { body });
}

function refusal(error: unknown): Error {
  const response = (error as { originalResponse?: { getStatus(): number; getBody(): string } | null }).originalResponse;
  if (!response) return new Error("The connection broke and did not come back; what was sent is kept for a while");
  try {
    const problem = JSON.parse(response.getBody()) as { code: string; detail: string };
    return new Refusal(response.getStatus(), problem.code, problem.detail);
  } catch {
    return new Refusal(response.getStatus(), "unknown", `the server answered ${response.getStatus()}`);
  }
}
