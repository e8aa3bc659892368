"""Things drawn plainly enough for real detectors to know them, at places that are known exactly."""

from __future__ import annotations

import cv2
import numpy as np

from services.evaluation.pictures import Picture


def blank(width: int, height: int, colour: tuple[int, int, int]) -> Picture:
    """A picture of one rgb colour."""
    return np.full((height, width, 3), colour, np.uint8)


def draw_stop_sign(picture: Picture, x: float, y: float, radius: float) -> None:
    """A stop sign with its middle at `(x, y)`; all in pixels."""
    for share, colour in ((1.0, (240, 240, 240)), (0.93, (190, 25, 35))):
        angles = np.pi / 8 + np.arange(8) * np.pi / 4
        corners = np.stack([x + share * radius * np.cos(angles), y + share * radius * np.sin(angles)], axis=1)
        cv2.fillPoly(picture, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    (width, height), _ = cv2.getTextSize("STOP", cv2.FONT_HERSHEY_SIMPLEX, 1, 2)
    scale = 1.5 * radius / width
    corner = int(x - width * scale / 2), int(y + height * scale / 2)
    cv2.putText(picture, "STOP", corner, cv2.FONT_HERSHEY_SIMPLEX, scale, (245, 245, 245), max(2, int(radius / 12)))


def draw_clock(picture: Picture, x: float, y: float, radius: float) -> None:
    """A wall clock with its middle at `(x, y)`; all in pixels."""

    def at(share: float, hour: float) -> tuple[int, int]:
        angle = hour * np.pi / 6
        return int(x + share * radius * np.sin(angle)), int(y - share * radius * np.cos(angle))

    for share, colour in ((1.0, (40, 40, 40)), (0.9, (245, 245, 240))):
        cv2.circle(picture, at(0, 0), int(share * radius), colour, -1, cv2.LINE_AA)
    for hour in range(12):
        cv2.line(picture, at(0.75, hour), at(0.85, hour), (20, 20, 20), 2, cv2.LINE_AA)
    cv2.line(picture, at(0, 0), at(0.5, 1.8), (20, 20, 20), 3, cv2.LINE_AA)
    cv2.line(picture, at(0, 0), at(0.7, 11.7), (20, 20, 20), 2, cv2.LINE_AA)


FACE_POINTS = ((-0.36, -0.1), (0.36, -0.1), (0.0, 0.28), (0.0, 0.62))
"""Right eye, left eye, nose and mouth of a drawn face, in radii from its middle."""


def draw_face(
    picture: Picture, x: float, y: float, radius: float, *, gaze: float = 0.0, eyes_open: bool = True
) -> None:
    """A front face with hair, neck and shoulders, its middle at `(x, y)`; all in pixels.

    `gaze` moves the irises to the right, in radii.
    """

    def oval(dx: float, dy: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        middle = int(x + dx * radius), int(y + dy * radius)
        axes = max(1, int(width * radius)), max(1, int(height * radius))
        cv2.ellipse(picture, middle, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    right_eye, left_eye, nose, mouth = FACE_POINTS
    oval(0, 2.4, 1.5, 1.2, (40, 60, 120))
    oval(0, 1.0, 0.4, 0.6, (205, 160, 130))
    oval(0, -0.15, 1.02, 1.3, (60, 40, 30))
    oval(0, 0.08, 0.85, 1.1, (224, 180, 150))
    for eye in (right_eye, left_eye):
        if eyes_open:
            oval(*eye, 0.17, 0.09, (245, 245, 245))
            oval(eye[0] + gaze, eye[1], 0.08, 0.08, (50, 30, 20))
        else:
            oval(eye[0], eye[1] + 0.03, 0.17, 0.02, (90, 60, 50))
        oval(eye[0], eye[1] - 0.2, 0.22, 0.06, (60, 40, 30))
    oval(*nose, 0.11, 0.1, (205, 155, 125))
    oval(*mouth, 0.3, 0.1, (180, 80, 80))
    picture[:] = cv2.GaussianBlur(picture, (0, 0), max(0.6, radius / 40))


WALL = (190, 195, 200)


def drawn(*, radius: float = 80, gaze: float = 0.0, eyes_open: bool = True) -> Picture:
    """A picture of 360 x 480 pixels with one face; eyes are 0.72 radii apart."""
    picture = blank(360, 480, WALL)
    draw_face(picture, 180, 200, radius, gaze=gaze, eyes_open=eyes_open)
    return picture


def written(picture: Picture, text: str, x: int = 60, y: int = 400, scale: float = 1.6) -> Picture:
    """The picture with white text, outlined in black, as subtitles are; `(x, y)` is its lower left corner in pixels."""
    picture = picture.copy()
    for colour, thickness in ((0, 12), (255, 4)):
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, (colour,) * 3, thickness, cv2.LINE_AA)
    return picture
