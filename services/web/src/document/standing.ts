/** How far an open job is, in words. */
import type { AnalyzerState, JobView } from "../api/types";
import { lasting } from "../text/words";

export interface Standing {
  readonly title: string;
  readonly facts: readonly string[];
}

/** Why is said beside each: nothing to look at, or no model here. */
const NOT_RUN = new Set<AnalyzerState["status"]>(["unavailable", "skipped"]);

/** What an open job waits for, and how much of it has ended: from the cache some have before its turn. */
export function standing(view: JobView): Standing {
  const having = (...statuses: readonly AnalyzerState["status"][]) =>
    view.analyzers.filter((one) => statuses.includes(one.status)).length;
  const out = view.analyzers.filter((one) => NOT_RUN.has(one.status)).length;
  const able = view.analyzers.length - out;
  const ended = able - having("queued", "running");
  const place = having("running") === 0 && ended < able ? view.queue_position : null;
  const facts = [
    place !== null && `place ${place} in the queue`,
    `${ended} of ${able} analyzers ended`,
    out > 0 && `${out} of ${view.analyzers.length} do not run`,
    view.eta_seconds !== null && `about ${lasting(Math.ceil(view.eta_seconds))} left`,
  ].filter((fact) => fact !== false);
  if (place === null) return { title: "Looking at it", facts };
  return { title: ended > 0 ? "The rest waits for its turn" : "Waiting for its turn", facts };
}
