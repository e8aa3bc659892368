"""An API that is killed in the middle of an upload and of a stream of events."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from contextlib import suppress

from tests.chaos.load import ANALYZERS, Load, breaks, clip
from tests.chaos.site import Site
from tests.support.processes import eventually


def api_killed(site: Site, load: Load) -> list[str]:
    """Kill the API in the middle of an upload and of a stream of events; both go on where they were."""
    video = clip(site, 90).read_bytes()
    half, tus = len(video) // 2, {"Tus_Resumable": "1.0.0"}
    name = base64.b64encode(b"clip.mp4").decode()
    begun = site.client.call(
        "POST", "/v1/uploads", Upload_Length=str(len(video)), Upload_Metadata=f"filename {name}", **tus
    )
    place = begun.headers["location"]
    where = place[place.index("/v1/") :]
    chunk = {"Content_Type": "application/offset+octet-stream", **tus}
    site.client.call("PATCH", where, video[:half], Upload_Offset="0", **chunk)
    following = site.client.follow(load.jobs[0])
    seen = [next(following)]
    breaks(load)

    def slowly() -> Iterator[bytes]:
        yield video[half : half + 1000]
        site.kill_api()
        load.over()
        yield video[half + 1000 :]

    rest_of_it = str(len(video) - half)
    with suppress(OSError, http.client.HTTPException):
        site.client.call("PATCH", where, slowly(), Upload_Offset=str(half), Content_Length=rest_of_it, **chunk)
    with suppress(OSError, http.client.HTTPException, ValueError):
        seen += list(following)
    assert eventually(site.answers, 60)
    offset = int(site.client.call("HEAD", where, **tus).headers["upload-offset"])
    site.client.call("PATCH", where, video[offset:], Upload_Offset=str(offset), **chunk)
    answer = site.client.post_json("/v1/jobs", {"upload": where.rpartition("/")[2], "analyzers": list(ANALYZERS)})
    if answer.status != 202:
        return [f"the upload of before could not be handed in: {answer.body!r}"]
    load.jobs.append(answer.json["id"])
    last = next((one["id"] for one in reversed(seen) if "id" in one), "")
    rest = list(site.client.follow(load.jobs[0], after=last))
    ids = [one["id"] for one in (*seen, *rest) if "id" in one]
    wrong = [] if len(ids) == len(set(ids)) else ["an event was sent twice to a follower that reconnected"]
    closed = [one for one in (*seen, *rest) if one.get("event") in ("closed", "snapshot")]
    return wrong if closed else [*wrong, "the follower never learned that its job had ended"]
