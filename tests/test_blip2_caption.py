from __future__ import annotations

import pytest

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
    """A video without pictures has no spans, and a frame of which the model said nothing is in none."""
    assert merged([], 3, 0.7) == ()
    assert merged([(0.0, ""), (1.0, "")], 2, 0.7) == ()
    items = merged([(0.0, "a dog"), (1.0, ""), (2.0, ""), (3.0, "a dog"), (4.0, "...")], 5, 0.7)
    assert [(item.id, item.start, item.end, item.text) for item in items] == [
        ("k1", 0, 1, "a dog"),
        ("k2", 3, 4, "a dog"),
        ("k3", 4, 5, "..."),
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a cat on a mat", "not a cat on a mat"),
        ("a man with a hat in the street", "a man without a hat in the street"),
        ("the man who is here is in the room", "the man who isn't here is in the room"),
    ],
)
def test_what_is_denied_is_not_alike(one, other):
    """One word decides what a caption says where it denies; two that deny the same are alike as others are."""
    assert len(merged([(0.0, one), (1.0, other)], 2, 0.6)) == 2
    assert len(merged([(0.0, other), (1.0, other)], 2, 0.6)) == 1


def test_it_has_no_weights_in_the_local_profile():
    """Left out of `weights`, the local profile reports it unavailable instead of guessing."""
    assert set(Blip2Caption.weights) == {"gpu"}
