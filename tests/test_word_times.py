"""Word times out of attention: the path, the smoothing, the words."""

from itertools import product

import numpy as np
import pytest

from tasks.engines.word_times import followed, token_times, warped, words_of
from tests.support.tiny.store import need_torch


def all_paths(rows, columns):
    if (rows, columns) == (1, 1):
        yield [(0, 0)]
        return
    for down, right in ((1, 1), (1, 0), (0, 1)):
        if rows - down > 0 and columns - right > 0:
            for path in all_paths(rows - down, columns - right):
                yield [*path, (rows - 1, columns - 1)]


@pytest.mark.parametrize(("rows", "columns", "seed"), [*product((1, 3, 4), (1, 4, 5), (0, 1))])
def test_the_path_is_the_cheapest(rows, columns, seed):
    """No monotonous path, of all that there are, costs less than the one found."""
    cost = np.random.default_rng(seed).normal(size=(rows, columns))
    found = cost[warped(cost)].sum()
    assert found == pytest.approx(min(sum(cost[cell] for cell in path) for path in all_paths(rows, columns)))


def test_tokens_begin_where_they_are_heard():
    """Attention that moves on at frames 10, 25 and 70 gives those times, 20 ms a frame."""
    fits = np.zeros((4, 100), np.float32)
    for row, (start, end) in enumerate(((0, 10), (10, 25), (25, 70), (70, 100))):
        fits[row, start:end] = 1
    assert token_times(fits) == pytest.approx([0, 0.2, 0.5, 1.4])


@pytest.mark.engines
def test_a_lone_peak_is_smoothed_away():
    """One frame of attention that its neighbours do not share moves nothing."""
    need_torch()
    import torch

    scores = torch.zeros(2, 3, 60)
    for row in range(3):
        scores[:, row, 20 * row : 20 * row + 20] = 4
    spoilt = scores.clone()
    spoilt[:, 0, 50] = 9
    clean, mended = (token_times(followed(one, torch).numpy()) for one in (scores, spoilt))
    assert clean == pytest.approx(np.array([0, 0.4, 0.8]), abs=0.021)
    assert mended == pytest.approx(clean)


PIECES = {1: " so", 2: " my", 3: " fel", 4: "low", 5: ",", 6: "\ufffd"}


def decode(tokens):
    return "你" if tokens == [6, 6] else "".join(PIECES[token] for token in tokens)


def test_words_begin_with_spaces():
    """Parts without a space and marks belong to the word before."""
    assert words_of([1, 2, 3, 4], decode, spaced=True) == [(" so", 0, 1, 1), (" my", 1, 2, 2), (" fellow", 2, 4, 4)]


def test_marks_are_not_spoken():
    """A comma belongs to its word, which ends before the comma is heard."""
    assert words_of([3, 4, 5, 1], decode, spaced=True) == [(" fellow,", 0, 3, 2), (" so", 3, 4, 4)]


def test_a_character_of_two_tokens_is_one_word():
    """Tokens that make no whole character wait for the next; without spaces each character is a word."""
    assert words_of([6, 6, 6, 6], decode, spaced=False) == [("你", 0, 2, 2), ("你", 2, 4, 4)]


def test_a_broken_end_is_kept():
    """A text that ends within a character keeps what there is, and no token is lost."""
    assert words_of([1, 6], decode, spaced=True)[-1][2] == 2
