"""Models that settings put in the place of the gpu profile's, in one real worker, and a hub that serves one."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.stack import Stack
from shared.groups import SHIPPED, groups
from shared.weights import Weights
from tests.support.jobs import report, running, submit, wait
from tests.support.moving import write_video
from tests.support.tiny.scenes import scenes
from tests.support.tiny.store import STARTUP

SHARED = ("vlm", "detect", "segment", "speech")
"""Groups whose analyzers one worker holds: each process imports torch anew, which takes longest."""
REVISION = "0123456789" * 4
READY_SECONDS = 600
SECONDS = 3
"""Of the video."""
DETECTING = {"threshold": 0.3}
LABELS = {"person", "motorcycle", "tv"}
"""Of the tiny detectors."""


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


def moving(folder: Path) -> Path:
    """A video in which something moves."""
    return write_video(folder / "moving.mp4", scenes(10 * SECONDS, 192, 128), fps=10)


def asked(video: Path, **models: str) -> dict[str, Any]:
    """The document of a job with the analyzers of these models, each of which was ok with its own model at work."""
    options = {name: DETECTING for name in models if name == "object_detection"}
    document = wait(submit(video, *models, **options), 120)
    for name, entry in models.items():
        told = report(document, name)
        assert (told["status"], told["error"]) == ("ok", None)
        assert told["receipt"]["batches"][entry] > 0
        assert told["receipt"]["load_seconds"] < 2, "loaded before the job came"
    return document


def items(document: dict[str, Any], track: str) -> list[dict[str, Any]]:
    """The items of a track."""
    (found,) = (one["items"] for one in document["tracks"] if one["id"] == track)
    return list(found)


def describes_every_second(document: dict[str, Any]) -> None:
    """Segments tile the video, and the model has answered."""
    told = items(document, "qwen2_vl_temporal/segments")
    assert [(one["start"], one["end"]) for one in told] == [(second, second + 1) for second in range(SECONDS)]
    assert any(one["description"] for one in told)


def finds_objects(document: dict[str, Any]) -> None:
    """Tracks have the checkpoint's own classes, and lie inside of picture and video."""
    found = items(document, "object_detection/objects")
    assert found
    assert {one["label"] for one in found} <= LABELS
    for one in found:
        assert 0 <= one["start"] < one["end"] <= SECONDS
        for left, top, width, height in (seen["box"] for seen in one["boxes"]):
            assert 0 <= left <= left + width <= 1.001
            assert 0 <= top <= top + height <= 1.001
