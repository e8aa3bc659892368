from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from shared.frames import FrameBatch
from tasks.analyzers.qwen2_vl_temporal import FPS, Qwen2VlTemporal, clips_of, parsed
from tasks.engines.descriptions import Clip, evened, metadata


class Pictures:
    """Media with nothing but frames, 4 a second unless told otherwise; every pixel holds the frame's number.

    The last one is shown until `seconds`.
    """

    def __init__(self, count: int, *, every: float = 1 / FPS, seconds: float = 0.0) -> None:
        self.count, self.every = count, every
        self.info = SimpleNamespace(duration_seconds=seconds or count * every)

    def shown(self, need):
        return ((0.0, self.info.duration_seconds),)

    def frames(self, need, *, batch=16):
        for first in range(0, self.count, batch):
            numbers = np.arange(first, min(first + batch, self.count))
            pictures = np.broadcast_to(numbers[:, None, None, None], (len(numbers), 4, 6, 3)).astype(np.uint8)
            yield FrameBatch(numbers * self.every, pictures, (numbers + 1) * self.every)


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


def test_a_slow_video_has_a_segment_each_second():
    """With a frame every three seconds each second is a segment of what is on screen; what stays is asked once."""
    segments = list(clips_of(Pictures(3, every=3.0, seconds=8.5), 1.0, 4))
    assert [start for start, _ in segments] == list(range(9))
    shown = [clip and numbers(clip) for _, clip in segments]
    assert shown == [[0] * 4, None, None, [0, 0, 1, 1], [1] * 4, None, [1, 1, 2, 2], [2] * 4, None]


def test_a_rest_without_frames_is_no_segment():
    """A few hundredths for which the last picture is held are not described as a second of video."""
    assert [start for start, _ in clips_of(Pictures(8, seconds=2.05), 1.0, 4)] == [0, 1]
    assert [start for start, _ in clips_of(Pictures(8, seconds=2.4), 1.0, 4)] == [0, 1, 2]


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
    "answer",
    [
        "A dog runs.",
        '{"actions": ["runs"]}',
        '{"description": 7}',
        '{"description": " "}',
        "{}",
        '{"description": "',
        '{"a":' + "[" * 1100,
        '{"a":' * 1100,
        '{"a": ' + "9" * 5000,
    ],
    ids=lambda answer: answer[:20],
)
def test_any_other_answer_is_kept_as_text(answer):
    """Text, JSON without a description, and what Python's reader gives up on are kept word for word, and marked."""
    item = parsed(answer, "v1", 0, 1)
    assert (item.structured, item.description, item.actions, item.change) == (False, answer, (), None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"description": "A dog', "A dog"),
        ('```json\n{"description": "A dog", "actions": ["ru', "A dog"),
        ('{"description": "He says \\"no\\" \\ud8', 'He says "no"'),
        ('{"description": "A dog\\', "A dog"),
        (r'{"description": "It\'s a dog", "actions": [}', "It's a dog"),
        ('{"actions": ["runs"], "description": "A dog', "A dog"),
        ('{"description": "A dog", "actions": [{"description": "runs"}, {"de', "A dog"),
    ],
)
def test_of_a_cut_object_the_description_is_read(answer, said):
    """An answer that ends at its last token shows nobody raw JSON: its description is read, and marked."""
    item = parsed(answer, "v1", 0, 1)
    assert (item.structured, item.description, item.actions) == (False, said, ())


@pytest.mark.parametrize(
    "answer",
    ['Use {braces}: {"description": "A dog"}', '{"answer": {"description": "A dog"}}', '{{"description": "A dog"}'],
)
def test_every_brace_is_tried(answer):
    """The object may come after other braces, or stand in another object."""
    item = parsed(answer, "v1", 0, 1)
    assert (item.structured, item.description) == (True, "A dog")


@pytest.mark.parametrize(
    "answer",
    [
        "a man \ud83d",
        '{"description": "a man \\ud83d", "actions": ["waves \\udc00"], "change": "\\ud83d"}',
    ],
)
def test_half_a_character_is_replaced(answer):
    """A model may write half of a surrogate pair, which UTF-8 cannot hold: all of what it says can be stored."""
    item = parsed(answer, "v1", 0, 1)
    assert item.description == "a man \ufffd"
    assert "\\ud83d" not in item.model_dump_json()


@pytest.mark.parametrize(
    ("actions", "kept"),
    [
        ('["runs", null, {"who": "a dog"}, ["barks"], 7, true, "", " \\n", "\\u0000", "jumps "]', ("runs", "jumps")),
        ('{"0": "runs"}', ()),
        ('"runs"', ("runs",)),
        ("null", ()),
    ],
)
def test_of_actions_and_changes_text_alone_is_taken(actions, kept):
    """No action is called None or {'who': …}: what is no text, or holds none, is left out; one may stand alone."""
    item = parsed(f'{{"description": "A dog", "actions": {actions}, "change": {{"what": "all"}}}}', "v1", 0, 1)
    assert (item.structured, item.actions, item.change) == (True, kept, None)
    assert parsed('{"description": "A dog", "change": " \\u0000"}', "v1", 0, 1).change is None


@pytest.mark.parametrize(
    ("answer", "description"),
    [
        (r'{"description": "A\u0000 d\u001bog\r\u009b", "actions": ["r\u0000uns"], "change": "it \u0007sat"}', "A dog"),
        ("A\0 dog\x1b\x7f", "A dog"),
        ('{"description": "A\\u0000 dog\\u0007', "A dog"),
        ("A dog\nand\ta cat\0\n", "A dog\nand\ta cat"),
    ],
    ids=["whole", "plain", "cut", "lines"],
)
def test_controls_are_no_text(answer, description):
    """NUL, which databases refuse, and what a terminal obeys are left out of every form of answer; lines stay lines."""
    item = parsed(answer, "v1", 0, 1)
    assert item.description == description
    if item.structured:
        assert (item.actions, item.change) == (("runs",), "it sat")


def test_it_has_no_weights_in_the_local_profile():
    """Left out of `weights`, the local profile reports it unavailable instead of guessing."""
    assert set(Qwen2VlTemporal.weights) == {"gpu"}
