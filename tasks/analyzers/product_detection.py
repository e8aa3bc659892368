"""Goods that are shown, with the words that hint at prices and offers while they are.

They are found in two ways. Object detection's classes need nothing but its result. A list of words, in the options, is
looked for by a model with an open vocabulary where the profile has one; without words it does not run.

Goods are the objects of those COCO classes that are bought and carried home; nothing here tells a brand or whether the
thing is for sale. Vehicles, animals, furniture, appliances and cutlery are left out: they are mostly surroundings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field, StringConstraints

from shared.schema import (
    Caption,
    ObjectTrack,
    Scalar,
    ScalarTrack,
    Segment,
    SegmentTrack,
    SpeechSegment,
    TimedBox,
    TrackedObject,
    TrackSet,
)
from shared.spans import merged
from tasks.analyzer import Analyzer, Audio, Frames, Media, ModelContext, Options
from tasks.appearance import Looks
from tasks.boxes import answered, as_document_box, pictures
from tasks.engines.words import WORD_FINDERS, WordFinder
from tasks.offers import OFFERS, Kind
from tasks.shots import cuts
from tasks.standing import standing
from tasks.tracking import LinkRules, Sighting, Tracklet, link

SAMPLES_PER_SECOND = 4
FRAMES = Frames(fps=SAMPLES_PER_SECOND, short_side=640)
"""What object detection looks at in the gpu profile, too."""
WEAKER = 0.5
"""Boxes with this share of the threshold may carry on a product that was surer before."""
OBJECTS = "object_detection/objects"
CAPTIONS, SPEECH = "text_overlay/captions", "speech_transcription/segments"

# fmt: off
GOODS = frozenset((
    "backpack", "umbrella", "handbag", "tie", "suitcase",
    "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket",
    "bottle", "wine glass", "cup", "bowl", "vase",
    "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake",
    "laptop", "mouse", "remote", "keyboard", "cell phone",
    "book", "clock", "scissors", "teddy bear", "hair drier", "toothbrush",
))
# fmt: on
SEARCH_SECONDS = 0.21
"""Work for a second of video when words are searched for: four words, measured on an H100 (docs/performance.md)."""
LOOKING_THREADS = 2
"""They describe what was found while the model looks at the next pictures."""
NEAR_SECONDS = 1.0
"""Words that belong to what is seen may come or go so much earlier or later."""

OTHER_NAMES = {"cell phone": ("phone", "smartphone"), "sports ball": ("ball",), "hair drier": ("hair dryer",)}

Wanted = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]


def _parted(given: object) -> object:
    """Words may come as one text with commas, as from a command line."""
    return tuple(part for part in given.split(",") if part.strip()) if isinstance(given, str) else given


class ProductOptions(Options):
    """What is kept, and what else is looked for."""

    words: Annotated[tuple[Wanted, ...], BeforeValidator(_parted)] = Field(
        (), max_length=20, description="names of things to look for, such as sneaker; in the gpu profile, with OWLv2"
    )
    word_threshold: float = Field(0.2, ge=0, le=1, description="score that a thing named by a word must reach, 0..1")
    least_seconds: float = Field(0.5, ge=0, description="goods seen for a shorter time are left out")


class Product(TrackedObject):
    """Goods, with the boxes and confidence of the detector.

    `found_by`: `class` for goods among the detector's classes, `word` for things that the options asked for, which may
    be the same things once more. `evidence`: the object, for those found by class, then captions and speech segments
    within a second of it that offer something (see `OfferHint`) or name it. `hinted`: whether there is any of these.
    """

    hinted: bool
    found_by: Literal["class", "word"] = "class"


class OfferHint(Segment):
    """English words that speak of a price or an offer, on screen or spoken; `words` as they were read or heard.

    `kind`: `price`; `discount`, two for one too; `scarcity`, little time or stock; `sale`, codes to use and what comes
    free too; `order`, a call to buy. `confidence` is that of the caption or the speech segment.
    """

    kind: Kind
    words: str
    text: str


class ProductTracks(TrackSet):
    """`products`. `hints`: all of them, goods or not. `scalars`: products, products_hinted, product_share (of the
    video's length), hints and products_by_word; products_hinted and hints are null where neither text nor speech was
    looked at, products_by_word where no words were given or no model could look for them.
    """

    products: ObjectTrack[Product]
    hints: SegmentTrack[OfferHint]
    scalars: ScalarTrack


class ProductDetection(Analyzer[ProductOptions, ProductTracks]):
    """Picks goods among the objects and looks for words about them nearby."""

    name = "product_detection"
    version = 9
    group = "detect"
    summary = "goods among the COCO classes or named by you (OWLv2, on a GPU), with words that name or offer them"
    needs_in: ClassVar[dict[str, tuple[Frames | Audio, ...]]] = {"gpu": (FRAMES,)}
    requires = ("object_detection",)
    uses = ("text_overlay", "speech_transcription", "cut_analysis")
    extra: ClassVar[dict[str, str]] = {"gpu": "owlv2-base"}
    cost = 0.002
    cost_in: ClassVar[dict[str, float]] = {"gpu": 0.002}
    """Without words to search for: the same work as on a CPU, since no model is asked."""
    _finder: WordFinder | None = None

    @classmethod
    def seconds_per_second(cls, profile: str, options: ProductOptions | None = None) -> float:
        """More where words are searched for."""
        searches = bool(options and options.words and profile in cls.extra)
        return super().seconds_per_second(profile, options) + (SEARCH_SECONDS if searches else 0.0)

    def load(self, model: ModelContext) -> None:
        """Load the model with an open vocabulary where there is one."""
        self._finder = model.extra_engine(WORD_FINDERS)

    def analyze(self, media: Media, options: ProductOptions) -> ProductTracks:
        """Filter, look for words, and compare."""
        goods = [
            Seen(thing, "class", (f"{OBJECTS}/{thing.id}",))
            for thing in media.items(OBJECTS, TrackedObject)
            if thing.label in GOODS and thing.end - thing.start >= options.least_seconds
        ]
        named: list[Seen] | None = None
        if self._finder and options.words:
            named = [one for one in self._named(self._finder, media, options) if one.lasts(options.least_seconds)]
            goods = sorted([*goods, *named], key=lambda one: one.thing.start)
        texts: dict[str, Caption | SpeechSegment] = {
            **{f"{CAPTIONS}/{caption.id}": caption for caption in media.items(CAPTIONS, Caption)},
            **{f"{SPEECH}/{said.id}": said for said in media.items(SPEECH, SpeechSegment)},
        }
        hints = tuple(find_hints(texts))
        products = tuple(_product(number, thing, texts, hints) for number, thing in enumerate(goods, 1))
        looked = media.has("text_overlay") or media.has("speech_transcription")
        seen = sum(end - start for start, end in merged((one.start, one.end) for one in products))
        length = media.info.duration_seconds
        scalars = (
            _scalar("products", len(products)),
            _scalar("products_hinted", sum(one.hinted for one in products) if looked else None),
            _scalar("product_share", min(1.0, seen / length) if length else None),
            _scalar("hints", len(hints) if looked else None),
            _scalar("products_by_word", None if named is None else len(named)),
        )
        return ProductTracks(
            products=ObjectTrack(method="model", items=products),
            hints=SegmentTrack(method="heuristic", items=hints),
            scalars=ScalarTrack(method="heuristic", items=scalars),
        )

    def _named(self, finder: WordFinder, media: Media, options: ProductOptions) -> list[Seen]:
        """What the words name, followed over time."""
        words = tuple(dict.fromkeys(word.lower() for word in options.words))
        floor = WEAKER * options.word_threshold
        asked = answered(pictures(media, FRAMES), lambda shown: finder.objects(shown, words, floor))
        # scaling what is in the boxes needs no interpreter, and a model may find a hundred things in each picture
        with ThreadPoolExecutor(LOOKING_THREADS, thread_name_prefix="looks") as pool:
            seen = [(t, found, pool.submit(Looks.of, picture, found.boxes)) for t, picture, found in asked]
            sightings = [
                Sighting(t, found.boxes, found.scores, found.labels, looks.result()) for t, found, looks in seen
            ]
        rules = LinkRules(start_score=options.word_threshold)
        stood = standing(media, FRAMES, [sighting.t for sighting in sightings])
        tracklets = link(sightings, rules, stood, cuts=cuts(media))
        lasting = [one for one in tracklets if one.scores.mean() >= options.word_threshold]
        return [Seen(_tracked(one, words[one.label]), "word", ()) for one in lasting]


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing that may be a product, how it was found, and by which items."""

    thing: TrackedObject
    found_by: Literal["class", "word"]
    evidence: tuple[str, ...]

    def lasts(self, seconds: float) -> bool:
        """Whether it is seen for so long."""
        return self.thing.end - self.thing.start >= seconds


def _tracked(tracklet: Tracklet, label: str) -> TrackedObject:
    boxes = zip(tracklet.times, tracklet.boxes, tracklet.scores, strict=True)
    return TrackedObject(
        id="",
        label=label,
        start=tracklet.start,
        end=tracklet.end,
        confidence=float(np.mean(tracklet.scores)),
        boxes=tuple(TimedBox(t=t, box=as_document_box(box), confidence=float(score)) for t, box, score in boxes),
    )


def find_hints(texts: dict[str, Caption | SpeechSegment]) -> Iterator[OfferHint]:
    """Yield, by start, the first words of each kind in every text; a price within a discount is not told again."""
    number = 0
    for cited, item in sorted(texts.items(), key=lambda pair: (pair[1].start, pair[0])):
        taken: list[tuple[int, int]] = []
        for kind, pattern in OFFERS.items():
            found = next((m for m in pattern.finditer(item.text) if not any(_meet(m.span(), t) for t in taken)), None)
            if found is None:
                continue
            taken.append(found.span())
            number += 1
            start, end = _when(item, found.span())
            yield OfferHint(
                id=f"h{number}",
                start=start,
                end=end,
                confidence=item.confidence,
                kind=kind,
                words=found.group(),
                text=item.text,
                evidence=(cited,),
            )


def _when(item: Caption | SpeechSegment, span: tuple[int, int]) -> tuple[float, float]:
    """When the characters are seen or heard: a caption as long as it stands, speech from word to word."""
    if isinstance(item, Caption) or " ".join(word.text for word in item.words) != item.text:
        return item.start, item.end
    first, last = item.text[: span[0]].count(" "), item.text[: span[1]].count(" ")
    return item.words[first].start, max(item.words[first].start, item.words[last].end)


def _product(
    number: int, seen: Seen, texts: dict[str, Caption | SpeechSegment], hints: tuple[OfferHint, ...]
) -> Product:
    thing = seen.thing
    names = "|".join(re.escape(name) for name in (thing.label, *OTHER_NAMES.get(thing.label, ())))
    named = re.compile(rf"\b(?:{names})(?:e?s)?\b", re.IGNORECASE)
    naming = [cited for cited, item in texts.items() if _near(thing, item) and named.search(item.text)]
    offering = [cited for hint in hints if _near(thing, hint) for cited in hint.evidence]
    return Product(
        id=f"g{number}",
        label=thing.label,
        start=thing.start,
        end=thing.end,
        confidence=thing.confidence,
        boxes=thing.boxes,
        hinted=bool(naming or offering),
        found_by=seen.found_by,
        evidence=tuple(dict.fromkeys((*seen.evidence, *offering, *naming))),
    )


def _near(one: Segment, other: Segment) -> bool:
    return other.start < one.end + NEAR_SECONDS and other.end > one.start - NEAR_SECONDS


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _scalar(name: str, value: float | None) -> Scalar:
    return Scalar(id=name, name=name, unit="1", value=None if value is None else round(value, 3))
