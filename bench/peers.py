"""Row family 3, peers: what others take for the same on the same clip, and how far the results agree.

    python -m bench.peers [--short] [--clip VIDEO]
    python -m bench.peers --peer NAME --clip VIDEO      one peer in this process: seconds and what it found, as JSON

The value is the peer's seconds over ours: from the command to its end against a job of that analyzer alone in the warm
service with nothing cached. Peers that are libraries load their model in that time, as a script does.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from bench import clips as videos
from bench import whisper_checkpoint
from bench.rows import Row, not_measured, say
from bench.stage import document, forget, warm
from services.submit import accept
from shared.digests import sha256_of
from shared.errors import ReelgraphError, Unavailable
from shared.frames import FrameStore
from shared.media import probe
from shared.schema import Document
from shared.settings import settings
from shared.weights import Weights
from tasks.analyzers.text_overlay import PICTURES
from tasks.engines.texts import DETECTOR, RECOGNISER

WHISPER, OCR = "whisper-tiny-en", "ppocr-v6"
CHECKPOINT = "REELGRAPH_BENCH_WHISPER"
"""Path of another openai-whisper checkpoint than the one made of our weights, such as OpenAI's `tiny.en.pt`."""
NEAR_SECONDS = 0.1
PEER_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Found:
    """What a peer took and found."""

    seconds: float
    cuts: list[float] = field(default_factory=list)
    text: str = ""
    lines: list[str] = field(default_factory=list)


def scenedetect(video: Path) -> Found:
    """PySceneDetect's command line, adaptive detector, its own defaults."""
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "scenedetect", "-i", str(video), "-q", "-o", folder]
        began = time.perf_counter()
        subprocess.run(
            [*argv, "detect-adaptive", "list-scenes"], check=True, stdout=subprocess.DEVNULL, timeout=PEER_SECONDS
        )
        seconds = time.perf_counter() - began
        rows = list(csv.DictReader(next(Path(folder).glob("*.csv")).read_text().splitlines()[1:]))
        return Found(seconds, cuts=[float(row["Start Time (seconds)"]) for row in rows[1:]])


def faster_whisper(video: Path) -> Found:
    """The package on the same weights, with its defaults: load, decode, write down."""
    began = time.perf_counter()
    from faster_whisper import WhisperModel

    model = WhisperModel(str(Weights(settings().weights_dir).folder / WHISPER), device="cpu", compute_type="int8")
    text = " ".join(one.text.strip() for one in model.transcribe(str(video))[0])
    return Found(time.perf_counter() - began, text=text)


def openai_whisper(video: Path) -> Found:
    """The package with its defaults on the same weights as a checkpoint; it gets the sound decoded by PyAV."""
    began = time.perf_counter()
    import whisper
    from faster_whisper.audio import decode_audio

    model = whisper.load_model(os.environ[CHECKPOINT], device="cpu")
    text = str(model.transcribe(decode_audio(str(video)), fp16=False)["text"]).strip()
    return Found(time.perf_counter() - began, text=text)


def rapidocr(video: Path) -> Found:
    """The package on every frame of our rendition, with its defaults and our weights."""
    began = time.perf_counter()
    from rapidocr import RapidOCR

    models = Weights(settings().weights_dir).folder / OCR
    given = {"Global.use_cls": False, "Global.log_level": "critical"}
    engine: Any = RapidOCR(
        params={**given, "Det.model_path": str(models / DETECTOR), "Rec.model_path": str(models / RECOGNISER)}
    )
    lines: dict[str, None] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = FrameStore(Path(folder), budget_bytes=8 << 30)
        with store.open(video, probe(video, sha256=sha256_of(video)), [PICTURES]) as reader:
            for batch in reader.frames(PICTURES):
                for frame in batch.frames:
                    lines.update(dict.fromkeys(engine(frame[:, :, ::-1]).txts or ()))
    return Found(time.perf_counter() - began, lines=list(lines))


PEERS: dict[str, Callable[[Path], Found]] = {
    "scenedetect": scenedetect,
    "faster_whisper": faster_whisper,
    "openai_whisper": openai_whisper,
    "rapidocr": rapidocr,
}
AGAINST = {"scenedetect": "cut_analysis", "rapidocr": "text_overlay"}
"""Which analyzer does the same; speech_transcription, left out."""


def environment(peer: str, folder: Path) -> dict[str, str]:
    """The environment of a peer's process; a checkpoint that it names is made in `folder` before.

    Raises:
        Unavailable: the peer cannot be run here.
        BadInput: our Whisper cannot be made a checkpoint of.
    """
    if peer != "openai_whisper":
        return dict(os.environ)
    if importlib.util.find_spec("whisper") is None:
        raise Unavailable("openai-whisper is not installed here; `make engines` brings it")
    if named := os.environ.get(CHECKPOINT):
        if not Path(named).is_file():
            raise Unavailable(f"{CHECKPOINT} names {named}, which is no file")
        return dict(os.environ)
    made = whisper_checkpoint.write(Weights(settings().weights_dir).path(WHISPER, "model.bin"), folder / "tiny.en.pt")
    return {**os.environ, CHECKPOINT: str(made)}


def in_child(peer: str, clip: Path, given: Mapping[str, str]) -> Found:
    """A peer in a process of its own: nothing is imported or loaded before."""
    argv = [sys.executable, "-m", "bench.peers", "--peer", peer, "--clip", str(clip)]
    done = subprocess.run(
        argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=PEER_SECONDS, env=given
    )
    return Found(**json.loads(done.stdout.splitlines()[-1]))


def items(done: Document, track: str) -> list[Any]:
    """Items of a track of ours; none where it is not there."""
    return [item for one in done.tracks if one.id == track for item in getattr(one, "items", ())]


def agreement(peer: str, theirs: Found, ours: Document) -> dict[str, float]:
    """How far both results agree, by the measure of their kind."""
    if peer == "scenedetect":
        mine = [item.t for item in items(ours, "cut_analysis/cuts")]
        both = sum(any(abs(a - b) <= NEAR_SECONDS for b in mine) for a in theirs.cuts)
        return {"their_cuts": len(theirs.cuts), "our_cuts": len(mine), "in_both": both}
    if peer == "rapidocr":
        seen = {line.casefold() for line in theirs.lines}
        read = {item.text.casefold() for item in items(ours, "text_overlay/captions")}
        return {"their_lines": len(seen), "our_lines": len(read), "in_both": len(seen & read)}
    from jiwer import wer

    said = " ".join(item.text for item in items(ours, "speech_transcription/segments"))
    theirs_plain, ours_plain = plain(theirs.text), plain(said)
    return {"word_differences": round(wer(theirs_plain, ours_plain), 3) if theirs_plain else float(bool(ours_plain))}


def plain(text: str) -> str:
    """Lower case, letters and digits only."""
    return " ".join("".join(filter(str.isalnum, word)) for word in text.lower().split())


def measure(peer: str, clip: Path, folder: Path) -> None:
    """Print a peer's row; what it needs beside the clip is made in `folder`."""
    try:
        given = environment(peer, folder)
    except ReelgraphError as reason:
        not_measured(f"peers.{peer}", str(reason), "x")
        return
    analyzer = AGAINST.get(peer, "speech_transcription")
    theirs = in_child(peer, clip, given)
    forget()  # two peers are against the same analyzer
    ours = document(accept(clip, analyzers=[analyzer]))
    wall = ours.job.wall_seconds
    detail = {"their_seconds": round(theirs.seconds, 2), "our_seconds": wall, **agreement(peer, theirs, ours)}
    say(Row(row=f"peers.{peer}", value=theirs.seconds / wall, goal=1.0, better="higher", unit="x", detail={**detail}))


@click.command()
@videos.options
@click.option("--peer", type=click.Choice(list(PEERS)), hidden=True)
def main(*, short: bool, clips: tuple[Path, ...], peer: str | None) -> None:
    """Measure the first clip."""
    if peer is not None:
        found = PEERS[peer](clips[0])
        click.echo(json.dumps({name: getattr(found, name) for name in Found.__dataclass_fields__}))
        return
    with tempfile.TemporaryDirectory() as folder:
        clip = videos.chosen(clips, Path(folder), short=short)[0]
        with warm():
            for name in PEERS:
                if short and name == "rapidocr":  # every sampled frame of more would take longer than all else
                    measure(name, videos.beginning(clip, Path(folder) / f"second-of-{clip.name}", 1.0), Path(folder))
                else:
                    measure(name, clip, Path(folder))


if __name__ == "__main__":
    main()
