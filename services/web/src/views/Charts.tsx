import { useWorkspace } from "../state/workspace";
import { Chart } from "./Chart";

/** Every series, over the part of the video that the timeline shows. */
export function Charts() {
  const { store } = useWorkspace();
  const series = store.tracks.value.filter((track) => track.kind === "series");
  if (series.length === 0) return <p class="soft">No series{store.isOpen.value && " yet"}.</p>;
  return (
    <div class="charts">
      {series.map((track) => (
        <Chart key={track.id} track={track} />
      ))}
    </div>
  );
}
