"""Models that settings put in the place of the gpu profile's, in one real worker, and a hub that serves one."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.stack import Stack
from shared.groups import SHIPPED, groups
from shared.weights import Weights
from tests.support.jobs import running
from tests.support.tiny.store import STARTUP

SHARED = ("vlm", "detect", "segment", "speech")
"""Groups whose analyzers one worker holds: each process imports torch anew, which takes longest."""
REVISION = "0123456789" * 4
READY_SECONDS = 240


def one_worker(file: Path) -> Path:
    """A groups file of this version's groups in which one worker serves all of `SHARED`."""
    lines: list[str] = []
    for name, group in tomllib.loads(SHIPPED.read_text(encoding="utf-8")).items():
        worker = "chosen" if name in SHARED else name
        lines += [f"[{name}]", f'purpose = "{name}"', f'worker = {{ gpu = ["{worker}"] }}']
        lines += [f"gpu = {str(group['gpu']).lower()}", f"memory_mib = {group['memory_mib']}"]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


@contextmanager
def worker_of(folder: Path, weights: Weights, models: Mapping[str, str]) -> Iterator[Stack]:
    """A ready worker of all `SHARED` groups on the CPU, with these models; `folder` holds the pins, `weights.toml`."""
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(STARTUP), path]))
    settings = {
        "profile": "gpu",
        "device": "cpu",
        "weights_dir": weights.folder,
        "pins_file": folder / "weights.toml",
        "groups_file": one_worker(folder / "groups.toml"),
        "models": dict(models),
    }
    groups.cache_clear()
    try:
        with running(folder / "data", groups={SHARED[0]}, ready_seconds=READY_SECONDS, **settings) as stack:
            yield stack
    finally:
        groups.cache_clear()
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path


def on_hub(repository: str, folder: Path) -> dict[str, bytes]:
    """What a hub answers about a repository with the files of a folder: its description, and every file."""
    contents = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    siblings = [
        {
            "rfilename": name,
            "size": len(content),
            "blobId": "1" * 40,
            "lfs": {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134},
        }
        for name, content in contents.items()
    ]
    about = json.dumps({"id": repository, "sha": REVISION, "siblings": siblings}).encode()
    asked = {f"/api/models/{repository}?blobs={yes}": about for yes in ("true", "True")}
    return asked | {f"/{repository}/resolve/{REVISION}/{name}": content for name, content in contents.items()}
