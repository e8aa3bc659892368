"""Pictures for engines that look at them: no two alike, with edges and colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def scenes(count: int, height: int = 96, width: int = 64) -> list[NDArray[np.uint8]]:
    """So many rgb pictures `(height, width, 3)`: a gradient with a rectangle that moves."""
    rows, columns = np.mgrid[:height, :width]
    pictures = []
    for number in range(count):
        picture = np.stack([columns * 3 % 256, rows * 2 % 256, (rows + columns + 20 * number) % 256], -1)
        left, top = 5 + 3 * number % (width // 2), 10 + 5 * number % (height // 2)
        picture[top : top + height // 3, left : left + width // 3] = (200, 40 * number % 256, 30)
        pictures.append(picture.astype(np.uint8))
    return pictures
