import { useState } from "preact/hooks";
import { reason } from "../api/client";
import type { AnalyzerState } from "../api/types";
import { standing } from "../document/standing";
import { groupOf } from "../state/catalogue";
import { useWorkspace } from "../state/workspace";
import { plain } from "../text/words";
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
const ORDER = ["running", "queued", "failed", "timeout", "partial", "ok", "skipped", "unavailable", "cancelled"];

/** How far an open job is, analyzer by analyzer. */
export function Progress() {
  const { store } = useWorkspace();
  const [problem, setProblem] = useState("");
  const view = store.view.value;
  if (!view) return null;
  const { title, facts } = standing(view);
  const cancel = () => store.cancel().catch((error: unknown) => setProblem(reason(error)));
  const percent = Math.round(view.progress * 100);
  const sorted = [...view.analyzers].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  return (
    <section class="progress card" aria-labelledby="progress-title">
      <header>
        <h2 id="progress-title">{title}</h2>
        <p class="soft num">
          {facts.join(" · ")}
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
