"""A real server over real workers, and a client that sends exactly what a test says."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.server import start_web
from services.stack import Stack
from shared.settings import settings, use
from tests.support.processes import eventually

BOUNDARY = "frontier-of-the-form"
LONG_ENOUGH = 20


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code of a problem document."""
        assert self.headers["content-type"] == "application/problem+json", (self.status, self.body)
        assert self.json["status"] == self.status
        return self.status, self.json["code"]


@dataclass(frozen=True)
class Client:
    """Speaks to one server; `headers` go with every request."""

    port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"

    def with_key(self, token: str) -> Client:
        """The same client as the holder of a key."""
        return Client(self.port, {"Authorization": f"Bearer {token}"}, self.host)

    def call(self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str) -> Answer:
        """One request; underscores in names of headers become hyphens."""
        named = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=LONG_ENOUGH)) as connection:
            with suppress(BrokenPipeError):  # a server that refuses does not read to the end
                connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.call("GET", path, **headers)

    def post_json(self, path: str, content: object, **headers: str) -> Answer:
        """POST of JSON."""
        return self.call("POST", path, json.dumps(content).encode(), Content_Type="application/json", **headers)

    def hand_in(self, video: Path | bytes, *, name: str = "clip.mp4", key: str = "", **fields: str) -> Answer:
        """POST of a video as a form."""
        content = video if isinstance(video, bytes) else video.read_bytes()
        headers = {"Content_Type": f"multipart/form-data; boundary={BOUNDARY}"}
        if key:
            headers["Idempotency_Key"] = key
        return self.call("POST", "/v1/jobs", form(content, name, **fields), **headers)

    def wait(self, job_id: str, seconds: float = 120) -> Any:
        """The job once it has ended."""
        give_up = time.monotonic() + seconds
        while (job := self.get(f"/v1/jobs/{job_id}").json)["state"] in ("queued", "running"):
            assert time.monotonic() < give_up, job
            time.sleep(0.05)
        return job

    def follow(self, job_id: str, after: str = "", **headers: str) -> Iterator[dict[str, str]]:
        """Server-sent events with fields `id`, `event`, `data`; the connection closes with the iterator."""
        more = {"Last_Event_ID": after} if after else {}
        named = {**self.headers, **{name.replace("_", "-"): value for name, value in {**more, **headers}.items()}}
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=LONG_ENOUGH)) as connection:
            connection.request("GET", f"/v1/jobs/{job_id}/events", headers=named)
            answer = connection.getresponse()
            assert answer.status in (200, 204), answer.read()
            told: dict[str, str] = {}
            while line := answer.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    told[name] = value
                elif told.keys() - {"retry", ""}:
                    yield told
                    told = {}
                else:
                    told = {}


def form(video: bytes, name: str = "clip.mp4", **fields: str) -> bytes:
    """A multipart form with the file `video`."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="{name}"\r\n'
        "Content-Type: video/mp4\r\n\r\n".encode()
        + video
        + b"\r\n"
    )
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def free_port() -> int:
    """A TCP port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(stack: Stack, **changed: object) -> Iterator[Client]:
    """The API under gunicorn over a running stack; without keys unless `require_keys=True`."""
    before = settings()
    stack.settings = before.model_copy(update={"require_keys": False, **changed})
    port = free_port()
    log = stack.logs / f"server-{port}.log"
    web = start_web(stack, "127.0.0.1", port, log)
    client = Client(port)
    try:
        assert eventually(lambda: _answers(client), 60), log.read_text()
        yield client
    finally:
        web.stop()
        stack.settings = before
        use(before)


def _answers(client: Client) -> bool:
    try:
        return client.get("/healthz").status == 200
    except OSError:
        return False


def log_of(stack: Stack, client: Client) -> str:
    """What the server has logged."""
    return (stack.logs / f"server-{client.port}.log").read_text(errors=os.fsencode("replace").decode())
