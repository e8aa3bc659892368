/** Following a job by its server-sent events. The browser reconnects by itself and says what it saw last. */
import { address } from "./client";
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
  const source = new EventSource(address.events(job));
  source.onopen = () => listener.connected(true);
  source.onerror = () => listener.connected(false);
  for (const type of TYPES) {
    source.addEventListener(type, (message: MessageEvent<string>) => {
      listener.event(JSON.parse(message.data) as JobEvent);
      if (type === "closed") source.close();
    });
  }
  source.addEventListener("snapshot", (message: MessageEvent<string>) => {
    const { job: view, reason } = JSON.parse(message.data) as Snapshot;
    listener.snapshot(view);
    if (reason === "ended") source.close();
  });
  return () => source.close();
}
