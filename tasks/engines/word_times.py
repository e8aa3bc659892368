"""When Whisper's words are said: its cross-attention, aligned with its tokens by dynamic time warping.

The method is openai-whisper's (`timing.py`): the attention of heads that follow the sound is normalised over the
tokens, smoothed, averaged, and the cheapest monotonous path through it gives each token its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAME_SECONDS = 0.02
"""Between two frames of Whisper's encoder."""
MEDIAN_FRAMES = 7
LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8: so many tokens at most are not whole characters yet."""
BROKEN = "\ufffd"

Floats = NDArray[np.float32]


def followed(scores: Any, torch: Any) -> Any:
    """How well each token goes with each frame, `(tokens, frames)`, of raw attention `(heads, tokens, frames)`."""
    weights = scores.float().softmax(-1)
    spread, mean = torch.std_mean(weights, dim=-2, keepdim=True, correction=0)
    weights = (weights - mean) / spread.clamp_min(1e-10)
    side = MEDIAN_FRAMES // 2
    if weights.shape[-1] > side:
        padded = torch.nn.functional.pad(weights, (side, side), mode="reflect")
        weights = padded.unfold(-1, MEDIAN_FRAMES, 1).median(-1).values
    return weights.mean(0)


def token_times(fits: Floats) -> Floats:
    """When each token begins, and the last ends, in seconds, from `(tokens + 1, frames)`; the last row is the end's."""
    rows, frames = warped(-fits.astype(np.float64))
    begins: Floats = frames[np.flatnonzero(np.diff(rows, prepend=-1))].astype(np.float32) * np.float32(FRAME_SECONDS)
    return begins


def warped(cost: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the cheapest path from the first to the last cell; it moves down, right, or both."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        before = np.minimum(np.minimum(total[i - 1, j - 1], total[i - 1, j]), total[i, j - 1])
        total[i, j] = cost[i - 1, j - 1] + before
    path = []
    i, j = rows, columns
    while i > 0 and j > 0:
        path.append((i - 1, j - 1))
        both, down, right = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        i, j = (i - 1, j - 1) if both <= min(down, right) else (i - 1, j) if down < right else (i, j - 1)
    found = np.array(path[::-1], np.intp)
    return found[:, 0], found[:, 1]


def words_of(
    tokens: Sequence[int], decode: Callable[[list[int]], str], *, spaced: bool
) -> list[tuple[str, int, int, int]]:
    """Words of a text: what is written, its first token, the token after its last, and that after its last spoken one.

    A word begins with a space; without spaces (`UNSPACED`) each whole character is one. Marks are part of the word
    before, but are not spoken: the silence after a word goes to them.
    """
    found: list[tuple[str, int, int, int]] = []
    first = 0
    for last in range(1, len(tokens) + 1):
        text = decode(list(tokens[first:last]))
        if BROKEN in text and last - first < LONGEST_CHARACTER and last < len(tokens):
            continue
        if spaced and found and not text.startswith(" "):
            before, begins, _, spoken = found[-1]
            found[-1] = (before + text, begins, last, last if any(map(str.isalnum, text)) else spoken)
        else:
            found.append((text, first, last, last))
        first = last
    return found
