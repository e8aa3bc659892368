"""What schemathesis cannot know: what there is on the server, a real video, the bytes of a chunk.

A request that is meant to be wrong stays as it is, but for addresses of others: the tests ask no other host.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import schemathesis

from tests.support.moving import texture, write_video

NOWHERE = "http://127.0.0.1:9/clip.mp4"
"""Refused, as an address of this machine."""

LONGEST = 8192
"""Characters of an address that the document allows."""

PREFIX = "REELGRAPH_CONTRACT_"
"""Of the variables that name what there is: JOB, UPLOAD, and DOOMED_JOB, DOOMED_UPLOAD for what deletes."""


@cache
def video() -> bytes:
    """A tenth of a second of a still picture."""
    with tempfile.TemporaryDirectory() as folder:
        return write_video(Path(folder) / "clip.mp4", [texture(7, 64, 64)] * 3).read_bytes()


@schemathesis.serializer("application/offset+octet-stream")
def chunk(_context: Any, value: Any) -> dict[str, Any]:
    """A chunk of a tus upload as it is."""
    return {"data": value if isinstance(value, bytes) else str(value).encode()}


@schemathesis.hook
def before_call(_context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Lead a request to what there is."""
    is_object = isinstance(case.body, dict)
    if is_object and (
        changed := {name: NOWHERE for name in ("url", "webhook_url") if _is_address(case.body.get(name))}
    ):
        case.body = {**case.body, **changed}
    if case.meta is not None and case.meta.generation.mode == schemathesis.GenerationMode.NEGATIVE:
        return
    doomed = "DOOMED_" if case.method == "DELETE" else ""
    there_is = {
        "job_id": os.environ[f"{PREFIX}{doomed}JOB"],
        "upload_id": os.environ[f"{PREFIX}{doomed}UPLOAD"],
        "name": "color_analysis",
        "format": "csv",
    }
    case.path_parameters.update({name: there_is[name] for name in case.path_parameters if name in there_is})
    match case.operation.definition.raw["operationId"]:
        case "create_job" if is_object and "video" in case.body:
            kwargs["files"] = {"video": ("clip.mp4", video())}
            kwargs["data"] = {"analyzers": "color_analysis", "priority": str(case.body.get("priority", 5))}
        case "rerun_job":
            case.body = {**case.body, "analyzers": ["color_analysis"], "options": None}
        case "write_upload":
            case.headers.update({"Upload-Offset": "0"})
            case.headers.pop("Upload-Checksum", None)


def _is_address(value: object) -> bool:
    return isinstance(value, str) and value.lower().startswith("http") and len(value) <= LONGEST
