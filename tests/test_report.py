"""The HTML report: complete, self-contained, and unimpressed by hostile text."""

from __future__ import annotations

import base64
import re
from collections import Counter
from html.parser import HTMLParser
from io import BytesIO

import pytest
from PIL import Image
from pydantic import BaseModel

from services.exports.html import MAX_PICTURES, render
from services.exports.words import clock, number
from shared.errors import BadInput
from shared.schema import Document, LabelledSegment, SegmentTrack, SeriesTrack, StreamInfo
from tests.support.document import CUTS, sample_document

EVIL = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


class Page(HTMLParser):
    """What a browser makes of the markup: elements, attributes, and text by the element it stands in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        self.attributes += attributes
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value or "" for attribute, value in self.attributes if attribute == name]


def jpeg(shade: int = 128) -> bytes:
    content = BytesIO()
    Image.new("L", (8, 8), shade).save(content, "JPEG")
    return content.getvalue()


def page_of(document: Document) -> Page:
    return Page(render(document, thumbnail=lambda t: jpeg()))


def test_everything_in_the_document_is_on_the_page() -> None:
    """Every track has a named lane or a number, every word, caption, finding and reason can be read."""
    document = sample_document()
    page = page_of(document)
    for track in document.tracks:
        if track.kind != "scalar":
            name = track.id.replace("_", " ").replace("/", " / ")
            assert name in page.text
    for said in (
        "0:00.8 And so, my fellow Americans, 0:03.0 ask not what your country can do for you, 0:07.1 ask what",
        "MEET THE CREW",
        "integrated loudness \N{MINUS SIGN}20.4 LUFS",
        "tempo not measured",
        "A face is in view while 5 words are spoken.",
        "speech_transcription/segments/s1",
        "audio analysis / silence nothing found",
        "speech transcription / segments 3 segments",
        "not analysed: 0:07.0\N{EN DASH}0:09.0",
        "2 s of the video were not read in time (deadline_exceeded, a retry may help)",
        "`reelgraph models pull qwen2-vl-7b` brings them (unavailable)",
        "the worker process died three times (worker_lost, a retry may help)",
        "temporal flow / phases 3 segments · heuristic",
        "Decoded once",
        "9 of 12 complete",
    ):
        assert said in page.text, said


def test_page_is_self_contained() -> None:
    """There is no script and no address but anchors in the page and data, and the policy forbids all else."""
    html = render(sample_document(), thumbnail=lambda t: jpeg())
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert all(value.startswith("#") for value in page.values("href"))
    assert not page.values("src")
    assert {url[:15] for url in re.findall(r"url\(([^)]*)\)", html)} == {"data:image/jpeg", "#hatch"}
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.values("content")
    assert "@import" not in html


KEPT = {"analyzer", "fps", "kind", "method", "motion", "schema_version", "state", "status"}


def poisoned(value: object, field: str = "") -> object:
    """The same value with every text replaced, but for fields that take words of ours only."""
    if isinstance(value, BaseModel):
        return value.model_copy(
            update={name: poisoned(getattr(value, name), name) for name in type(value).model_fields}
        )
    if isinstance(value, tuple):
        return tuple(poisoned(part, field) for part in value)
    return EVIL if isinstance(value, str) and field not in KEPT else value


def test_hostile_text_stays_text() -> None:
    """Markup in the file name, captions, words, ids, units, messages, codec names adds no element and no attribute."""
    document = sample_document()
    noted = document.model_copy(update={"job": document.job.model_copy(update={"notes": ("a note",)})})
    hostile = poisoned(noted)
    known = tuple(
        bad.model_copy(update={"id": good.id}) for bad, good in zip(hostile.tracks, noted.tracks, strict=True)
    )
    plain, page = page_of(noted), page_of(hostile.model_copy(update={"tracks": known}))
    assert set(page.tags) == set(plain.tags)
    assert {name for name, _ in page.attributes} == {name for name, _ in plain.attributes}
    assert page.tags["style"] == plain.tags["style"] == 1
    assert sum(text.strip() == EVIL for text in page.texts) > 50
    assert "49" not in page.text


def test_file_name_that_is_no_text_can_be_written() -> None:
    """A file name with bytes that are no UTF-8 gives a page that can be encoded."""
    document = sample_document()
    job = document.job.model_copy(update={"source_name": b"caf\xe9.mp4".decode("utf-8", "surrogateescape")})
    page = render(document.model_copy(update={"job": job}), thumbnail=lambda t: None)
    assert "caf?.mp4" in page.encode("utf-8").decode("utf-8")


def test_shots_show_their_middle_and_what_is_in_them() -> None:
    """A picture is asked for from the middle of each shot, stored once, and labelled with what is seen there."""
    asked = []

    def thumbnail(t: float) -> bytes:
        asked.append(t)
        return jpeg(round(20 * t))

    html = render(sample_document(), thumbnail=thumbnail)
    assert asked == [1.5, 4.5, 7.25, 10.25]
    stored = re.findall(r"base64,([^)]*)\)", html)
    assert [base64.b64decode(content) for content in stored] == [jpeg(round(20 * t)) for t in asked]
    shot = Page(html).text.partition("Shot 3")[2].partition("Shot 4")[0]
    assert "FIRST COFFEE" in shot
    assert {"cup", "dining table", "static"} <= {
        word for word in ("cup", "dining table", "static", "person") if word in shot
    }
    assert "person" not in shot


def test_picture_that_cannot_be_had_costs_only_itself() -> None:
    """Where the video breaks, its place says so; the other pictures and the page are there."""

    def thumbnail(t: float) -> bytes | None:
        if t > 9:
            raise BadInput("the video breaks here", code="undecodable")
        return None if t > 7 else jpeg()

    html = render(sample_document(), thumbnail=thumbnail)
    assert html.count("base64,") == 2
    assert Page(html).text.count("no picture") == 2


def without(document: Document, prefix: str) -> Document:
    return document.model_copy(update={"tracks": tuple(t for t in document.tracks if not t.id.startswith(prefix))})


def test_unknown_shots_are_not_invented() -> None:
    """Without a track of shots the pictures are even moments and are called so."""
    page = page_of(without(sample_document(), "cut_analysis"))
    assert "shots are not known" in page.text
    assert "Moment 6 0:11.0" in page.text
    assert "Shot 1" not in page.text


def test_sound_without_pictures() -> None:
    """A file without a video stream has no pictures section, is asked for none, and still has its timeline."""
    document = without(sample_document(), "cut_analysis")
    audio = StreamInfo(index=0, kind="audio", codec="flac", chosen=True, sample_rate=16_000, channels=1)
    media = document.media.model_copy(update={"streams": (audio,), "width": None, "height": None, "fps": None})

    def thumbnail(t: float) -> bytes:
        pytest.fail("a picture was asked for")

    page = Page(render(document.model_copy(update={"media": media}), thumbnail=thumbnail))
    assert "shots" not in page.values("id")
    assert "audio analysis / loudness" in page.text


def test_document_without_results() -> None:
    """When nothing was found out, and when the length is not known, there is still a page that says so."""
    document = sample_document()
    media = document.media.model_copy(update={"duration_seconds": 0.0})
    page = page_of(document.model_copy(update={"tracks": (), "analyzers": (), "media": media}))
    assert "No track was made." in page.text


def test_page_of_a_long_video_stays_small() -> None:
    """Two hours with 3,000 shots and series of 72,000 values: some pictures of all, and under 3 MB without them."""
    shots = tuple(LabelledSegment(id=f"h{i}", start=i * 2.4, end=(i + 1) * 2.4, label="shot") for i in range(3000))
    values = tuple(float(i % 700) if i % 50 else None for i in range(72_000))
    tracks = (
        SegmentTrack(id="cut_analysis/shots", analyzer="cut_analysis", method="measurement", items=shots),
        SeriesTrack(
            id="audio_analysis/loudness",
            analyzer="audio_analysis",
            method="measurement",
            unit="LUFS",
            t0=0,
            dt=0.1,
            values=values,
        ),
    )
    document = sample_document()
    media = document.media.model_copy(update={"duration_seconds": 7200.0})
    html = render(document.model_copy(update={"tracks": tracks, "media": media}), thumbnail=lambda t: jpeg())
    assert html.count("base64,") == MAX_PICTURES
    assert "48 of 3000" in Page(html).text
    assert "1500 drawn" in Page(html).text
    assert len(html) < 3_000_000


def test_evidence_leads_to_the_marks() -> None:
    """Every piece of evidence links to a mark that is on the timeline."""
    page = page_of(sample_document())
    targets = {value[1:] for value in page.values("href")}
    assert len(targets) == 4
    assert targets <= set(page.values("id"))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00.0"), (59.96, "1:00.0"), (61.25, "1:01.2"), (3599.99, "1:00:00.0"), (3723.5, "1:02:03.5")],
)
def test_clock(seconds: float, said: str) -> None:
    """Moments are rounded once, so that no minute has 60 seconds."""
    assert clock(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (-0.001, "0"),
        (0.056, "0.06"),
        (-23.14, "\N{MINUS SIGN}23.1"),
        (1234.5, "1,234"),
        (100.0, "100"),
        (2.5, "2.5"),
    ],
)
def test_number(value: float, said: str) -> None:
    """Numbers have the digits that a reader needs and no trailing zeros."""
    assert number(value) == said


def test_cuts_of_the_sample_stand_at_their_times() -> None:
    """The dashed lines of the cuts stand at the cuts' share of the length."""
    html = render(sample_document(), thumbnail=lambda t: None)
    lines = [float(left) for left in re.findall(r'class="cut" x1="([\d.]+)%"', html)]
    assert lines == pytest.approx([100 * cut / 12 for cut in CUTS], abs=0.001)
