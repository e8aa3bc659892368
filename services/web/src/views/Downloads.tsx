import { address } from "../api/client";
import { useWorkspace } from "../state/workspace";
import { Icon } from "./Icon";
import { Menu } from "./Menu";

const FORMATS = [
  ["srt", "SRT", "what is said"],
  ["srt?subtitles=captions", "SRT", "text on screen"],
  ["vtt", "WebVTT", "what is said"],
  ["vtt?subtitles=captions", "WebVTT", "text on screen"],
  ["csv", "CSV", "every item, for spreadsheets"],
  ["edl", "EDL", "cuts, for editors"],
  ["otio", "OpenTimelineIO", "cuts and markers"],
  ["eaf", "ELAN", "tiers to annotate"],
  ["coco", "COCO", "boxes, by frame"],
  ["html", "Report", "one page to keep or print"],
] as const;

/** Every export of an ended job. */
export function Downloads() {
  const { store } = useWorkspace();
  const id = store.id;
  const label = (
    <>
      <Icon name="down" />
      <span class="wide-only">Download</span>
      <span class="hidden narrow-only">Download</span>
    </>
  );
  return (
    <Menu label={label}>
      {store.isOpen.value ? (
        <p class="soft">Exports are made when the analysis has ended.</p>
      ) : (
        <ul class="downloads">
          <li>
            <a href={address.result(id)} download={`${id}.json`}>
              <b>JSON</b> <span class="soft">the whole document</span>
            </a>
          </li>
          {FORMATS.map(([format, name, what]) => (
            <li key={format}>
              <a href={address.exported(id, format)} {...(format === "html" ? { target: "_blank" } : { download: "" })}>
                <b>{name}</b> <span class="soft">{what}</span>
              </a>
            </li>
          ))}
          <li>
            <a href={address.video(id)} download={store.view.value?.source_name ?? "video"}>
              <b>Video</b> <span class="soft">as it was handed in</span>
            </a>
          </li>
        </ul>
      )}
    </Menu>
  );
}
