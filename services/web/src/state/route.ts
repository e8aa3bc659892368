/** Which view is open: `#/` is the list of jobs, `#/jobs/ID` one job, with `?t=12.5` at a moment. */
import { signal } from "@preact/signals";

export interface Route {
  readonly job: string | null;
  readonly t: number | null;
}

function read(): Route {
  const found = /^#\/jobs\/([0-9a-f-]{36})(?:\?t=([0-9.]+))?$/.exec(location.hash);
  return { job: found?.[1] ?? null, t: found?.[2] === undefined ? null : Number(found[2]) };
}

export const route = signal<Route>(read());
addEventListener("hashchange", () => (route.value = read()));

export const jobPath = (job: string) => `#/jobs/${job}`;

export function openJob(job: string): void {
  location.hash = jobPath(job);
}
