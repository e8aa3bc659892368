/** Handing in a video: a resumable upload (tus 1.0), then a job on it. */
import { defaultOptions, Upload, type DetailedError, type HttpResponse } from "tus-js-client";
import { call, Refusal } from "./client";
import { mayPass, Patience } from "./patience";
import type { JobView } from "./types";

export interface Wishes {
  readonly analyzers: readonly string[];
  readonly priority: number;
  readonly deadline: number | null;
}

export interface Sending {
  /** The job, once the video is there. Rejects with an AbortError when it was cancelled. */
  readonly done: Promise<JobView>;
  /** Stop, and throw away what was sent. */
  cancel(): void;
}

/** How far an upload is. */
export interface Arrived {
  readonly sent: number;
  readonly total: number;
  /** Why it waits; empty while it goes on. */
  readonly trouble: string;
}

/** A connection that breaks loses at most what the server has not written yet; a piece bounds one request's time. */
const CHUNK_BYTES = 64 * 1024 * 1024;
/** Refusals that say nothing about the upload: who signs in again finds it where it was. */
const OF_THE_CALLER = new Set([401, 403]);

/** Send a file. A broken upload of the same file goes on, also after the page was closed, until it has become a job. */
export function send(file: File, wishes: Wishes, told: (arrived: Arrived) => void): Sending {
  const sender = new Sender(file, told);
  return { done: sender.deliver(wishes), cancel: () => sender.cancel() };
}

class Sender {
  private readonly stopped = new AbortController();
  private readonly patience: Patience;
  private readonly upload: Upload;
  private arrived: Arrived;

  constructor(
    private readonly file: File,
    private readonly told: (arrived: Arrived) => void,
  ) {
    this.arrived = { sent: 0, total: file.size, trouble: "" };
    this.patience = new Patience(this.stopped.signal, (trouble) => this.tell({ trouble }));
    this.upload = new Upload(file, {
      endpoint: new URL("/v1/uploads", location.href).href,
      metadata: { filename: file.name, filetype: file.type },
      chunkSize: CHUNK_BYTES,
      retryDelays: null, // tus gives up at once where the browser calls itself offline; Patience does not
      onProgress: (sent, total) => {
        if (sent > this.arrived.sent) this.patience.gotOn();
        this.tell({ sent, total, trouble: "" });
      },
      onAfterResponse: (_, response) => {
        if (mayPass(response.getStatus())) throw refused(response); // tus would begin anew where HEAD gets no answer
      },
    });
  }

  async deliver(wishes: Wishes): Promise<JobView> {
    const [earlier] = await this.upload.findPreviousUploads();
    if (earlier) this.upload.resumeFromPreviousUpload(earlier);
    await this.patience.until(() => this.transfer());
    this.tell({ trouble: "" });
    const upload = new URL(this.upload.url ?? "").pathname.split("/").at(-1) ?? "";
    try {
      const job = await this.patience.until(() => handIn({ upload, url: null }, wishes, this.stopped.signal));
      await this.forget();
      return job;
    } catch (error) {
      if (error instanceof Refusal && !mayPass(error.status) && !OF_THE_CALLER.has(error.status)) await this.forget();
      throw error;
    }
  }

  cancel(): void {
    this.stopped.abort();
    // what cannot be thrown away now expires on the server
    this.upload.abort(true).catch(() => undefined);
  }

  private tell(changed: Partial<Arrived>): void {
    this.arrived = { ...this.arrived, ...changed };
    this.told(this.arrived);
  }

  /** All bytes that are not there yet. Rejects with a TypeError when nobody answered, as fetch does. */
  private async transfer(): Promise<void> {
    await this.file.slice(0, 1).arrayBuffer(); // a file that was changed meanwhile looks like a broken link to tus
    await new Promise<void>((resolve, reject) => {
      this.stopped.signal.addEventListener("abort", () => reject(this.stopped.signal.reason as Error));
      this.upload.options.onSuccess = () => resolve();
      this.upload.options.onError = (error) => reject(cause(error as DetailedError));
      this.upload.start();
    });
  }

  private async forget(): Promise<void> {
    for (const { urlStorageKey } of await this.upload.findPreviousUploads()) {
      await defaultOptions.urlStorage.removeUpload(urlStorageKey);
    }
  }
}

/** Hand in a video that an address leads to: the service fetches it, and answers when it has. */
export function sendAddress(url: string, wishes: Wishes): Promise<JobView> {
  return handIn({ upload: null, url }, wishes);
}

/** An upload is handed in once: a request that is sent again because its answer was lost finds the same job. */
function handIn(
  video: { upload: string | null; url: string | null },
  wishes: Wishes,
  signal?: AbortSignal,
): Promise<JobView> {
  const body = {
    ...video,
    webhook_url: null,
    analyzers: [...wishes.analyzers],
    options: {},
    priority: wishes.priority,
    deadline_seconds: wishes.deadline,
  };
  const headers: HeadersInit = video.upload ? { "Idempotency-Key": `upload-${video.upload}` } : {};
  return call("post", "/v1/jobs", { body, headers, ...(signal && { signal }) });
}

/** What is behind an error of tus. */
function cause(error: DetailedError): Error {
  if (error.causingError instanceof Refusal) return error.causingError;
  if (error.originalResponse) return refused(error.originalResponse);
  return error.originalRequest ? new TypeError(error.message) : error;
}

function refused(response: HttpResponse): Refusal {
  const [status, body] = [response.getStatus(), response.getBody()];
  try {
    const problem = JSON.parse(body) as { code: string; detail: string };
    return new Refusal(status, problem.code, problem.detail);
  } catch {
    return new Refusal(status, "unknown", `the server answered ${status}`);
  }
}
