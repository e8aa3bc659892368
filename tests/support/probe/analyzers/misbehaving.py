"""Analyzers that do on request what real ones do at 3 a.m."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from billiard.exceptions import SoftTimeLimitExceeded
from pydantic import Field

from shared.errors import Infrastructure, WeightsMissing
from shared.frames import Frames
from shared.schema import Scalar, ScalarTrack, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.devices import DeviceLost, NoDevice

TINY = Frames(fps=2, short_side=32, colour="gray")


class Count(TrackSet):
    """How many frames there were."""

    frames: ScalarTrack


class Behaviour(Options):
    """What to do instead of working."""

    kill: int = Field(0, description="send this signal to the own process")
    kill_attempts: int = Field(99, description="in so many attempts")
    decode: bool = Field(default=False, description="read every frame before that")
    sleep: float = Field(0, description="seconds to work on")
    deaf: bool = Field(default=False, description="sleep through the soft time limit, and tell nobody meanwhile")
    cost: float = Field(0.01, description="what a second of video is said to take, in seconds")
    error: str = Field("", description="raise this")
    lose_gpu: int = Field(0, description="in so many attempts, fail as a GPU does that can be used no more")
    away: int = Field(0, description="in so many attempts, meet something that may be back at the next")
    code: str = Field("storage_error", description="what it is")
    token: str = Field("", description="a file that counts attempts")


def count(media: Media) -> Count:
    """Look at every frame."""
    number = sum(len(batch.times) for batch in media.frames(TINY))
    scalar = Scalar(id="frames", name="frames", value=number, unit="frames")
    return Count(frames=ScalarTrack(method="measurement", items=(scalar,)))


class Misbehaving(Analyzer[Behaviour, Count]):
    """Counts frames, unless it is told to do something else."""

    name = "misbehaving"
    version = 1
    group = "light"
    summary = "misbehaves on request"
    needs = (TINY,)
    cost = 0.01

    @classmethod
    def seconds_per_second(cls, profile: str, options: Behaviour | None = None) -> float:
        return options.cost if options else cls.cost

    def load(self, model: ModelContext) -> None:
        time.sleep(float(os.environ.get("REELGRAPH_PROBE_LOAD_SECONDS", "0")))
        match os.environ.get("REELGRAPH_PROBE_LOAD_END"):
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                raise SystemExit(3)
            case "unavailable":
                raise WeightsMissing("its file is not on this machine")
            case "no gpu":
                raise NoDevice("the models take 20000 MiB of GPU memory and this worker may use 8000")

    def analyze(self, media: Media, options: Behaviour) -> Count:
        attempt = 1
        if options.token:
            with open(options.token, "a+", encoding="utf-8") as file:  # noqa: PTH123
                file.write("x")
                attempt = file.tell()
        if options.decode:
            count(media)
        if options.kill and attempt <= options.kill_attempts:
            os.kill(os.getpid(), options.kill)
            signal.pause()
        if attempt <= options.lose_gpu:
            raise DeviceLost("CUDA error: an illegal memory access was encountered")
        if attempt <= options.away:
            raise Infrastructure(f"{options.code} in attempt {attempt}", code=options.code)
        if options.error:
            raise ValueError(options.error)
        heard_not = (SoftTimeLimitExceeded,) if options.deaf else ()
        give_up = time.monotonic() + options.sleep
        while time.monotonic() < give_up:
            with suppress(*heard_not):
                time.sleep(0.05)
                if not options.deaf:
                    media.progress(0.5)
        return count(media)


class Awaited(Options):
    """What to wait for."""

    file: str = Field("", description="wait until this is there")


class Patient(Analyzer[Awaited, Count]):
    """Ends when it is told to."""

    name = "patient"
    version = 1
    group = "light"
    summary = "waits for a file"
    options = Awaited
    cost = 0.01

    def analyze(self, media: Media, options: Awaited) -> Count:
        while not Path(options.file).exists():
            time.sleep(0.05)
            media.progress(0.5)
        return Count(frames=ScalarTrack(method="measurement", items=()))


class Dependent(Analyzer[Options, Count]):
    """Needs the misbehaving one."""

    name = "dependent"
    version = 1
    group = "light"
    summary = "stands on the misbehaving one"
    requires = ("misbehaving",)
    cost = 0.01

    def analyze(self, media: Media, options: Options) -> Count:
        frames = media.items("misbehaving/frames", Scalar)[0].value
        scalar = Scalar(id="frames", name="frames", value=frames, unit="frames")
        return Count(frames=ScalarTrack(method="measurement", items=(scalar,)))
