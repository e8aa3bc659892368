"""A whole service whose analyzers do nothing: what is left is the service itself."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import socket
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from bench.api import BOUNDARY, padded
from bench.clips import drawn
from bench.stage import READY_SECONDS
from services.server import Service, service
from shared.groups import groups
from shared.settings import settings, use

ROOT = Path(__file__).parents[1]
NOOP = Path(__file__).parent / "noop"
VIDEO_BYTES = 200_000


def groups_file(folder: Path, workers: int) -> Path:
    """The product's groups without workers, and the group of the no-ops with so many."""
    known = tomllib.loads(files("shared").joinpath("groups.toml").read_text(encoding="utf-8"))
    text = []
    for name in [*known, "noop"]:
        served = {"control": ["control"], "noop": [f"noop{number}" for number in range(workers)]}.get(name, [])
        text.append(
            f'[{name}]\npurpose = "bench"\ngpu = false\nmemory_mib = 512\nworker = {{ local = {json.dumps(served)} }}\n'
        )
    path = folder / "groups.toml"
    path.write_text("\n".join(text), encoding="utf-8")
    return path


@dataclass(slots=True)
class Idle:
    """The running service and a client of it. Every video that it sends differs, so that nothing is cached."""

    running: Service
    video: bytes
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def submit(
        self, analyzers: int, *, first: int = 0, seconds: float = 0.0, priority: int = 5, kind: str = "noop"
    ) -> str:
        """Hand in a job of so many no-ops, `kind` "step" for a chain of them; its id."""
        names = [f"{kind}_{number:03d}" for number in range(first, first + analyzers)]
        fields = {"analyzers": ",".join(names), "priority": str(priority)}
        if seconds:
            fields["options"] = json.dumps({name: {"seconds": seconds} for name in names})
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()
        ]
        head = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="{next(self.numbers)}.mp4"\r\n\r\n'
        )
        body = "".join(parts).encode() + head.encode() + padded(self.video, VIDEO_BYTES)
        answer = self._ask("POST", "/v1/jobs", body + f"\r\n--{BOUNDARY}--\r\n".encode())
        return str(json.loads(answer)["id"])

    def follow(self, job: str) -> None:
        """Follow a job's events until it is closed, and get its document. Raises RuntimeError when it is not whole."""
        self._ask("GET", f"/v1/jobs/{job}/events", None)
        result = json.loads(self._ask("GET", f"/v1/jobs/{job}/result", None))
        if result["job"]["state"] != "completed":
            errors = {one["name"]: one["error"] for one in result["analyzers"] if one["error"]}
            raise RuntimeError(f"a job of no-ops ended as {result['job']['state']}: {errors}")

    def whole(self, analyzers: int, **how: float | str) -> None:
        """A job from hand-in to its document. Raises RuntimeError when it is not complete."""
        self.follow(self.submit(analyzers, **how))  # type: ignore[arg-type]  # by name, as `submit` has them

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        connection = http.client.HTTPConnection(self.running.host, self.running.port, timeout=120)
        try:
            connection.request(method, path, body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status not in (200, 202):
            raise RuntimeError(f"{method} {path} was answered {answer.status}: {content[:200]!r}")
        return content


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@contextmanager
def idle_service(*, workers: int = 2, noops: int = 100) -> Iterator[Idle]:
    """API, broker, control worker and workers of no-ops."""
    before = settings()
    with tempfile.TemporaryDirectory() as folder, _noops(noops):
        data = Path(folder) / "data"
        use(before.model_copy(update={"data_dir": data, "groups_file": groups_file(Path(folder), workers)}))
        groups.cache_clear()
        video = drawn(Path(folder) / "clip.mp4", width=160, height=90, fps=10, seconds=1).read_bytes()
        try:
            with service("127.0.0.1", free_port(), with_flower=False) as running:
                running.wait_up()
                running.stack.wait_ready(READY_SECONDS, check=running.check)
                yield Idle(running, video)
        finally:
            use(before)
            groups.cache_clear()


@contextmanager
def _noops(number: int) -> Iterator[None]:
    """Children have so many no-ops."""
    changed = {"REELGRAPH_BENCH_NOOPS": str(number)}
    changed["PYTHONPATH"] = os.pathsep.join(filter(None, [str(NOOP), str(ROOT), os.environ.get("PYTHONPATH")]))
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
