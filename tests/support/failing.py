"""A worker whose captioner fails as a GPU does, and what must come of it: the same on a real GPU and on a CPU.

How it fails is in `faults/sitecustomize.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.restarts import Restarts
from services.stack import LocalWorker, Stack
from services.submit import accept
from tests.support.jobs import report, wait
from tests.support.project import ROOT

FAULTS = Path(__file__).parent / "faults"
FOLDER = "REELGRAPH_TEST_FAULTS"
SHARE_MIB = 2048
"""GPU memory that the worker may use: a tiny model and its recorded loops take a few hundred of it."""
ATTEMPTS = 2
"""Starts of one analyzer until its video counts as poison: each costs a start of a process."""
SECONDS = 240
"""Of a job: processes are started anew in it, on machines that are busy."""
CAPTIONS = "blip2_caption"
TOKENS = 8
"""Of a caption: a few more than are said when a batch fails."""


@contextmanager
def failing(folder: Path) -> Iterator[None]:
    """While it is entered, workers that start have the captioner that fails where a prompt asks it to."""
    folder.mkdir(parents=True, exist_ok=True)
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", FOLDER)}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(FAULTS), str(ROOT), before["PYTHONPATH"]]))
    os.environ[FOLDER] = str(folder)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@dataclass(frozen=True, slots=True)
class Captioning:
    """The worker of the captioner, and a video of more pictures than one."""

    stack: Stack
    video: Path
    at_once: int
    """Pictures of its first batch."""

    @property
    def worker(self) -> LocalWorker:
        """The one that serves the captioner."""
        (found,) = (one for one in self.stack.workers if "caption" in one.queues)
        return found

    def said(self, event: str) -> int:
        """How many lines of the worker's log tell of that."""
        return len(re.findall(rf"\] {event} ", self.worker.log_file.read_text(errors="replace")))

    @property
    def loads(self) -> int:
        """How many times a process of this worker has loaded the model."""
        log = self.worker.log_file.read_text(errors="replace")
        return len(re.findall(rf"\] loaded .*analyzer={CAPTIONS}\b", log))

    def asked(self, prompt: str) -> dict[str, Any]:
        """The report of a job with this prompt; every prompt is asked once, for outcomes are kept."""
        options = {CAPTIONS: {"prompt": prompt, "max_new_tokens": TOKENS}}
        job = accept(self.video, analyzers=(CAPTIONS,), options=options, deadline_seconds=SECONDS)
        return report(wait(job, SECONDS + 60), CAPTIONS)

    def asked_in_vain(self, prompt: str, code: str) -> dict[str, Any]:
        """The same, which must have failed with this code, as one line, and have left no part of an answer."""
        told = self.asked(prompt)
        assert (told["status"], told["error"] and told["error"]["code"]) == ("failed", code), told
        assert told["error"]["message"].splitlines() == [told["error"]["message"]]
        assert told["analysed"] == []
        return told

    def works(self, prompt: str) -> dict[str, Any]:
        """The same, which must be ok at once, with the model that was there."""
        told = self.asked(prompt)
        assert (told["status"], told["error"]) == ("ok", None), told
        assert told["receipt"]["load_seconds"] < 1
        return told


def memory_runs_out_for_the_whole_batch(worker: Captioning) -> None:
    """The batch is halved and everything answered, by the same process, which gives the memory back."""
    before, loads, halved = worker.works("a photo of a dog"), worker.loads, worker.said("batch_halved")
    each = round(1.2 * SHARE_MIB / worker.at_once)  # half of them fit, with 0.4 of the share for the model
    told = worker.works(f"FAULT take {each} MiB each")
    assert worker.said("batch_halved") == halved + 1
    assert told["analysed"] == before["analysed"] != []
    (entry,) = told["receipt"]["batches"]
    assert told["receipt"]["batches"][entry] > before["receipt"]["batches"][entry]
    assert (told["receipt"]["attempts"], worker.loads) == (1, loads)
    assert_memory_is_back(before, told)
    after = worker.works("a photo of a street")
    assert after["receipt"]["batches"] == before["receipt"]["batches"], "the next job has the whole batch again"


def memory_runs_out_for_one_picture(worker: Captioning) -> None:
    """One outcome with its code; the next job in the same process has what it needs."""
    before, loads = worker.works("a photo of a man"), worker.loads
    told = worker.asked_in_vain(f"FAULT take {2 * SHARE_MIB} MiB each", "out_of_gpu_memory")
    assert f"not enough memory on {before['receipt']['device']} for one item of" in told["error"]["message"]
    after = worker.works("a photo of a cave")
    assert after["receipt"]["attempts"] == told["receipt"]["attempts"] == 1
    assert worker.loads == loads
    assert_memory_is_back(before, after)


def the_gpu_is_lost_once(worker: Captioning) -> None:
    """A new process loads the model, then takes the task, and answers it."""
    loads, lost = worker.loads, worker.said("gpu_lost")
    told = worker.works("FAULT lose the GPU 1 times")
    assert told["receipt"]["attempts"] == 2
    assert (worker.loads, worker.said("gpu_lost")) == (loads + 1, lost + 1)
    after = worker.works("a photo of a rabbit")
    assert (after["receipt"]["attempts"], worker.loads) == (1, loads + 1)
    assert worker.worker.restarts == Restarts()


def the_gpu_is_lost_every_time(worker: Captioning) -> None:
    """One outcome that says it was the GPU; no process that lost it works on, and the next job is ok."""
    loads = worker.loads
    told = worker.asked_in_vain(f"FAULT lose the GPU {ATTEMPTS} times", "gpu_lost")
    assert told["error"]["message"].startswith("the GPU failed in ")
    assert told["receipt"]["attempts"] == ATTEMPTS
    after = worker.works("a photo of the sky")
    assert (after["receipt"]["attempts"], worker.loads) == (1, loads + ATTEMPTS)
    assert worker.worker.restarts == Restarts()


def assert_memory_is_back(before: dict[str, Any], after: dict[str, Any]) -> None:
    """What is held on the GPU is what was before, within a hundredth of the share; on a CPU nobody counts."""
    held = [told["receipt"]["held_gpu_mib"] for told in (before, after)]
    assert held == [None, None] or abs(held[1] - held[0]) <= SHARE_MIB / 100, held
