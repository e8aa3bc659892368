"""What kind of sound there is: speech, music or noise, as spans; in the gpu profile also what sounds.

In the gpu profile the Audio Spectrogram Transformer listens (`tasks/sound_classes.py`). All that follows is about the
local network: it is the speech/music/noise one of inaSpeechSegmenter (Doukhan et al., "An open-source speaker gender
detection framework", ICASSP 2018; its authors measured the speech/music variant, not this one).
Every constant without another source is that package's (version 0.6.8): 24 mel bands of which the lower 21 are used,
patches of 68 frames judged every 20 ms, an energy gate, and Viterbi decoding with a price on every change.

One name at a time. Measured with chords below a voice: 20 dB softer the mixture is speech, 10 dB softer it is mostly
music. So `music` does not say that nobody speaks, nor `speech` that there is no music.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Audio
from shared.schema import LabelledSegment, Scalar, ScalarTrack, SegmentTrack, Span, TrackSet
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.engines.sounds import SOUND_TAGGERS, SoundTagger
from tasks.sound_classes import timeline

SAMPLE_RATE = 16_000
SOUND = Audio(SAMPLE_RATE)
LABELS = ("speech", "music", "noise")

WINDOW, HOP = 400, 160
"""Samples in a frame (25 ms) and between two frames (10 ms)."""
FFT = 512
PRE_EMPHASIS = 0.97
MEL_BANDS, USED_BANDS = 24, 21
MEL_HZ = (100.0, 8000.0)
PATCH, STEP = 68, 2
"""Frames in a patch (0.7 s) and between two patches (20 ms)."""

LOUD_SHARE = 0.03
"""A frame has energy when it has this share of the (geometric) mean: 15 dB below it."""
SILENCE_DBFS = -70.0
"""And never when it is quieter than BS.1770-4's absolute gate: digital dither is no noise."""
ENERGY_CHANGE, QUIET_STAYS = -150 * np.log(10), -5.0
"""Log price of a change between quiet and energy, and of every 10 ms spent quiet."""
CHANGE = -80 * np.log(10)
"""Log price of a change of the name. With a network that is sure, 0.3 s of another sound are not enough to pay it."""
ROUNDING_POWER = (2**-15) ** 2 / 12
"""Of samples with 16 bits, as those of the network's training: it fills digital silence, whose log has no value."""
BATCH = 32
BLOCK_FRAMES = 6000

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


class EnvironmentOptions(Options):
    """When a class is told, in the gpu profile."""

    kind_probability: float = Field(
        0.5, gt=0, lt=1, description="gpu profile: speech, music or noise is told from this probability of its class on"
    )
    tag_probability: float = Field(
        0.2, gt=0, lt=1, description="gpu profile: a class is a tag from this probability on"
    )


class EnvironmentTracks(TrackSet):
    """`spans`: labels `speech`, `music`, `noise`; what is quiet is in none. `confidence` is the mean probability that
    the network gave the label over the span. `scalars`: speech_share, music_share, noise_share of the sound's length;
    null where it is too short (local: 0.7 s) to be judged.

    In the gpu profile spans of different labels may overlap, and begin and end at multiples of 2.5 s; `noise` is only
    what AudioSet calls so. `tags`: every class of AudioSet that is likely enough, as spans of such slots, with their
    mean probability. The local network has no classes: there `tags` is empty.
    """

    spans: SegmentTrack[LabelledSegment]
    tags: SegmentTrack[LabelledSegment]
    scalars: ScalarTrack


class AudioEnvironment(Analyzer[EnvironmentOptions, EnvironmentTracks]):
    """Local: names patches of a mel spectrogram and joins them by Viterbi decoding. gpu: tags slots of 2.5 s."""

    name = "audio_environment"
    version = 1
    group = "light"
    summary = "speech, music and noise as spans (inaSpeechSegmenter's network); gpu: AudioSet's classes (AST)"
    needs = (SOUND,)
    weights: ClassVar[dict[str, str]] = {"local": "speech-music-noise", "gpu": "ast-audioset"}
    cost = 0.03
    cost_in = {"gpu": 0.004}
    tagger: SoundTagger | None = None

    def load(self, model: ModelContext) -> None:
        """Load the tagger, or the network, which is run once: the first run allocates its memory."""
        if model.profile == "gpu":
            self.tagger = model.engine(SOUND_TAGGERS)
            return
        self.session = model.onnx("speech_music_noise.onnx")
        self.judge(np.zeros((BATCH, PATCH, USED_BANDS), np.float32))

    def judge(self, patches: Floats) -> Floats:
        """Probabilities `(n, 3)` of the labels for normalised patches `(n, 68, 21)`."""
        found: Floats = self.session.run(None, {"input": patches})[0]
        return found

    def analyze(self, media: Media, options: EnvironmentOptions) -> EnvironmentTracks:
        """Tag what sounds, or name what has energy."""
        audio = media.audio(SOUND)
        return self._named(media, audio) if self.tagger is None else _tagged(media, audio, self.tagger, options)

    def _named(self, media: Media, audio: Floats) -> EnvironmentTracks:
        length = len(audio) / SAMPLE_RATE
        energy, mel = features(audio)
        if len(mel) < PATCH:
            return _tracks([], None, ())
        steps = np.arange(0, len(mel), STEP)
        loud = with_energy(energy)[steps]
        found: list[LabelledSegment] = []
        for first, last in _runs(loud):
            media.progress(first / len(steps))
            probabilities = np.concatenate(list(self._judged(mel, steps[first:last])))
            names = viterbi(np.log(np.maximum(probabilities, 1e-30)), change=float(CHANGE))
            for label, start, end in _named(names):
                found.append(
                    LabelledSegment(
                        id=f"e{len(found) + 1}",
                        start=int(steps[first + start]) * HOP / SAMPLE_RATE,
                        end=min(int(steps[first] + end * STEP) * HOP / SAMPLE_RATE, length),
                        label=LABELS[label],
                        confidence=float(probabilities[start:end, label].mean()),
                    )
                )
        return _tracks(found, length, ((0.0, length),))

    def _judged(self, mel: Floats, steps: NDArray[np.intp]) -> Iterator[Floats]:
        """Probabilities of the patches around these frames; near the ends the first or last whole patch counts."""
        windows = sliding_window_view(mel, PATCH, axis=0)
        for start in range(0, len(steps), BATCH):
            origins = np.clip(steps[start : start + BATCH] - PATCH // 2, 0, len(windows) - 1)
            patches = windows[origins].transpose(0, 2, 1)
            spread = patches.std(axis=(1, 2), keepdims=True)
            yield self.judge((patches - patches.mean(axis=(1, 2), keepdims=True)) / np.maximum(spread, 1e-6))


def _tagged(media: Media, audio: Floats, tagger: SoundTagger, options: EnvironmentOptions) -> EnvironmentTracks:
    heard = timeline(audio, tagger, media.progress)
    length = len(audio) / SAMPLE_RATE
    kinds = heard.of_kinds(options.kind_probability)
    tracks = _tracks(list(kinds), length or None, ((0.0, length),) if heard.slots else ())
    tags = SegmentTrack[LabelledSegment](method="model", items=heard.tags(options.tag_probability))
    return tracks.model_copy(update={"tags": tags})


# --- features --------------------------------------------------------------------------------------------------


def features(audio: Floats) -> tuple[NDArray[np.float64], Floats]:
    """Natural log of the energy `(n,)` and of the mel bands `(n, 21)`, one frame every 10 ms, of samples `(m,)`."""
    if len(audio) < WINDOW:
        return np.zeros(0), np.zeros((0, USED_BANDS), np.float32)
    frames = sliding_window_view(audio, WINDOW)[::HOP]
    bank, window = mel_bank(), np.hanning(WINDOW)
    floor = ROUNDING_POWER * (window**2).sum() * bank.sum(axis=1)
    energy, bands = [], []
    for start in range(0, len(frames), BLOCK_FRAMES):
        block = frames[start : start + BLOCK_FRAMES].astype(np.float64)
        block -= PRE_EMPHASIS * np.concatenate((block[:, :1], block[:, :-1]), axis=1)
        energy.append(np.log((block**2).sum(axis=1) + WINDOW * ROUNDING_POWER))
        power = np.abs(np.fft.rfft(block * window, FFT)) ** 2
        bands.append(np.log(power @ bank.T + floor).astype(np.float32))
    return np.concatenate(energy), np.concatenate(bands)


def mel_bank() -> NDArray[np.float64]:
    """Triangles `(21, bins)` of equal area, evenly spaced in mel (O'Shaughnessy, 1987)."""
    low, high = 2595 * np.log10(1 + np.array(MEL_HZ) / 700)
    hertz = 700 * (10 ** (np.linspace(low, high, MEL_BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)
    left, centre, right = (hertz[offset : offset + USED_BANDS, None] for offset in range(3))
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    bank: NDArray[np.float64] = np.maximum(np.minimum(rising, falling), 0) * 2 / (right - left)
    return bank


# --- decoding --------------------------------------------------------------------------------------------------


def with_energy(energy: NDArray[np.float64]) -> Flags:
    """Which frames have energy, short gaps and bursts smoothed away; `energy` as from `features`."""
    heard: Flags = energy > np.log(WINDOW) + SILENCE_DBFS / 10 * np.log(10)
    if not heard.any():
        return heard
    loud = heard & (energy > energy[heard].mean() + np.log(LOUD_SHARE))
    sure = 1e-10
    emitted = np.log(np.where(loud[:, None] == np.array([False, True]), 1 - sure, sure))
    return viterbi(emitted, change=float(ENERGY_CHANGE), stay=(QUIET_STAYS, 0.0)).astype(np.bool_)


def viterbi(emitted: NDArray[np.floating], *, change: float, stay: tuple[float, ...] = ()) -> NDArray[np.intp]:
    """The likeliest state at every step, from log probabilities `(n, states)` and the log prices of a transition."""
    stays = np.array(stay or (0.0,) * emitted.shape[1])
    best = emitted[0].astype(np.float64)
    kept = np.ones(emitted.shape, np.bool_)
    jumps = np.zeros(len(emitted), np.intp)
    for step in range(1, len(emitted)):
        origin = int(best.argmax())
        moved, stayed = best[origin] + change, best + stays
        jumps[step], kept[step] = origin, stayed >= moved
        best = np.maximum(stayed, moved) + emitted[step]
    path = np.empty(len(emitted), np.intp)
    state = int(best.argmax())
    for step in range(len(emitted) - 1, -1, -1):
        path[step] = state
        state = state if kept[step, state] else int(jumps[step])
    return path


def _named(states: NDArray[np.intp]) -> Iterator[tuple[int, int, int]]:
    """Runs of equal states: the state, its first step, and the step after its last."""
    for state, run in groupby(range(len(states)), key=lambda step: int(states[step])):
        steps = list(run)
        yield state, steps[0], steps[-1] + 1


def _runs(flags: Flags) -> Iterator[tuple[int, int]]:
    return ((first, last) for state, first, last in _named(flags.astype(np.intp)) if state)


def _tracks(found: list[LabelledSegment], length: float | None, analysed: tuple[Span, ...]) -> EnvironmentTracks:
    def share(label: str) -> Scalar:
        seconds = sum(span.end - span.start for span in found if span.label == label)
        value = round(seconds / length, 3) if length else None
        return Scalar(id=f"{label}_share", name=f"{label}_share", unit="1", value=value)

    return EnvironmentTracks(
        analysed=analysed,
        spans=SegmentTrack(method="model", items=tuple(found)),
        tags=SegmentTrack(method="model"),
        scalars=ScalarTrack(method="model", items=tuple(share(label) for label in LABELS)),
    )
