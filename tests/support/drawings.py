"""Things drawn for real detectors: those that `reelgraph eval` is measured on."""

from services.evaluation.drawings import (
    FACE_POINTS,
    WALL,
    blank,
    draw_clock,
    draw_face,
    draw_stop_sign,
    drawn,
    written,
)

__all__ = ["FACE_POINTS", "WALL", "blank", "draw_clock", "draw_face", "draw_stop_sign", "drawn", "written"]
