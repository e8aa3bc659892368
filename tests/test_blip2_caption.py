from __future__ import annotations

from tasks.analyzers.blip2_caption import Blip2Caption, merged


def test_like_captions_are_one_span():
    """Captions that share most words are merged until one differs; spans tile the time up to the end."""
    seen = [
        (0.0, "a man with a bottle"),
        (1.0, "a man with the bottle"),
        (2.0, "two dogs"),
        (3.0, "a man with a bottle"),
    ]
    assert [(item.start, item.end, item.text, item.frames) for item in merged(seen, 4.5, 0.7)] == [
        (0, 2, "a man with a bottle", 2),
        (2, 3, "two dogs", 1),
        (3, 4.5, "a man with a bottle", 1),
    ]


def test_slow_change_does_not_creep():
    """A caption is compared with the span's first one, so a chain of small changes does not end in a wrong span."""
    seen = [(0.0, "a b c d"), (1.0, "a b c e"), (2.0, "a b f e")]
    assert [item.frames for item in merged(seen, 3, 0.6)] == [2, 1]


def test_no_frames_no_captions():
    """A video without pictures has no spans; empty captions are alike."""
    assert merged([], 3, 0.7) == ()
    assert [item.frames for item in merged([(0.0, ""), (1.0, "")], 2, 0.7)] == [2]


def test_it_has_no_weights_in_the_local_profile():
    """Left out of `weights`, the local profile reports it unavailable instead of guessing."""
    assert set(Blip2Caption.weights) == {"gpu"}
