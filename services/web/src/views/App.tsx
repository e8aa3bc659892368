import { useEffect, useState } from "preact/hooks";
import { call, reason, Refusal } from "../api/client";
import { session } from "../state/access";
import { loadCatalogue } from "../state/catalogue";
import { route } from "../state/route";
import { Home } from "./Home";
import { JobPage } from "./JobPage";
import { Notice } from "./Notice";
import { SignIn } from "./SignIn";

type Access = "unknown" | "open" | "needs key" | Error;

/** Everything: asks who is here, then shows the list of jobs or one of them. */
export function App() {
  const [access, setAccess] = useState<Access>("unknown");
  const enter = () => {
    call("get", "/v1/session")
      .then((who) => (session.value = who))
      .then(loadCatalogue)
      .then(() => setAccess("open"))
      .catch((error: unknown) =>
        setAccess(error instanceof Refusal && error.status === 401 ? "needs key" : (error as Error)),
      );
  };
  useEffect(enter, []);
  if (access === "needs key") return <SignIn onDone={enter} />;
  if (access instanceof Error) return <Notice title="Reelgraph does not answer" text={reason(access)} retry={enter} />;
  if (access === "unknown") return null;
  const { job } = route.value;
  return job ? <JobPage key={job} id={job} /> : <Home />;
}
