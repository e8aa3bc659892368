/** One job as the page knows it: followed live, with the tracks of every analyzer as soon as it has ended. */
import { computed, signal } from "@preact/signals";
import { call, reason, Refusal } from "../api/client";
import { follow, type JobEvent } from "../api/follow";
import { hasEnded, type AnalyzerState, type Document, type JobView, type Outcome, type Report } from "../api/types";

/** How often the job's progress and expected time are asked for while it goes on. */
const REFRESH_MS = 1500;
const HAS_TRACKS = new Set<string>(["ok", "partial"]);

export class JobStore {
  readonly view = signal<JobView | null>(null);
  readonly document = signal<Document | null>(null);
  readonly error = signal<Error | null>(null);
  readonly isConnected = signal(true);
  /** The newest thing that happened, for those who hear the page. */
  readonly news = signal("");
  private readonly outcomes = signal<ReadonlyMap<string, Outcome>>(new Map());
  private readonly fractions = signal<ReadonlyMap<string, number>>(new Map());
  private stopFollowing: (() => void) | undefined;
  private timer: number | undefined;
  private isClosed = false;

  constructor(readonly id: string) {}

  readonly tracks = computed(
    () => this.document.value?.tracks ?? [...this.outcomes.value.values()].flatMap((one) => one.tracks),
  );

  readonly reports = computed(() => {
    const known = this.document.value?.analyzers ?? [...this.outcomes.value.values()].map((one) => one.report);
    return new Map<string, Report>(known.map((report) => [report.name, report]));
  });

  readonly isOpen = computed(() => this.view.value !== null && !hasEnded(this.view.value.state));

  /** 0..1 of a running analyzer's work; null when it has not told. */
  fraction(name: string): number | null {
    return this.fractions.value.get(name) ?? null;
  }

  /** Load the job, and follow it when it has not ended. */
  async open(): Promise<void> {
    try {
      await this.refresh();
      if (this.isClosed) return;
      if (this.isOpen.value) this.begin();
      else await this.loadDocument();
    } catch (error) {
      this.error.value = error as Error;
    }
  }

  close(): void {
    this.isClosed = true;
    this.stopFollowing?.();
    clearTimeout(this.timer);
  }

  async cancel(): Promise<void> {
    this.view.value = await call("post", "/v1/jobs/{job_id}/cancel", { path: { job_id: this.id } });
  }

  /** Run analyzers again, as a new job. */
  rerun(names: readonly string[]): Promise<JobView> {
    const body = { analyzers: [...names], options: null };
    return call("post", "/v1/jobs/{job_id}/rerun", { path: { job_id: this.id }, body });
  }

  async remove(): Promise<void> {
    await call("delete", "/v1/jobs/{job_id}", { path: { job_id: this.id } });
  }

  private async refresh(): Promise<void> {
    const view = await call("get", "/v1/jobs/{job_id}", { path: { job_id: this.id } });
    this.view.value = view;
    for (const one of view.analyzers) if (HAS_TRACKS.has(one.status)) void this.loadOutcome(one.name);
  }

  private begin(): void {
    this.stopFollowing = follow(this.id, {
      event: (event) => this.happened(event),
      snapshot: (view) => this.replaced(view),
      connected: (is) => (this.isConnected.value = is),
    });
    this.schedule();
  }

  private schedule(): void {
    clearTimeout(this.timer);
    if (this.isClosed || !this.isOpen.value) return;
    this.timer = window.setTimeout(() => {
      this.refresh()
        .then(() => (this.isOpen.value ? this.schedule() : this.ended()))
        .catch(() => this.schedule()); // the connection's state is shown already; the next try may do
    }, REFRESH_MS);
  }

  private replaced(view: JobView): void {
    this.view.value = view;
    if (hasEnded(view.state)) void this.ended();
  }

  private happened(event: JobEvent): void {
    const name = event.analyzer;
    if (event.type === "started" && name) this.change(name, { status: "running" });
    if (event.type === "progress" && name) {
      this.fractions.value = new Map(this.fractions.value).set(name, event.fraction ?? 0);
    }
    if (event.type === "finished" && name && event.report) {
      const { status, error } = event.report;
      this.change(name, { status, error });
      this.news.value = `${name.replaceAll("_", " ")}: ${status}${event.items ? `, ${event.items} found` : ""}`;
      if (HAS_TRACKS.has(status)) void this.loadOutcome(name);
    }
    if (event.type === "closed") void this.ended();
  }

  private change(name: string, changed: Partial<AnalyzerState>): void {
    const view = this.view.value;
    if (!view) return;
    const analyzers = view.analyzers.map((one) => (one.name === name ? { ...one, ...changed } : one));
    this.view.value = { ...view, analyzers };
  }

  private async ended(): Promise<void> {
    this.stopFollowing?.();
    clearTimeout(this.timer);
    if (this.document.value || this.isClosed) return;
    try {
      this.view.value = await call("get", "/v1/jobs/{job_id}", { path: { job_id: this.id } });
      await this.loadDocument();
      this.news.value = `Analysis ${this.view.value.state.replaceAll("_", " ")}`;
    } catch (error) {
      this.news.value = reason(error);
      this.error.value = error as Error;
    }
  }

  private async loadOutcome(name: string): Promise<void> {
    if (this.outcomes.value.has(name) || this.document.value) return;
    const path = { job_id: this.id, name };
    try {
      const outcome = await call("get", "/v1/jobs/{job_id}/analyzers/{name}", { path });
      this.outcomes.value = new Map(this.outcomes.value).set(name, outcome as Outcome);
    } catch (error) {
      if (!(error instanceof Refusal)) return; // the next refresh asks again
      this.news.value = reason(error);
    }
  }

  private async loadDocument(): Promise<void> {
    this.document.value = await call("get", "/v1/jobs/{job_id}/result", { path: { job_id: this.id } });
  }
}
