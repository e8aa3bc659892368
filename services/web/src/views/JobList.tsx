import { useEffect, useState } from "preact/hooks";
import { address, call, reason } from "../api/client";
import { hasEnded, type JobSummary } from "../api/types";
import { jobPath } from "../state/route";
import { clock, lasting } from "../text/words";
import { Picture } from "./Picture";
import { StateChip } from "./StateChip";

const BUSY_MS = 2000;
const IDLE_MS = 10_000;
const PAGE = 24;

/** The jobs, newest first, kept up to date while somebody looks. */
export function JobList() {
  const [jobs, setJobs] = useState<readonly JobSummary[] | null>(null);
  const [next, setNext] = useState<string | null>(null);
  const [problem, setProblem] = useState("");
  const [limit, setLimit] = useState(PAGE);

  useEffect(() => {
    let timer = 0;
    let isGone = false;
    const load = async () => {
      let delay = IDLE_MS;
      if (!document.hidden) {
        try {
          const page = await call("get", "/v1/jobs", { query: { limit } });
          if (isGone) return;
          setJobs(page.jobs);
          setNext(page.next);
          setProblem("");
          delay = page.jobs.some((job) => !hasEnded(job.state)) ? BUSY_MS : IDLE_MS;
        } catch (error) {
          setProblem(reason(error));
        }
      }
      if (!isGone) timer = window.setTimeout(() => void load(), delay);
    };
    void load();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [limit]);

  return (
    <section class="jobs" aria-labelledby="jobs-title">
      <h2 id="jobs-title">Jobs</h2>
      {problem && (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
      {jobs?.length === 0 && <p class="soft">None yet. The first video you drop shows up here.</p>}
      <ul>{jobs?.map((job) => <JobCard key={job.id} job={job} />)}</ul>
      {next && limit < 200 && (
        <button class="button" onClick={() => setLimit(Math.min(limit + PAGE, 200))}>
          Show more
        </button>
      )}
    </section>
  );
}

function JobCard({ job }: { job: JobSummary }) {
  const [hasPicture, setHasPicture] = useState(job.has_video);
  const took =
    job.started_at && job.finished_at
      ? (Date.parse(job.finished_at) - Date.parse(job.submitted_at)) / 1000
      : null;
  return (
    <li>
      <a class="job-card" href={jobPath(job.id)}>
        <span class="thumb">
          {hasPicture && (
            <Picture
              src={address.frame(job.id, job.duration_seconds * 0.3, 240)}
              alt=""
              loading="lazy"
              onMissing={() => setHasPicture(false)}
            />
          )}
          <span class="length num">{clock(job.duration_seconds, 0)}</span>
        </span>
        <b class="name">{job.source_name ?? "video"}</b>
        <span class="meta">
          <StateChip state={job.state} />
          {took !== null && <span class="soft small">in {lasting(took)}</span>}
        </span>
        <time class="soft small" dateTime={job.submitted_at}>
          {ago(job.submitted_at)}
        </time>
      </a>
    </li>
  );
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
] as const;

function ago(time: string): string {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  for (const [unit, size] of UNITS) {
    if (seconds >= size) return new Intl.RelativeTimeFormat("en").format(-Math.floor(seconds / size), unit);
  }
  return "just now";
}
