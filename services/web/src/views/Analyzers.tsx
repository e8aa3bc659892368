import { useState } from "preact/hooks";
import { reason } from "../api/client";
import type { Report } from "../api/types";
import { size } from "../document/items";
import { canRunAgain } from "../document/reports";
import { groupOf, infoOf } from "../state/catalogue";
import { openJob } from "../state/route";
import { useWorkspace } from "../state/workspace";
import { count, lasting, number, plain } from "../text/words";
import { Icon } from "./Icon";
import { Prose } from "./Prose";
import { StateChip } from "./StateChip";

const ORDER = ["failed", "timeout", "partial", "cancelled", "skipped", "unavailable", "ok"];

/** How every analyzer fared: what failed and why first, then what each one cost. */
export function Analyzers() {
  const { store } = useWorkspace();
  const [problem, setProblem] = useState("");
  const reports = [...store.reports.value.values()].sort((a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status));
  const failed = reports.filter(canRunAgain).map((one) => one.name);
  const rerun = (names: readonly string[]) =>
    void store
      .rerun(names)
      .then((job) => openJob(job.id))
      .catch((error: unknown) => setProblem(reason(error)));
  const remove = () => {
    if (!confirm("Delete this job, its results and, unless another job needs it, its video?")) return;
    store.remove().then(() => (location.hash = "#/")).catch((error: unknown) => setProblem(reason(error)));
  };
  const longest = Math.max(...reports.map((one) => total(one) ?? 0), 0.001);
  return (
    <div class="coverage">
      <Counts reports={reports} />
      {problem && (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
      {!store.isOpen.value && (
        <p class="actions">
          {failed.length > 0 && (
            <button class="button small" onClick={() => rerun(failed)}>
              <Icon name="again" /> Run {count(failed.length, "analyzer")} again
            </button>
          )}
          <button class="button small danger" onClick={remove}>
            <Icon name="trash" /> Delete this job
          </button>
        </p>
      )}
      <ul class="reports">
        {reports.map((report) => (
          <ReportRow key={report.name} report={report} longest={longest} rerun={rerun} />
        ))}
      </ul>
      <p class="legend soft small">
        <span>
          <i class="bar-part load" /> loading
        </span>
        <span>
          <i class="bar-part decode" /> waiting for frames
        </span>
        <span>
          <i class="bar-part infer" /> looking
        </span>
      </p>
    </div>
  );
}

function Counts({ reports }: { reports: readonly Report[] }) {
  const states = [...new Set(reports.map((one) => one.status))];
  return (
    <p class="counts">
      <span>{count(reports.length, "analyzer")}:</span>
      {states.map((state) => (
        <span key={state}>
          <StateChip state={state} />
          <b class="num">{reports.filter((one) => one.status === state).length}</b>
        </span>
      ))}
    </p>
  );
}

function total({ receipt }: Report): number | null {
  const parts = [receipt.load_seconds, receipt.decode_seconds, receipt.infer_seconds].filter((one) => one !== null);
  return parts.length ? parts.reduce((sum, one) => sum + one, 0) : null;
}

function ReportRow(props: { report: Report; longest: number; rerun: (names: readonly string[]) => void }) {
  const { report, longest, rerun } = props;
  const { store } = useWorkspace();
  const { receipt, error } = report;
  const found = store.tracks.value.filter((track) => track.analyzer === report.name).reduce((sum, one) => sum + size(one), 0);
  const seconds = total(report);
  const share = (part: number | null) => ({ width: `${((part ?? 0) / longest) * 100}%` });
  const facts = [
    receipt.cache_hit && "from the cache",
    receipt.queue_seconds !== null && `waited ${lasting(receipt.queue_seconds)}`,
    receipt.realtime_factor !== null && `${number(receipt.realtime_factor)} × its length`,
    receipt.peak_rss_mib !== null && `${number(receipt.peak_rss_mib)} MiB`,
    receipt.peak_gpu_mib !== null && `${number(receipt.peak_gpu_mib)} MiB of tensors on the GPU`,
    receipt.device && `${receipt.device}${receipt.precision ? `, ${receipt.precision}` : ""}`,
    ...(receipt.notes ?? []),
    receipt.attempts > 1 && `${receipt.attempts} attempts`,
    report.weights,
  ].filter(Boolean);
  const hasCost = report.status === "ok" || report.status === "partial";
  return (
    <li class={`g-${groupOf.value.get(report.name) ?? "other"}`}>
      <div class="report-head">
        <i class="dot" />
        <b title={infoOf.value.get(report.name)?.summary ?? ""}>{plain(report.name)}</b>
        {report.status !== "ok" && <StateChip state={report.status} />}
        <span class="gap" />
        {hasCost && <span class="soft small num">{number(found)} found</span>}
        {seconds !== null && <span class="num">{lasting(seconds)}</span>}
        {canRunAgain(report) && !store.isOpen.value && (
          <button class="button small" onClick={() => rerun([report.name])} aria-label={`Run ${plain(report.name)} again`}>
            <Icon name="again" />
          </button>
        )}
      </div>
      {error && (
        <p class="small why">
          <Prose text={error.message} />
        </p>
      )}
      {seconds !== null && (
        <span class="bar-parts" aria-hidden="true">
          <i class="bar-part load" style={share(receipt.load_seconds)} />
          <i class="bar-part decode" style={share(receipt.decode_seconds)} />
          <i class="bar-part infer" style={share(receipt.infer_seconds)} />
        </span>
      )}
      {hasCost && <p class="soft small">{facts.join(" · ")}</p>}
    </li>
  );
}
