"""A client of the API: hand in a video, follow its job through broken connections, fetch what was found.

An example is in docs/api.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from io import FileIO
from pathlib import Path
from typing import IO, Self, TypedDict, Unpack
from urllib.parse import quote

import httpx2

from services.api.answers import JobView
from services.wire import Deadline, Paced, Told, body, read, refusal, told
from shared.errors import BadInput, DeadlineExceeded, Infrastructure
from shared.schema import Document, Outcome
from tasks.inputs import parse_outcome
from tasks.registry import parse_document

CALL_SECONDS = 30.0
FETCH_SECONDS = 150.0
"""For a video that the service fetches before it answers: `REELGRAPH_FETCH_SECONDS` and a call."""

UPLOAD_BYTES_PER_SECOND = 64 << 10
"""An upload gets the time of a call and what it takes at this rate, unless the caller says otherwise."""

SILENT_SECONDS = 30.0
"""The service sends a comment every 10 s: a connection that is silent for longer is dead."""

AGAIN_SECONDS = 0.5
LOST_SECONDS = 60.0
"""How long a service may be out of reach before following it fails."""

SEEN_ALL = 204
"""How the service answers who follows a job and has seen its last event."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted of a video; the fields are those of `POST /v1/jobs`. No analyzers means all of them."""

    analyzers: Sequence[str] = ()
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    priority: int | None = None
    deadline_seconds: float | None = None
    webhook_url: str | None = None

    def fields(self) -> dict[str, object]:
        """What is not left to the service."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class _Content(TypedDict, total=False):
    """What a request may carry."""

    headers: Mapping[str, str]
    params: Mapping[str, int]
    json: Mapping[str, object]
    data: Mapping[str, object]
    files: Mapping[str, tuple[str, IO[bytes]]]


class Client:
    """Speaks to one service, as the holder of `key` where it asks for one. Not for two threads at once.

    Every method raises, from what the service answered: Unauthenticated, Forbidden, QuotaExceeded, BadInput (its codes
    are those of docs/api.md), Unreachable (an address to fetch), Infrastructure (the service, or what it stands on, is
    broken or out of reach), DeadlineExceeded (it took longer than `seconds`).
    """

    def __init__(self, url: str, *, key: str | None = None) -> None:
        """Raises BadInput (`bad_url`); nothing is sent."""
        try:
            base = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise BadInput(f"{url!r} is no address of a service: {error}", code="bad_url") from error
        if base.scheme not in ("http", "https") or not base.host:
            raise BadInput(f"{url!r} is no http(s) address of a service", code="bad_url")
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=self.url, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def check(self, *, seconds: float = CALL_SECONDS) -> None:
        """Raise what any other call would raise: the service is out of reach, the key is none."""
        self._call("GET", "/v1/session", Deadline(seconds))

    def submit(
        self,
        video: Path | str,
        wishes: Wishes = Wishes(),
        *,
        idempotency_key: str | None = None,
        seconds: float | None = None,
    ) -> JobView:
        """Hand in a file, or a video that an http(s) address leads to.

        `seconds`: for the whole call with its upload; by default half a minute and what the file takes at 64 KiB/s.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        if isinstance(video, str):
            asked = {**wishes.fields(), "url": video}
            answer = self._call("POST", "/v1/jobs", Deadline(seconds or FETCH_SECONDS), json=asked, headers=headers)
            return read(JobView.model_validate_json, answer)
        form = {**wishes.fields(), "analyzers": ",".join(wishes.analyzers), "options": json.dumps(wishes.options)}
        with _opened(video) as file:
            deadline = Deadline(seconds or CALL_SECONDS + video.stat().st_size / UPLOAD_BYTES_PER_SECOND)
            paced = {"video": (video.name, Paced(file, deadline))}
            answer = self._call("POST", "/v1/jobs", deadline, data=form, files=paced, headers=headers)
            return read(JobView.model_validate_json, answer)

    def job(self, job_id: str, *, seconds: float = CALL_SECONDS) -> JobView:
        """How far a job is."""
        return read(JobView.model_validate_json, self._call("GET", _at(job_id), Deadline(seconds)))

    def events(self, job_id: str, *, seconds: float, after: str = "") -> Iterator[Told]:
        """What happens in a job until its end, each event once, also when the connection breaks on the way.

        `after`: the id of the last event seen, to go on from there; nothing is told when that was the last. `seconds`
        may be passed by the 10 s that lie between two signs of life of the service.
        """
        deadline = Deadline(seconds)
        lost_at: float | None = None
        while True:
            try:
                with self._following(job_id, after, deadline) as response:
                    lost_at = None
                    if response.status_code == SEEN_ALL:
                        return
                    for one in told(response, deadline):
                        after = one.id or after
                        yield one
                        if one.is_last:
                            return
            except (Infrastructure, httpx2.RequestError) as error:
                lost_at = lost_at or time.monotonic()
                is_final = isinstance(error, Infrastructure) and not error.retryable
                if is_final or time.monotonic() - lost_at > LOST_SECONDS:
                    raise Infrastructure(f"{self.url} is out of reach: {error}", code="server_unreachable") from error
            time.sleep(min(AGAIN_SECONDS, deadline.left()))

    def wait(self, job_id: str, *, seconds: float) -> JobView:
        """The job once it has ended."""
        for _ in self.events(job_id, seconds=seconds):
            pass
        return self.job(job_id)

    def result(self, job_id: str, *, seconds: float = CALL_SECONDS) -> Document:
        """The document of a job that has ended."""
        return read(parse_document, self._call("GET", f"{_at(job_id)}/result", Deadline(seconds)))

    def outcome(self, job_id: str, analyzer: str, *, seconds: float = CALL_SECONDS) -> Outcome:
        """What one analyzer found, as soon as it has ended."""
        answer = self._call("GET", f"{_at(job_id)}/analyzers/{quote(analyzer, safe='')}", Deadline(seconds))
        return read(parse_outcome, answer)

    def export(self, job_id: str, format_name: str, *, seconds: float = CALL_SECONDS) -> bytes:
        """The document in another format (docs/exports.md)."""
        return self._call("GET", f"{_at(job_id)}/export/{quote(format_name, safe='')}", Deadline(seconds))

    def frame(self, job_id: str, t: float, *, width: int, seconds: float = CALL_SECONDS) -> bytes:
        """The picture shown at `t` seconds, as a JPEG of `width` pixels."""
        path = f"{_at(job_id)}/frames/{t:.3f}.jpg"
        return self._call("GET", path, Deadline(seconds), params={"width": width})

    def cancel(self, job_id: str, *, seconds: float = CALL_SECONDS) -> JobView:
        """Stop a job; one that has ended stays as it is."""
        return read(JobView.model_validate_json, self._call("POST", f"{_at(job_id)}/cancel", Deadline(seconds)))

    def delete(self, job_id: str, *, seconds: float = CALL_SECONDS) -> None:
        """Delete an ended job, its results and what only it needs."""
        self._call("DELETE", _at(job_id), Deadline(seconds))

    def _call(self, method: str, path: str, deadline: Deadline, **content: Unpack[_Content]) -> bytes:
        """The body of a good answer."""
        request = self._http.build_request(method, path, timeout=deadline.timeout(), **content)
        try:
            response = self._http.send(request, stream=True)
            with closing(response):
                said = body(response, deadline)
        except httpx2.TimeoutException as error:
            raise DeadlineExceeded(f"{self.url} did not answer within {deadline.seconds:.0f} s") from error
        except httpx2.RequestError as error:
            raise Infrastructure(f"{self.url} cannot be reached: {error}", code="server_unreachable") from error
        if not response.is_success:
            raise refusal(response, said)
        return said

    @contextmanager
    def _following(self, job_id: str, after: str, deadline: Deadline) -> Iterator[httpx2.Response]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        timeout = deadline.timeout(SILENT_SECONDS)
        with self._http.stream("GET", f"{_at(job_id)}/events", headers=headers, timeout=timeout) as response:
            if not response.is_success:
                raise refusal(response, body(response, deadline))
            yield response


def _at(job_id: str) -> str:
    """Where a job is; what is no id of a job is quoted, so that it names no other place."""
    return f"/v1/jobs/{quote(job_id, safe='')}"


@contextmanager
def _opened(video: Path) -> Iterator[FileIO]:
    try:
        file = FileIO(video)
    except OSError as error:
        raise BadInput(f"{video}: it cannot be read ({error.strerror})", code="unreadable") from error
    with file:
        yield file
