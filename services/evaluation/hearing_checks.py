"""Analyzers of sound on clicks, chords and noise made here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from services.evaluation.figures import Figure, Hits, at_least, at_most, hits, share_covered
from services.evaluation.media import ready, run
from services.evaluation.sounds import bursts, chords, noise, rumble, tone, write_wav
from tasks.analyzers.audio_environment import AudioEnvironment
from tasks.analyzers.sound_effects import SoundEffects

RATE = 48_000
NEAR_SECONDS = 0.05


def onsets(folder: Path, rounds: int) -> Iterator[Figure]:
    """Clicks in silence and noise, chords that are plucked, and sounds in which nothing begins."""
    analyzer, clicks, plucked = ready(SoundEffects), Hits(), Hits()
    for seed in range(rounds):
        steps = np.cumsum(np.random.default_rng(seed).uniform(0.2, 1.0, 30))
        truth = [float(t) for t in steps if t < 17.5]
        for background in (0.0, 0.01, 0.05):
            sound = bursts(truth, 18, background=background, sample_rate=RATE)
            found = run(analyzer, write_wav(folder / "clicks.wav", sound, RATE), folder).events.items
            clicks += hits([one.t for one in found if one.type == "transient"], truth, NEAR_SECONDS)
            clicks += Hits(wrong=sum(one.type != "transient" for one in found))
    found = run(analyzer, write_wav(folder / "chords.wav", chords(8, sample_rate=RATE), RATE), folder).events.items
    plucked += hits([one.t for one in found], np.arange(0.5, 7.9, 0.5).tolist(), NEAR_SECONDS)
    on = f"{clicks.right + clicks.missed} clicks in silence and noise"
    yield Figure("sound_effects", f"F1 within {NEAR_SECONDS:g} s", on, clicks.f1, goal=at_least(0.95))
    yield Figure("sound_effects", f"F1 within {NEAR_SECONDS:g} s", "15 plucked chords", plucked.f1, goal=at_least(0.95))
    even = (noise(8, sample_rate=RATE), tone(440, 8, sample_rate=RATE), np.zeros(8 * RATE))
    claimed = [len(run(analyzer, write_wav(folder / "even.wav", s, RATE), folder).events.items) for s in even]
    yield Figure("sound_effects", "events claimed", "8 s each of noise, tone, silence", sum(claimed), goal=at_most(0))
    brown = [rumble(seed, 30, amplitude=level, sample_rate=RATE) for seed in range(2) for level in (0.01, 0.1)]
    claimed = [len(run(analyzer, write_wav(folder / "brown.wav", s, RATE), folder).events.items) for s in brown]
    yield Figure("sound_effects", "events claimed", "30 s each of 4 brown noises", sum(claimed), goal=at_most(0))


def kinds(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Music, noise as loud, and silence after one another; speech is judged where --media has some."""
    music, hiss, quiet = chords(6), noise(5, amplitude=0.03), np.zeros(16_000 * 3)
    truth = (("music", music), ("noise", hiss), (None, quiet), ("noise", hiss), ("music", music))
    sound = write_wav(folder / "kinds.wav", np.concatenate([samples for _, samples in truth]))
    found = run(ready(AudioEnvironment), sound, folder).spans.items
    right, start = 0.0, 0.0
    for label, samples in truth:
        end = start + len(samples) / 16_000
        named = [one for one in found if label is None or one.label == label]
        covered = share_covered(named, start, end) * (end - start)
        right += (end - start) - covered if label is None else covered
        start = end
    on = f"{start:g} s of music, noise, silence"
    yield Figure("audio_environment", "share of time named right", on, right / start, goal=at_least(0.95))
