from __future__ import annotations

import numpy as np
import pytest

from shared.frames import FrameBatch
from tasks.analyzers.qwen2_vl_temporal import PICTURES, Qwen2VlTemporal, clips_of, parsed
from tasks.engines.descriptions import Clip, evened, metadata


class Pictures:
    """Media with nothing but frames at 4 a second; every pixel holds the frame's number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def frames(self, need, *, batch=16):
        for first in range(0, self.count, batch):
            numbers = np.arange(first, min(first + batch, self.count))
            pictures = np.broadcast_to(numbers[:, None, None, None], (len(numbers), 4, 6, 3)).astype(np.uint8)
            yield FrameBatch(numbers / PICTURES.fps, pictures)


def numbers(clip) -> list[int]:
    return clip.frames[:, 0, 0, 0].tolist()


def test_a_clip_begins_with_the_frame_before_it():
    """Each second is shown by four frames, the last one before it first, so that a change can be seen."""
    clips = list(clips_of(Pictures(12), 1.0, 4))
    assert [start for start, _ in clips] == [0, 1, 2]
    assert [numbers(clip) for _, clip in clips] == [[0, 1, 2, 3], [3, 4, 6, 7], [7, 8, 10, 11]]
    assert clips[1][1].times.tolist() == [0.75, 1.0, 1.5, 1.75]


def test_all_clips_have_as_many_frames():
    """Where a segment has fewer, some stand twice, in order: a batch of clips needs no padding."""
    assert [numbers(clip) for _, clip in clips_of(Pictures(5), 1.0, 4)] == [[0, 1, 2, 3], [3, 3, 4, 4]]
    assert [numbers(clip) for _, clip in clips_of(Pictures(1), 1.0, 3)] == [[0, 0, 0]]


def test_frame_times_reach_the_model():
    """The metadata gives each frame's milliseconds since the clip's first one, and the mean rate."""
    _, clip = list(clips_of(Pictures(8), 1.0, 4))[1]
    assert metadata(clip) == {
        "fps": 1000.0,
        "total_num_frames": 1333,
        "duration": 1.333,
        "width": 6,
        "height": 4,
        "frames_indices": [0, 250, 750, 1000],
    }


def test_frames_come_in_pairs():
    """An odd number of frames is made even by the last one, as the models would do."""
    clip = Clip(np.array([0.0, 0.5, 1.0]), np.arange(3, dtype=np.uint8)[:, None, None, None].repeat(3, 3))
    assert (evened(clip).times.tolist(), numbers(evened(clip))) == ([0, 0.5, 1, 1], [0, 1, 2, 2])


def test_an_answer_in_json_is_read():
    """Description, actions and change are taken out of the answer, whatever stands around the object."""
    answer = 'Sure: {"description": "A dog runs.", "actions": ["runs"], "change": "it was sitting"} Done.'
    item = parsed(answer, "v1", 0, 1)
    assert (item.structured, item.description, item.actions) == (True, "A dog runs.", ("runs",))
    assert item.change == "it was sitting"


@pytest.mark.parametrize(
    "answer", ["A dog runs.", '{"description": "A dog', '{"actions": ["runs"]}', '{"description": 7}', "{}"]
)
def test_any_other_answer_is_kept_as_text(answer):
    """Plain text, broken JSON and JSON without a description are kept word for word, and marked."""
    item = parsed(answer, "v1", 0, 1)
    assert (item.structured, item.description, item.actions, item.change) == (False, answer, (), None)


def test_it_has_no_weights_in_the_local_profile():
    """Left out of `weights`, the local profile reports it unavailable instead of guessing."""
    assert set(Qwen2VlTemporal.weights) == {"gpu"}
