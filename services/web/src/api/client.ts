/** Calls of the API, typed by its OpenAPI document. */
import type { paths } from "./schema";
import type { Problem } from "./types";

type Method = "get" | "post" | "delete";
type Operation<Path extends keyof paths, M extends Method> = NonNullable<paths[Path][M]>;
type Parameters<Op, Where extends "path" | "query"> = Op extends { readonly parameters: infer All }
  ? Where extends keyof All
    ? NonNullable<All[Where]>
    : never
  : never;
type Json<Answer> = Answer extends { content: { readonly "application/json": infer Data } } ? Data : undefined;
/** The data of an operation's success. */
type Data<Op> = Op extends { readonly responses: infer All } ? Json<All[keyof All & (200 | 202 | 204)]> : never;
type Body<Op> = Op extends { readonly requestBody?: { content: { readonly "application/json": infer Sent } } }
  ? Sent
  : never;

interface Asked<Op> {
  readonly path?: Parameters<Op, "path">;
  readonly query?: Parameters<Op, "query">;
  readonly body?: Body<Op>;
  readonly signal?: AbortSignal;
  readonly headers?: HeadersInit;
}

/** What the API refused, with the stable code of its problem document. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/**
 * Call one operation: `call("get", "/v1/jobs/{job_id}", { path: { job_id } })`.
 *
 * Throws a Refusal when the API, or something before it, refused, and a TypeError when nobody answered.
 */
export async function call<M extends Method, Path extends keyof paths>(
  method: M,
  path: Path,
  asked: Asked<Operation<Path, M>> = {},
): Promise<Data<Operation<Path, M>>> {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values(asked.path)[name] ?? ""));
  const query = new URLSearchParams(values(asked.query)).toString();
  const headers = new Headers(asked.headers);
  const init: RequestInit = { method: method.toUpperCase(), headers, signal: asked.signal ?? null };
  if (asked.body !== undefined) {
    headers.set("Content-Type", "application/json");
    init.body = JSON.stringify(asked.body);
  }
  const response = await fetch(query ? `${filled}?${query}` : filled, init);
  if (!response.ok) throw await refusal(response);
  return (response.status === 204 ? undefined : await response.json()) as Data<Operation<Path, M>>;
}

function values(given: unknown): Record<string, string> {
  const known = Object.entries(given ?? {}).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(known.map(([name, value]) => [name, String(value)]));
}

async function refusal(response: Response): Promise<Refusal> {
  const plain = `the server answered ${response.status} ${response.statusText}`.trim();
  if (!response.headers.get("Content-Type")?.includes("json")) return new Refusal(response.status, "unknown", plain);
  const problem = (await response.json()) as Partial<Problem>;
  return new Refusal(response.status, problem.code ?? "unknown", problem.detail ?? problem.title ?? plain);
}

/** What to tell a person about anything that was thrown, after the name of what it is about, where one is given. */
export function reason(error: unknown, about = ""): string {
  const told = error instanceof Error ? error.message : String(error);
  const message = error instanceof TypeError ? "the server cannot be reached" : told;
  const whole = message + (/[.!?]$/.test(message) ? "" : ".");
  if (about) return whole.startsWith(`${about}: `) ? whole : `${about}: ${whole}`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
}

/** Addresses that elements load by themselves. */
export const address = {
  video: (job: string) => `/v1/jobs/${job}/video`,
  frame: (job: string, t: number, width: number) => `/v1/jobs/${job}/frames/${t.toFixed(3)}.jpg?width=${width}`,
  result: (job: string) => `/v1/jobs/${job}/result`,
  events: (job: string) => `/v1/jobs/${job}/events`,
  exported: (job: string, format: string) => `/v1/jobs/${job}/export/${format}`,
};
