import { useEffect, useMemo } from "preact/hooks";
import { Refusal, reason } from "../api/client";
import { route } from "../state/route";
import { JobStore } from "../state/job";
import { listen } from "../state/keys";
import { Player } from "../state/player";
import { Workspace, WorkspaceContext } from "../state/workspace";
import { JobBar } from "./JobBar";
import { KeysDialog } from "./KeysDialog";
import { Notice } from "./Notice";
import { Panels } from "./Panels";
import { PlayerView } from "./PlayerView";
import { Progress } from "./Progress";
import { Timeline } from "./Timeline";

/** One job: followed while it runs, read when it has ended. */
export function JobPage({ id }: { id: string }) {
  const store = useMemo(() => new JobStore(id), [id]);
  useEffect(() => {
    void store.open();
    return () => store.close();
  }, [store]);
  const error = store.error.value;
  if (error && !store.view.value) {
    const isGone = error instanceof Refusal && error.code === "unknown_job";
    return <Notice title={isGone ? "There is no such job" : "This job cannot be shown"} text={reason(error)} />;
  }
  return store.view.value ? <Work store={store} /> : <p class="loading">Loading…</p>;
}

function Work({ store }: { store: JobStore }) {
  const media = store.view.value?.media;
  const workspace = useMemo(() => media && new Workspace(store, new Player(media)), [store]);
  useEffect(() => workspace && listen(workspace), [workspace]);
  const wanted = route.value.t;
  useEffect(() => {
    if (wanted !== null) workspace?.go(wanted);
  }, [workspace, wanted]);
  const name = store.view.value?.source_name ?? "video";
  useEffect(() => {
    document.title = `${name} · Reelgraph`;
    return () => void (document.title = "Reelgraph");
  }, [name]);
  if (!workspace || !media) return null;
  const aspect = (media.width ?? 16) / (media.height ?? 9);
  return (
    <WorkspaceContext.Provider value={workspace}>
      <div class="work" style={{ "--aspect": String(aspect) }}>
        <JobBar />
        <p class="hidden" role="status">
          {store.news.value}
        </p>
        <main>
          {store.isOpen.value && <Progress />}
          {store.error.value && (
            <p class="bad banner" role="alert">
              {reason(store.error.value)}
            </p>
          )}
          <div class="stage">
            <PlayerView />
            <Panels />
            <Timeline />
          </div>
        </main>
        <KeysDialog />
      </div>
    </WorkspaceContext.Provider>
  );
}
