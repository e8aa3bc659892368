/** When to ask again what a broken link or a busy server did not answer. */
import { reason, Refusal } from "./client";

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
/** A server that goes on refusing is asked so often, for about a minute; a link that is away is waited for. */
const MOST_REFUSALS = 8;
/** Answers that mean "not now": time-outs, locks and limits. */
const NOT_NOW = new Set([408, 409, 423, 429]);

export const LINK_AWAY = "The connection broke. It goes on by itself as soon as it is back.";

/** Whether the same request may be answered otherwise a moment later. */
export function mayPass(status: number): boolean {
  return status >= 500 || NOT_NOW.has(status);
}

/** Resolves after a time that doubles with each try in vain, and at once when the browser is online again. */
export function pause(tries: number, signal: AbortSignal, link: EventTarget = window): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const end = (settle: () => void) => {
      clearTimeout(timer);
      over.abort();
      settle();
    };
    const timer = setTimeout(() => end(resolve), Math.min(FIRST_MS * 2 ** tries, LONGEST_MS));
    link.addEventListener("online", () => end(resolve), { signal: over.signal });
    signal.addEventListener("abort", () => end(() => reject(signal.reason as Error)), { signal: over.signal });
  });
}

/** Does a thing, and again after what may pass. */
export class Patience {
  private tries = 0;
  private refusals = 0;

  /** `trouble` is told why it waits. */
  constructor(
    private readonly signal: AbortSignal,
    private readonly trouble: (said: string) => void,
  ) {}

  /** It got on: what was in vain before counts no more. */
  readonly gotOn = (): void => {
    this.tries = this.refusals = 0;
  };

  /** Rejects with what cannot pass, with the last of too many refusals, or when it is stopped. */
  async until<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const done = await work();
        this.gotOn();
        return done;
      } catch (error) {
        this.signal.throwIfAborted();
        this.judge(error);
        await pause(this.tries++, this.signal);
      }
    }
  }

  private judge(error: unknown): void {
    if (error instanceof Refusal) {
      if (!mayPass(error.status) || ++this.refusals >= MOST_REFUSALS) throw error;
      this.trouble(`${reason(error)} Trying again…`);
    } else if (error instanceof TypeError) {
      this.trouble(LINK_AWAY); // fetch says so where nobody answers
    } else throw error;
  }
}
