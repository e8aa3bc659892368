"""Analyzers that read what others found, on tracks written by hand: what follows from them is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from services.evaluation.figures import Figure, Hits, at_least, at_most, hits
from services.evaluation.media import ready, run
from services.evaluation.tracks import captions, moments, objects, result, sound_of, spoken, thing
from shared.schema import SeriesTrack, TrackSet
from tasks.analyzers.cross_analyzer_intelligence import CrossAnalyzerIntelligence
from tasks.analyzers.product_detection import ProductDetection
from tasks.analyzers.speech_flow import SpeechFlowAnalysis
from tasks.analyzers.speech_rate import SpeechRateAnalysis
from tasks.analyzers.temporal_flow import TemporalFlow

Said = tuple[str, float, float]
Handed = tuple[str, TrackSet]
SECONDS = 30.0


def talk(seed: int) -> tuple[list[Said], list[float], list[float]]:
    """Sentences of four words and two syllables each, when their pauses begin, and when a filler stands in one."""
    rng = np.random.default_rng(seed)
    said: list[Said] = []
    pauses: list[float] = []
    fillers: list[float] = []
    t = 1.0
    while t < SECONDS - 4:
        filler = bool(rng.random() < 0.4)
        end = t + (2.5 if filler else 2.0)
        said.append((("um " if filler else "") + "data data data data", t, end))
        fillers += [t] if filler else []
        gap = float(rng.choice([0.1, 0.6, 1.5]))
        if gap > 0.25 and end + gap < SECONDS - 4:
            pauses.append(end)
        t = end + gap
    return said, pauses, fillers


def rate(folder: Path, rounds: int) -> Iterator[Figure]:
    """Words a minute with and without the pauses."""
    errors = []
    for seed in range(rounds):
        said, _, _ = talk(seed)
        words = sum(len(text.split()) for text, _, _ in said)
        gaps = [b[1] - a[2] for a, b in pairwise(said)]
        whole = said[-1][2] - said[0][1]
        articulated = whole - sum(gap for gap in gaps if gap > 0.25)
        found = run(ready(SpeechRateAnalysis), sound_of(SECONDS, folder), folder, spoken(*said))
        values = {one.name: one.value for one in found.scalars.items}
        for name, seconds in (("speaking_rate", whole), ("articulation_rate", articulated)):
            errors.append(abs((values[name] or 0.0) / (60 * words / seconds) - 1))
    yield Figure("speech_rate", "largest error of a rate", f"{rounds} written talks", max(errors), goal=at_most(0.01))


def flow(folder: Path, rounds: int) -> Iterator[Figure]:
    """Pauses, fillers, and changes of pace; stress is not: it needs ears."""
    paused, filled, changed = Hits(), Hits(), []
    for seed in range(rounds):
        said, pauses, fillers = talk(seed)
        found = run(ready(SpeechFlowAnalysis), sound_of(SECONDS, folder), folder, spoken(*said))
        paused += hits([one.start for one in found.pauses.items], pauses, 0.05)
        filled += hits([one.start for one in found.fillers.items], fillers, 0.05)
        turn = 8.0 + seed % 4
        rising = spoken(("data " * round(2 * turn), 0, turn), ("data " * round(3 * turn), turn, 2 * turn))
        faster = run(ready(SpeechFlowAnalysis), sound_of(SECONDS, folder), folder, rising).pace_changes.items
        changed.append(abs(faster[0].t - turn) if len(faster) == 1 else SECONDS)
    on = f"{rounds} written talks"
    yield Figure("speech_flow", "F1 of pauses within 0.05 s", on, paused.f1, goal=at_least(0.95))
    yield Figure("speech_flow", "F1 of fillers within 0.05 s", on, filled.f1, goal=at_least(0.95))
    on = f"{rounds} talks, half as fast again midway"
    yield Figure("speech_flow", "largest error of the change's time", on, max(changed), "s", at_most(0.4))
    why = "no speech here whose stressed syllables somebody has marked"
    yield Figure("speech_flow", "not judged: stressed words", "", None, note=why)


# --- goods, findings, phases -----------------------------------------------------------------------------------

OFFERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Now $19.99", ("price",)),
    ("just 20 dollars", ("price",)),
    ("ONLY 3 LEFT", ("scarcity",)),
    ("50% OFF", ("discount",)),
    ("SALE $5", ("price", "sale")),
    ("Shop now", ("order",)),
    ("Use code REEL20", ("sale",)),
    ("Free shipping", ("sale",)),
    ("Tap the link to buy", ("order",)),
    ("a wholesale view of salespeople", ()),
    ("400 million pairs, 100% of them", ()),
    ("I only have 3 cats left", ()),
    ("You can order them online later", ()),
    ("we use code reviews to find bugs", ()),
    ("follow the link to read the paper", ()),
)
SEEN = {"bottle": True, "handbag": True, "cup": True, "person": False, "chair": False, "dog": False}
"""What stands in the picture, and whether one can buy it."""


def goods(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Goods among objects, and words that hint at an offer among others."""
    video = sound_of(2 * len(OFFERS), folder)
    things = [thing(f"o{number}", label, (0.1, 0.2, 0.3, 0.4), (1.0, 2.0, 3.0)) for number, label in enumerate(SEEN, 1)]
    shown = [(text, 2.0 * number, 2.0 * number + 1.5) for number, (text, _) in enumerate(OFFERS)]
    handed = result("object_detection", objects=objects(*things)), captions(*shown)
    found = run(ready(ProductDetection), video, folder, *handed)
    named = [one.label for one in found.products.items]
    kept = _counted(named, [label for label, good in SEEN.items() if good])
    yield Figure("product_detection", "F1 of goods", f"{len(SEEN)} written objects", kept.f1, goal=at_least(0.95))
    truth = [f"{2 * number} {kind}" for number, (_, kinds) in enumerate(OFFERS) for kind in kinds]
    hinted = _counted([f"{round(one.start)} {one.kind}" for one in found.hints.items], truth)
    yield Figure("product_detection", "F1 of hints", f"{len(OFFERS)} captions", hinted.f1, goal=at_least(0.95))


def _counted(found: Sequence[str], truth: Sequence[str]) -> Hits:
    right = len(set(found) & set(truth))
    return Hits(right, len(found) - right, len(truth) - right)


def _faces(*spans: tuple[float, float]) -> Handed:
    items = [thing(f"f{n}", "face", (0.4, 0.2, 0.2, 0.3), (a, b - 0.25)) for n, (a, b) in enumerate(spans, 1)]
    return result("face_detection", faces=objects(*items))


def _beats(*cuts: float) -> tuple[Handed, Handed]:
    beats = result("audio_analysis", beats=moments("beat", *range(12)))
    return beats, result("cut_analysis", cuts=moments("cut", *cuts))


CASES: tuple[tuple[tuple[Handed, ...], tuple[str, ...]], ...] = (
    ((captions(("Ask not what", 3, 6)), spoken(("ask not what your country", 3, 6))), ("text_is_said",)),
    ((captions(("Ask not what", 3, 6)), spoken(("something else entirely", 3, 6))), ()),
    ((captions(("413M image pairs", 1, 5)), spoken(("430 million image pairs", 2, 4))), ("number_differs",)),
    ((captions(("only 3 left", 1, 5)), spoken(("3 people came", 2, 4))), ()),
    ((captions(("a line that nobody reads in half a second", 1, 1.5)),), ("text_too_fast",)),
    ((captions(("a line that everybody can read", 1, 6)),), ()),
    ((_faces((0, 3)), spoken(("one", 1, 2), ("two", 5, 6))), ("face_with_speech", "voice_over")),
    (_beats(1.02, 3.0, 5.05, 6.5, 7.97), ("cuts_on_beats",)),
    (_beats(1.4, 3.5, 5.6, 7.5), ()),
)
"""What others found, and what follows from it."""


def findings(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Agreements and contradictions that are there, and those that are not."""
    video, total = sound_of(12, folder), Hits()
    for handed, truth in CASES:
        found = run(ready(CrossAnalyzerIntelligence), video, folder, *handed).findings.items
        total += _counted([one.type for one in found], truth)
    on = f"{len(CASES)} written cases"
    yield Figure("cross_analyzer_intelligence", "F1 of findings", on, total.f1, goal=at_least(0.95))


def phases(folder: Path, rounds: int) -> Iterator[Figure]:
    """Peaks where cuts are dense, none where nothing changes, and the call to action."""
    analyzer, video = ready(TemporalFlow), sound_of(SECONDS, folder)
    off, called = [], []
    for seed in range(rounds):
        start = float(np.random.default_rng(seed).uniform(8, 16))
        cuts = result("cut_analysis", cuts=moments("cut", *(start + 0.5 * n for n in range(6))))
        ask = captions(("LINK IN BIO", 26, SECONDS))
        spans = {one.label: one for one in run(analyzer, video, folder, cuts, ask).phases.items}
        off.append(abs(spans["peak"].start - start) if "peak" in spans else SECONDS)
        called.append(abs(spans["call_to_action"].start - 26) if "call_to_action" in spans else SECONDS)
    on = f"{rounds} films with six dense cuts"
    yield Figure("temporal_flow", "largest error of the peak's start", on, max(off), "s", at_most(1.5))
    yield Figure("temporal_flow", "largest error of the call to action", on, max(called), "s", at_most(0.5))
    level = SeriesTrack(method="measurement", unit="LUFS", t0=0, dt=0.1, values=(-25.0,) * round(10 * SECONDS))
    even = run(analyzer, video, folder, result("audio_analysis", loudness=level)).phases.items
    claimed = sum(one.label == "peak" for one in even)
    yield Figure("temporal_flow", "peaks claimed", "the same loudness throughout", claimed, goal=at_most(0))


CHECKS: dict[str, Callable[[Path, int], Iterator[Figure]]] = {
    "cross_analyzer_intelligence": findings,
    "product_detection": goods,
    "speech_flow": flow,
    "speech_rate": rate,
    "temporal_flow": phases,
}
