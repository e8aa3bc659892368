"""Stored outcomes: written aside first, put in their places by the one whose word the ledger takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import uuid4

from shared.errors import ReelgraphError
from shared.schema import OptionValue, Outcome
from shared.storage import outcome_key
from shared.text import encodable
from tasks.node import storage


class Unstorable(ReelgraphError):
    """What an analyzer found cannot be written as JSON in UTF-8."""

    code = "unstorable_outcome"


def reported(options: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
    """A job's options as a report can hold them: JSON has no infinity, and UTF-8 no half of a character.

    New jobs are refused with such values; those that an older version accepted must end all the same.
    """
    return {name: _reported(value) for name, value in options.items()}


def _reported(value: OptionValue) -> OptionValue:
    match value:
        case str():
            return encodable(value)
        case float() if not math.isfinite(value):
            return str(value)
        case list() | tuple():  # a list where it was read from the ledger
            return tuple(encodable(one) for one in value)
    return value


def encoded(outcome: Outcome) -> bytes:
    """The outcome as it is stored.

    Raises:
        Unstorable: something in it is no JSON, such as a float or text that pydantic did not check.
    """
    try:
        return outcome.model_dump_json().encode()
    except (ValueError, TypeError, RecursionError) as error:  # pydantic's serialisation error is a ValueError
        said = f"{outcome.report.name} found what cannot be stored: {type(error).__name__}: {error}"
        raise Unstorable(said) from error


@contextmanager
def staged(job_id: str, outcomes: Sequence[Outcome]) -> Iterator[Callable[[], None]]:
    """Outcomes on disk that nobody reads yet; calling what is given puts them where they are read.

    Call it as the `commit` of a ledger's change: a worker that was thought dead and comes back replaces nothing.

    Raises:
        Infrastructure: the disk is full or cannot be written.
        Unstorable: an outcome cannot be written as JSON.
    """
    written = {one.report.name: encoded(one) for one in outcomes}
    aside = {name: f"{outcome_key(job_id, name)}.{uuid4().hex}" for name in written}
    left = dict(aside)

    def put() -> None:
        for name, key in aside.items():
            storage().move(key, outcome_key(job_id, name))
            del left[name]

    try:
        for name, content in written.items():
            storage().put_aside(aside[name], content)
        yield put
    finally:
        for key in left.values():
            storage().remove(key)
