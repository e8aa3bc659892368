"""Where sounds begin, outside speech: onsets, and among them transients, which are over at once.

Onsets are SuperFlux's (Boeck and Widmer, "Maximum Filter Vibrato Suppression for Onset Detection", DAFx 2013): the rise
of a spectrogram with logarithmic bands, compared with the loudest of three neighbouring bands two frames before, and
peaks of it above a moving mean. Every constant without another source is that of its authors' program (madmom's
`SuperFlux`). What it was that sounded is told in the gpu profile only, where a model of AudioSet's classes says so
(`tasks/sound_classes.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from shared.frames import Audio
from shared.schema import Event, EventTrack, LabelledSegment, Span, SpeechSegment, TrackSet
from shared.spans import merged, without
from tasks.analyzer import Analyzer, Media, ModelContext, Options
from tasks.engines.sounds import SOUND_TAGGERS, SoundTagger
from tasks.sound_classes import names

SAMPLE_RATE = 48_000
SOUND = Audio(SAMPLE_RATE, mono=False)
HEARD = Audio(16_000)
"""What the tagger hears."""
SPEECH, ENVIRONMENT = "speech_transcription/segments", "audio_environment/spans"
TAGS = "audio_environment/tags"

FRAME, HOP = 2048, 240
"""Samples of a frame (43 ms) and between two of them (5 ms)."""
BANDS_PER_OCTAVE, BAND_HZ = 24, (30.0, 17_000.0)
LAG = 2
NEIGHBOURS = 3
MAX_SECONDS, MEAN_SECONDS = (0.01, 0.05), 0.15
"""A peak is the highest from so long before until so long after, and stands out of the mean of so long before."""
COMBINE_SECONDS = 0.03
BLOCK_FRAMES = 2000

LEVEL = 96
"""Samples of which a level is taken: 2 ms."""
NEAR = 15
"""Levels before and after a peak, 30 ms, in which the sound is looked for: the peak is set by a frame of 43 ms."""
STEP = 5
"""Levels, 10 ms, that are compared on both sides of a moment: it begins where they differ most."""
OVER_SECONDS, OVER_DB = 0.1, 10.0
"""A sound that has lost so much of its loudest 10 ms by then is a transient."""
FLOOR_DBFS = -70.0
"""BS.1770-4's absolute gate: what is quieter is silence."""
CLEAR = 10.0
"""A strength that steady noise does not come near (5.1 at most in four minutes of loud brown noise)."""
OUT_OF_FALLS = 6.0
"""A weaker rise counts where an octave rises by so many times what it falls by in one step of six nearby. Steady noise
goes up as it goes down, 4.6 times at most in 13 minutes of low noises; sounds die away slower than they begin.
"""
NEARBY_SECONDS, FALL_SECONDS, FALL_HOP = 1.5, 0.04, 0.02
OCTAVES = np.round(30 * 2.0 ** np.arange(10) * FRAME / SAMPLE_RATE).astype(int)
"""First bins of nine octaves from 30 Hz on, and the end of the last."""
WORD_MARGIN_SECONDS = 0.25
"""Whisper's word times were seen off by up to so much: on jfk.flac a voice goes on for 0.4 s after its last word."""

Floats = NDArray[np.float64]


class EffectsOptions(Options):
    """What counts as an onset."""

    threshold: float = Field(
        1.1, gt=0, description="rise above the moving mean, in log10(1 + magnitude) summed over bands (SuperFlux: 1.1)"
    )
    least_rise_db: float = Field(
        6.0, ge=0, description="least rise of the level, dB (6: twice the amplitude; white noise stays below 2)"
    )
    name_probability: float = Field(
        0.3, gt=0, lt=1, description="gpu profile: a sound is named from this probability of its class on"
    )


class SoundEvent(Event):
    """`onset`: a sound begins and goes on. `transient`: it is 10 dB softer within 0.1 s, as a click, a hit or a clap.

    `strength`: the rise in log10(1 + magnitude), summed over the bands. `rise_db`: the loudest 10 ms of the sound's
    first 50 over the 30 ms before it, silence counted as -70 dBFS.

    `label`: the class of AudioSet that begins to sound, `confidence` its probability in the two seconds from then on;
    null where no class is likely enough then and was not before, and in the local profile, which has no such model.
    It cites the tags of `audio_environment` that say the same of that moment.
    """

    label: str | None = None

    strength: float
    rise_db: float


class EffectsTracks(TrackSet):
    """`events`, by time. `analysed` leaves out words and what else is speech: sounds below a voice are not found.

    Where neither transcript nor environment looked, nobody knows what is speech, and its onsets are among the events.
    """

    events: EventTrack[SoundEvent]


class SoundEffects(Analyzer[EffectsOptions, EffectsTracks]):
    """Spectral flux and its peaks, each moved to where the level rises most."""

    name = "sound_effects"
    version = 2
    group = "light"
    summary = "onsets and transients outside speech (SuperFlux); gpu: named by AudioSet's classes (AST)"
    needs = (SOUND,)
    needs_in = {"gpu": (SOUND, HEARD)}
    uses = ("speech_transcription", "audio_environment")
    weights = {"local": None, "gpu": "ast-audioset"}
    cost = 0.02
    cost_in = {"gpu": 0.016}
    tagger: SoundTagger | None = None

    def load(self, model: ModelContext) -> None:
        """Load the tagger, where the profile has one."""
        if model.profile == "gpu":
            self.tagger = model.engine(SOUND_TAGGERS)

    def analyze(self, media: Media, options: EffectsOptions) -> EffectsTracks:
        """Find onsets in the whole sound, then leave out those in speech."""
        audio = media.audio(SOUND)
        length = len(audio) / SAMPLE_RATE
        heard = tuple(without([(0.0, length)], spoken(media)))
        rises = np.concatenate([np.zeros(0), *flux(media, audio)])
        found = (_event(audio, frame, float(rises[frame])) for frame in peaks(rises, options.threshold))
        kept = [one for one in found if one.rise_db >= options.least_rise_db and _holds(heard, one.t)]
        clear = [one for one in kept if one.strength >= CLEAR or stands_out(audio, one.t)]
        events = tuple(one.model_copy(update={"id": f"x{number}"}) for number, one in enumerate(_single(clear), 1))
        if self.tagger is not None:
            events = _named(media, events, self.tagger, options.name_probability)
        return EffectsTracks(analysed=heard, events=EventTrack(method="measurement", items=events))


def _named(media: Media, events: tuple[SoundEvent, ...], tagger: SoundTagger, least: float) -> tuple[SoundEvent, ...]:
    """The events, with a name where the model has one."""
    tags = media.items(TAGS, LabelledSegment)
    named: list[SoundEvent] = []
    begun = names(media.audio(HEARD), [event.t for event in events], tagger, least)
    for event, sound in zip(events, begun, strict=True):
        media.progress(len(named) / len(events))
        if sound is None:
            named.append(event)
            continue
        same = (tag for tag in tags if tag.label == sound.label and tag.start <= event.t < tag.end)
        said = {"label": sound.label, "confidence": round(sound.probability, 4)}
        named.append(event.model_copy(update={**said, "evidence": tuple(f"{TAGS}/{tag.id}" for tag in same)}))
    return tuple(named)


def _event(audio: NDArray[np.float32], frame: int, strength: float) -> SoundEvent:
    """What begins near a frame of the flux."""
    levels, first = _levels(audio, frame * HOP)
    start = attack(levels)
    rise, short = shape(levels, start)
    return SoundEvent(
        id="unnumbered",
        t=max(0.0, first + start * LEVEL / SAMPLE_RATE),
        type="transient" if short else "onset",
        strength=round(strength, 2),
        rise_db=round(rise, 1),
    )


def _single(events: Sequence[SoundEvent]) -> list[SoundEvent]:
    """Of events that were moved to one attack the strongest."""
    single: list[SoundEvent] = []
    for one in sorted(events, key=lambda event: event.t):
        if not single or one.t - single[-1].t > COMBINE_SECONDS:
            single.append(one)
        elif one.strength > single[-1].strength:
            single[-1] = one
    return single


def _holds(spans: Sequence[Span], t: float) -> bool:
    """Whether a moment lies in the spans, and not at the sound's very start, before which nobody knows what was."""
    return t >= NEAR * LEVEL / SAMPLE_RATE and any(start <= t < end for start, end in spans)


# --- speech ----------------------------------------------------------------------------------------------------


def spoken(media: Media) -> list[tuple[float, float]]:
    """Words, with a margin, and speech that nobody wrote down."""
    said = media.items(SPEECH, SpeechSegment)
    words = [(word.start - WORD_MARGIN_SECONDS, word.end + WORD_MARGIN_SECONDS) for one in said for word in one.words]
    voices = [span for span in media.items(ENVIRONMENT, LabelledSegment) if span.label == "speech"]
    unwritten = [(v.start, v.end) for v in voices if not any(a < v.end and b > v.start for a, b in words)]
    return merged([*words, *unwritten])


# --- onsets ----------------------------------------------------------------------------------------------------


def band_filters() -> Floats:
    """Triangles `(bins, bands)` between neighbouring quarter tones, rounded to bins, each bin once."""
    low, high = (round(BANDS_PER_OCTAVE * np.log2(hertz / 440)) for hertz in BAND_HZ)
    hertz = 440 * 2 ** (np.arange(low, high + 1) / BANDS_PER_OCTAVE)
    corners = np.unique(np.round(hertz * FRAME / SAMPLE_RATE))
    left, centre, right = (corners[offset : len(corners) - 2 + offset] for offset in range(3))
    bins = np.arange(FRAME // 2 + 1)[:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    filters: Floats = np.maximum(np.minimum(rising, falling), 0)
    return filters


def flux(media: Media, audio: NDArray[np.float32]) -> Iterator[Floats]:
    """Yield the rise of the bands, one value every 5 ms, block by block, of samples `(n, channels)`."""
    filters, window = band_filters(), np.hanning(FRAME)
    before: Floats | None = None
    count = -(-len(audio) // HOP)
    for start in range(0, count, BLOCK_FRAMES):
        stop = min(start + BLOCK_FRAMES, count)
        block = _mono(audio, start * HOP - FRAME // 2, (stop - 1) * HOP + FRAME // 2)
        spectrum = np.fft.rfft(sliding_window_view(block, FRAME)[::HOP] * window)
        bands = np.log10(1 + filtered(spectrum, filters))
        earlier = np.repeat(bands[:1], LAG, axis=0) if before is None else before
        joined = np.concatenate((earlier, bands))
        padded = np.pad(joined[:-LAG], ((0, 0), (NEIGHBOURS // 2, NEIGHBOURS // 2)), mode="edge")
        loudest = np.max([padded[:, at : at + bands.shape[1]] for at in range(NEIGHBOURS)], axis=0)
        yield np.maximum(bands - loudest, 0).sum(axis=1)
        before = joined[-LAG:]
        media.progress(stop / count)


def filtered(spectrum: NDArray[np.complex128], filters: Floats) -> Floats:
    """Magnitudes of the bands `(frames, bands)`, octave by octave: most bins are in none of an octave's bands."""
    found = np.empty((len(spectrum), filters.shape[1]))
    for first in range(0, filters.shape[1], BANDS_PER_OCTAVE):
        some = filters[:, first : first + BANDS_PER_OCTAVE]
        used = np.flatnonzero(some.any(axis=1))
        bins = slice(used[0], used[-1] + 1)
        found[:, first : first + BANDS_PER_OCTAVE] = np.abs(spectrum[:, bins]) @ some[bins]
    return found


def _mono(audio: NDArray[np.float32], start: int, stop: int) -> Floats:
    """Samples `start` to `stop`, channels averaged, zeros outside the sound."""
    inside = audio[max(0, start) : max(0, stop)].astype(np.float64).mean(axis=1)
    before = max(0, -start)
    return np.pad(inside, (before, stop - start - before - len(inside)))


def peaks(rises: Floats, threshold: float) -> list[int]:
    """Frames in which the rise is the highest around and exceeds the moving mean by `threshold`."""
    if not len(rises):
        return []
    before, after = (round(seconds * SAMPLE_RATE / HOP) for seconds in MAX_SECONDS)
    past = round(MEAN_SECONDS * SAMPLE_RATE / HOP)
    highest = sliding_window_view(np.pad(rises, (before, after)), before + after + 1).max(axis=1)
    sums = np.concatenate((np.zeros(past + 1), np.cumsum(rises)))
    mean = (sums[past + 1 :] - sums[: -past - 1]) / (past + 1)
    found: list[int] = []
    for frame in np.flatnonzero((rises == highest) & (rises >= mean + threshold)):
        if not found or (frame - found[-1]) * HOP / SAMPLE_RATE > COMBINE_SECONDS:
            found.append(int(frame))
    return found


def _levels(audio: NDArray[np.float32], sample: int) -> tuple[Floats, float]:
    """Levels in dBFS every 2 ms from 60 ms before until 190 ms after a sample, and the first one's time."""
    first = sample - 2 * NEAR * LEVEL
    parts = _mono(audio, first, sample + (2 * NEAR + 65) * LEVEL).reshape(-1, LEVEL)
    quietest = 10 ** (FLOOR_DBFS / 10)
    return 10 * np.log10(np.maximum((parts**2).mean(axis=1), quietest)), first / SAMPLE_RATE


def attack(levels: Floats) -> int:
    """The level, of those near the middle, from which on it is louder than before by most."""
    means = sliding_window_view(levels, STEP).mean(axis=1)
    starts = np.arange(NEAR, 3 * NEAR + 1)
    return int(starts[np.argmax(means[starts] - means[starts - STEP])])


def shape(levels: Floats, start: int) -> tuple[float, bool]:
    """How far the level rises at `start`, in dB, and whether it is over soon."""
    power = sliding_window_view(10 ** (levels / 10), STEP).mean(axis=1)
    smooth = 10 * np.log10(power)
    loudest = start + int(np.argmax(smooth[start : start + 4 * STEP]))
    before = 10 * np.log10((10 ** (levels[max(0, start - NEAR) : start] / 10)).mean())
    after = smooth[loudest : start + round(OVER_SECONDS * SAMPLE_RATE / LEVEL) + 1]
    return float(smooth[loudest] - before), bool(after.min() <= smooth[loudest] - OVER_DB)


# --- steady noise ----------------------------------------------------------------------------------------------


def stands_out(audio: NDArray[np.float32], t: float) -> bool:
    """Whether an octave rises at `t` by more than it goes up and down nearby."""
    step = round(FALL_HOP * SAMPLE_RATE)
    centres = round(t * SAMPLE_RATE) + step * np.arange(*np.array((-1, 1)) * round(NEARBY_SECONDS / FALL_HOP))
    centres = centres[(centres >= 0) & (centres < len(audio))]
    sound = _mono(audio, int(centres[0]) - FRAME // 2, int(centres[-1]) + FRAME // 2)
    power = np.abs(np.fft.rfft(sliding_window_view(sound, FRAME)[::step] * np.hanning(FRAME))) ** 2
    mean_square = np.add.reduceat(power[:, : OCTAVES[-1]], OCTAVES[:-1], axis=1) * 2 / (FRAME * 0.375 * FRAME)
    levels = 10 * np.log10(np.maximum(mean_square, 10 ** (FLOOR_DBFS / 10)))
    lag = round(FALL_SECONDS / FALL_HOP)
    rises = levels[lag:] - levels[:-lag]
    from_event = centres[lag:] - round(t * SAMPLE_RATE)
    # no later frame: it would hear what sounds 50 ms on, which is another event
    near = (from_event >= 0) & (from_event <= step)
    falls = np.maximum(np.quantile(-rises, 5 / 6, axis=0), 1.0)
    return bool((rises[near] >= OUT_OF_FALLS * falls).any())
