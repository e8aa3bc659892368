"""Nothing in a document lasts longer than the video."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from services.evaluation.media import look
from shared.media import probe
from shared.schema import TIMES, TrackSet, within
from tasks.registry import track_types
from tests.support.clips import Sound, make_clip, plain
from tests.support.made_up import track


def moments(one: BaseModel) -> Iterator[float]:
    """Every time in a model, however deep."""
    for name, value in one:
        if name in TIMES and isinstance(value, float):
            yield value
        for part in value if isinstance(value, tuple) else ():
            if isinstance(part, BaseModel):
                yield from moments(part)


@pytest.mark.parametrize("name", track_types())
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_track_of_any_analyzer_lasts_longer_than_the_video(name, data):
    """Whatever an analyzer says, its times end with the video; the rest of it is as it was, and it is still valid."""
    made = data.draw(track(name))
    cut = within(made, 1000.0)
    assert max(moments(cut), default=0.0) <= 1000.0
    assert type(made).model_validate(cut.model_dump()) == cut
    assert [min(t, 1000.0) for t in moments(made)] == list(moments(cut))


def test_silence_ends_with_the_video(tmp_path):
    """AAC decodes to whole packets, longer than the sound that was put in: the track ends where the container does."""
    sound = Sound(np.zeros((1, 48_500), np.float32))
    video = make_clip(tmp_path / "v.mp4", frames=20, fps=20, size=(64, 48), picture=plain(0), sound=sound)
    found = look(video, tmp_path / "frames", ["audio_analysis"])["audio_analysis"]
    assert isinstance(found, TrackSet)
    duration = probe(video).duration_seconds
    (raw,) = (one for one in found.tracks("audio_analysis") if one.id == "audio_analysis/silence")
    (cut,) = (one for one in found.tracks("audio_analysis", duration) if one.id == "audio_analysis/silence")
    assert max(moments(raw)) > duration
    assert max(moments(cut)) == duration
