"""Many jobs in one process, by the code that a worker's child runs, and the memory that it holds after each."""

from __future__ import annotations

import os
import struct
import sys
import time
from pathlib import Path

from services.broker import embedded_broker
from shared.media import probe
from shared.storage import outcome_key
from shared.tables import Job, new_id
from tasks.analyze import run
from tasks.node import ledger, storage
from tasks.prepare import prepare
from tests.load.measure import anonymous_mib
from tests.support.node import node

ANALYZERS = ("cut_analysis", "audio_analysis")


def main(data: Path, clip: Path, jobs: int) -> None:
    """Write the MiB after each job beside the data. Every video is another one: nothing comes from the cache."""
    content, held = clip.read_bytes(), list[str]()
    with embedded_broker(data) as broker, node(data, frame_store_bytes=16 << 20, broker_url=broker.url):
        for number in range(jobs):
            clip.write_bytes(content + struct.pack(">I4sQ", 16, b"free", number))
            job = _queued(clip)
            prepare(job.id)
            endings = {run(name, job.id, "one@here") for name in ANALYZERS}
            assert endings == {"ok"}, endings
            assert storage().exists(outcome_key(job.id, "cut_analysis"))
            held.append(f"{anonymous_mib(os.getpid()):.2f}")
    data.with_suffix(".held").write_text("\n".join(held), encoding="ascii")


def _queued(clip: Path) -> Job:
    media = probe(clip, sha256=storage().add_video(clip))
    now = time.time()
    return ledger().create(
        Job(
            id=new_id(),
            state="queued",
            deployment="memory",
            profile="local",
            video_sha256=media.sha256,
            media=media.model_dump(mode="json"),
            requested=list(ANALYZERS),
            options={},
            priority=5,
            submitted_at=now,
            deadline_at=now + 600,
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
