"""Marks in and out of content_quality."""

import numpy as np
import pytest

from shared.schema import SegmentTrack
from tasks.analyzers.aesthetic_quality import AestheticQuality, ShotMark
from tasks.analyzers.content_quality import ContentQualityAnalysis
from tests.support.media import run
from tests.support.models import loaded
from tests.support.moving import write_video
from tests.support.tracks import result


def test_it_has_no_weights_in_the_local_profile():
    """Left out of `weights`, the local profile reports it unavailable instead of guessing."""
    assert set(AestheticQuality.weights) == {"gpu"}


@pytest.mark.parametrize("given", [6.25, None])
def test_content_quality_takes_the_mark_over(tmp_path, given):
    """A shot that was marked carries the mark and cites it; without, the mark is null and the rest is there."""
    rows, columns = np.mgrid[:120, :160]
    picture = np.stack([rows, columns, rows + columns], -1).astype(np.uint8)
    video = write_video(tmp_path / "still.mp4", [picture] * 20, fps=10)
    others = []
    if given:
        mark = ShotMark(id="a1", start=0.0, end=2.0, mark=given, frames=3)
        others = [result("aesthetic_quality", shots=SegmentTrack[ShotMark](method="model", items=(mark,)))]
    found = run(loaded(ContentQualityAnalysis()), video, tmp_path / "frames", *others)
    (shot,) = found.shots.items
    assert (shot.aesthetic, shot.evidence) == (given, ("aesthetic_quality/shots/a1",) if given else ())
    assert shot.tenengrad > 0
    assert {one.name: one.value for one in found.overall.items}["aesthetic"] == given
