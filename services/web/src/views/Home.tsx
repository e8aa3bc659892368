import { useEffect } from "preact/hooks";
import { ThemeSwitch, Brand } from "./Brand";
import { JobList } from "./JobList";
import { DropZone } from "./DropZone";
import { analyzers } from "../state/catalogue";
import { askForWorkers, showsWorkers } from "../state/access";

/** Drop a video, or open one of the jobs. */
export function Home() {
  useEffect(() => void askForWorkers(), []);
  const all = analyzers.value.length;
  const able = analyzers.value.filter((one) => one.available).length;
  return (
    <div class="home">
      <header class="bar">
        <Brand />
        <nav class="links" aria-label="Service">
          <a href="/docs">API</a>
          {showsWorkers.value && <a href="/flower/">Workers</a>}
        </nav>
        <ThemeSwitch />
      </header>
      <main>
        <h1 class="hero">
          What is seen, said, written, and how it is cut: <em>one timeline</em>.
        </h1>
        <p class="lead">
          {able === all ? `${all} analyzers look` : `${able} of ${all} analyzers can run here. They look`} at your video side
          by side. It goes to nobody else, and you can read what each has found while the others still work.
        </p>
        <DropZone />
        <JobList />
      </main>
    </div>
  );
}
