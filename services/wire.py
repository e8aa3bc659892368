"""One exchange with the service: its deadline, the errors it answers with, the events it sends."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader, FileIO
from typing import TypeVar

import httpx2

from services.api.answers import PROBLEM_TYPE, Problem, Snapshot
from shared.errors import (
    BadInput,
    DeadlineExceeded,
    Forbidden,
    Infrastructure,
    QuotaExceeded,
    ReelgraphError,
    Unauthenticated,
    Unreachable,
)
from shared.events import Event

CONNECT_SECONDS = 5.0

ERROR_OF_STATUS: Mapping[int, type[ReelgraphError]] = {
    401: Unauthenticated,
    403: Forbidden,
    429: QuotaExceeded,
    502: Unreachable,
    504: DeadlineExceeded,
}
"""Beside these: BadInput below 500, Infrastructure from there on."""

AnswerT = TypeVar("AnswerT")
TextT = TypeVar("TextT", str, bytes)


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened in a job. A snapshot replaces what was known of the job."""

    id: str
    """Empty for what cannot be resumed after."""
    what: Event | Snapshot

    @property
    def is_last(self) -> bool:
        """Whether the job has ended with it."""
        what = self.what
        return what.type == "closed" if isinstance(what, Event) else what.reason == "ended"


class Deadline:
    """A point in time that a whole call, whatever it is made of, must not pass."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left. Raises DeadlineExceeded when none are."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(f"the service did not answer within {self.seconds:.0f} s")
        return left

    def timeout(self, most: float = math.inf) -> httpx2.Timeout:
        """For the single steps of a call."""
        left = self.left()
        return httpx2.Timeout(min(left, most), connect=min(left, CONNECT_SECONDS))


class Paced(BufferedReader):
    """A file that can be read until a deadline has passed."""

    def __init__(self, file: FileIO, deadline: Deadline) -> None:
        super().__init__(file)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        """Read. Raises DeadlineExceeded."""
        self._deadline.left()
        return super().read(size)


def told(response: httpx2.Response, deadline: Deadline) -> Iterator[Told]:
    """The events of a stream, each as soon as its empty line is there; one that was cut off is not told.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    number, kind, data = "", "", ""
    for line in response.iter_lines():
        deadline.left()
        name, _, value = line.partition(": ")
        match name:
            case "id":
                number = value
            case "event":
                kind = value
            case "data":
                data = value  # the service writes one such line an event
            case "" if not line and data:
                parse: Callable[[str], Event | Snapshot] = Event.model_validate_json
                if kind == "snapshot":
                    parse = Snapshot.model_validate_json
                yield Told(number, read(parse, data))
                number, kind, data = "", "", ""


def body(response: httpx2.Response, deadline: Deadline) -> bytes:
    """All of an answer. Raises DeadlineExceeded."""
    chunks = []
    for chunk in response.iter_bytes():
        deadline.left()
        chunks.append(chunk)
    return b"".join(chunks)


def refusal(response: httpx2.Response, said: bytes) -> ReelgraphError:
    """The error that the service was answering with; its own code and sentence."""
    status = response.status_code
    kind = ERROR_OF_STATUS.get(status, Infrastructure if status >= 500 else BadInput)
    if response.headers.get("Content-Type") != PROBLEM_TYPE:
        return Infrastructure(
            f"{response.url} answered {status}, and not as Reelgraph does",
            code="not_reelgraph",
            retryable=status >= 500,
        )
    problem = read(Problem.model_validate_json, said)
    where = f" (request {problem.request_id})" if status >= 500 else ""
    return kind(f"{problem.detail}{where}", code=problem.code, retryable=problem.retryable)


def read(parse: Callable[[TextT], AnswerT], text: TextT) -> AnswerT:
    """An answer as its type. Raises Infrastructure (`version_mismatch`)."""
    try:
        return parse(text)
    except ValueError as error:
        message = f"the service's answer is not one that this version knows: {error}"
        raise Infrastructure(message, code="version_mismatch", retryable=False) from error
