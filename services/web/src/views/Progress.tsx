import { useState } from "preact/hooks";
import { reason } from "../api/client";
import type { AnalyzerState } from "../api/types";
import { groupOf } from "../state/catalogue";
import { useWorkspace } from "../state/workspace";
import { lasting, plain } from "../text/words";
import { Icon, type IconName } from "./Icon";

const SIGNS: Readonly<Record<AnalyzerState["status"], IconName>> = {
  queued: "dots",
  running: "dots",
  ok: "check",
  partial: "check",
  failed: "cross",
  timeout: "cross",
  unavailable: "minus",
  skipped: "minus",
  cancelled: "minus",
};
/** Why is said beside each: nothing to look at, or no model here. */
const NOT_RUN = new Set<string>(["unavailable", "skipped"]);
const ORDER = ["running", "queued", "failed", "timeout", "partial", "ok", "skipped", "unavailable", "cancelled"];

/** How far an open job is, analyzer by analyzer. */
export function Progress() {
  const { store } = useWorkspace();
  const [problem, setProblem] = useState("");
  const view = store.view.value;
  if (!view) return null;
  const out = view.analyzers.filter((one) => NOT_RUN.has(one.status)).length;
  const waiting = view.analyzers.filter((one) => one.status === "queued" || one.status === "running").length;
  const able = view.analyzers.length - out;
  const cancel = () => store.cancel().catch((error: unknown) => setProblem(reason(error)));
  const percent = Math.round(view.progress * 100);
  const sorted = [...view.analyzers].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  return (
    <section class="progress card" aria-labelledby="progress-title">
      <header>
        <h2 id="progress-title">{view.queue_position !== null ? "Waiting for its turn" : "Looking at it"}</h2>
        <p class="soft num">
          {view.queue_position !== null && `place ${view.queue_position} in the queue · `}
          {able - waiting} of {able} analyzers ended
          {out > 0 && ` · ${out} of ${view.analyzers.length} do not run`}
          {view.eta_seconds !== null && ` · about ${lasting(Math.ceil(view.eta_seconds))} left`}
          {!store.isConnected.value && " · the connection broke, trying again"}
        </p>
        <button class="button small" onClick={() => void cancel()} disabled={view.cancel_requested}>
          {view.cancel_requested ? "Stopping…" : "Cancel"}
        </button>
      </header>
      <progress value={view.progress} max={1} aria-label="Progress of the analysis">
        {percent} %
      </progress>
      {problem && (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
      <ul class="states" data-testid="states">
        {sorted.map((one) => (
          <State key={one.name} one={one} fraction={store.fraction(one.name)} />
        ))}
      </ul>
    </section>
  );
}

function State({ one, fraction }: { one: AnalyzerState; fraction: number | null }) {
  const share = one.status === "running" ? (fraction ?? 0.02) : one.status === "queued" ? 0 : 1;
  const group = groupOf.value.get(one.name) ?? "other";
  return (
    <li class={`state ${one.status} g-${group}`} title={one.error?.message ?? ""}>
      <Icon name={SIGNS[one.status]} />
      <span>{plain(one.name)}</span>
      <span class="hidden">: {one.status}</span>
      <i class="fill" style={{ width: `${share * 100}%` }} />
    </li>
  );
}
