import { KEYS, keyName } from "../state/keys";
import { Icon } from "./Icon";

/** All keys, shown by `?`. */
export function KeysDialog() {
  return (
    <dialog id="keys" aria-labelledby="keys-title">
      <form method="dialog">
        <h2 id="keys-title">Keys</h2>
        <button class="icon-button" aria-label="Close">
          <Icon name="close" />
        </button>
      </form>
      <dl>
        {KEYS.map(({ keys, does }) => (
          <div key={does}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{keyName(key)}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p class="soft small">On the timeline: the wheel zooms around the pointer, dragging pans, a click goes there.</p>
      <p class="soft small">On a line of words: up and down lead to other lines, left and right from word to word.</p>
    </dialog>
  );
}
