"""`reelgraph overlay`: what is drawn lies where the document says, at the time it says, and nothing else is touched."""

import numpy as np
import pytest
from PIL import Image

from services.overlays.drawing import MASK_COLOUR, colour_of, drawn
from services.overlays.sheets import Look, sheets
from services.overlays.words import said
from shared.media import probe
from shared.schema import (
    Caption,
    Coverage,
    Document,
    EventTrack,
    JobInfo,
    LabelledSegment,
    ObjectTrack,
    SegmentTrack,
    SeriesTrack,
    TimedBox,
    TrackedObject,
)
from tasks.analyzers.background_segmentation import PersonMask
from tasks.analyzers.face_emotion import ExpressionShares, FaceExpressions
from tests.support.moving import write_video

GRAY = Image.new("RGB", (200, 100), (90, 90, 90))
BOX = TrackedObject(
    id="o1",
    label="cup",
    start=1,
    end=3,
    boxes=(TimedBox(t=1, box=(0.1, 0.4, 0.2, 0.4)), TimedBox(t=2, box=(0.6, 0.4, 0.2, 0.4))),
)
JOB = JobInfo(
    id="j",
    state="completed",
    profile="local",
    submitted_at="2026-01-01T00:00:00Z",
    decode_passes=1,
    wall_seconds=1,
    realtime_factor=None,
)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Four seconds of gray."""
    folder = tmp_path_factory.mktemp("overlay")
    return write_video(folder / "v.mp4", [np.full((100, 200, 3), 90, np.uint8)] * 40, fps=10)


def document(video, *tracks):
    """A document with these tracks."""
    return Document(job=JOB, media=probe(video), coverage=Coverage(), analyzers=(), tracks=tracks)


def boxes():
    """One cup that jumps at 2 s."""
    return ObjectTrack(method="model", id="object_detection/objects", analyzer="object_detection", items=(BOX,))


@pytest.mark.parametrize(("t", "left"), [(0.5, None), (1.5, 20), (2.0, 120), (3.0, None)])
def test_a_box_is_where_it_was_last(video, t, left):
    """The box's left edge is drawn at the place of the last look, and nothing is drawn outside of its time."""
    pixels = np.asarray(drawn(GRAY, document(video, boxes()), t, 0.1))
    coloured = np.flatnonzero((pixels[60] == colour_of("object_detection/objects")).all(1))
    assert (coloured[0] if len(coloured) else None) == left
    assert (left is None) == bool((pixels == 90).all())


def test_a_mask_tints_the_persons_columns(video):
    """A mask whose run lengths cover the right half tints that half alone, and only near its moment."""
    mask = PersonMask(id="k1", t=1, size=(10, 20), counts=(100, 100), share=0.5)
    track = EventTrack(method="model", id="background_segmentation/masks", items=(mask,))
    pixels = np.asarray(drawn(GRAY, document(video, track), 1.0, 0.25)).astype(int)
    assert (pixels[:, :90] == 90).all()
    tinted = pixels[:, 110:] - 90
    assert (np.sign(tinted) == np.sign(np.array(MASK_COLOUR) - 90)).all()
    assert (np.asarray(drawn(GRAY, document(video, track), 1.5, 0.25)) == 90).all()


def test_what_holds_at_a_moment_is_said(video):
    """Segments by their half-open spans, events near, the value of a series; numbers alone are not written."""
    scene = LabelledSegment(id="s1", label="shot", start=0, end=2)
    caption = Caption(id="x1", start=1, end=2, text="HELLO", box=(0, 0, 1, 1))
    told = document(
        video,
        SegmentTrack(method="heuristic", id="cut_analysis/shots", items=(scene,)),
        SegmentTrack(method="model", id="text_overlay/captions", items=(caption,)),
        SeriesTrack(method="model", id="temporal_flow/activity", unit="1", t0=0, dt=0.5, values=(0.25, None, 0.5, 1.0)),
        SeriesTrack(method="model", id="audio_analysis/pitch", unit="Hz", t0=0, dt=0.5, values=(100.0,) * 4),
    )
    assert said(told, 1.0, 0.1) == [
        "cut_analysis/shots: s1 shot",
        "text_overlay/captions: HELLO",
        "temporal_flow/activity: 0.5 1",
    ]
    assert said(told, 2.0, 0.1) == []


def test_sheets_hold_every_moment_once(video):
    """Five frames at two a row and two rows are two sheets, which begin at the first and the fifth moment."""
    found = list(sheets(video, document(video, boxes()), Look(0, 2.5, 0.5, width=120, columns=2, rows=2)))
    assert [first for first, _ in found] == [0.0, 2.0]
    assert [sheet.width for _, sheet in found] == [252, 252]
    assert found[0][1].height > found[1][1].height


def test_a_distribution_is_said_by_its_largest_classes(video):
    """Classes of a tenth or more, the largest first, as long as the face is there."""
    shares = ExpressionShares(angry=0.05, disgust=0, fear=0.1, happy=0.2, sad=0.05, surprise=0, neutral=0.6)
    face = FaceExpressions(id="d-f1", start=0, end=2, shares=shares, looks=8)
    told = document(video, SegmentTrack(method="model", id="face_emotion/distributions", items=(face,)))
    assert said(told, 1.0, 0.1) == ["face_emotion/distributions: neutral 0.60 happy 0.20 fear 0.10"]
    assert said(told, 2.0, 0.1) == []
