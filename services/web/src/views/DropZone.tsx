import { useState } from "preact/hooks";
import { reason } from "../api/client";
import { send, sendAddress, type Arrived, type Sending } from "../api/upload";
import { analyzers } from "../state/catalogue";
import { openJob } from "../state/route";
import { bytes, plain } from "../text/words";
import { Icon } from "./Icon";

interface Progress extends Arrived {
  readonly name: string;
  readonly sending: Sending;
}

/** Hand in a video: drop it, or choose it. */
export function DropZone() {
  const [progress, setProgress] = useState<Progress | null>(null);
  const [problem, setProblem] = useState("");
  const [isOver, setIsOver] = useState(false);
  const [isFetching, setIsFetching] = useState(false);
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());

  const chosen = analyzers.value.map((one) => one.name).filter((name) => !left.has(name));
  const wishes = { analyzers: left.size ? chosen : [], priority: 5, deadline: null };
  const start = (file: File | undefined) => {
    if (!file || progress) return;
    setProblem("");
    const sending = send(file, wishes, (arrived) => setProgress((now) => now && { ...now, ...arrived }));
    setProgress({ name: file.name, sent: 0, total: file.size, trouble: "", sending });
    sending.done
      .then((job) => openJob(job.id))
      .catch((error: unknown) => {
        if ((error as Error).name !== "AbortError") setProblem(reason(error, file.name));
      })
      .finally(() => setProgress(null));
  };
  const fetchAddress = (event: SubmitEvent) => {
    event.preventDefault();
    const url = String(new FormData(event.currentTarget as HTMLFormElement).get("url"));
    setProblem("");
    setIsFetching(true);
    sendAddress(url, wishes)
      .then((job) => openJob(job.id))
      .catch((error: unknown) => setProblem(reason(error)))
      .finally(() => setIsFetching(false));
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setIsOver(false);
    start(event.dataTransfer?.files[0]);
  };
  const over = (event: DragEvent) => {
    event.preventDefault();
    setIsOver(true);
  };
  return (
    <section class={isOver ? "drop over" : "drop"} onDrop={drop} onDragOver={over} onDragLeave={() => setIsOver(false)}>
      <h2 class="hidden">Hand in a video</h2>
      {progress ? (
        <Sent progress={progress} />
      ) : (
        <label class="choose">
          <Icon name="upload" />
          <b>Drop a video here</b>
          <span>
            or <span class="button primary">choose a file</span>
          </span>
          <input
            type="file"
            accept="video/*,audio/*,.mkv,.ts"
            onChange={(event) => start(event.currentTarget.files?.[0])}
          />
        </label>
      )}
      {problem && (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
      {!progress && (
        <form class="address" onSubmit={fetchAddress}>
          <label for="url">or from an address</label>
          <input id="url" name="url" type="url" required placeholder="https://…" autocomplete="off" disabled={isFetching} />
          <button class="button" disabled={isFetching}>
            {isFetching ? "Fetching…" : "Fetch"}
          </button>
        </form>
      )}
      {!progress && <Chooser left={left} change={setLeft} />}
    </section>
  );
}

function Sent({ progress }: { progress: Progress }) {
  const { name, sent, total, trouble, sending } = progress;
  const hasArrived = sent >= total && total > 0;
  return (
    <div class="sent">
      <p>
        <b>{name}</b>
        <span class="soft num">
          {bytes(sent)} of {bytes(total)}
        </span>
      </p>
      <progress value={sent} max={total || 1} aria-label={`Upload of ${name}`} />
      <p class="soft small" role="status">
        {trouble ||
          (hasArrived ? "All of it is here. Looking at the file…" : "Uploading. A broken connection goes on by itself.")}
      </p>
      {(!hasArrived || trouble) && (
        <button class="button" onClick={() => sending.cancel()}>
          Cancel
        </button>
      )}
    </div>
  );
}

function Chooser({ left, change }: { left: ReadonlySet<string>; change: (left: ReadonlySet<string>) => void }) {
  const all = analyzers.value;
  const chosen = all.filter((one) => !left.has(one.name));
  const able = chosen.filter((one) => one.available).length;
  const flip = (name: string) => {
    const changed = new Set(left);
    if (!changed.delete(name)) changed.add(name);
    change(changed);
  };
  return (
    <details class="chooser">
      <summary>
        Analyzers{" "}
        <span class="soft">
          {chosen.length} of {all.length} chosen
          {chosen.length > able && `, ${able} of them can run here`}
        </span>
      </summary>
      <p class="actions">
        <button class="button small" onClick={() => change(new Set())}>
          All
        </button>
        <button class="button small" onClick={() => change(new Set(all.map((one) => one.name)))}>
          None
        </button>
        <span class="soft small">What a chosen one needs runs as well.</span>
      </p>
      <ul>
        {all.map((one) => (
          <li key={one.name} class={`g-${one.group}`}>
            <label title={one.summary}>
              <input type="checkbox" checked={!left.has(one.name)} onChange={() => flip(one.name)} />
              <i class="dot" />
              {plain(one.name)}
              {!one.available && <span class="soft small"> cannot run here</span>}
            </label>
          </li>
        ))}
      </ul>
    </details>
  );
}
