import { useState } from "preact/hooks";
import { call, reason } from "../api/client";
import { Brand } from "./Brand";

/** Asks for an API key and keeps it in a cookie that scripts cannot read. */
export function SignIn({ onDone }: { onDone: () => void }) {
  const [problem, setProblem] = useState("");
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget as HTMLFormElement).get("token");
    call("post", "/v1/session", { headers: { Authorization: `Bearer ${String(token).trim()}` } })
      .then(onDone)
      .catch((error: unknown) => setProblem(reason(error)));
  };
  return (
    <main class="sign-in">
      <Brand />
      <form class="card" onSubmit={submit}>
        <h1>Sign in</h1>
        <label for="token">API key</label>
        <input id="token" name="token" type="password" autocomplete="current-password" required aria-describedby="how" />
        <p id="how" class="soft small">
          Whoever runs this service makes one with <code>reelgraph keys create NAME</code>.
        </p>
        {problem && (
          <p class="bad" role="alert">
            {problem}
          </p>
        )}
        <button class="button primary">Sign in</button>
      </form>
    </main>
  );
}
