/** Following a job by its server-sent events. */
import { address } from "./client";
import { pause } from "./patience";
import type { JobView, Report, Snapshot } from "./types";

/** What the events of a job's stream hold (`shared/events.py`). */
export interface JobEvent {
  readonly type: "planned" | "started" | "progress" | "finished" | "closed";
  readonly analyzer?: string;
  readonly fraction?: number;
  readonly report?: Report;
  readonly items?: number;
  readonly state?: JobView["state"];
}

export interface Listener {
  event(event: JobEvent): void;
  /** Events were lost: the job as it is. */
  snapshot(job: JobView): void;
  /** Whether the connection stands. */
  connected(is: boolean): void;
}

const TYPES = ["planned", "started", "progress", "finished", "closed"] as const;

/** Follow until the job has ended or the returned function is called. */
export function follow(job: string, listener: Listener): () => void {
  const following = new Following(job, listener);
  following.open();
  return () => following.close();
}

class Following {
  private readonly stopped = new AbortController();
  private source: EventSource | undefined;
  private tries = 0;
  private last = "";

  constructor(
    private readonly job: string,
    private readonly listener: Listener,
  ) {}

  open(): void {
    const source = (this.source = new EventSource(address.events(this.job)));
    source.onopen = () => {
      this.tries = 0;
      this.listener.connected(true);
    };
    source.onerror = () => {
      this.listener.connected(false);
      // a broken connection the browser mends itself; after an answer that is no stream it gives up
      if (source.readyState === EventSource.CLOSED) this.openLater();
    };
    for (const type of TYPES) {
      source.addEventListener(type, (message: MessageEvent<string>) => {
        if (!isAfter(message.lastEventId, this.last)) return;
        this.last = message.lastEventId;
        this.listener.event(JSON.parse(message.data) as JobEvent);
        if (type === "closed") this.close();
      });
    }
    source.addEventListener("snapshot", (message: MessageEvent<string>) => {
      const { job: view, reason } = JSON.parse(message.data) as Snapshot;
      this.listener.snapshot(view);
      if (reason === "ended") this.close();
    });
  }

  close(): void {
    this.stopped.abort();
    this.source?.close();
  }

  private openLater(): void {
    pause(this.tries++, this.stopped.signal).then(
      () => this.open(),
      () => undefined, // closed meanwhile
    );
  }
}

/** Whether an event's id, `milliseconds-number`, comes after another's: a stream that is opened anew begins at its start. */
export function isAfter(id: string, last: string): boolean {
  const [[ms = 0, number = 0], [lastMs = 0, lastNumber = 0]] = [id.split("-").map(Number), last.split("-").map(Number)];
  return last === "" || ms > lastMs || (ms === lastMs && number > lastNumber);
}
