import assert from "node:assert/strict";
import { test } from "node:test";
import { mayPass, Patience, pause } from "../src/api/patience";
import { Refusal } from "../src/api/client";

// the browser's window, where the link's coming back is told
const link = Object.assign(globalThis, { window: new EventTarget() }).window;

test("what the server may answer otherwise later is asked again, what it has judged is not", () => {
  assert.deepEqual([408, 409, 423, 429, 500, 502, 503, 507].filter(mayPass).length, 8);
  assert.deepEqual([400, 401, 403, 404, 413, 415, 422].filter(mayPass), []);
});

test("a wait ends at once when the link is back, and with the stop", { timeout: 20_000 }, async () => {
  const back = pause(20, new AbortController().signal, link);
  link.dispatchEvent(new Event("online"));
  await back;
  const stopped = new AbortController();
  const waiting = pause(20, stopped.signal, link);
  stopped.abort();
  await assert.rejects(waiting, { name: "AbortError" });
});

test("a link that is away is waited for as long as it takes", { timeout: 20_000 }, async () => {
  let tries = 0;
  const said: string[] = [];
  const patience = new Patience(new AbortController().signal, (trouble) => {
    said.push(trouble);
    queueMicrotask(() => link.dispatchEvent(new Event("online")));
  });
  const work = async () => {
    tries += 1;
    if (tries < 30) throw new TypeError("Failed to fetch");
    return "there";
  };
  assert.equal(await patience.until(work), "there");
  assert.equal(said.length, 29);
  assert.match(said[0] ?? "", /goes on by itself/);
});

test("a server that goes on refusing is left with its own words; one that has judged is not asked again", { timeout: 20_000 }, async () => {
  for (const [status, most] of [[503, 8], [422, 1]] as const) {
    let tries = 0;
    const hurry = () => queueMicrotask(() => link.dispatchEvent(new Event("online")));
    const work = async () => {
      tries += 1;
      throw new Refusal(status, "disk_full", "the disk is full");
    };
    await assert.rejects(new Patience(new AbortController().signal, hurry).until(work), { message: "the disk is full" });
    assert.equal(tries, most);
  }
});
