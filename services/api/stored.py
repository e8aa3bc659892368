"""Results as they lie in the storage: whole, or an error."""

from __future__ import annotations

from pydantic_core import from_json

from shared.errors import BadInput, Infrastructure
from shared.tables import Job
from tasks.node import storage

DAMAGED = "result_damaged"


def stored_result(key: str, job: Job) -> bytes:
    """The bytes of a job's document or outcome.

    They are whole JSON: what a broken disk has cut short or overwritten is none.

    Raises:
        BadInput: it is gone (`unknown_outcome`).
        Infrastructure: it is damaged (`result_damaged`), or cannot be read now (`disk_error`, `storage_error`).
    """
    try:
        content = storage().read(key)
        from_json(content)
    except FileNotFoundError as error:
        raise BadInput(f"the result of job {job.id} is gone", code="unknown_outcome") from error
    except OSError as error:
        raise Infrastructure(
            f"the result of job {job.id} cannot be read: {error.strerror}", code="disk_error"
        ) from error
    except ValueError as error:
        message = f"the stored result of job {job.id} is damaged; run the job again"
        raise Infrastructure(message, code=DAMAGED, retryable=False) from error
    return content
