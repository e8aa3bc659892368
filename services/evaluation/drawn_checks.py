"""Detectors on things drawn plainly: faces, signs, words, hands, each at a place and time that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from services.evaluation.drawings import FACE_POINTS, WALL, blank, draw_clock, draw_face, draw_stop_sign, drawn, written
from services.evaluation.figures import (
    Figure,
    Hits,
    at_least,
    at_most,
    hits,
    letters_wrong,
    share_covered,
)
from services.evaluation.hands import HANDS
from services.evaluation.media import ready, run
from services.evaluation.pictures import Picture, texture, window, write_video
from shared.schema import Box
from tasks.analyzers.eye_tracking import EyeTracking, EyeTracks
from tasks.analyzers.face_detection import FaceDetection
from tasks.analyzers.gesture_recognition import name as named
from tasks.analyzers.object_detection import ObjectDetection
from tasks.analyzers.text_overlay import TextOverlay

FPS = 20
WIDTH, HEIGHT = 360, 640
SKY = (150, 180, 215)


def faces(folder: Path, _rounds: int) -> Iterator[Figure]:
    """A drawn face walks through the picture for 2 s and is gone for 1 s."""

    def picture(index: int) -> Picture:
        frame = blank(WIDTH, HEIGHT, WALL)
        if index < 40:
            draw_face(frame, 120 + 3 * index, 220, 60)
        return frame

    video = write_video(folder / "walking.mp4", map(picture, range(60)), fps=FPS)
    found = run(ready(FaceDetection), video, folder).faces.items
    seen = [box for face in found for box in face.boxes]
    off = [
        float(np.hypot(point[0] * WIDTH - x - dx * 60, point[1] * HEIGHT - 220 - dy * 60)) / (0.72 * 60)
        for box in seen
        for x in (120 + 3 * round(box.t * FPS),)
        for point, (dx, dy) in zip(box.keypoints[:4], FACE_POINTS, strict=True)
    ]
    right = share_covered(found, 0, 2) * 2 + (1 - share_covered(found, 2, 3))
    yield Figure("face_detection", "share of time right", "a drawn face, 2 of 3 s", right / 3, goal=at_least(0.9))
    far = max(off) if off else None
    note = "" if off else "no face was found"
    yield Figure("face_detection", "largest error of eyes, nose, mouth", "drawn", far, "eye dist.", at_most(0.35), note)


def signs(folder: Path, _rounds: int) -> Iterator[Figure]:
    """A stop sign that moves for 2 s, then a clock for 2 s."""

    def picture(index: int) -> Picture:
        frame = blank(WIDTH, HEIGHT, SKY)
        if index < 40:
            draw_stop_sign(frame, 100 + 4 * index, 200, 60)
        else:
            draw_clock(frame, 180, 400, 50)
        return frame

    video = write_video(folder / "signs.mp4", map(picture, range(80)), fps=FPS)
    found = run(ready(ObjectDetection), video, folder).objects.items
    truth = {"stop sign": (0.0, 2.0), "clock": (2.0, 4.0)}
    named_right = [share_covered([o for o in found if o.label == label], *span) for label, span in truth.items()]
    others = sum(one.label not in truth for one in found)
    yield Figure(
        "object_detection", "least share of time named", "drawn sign, clock", min(named_right), "", at_least(0.9)
    )
    yield Figure("object_detection", "other things claimed", "drawn sign, clock", others, goal=at_most(0))
    met = [
        _overlap(seen.box, ((100 + 4 * round(seen.t * FPS) - 60) / WIDTH, 140 / HEIGHT, 120 / WIDTH, 120 / HEIGHT))
        for one in found
        if one.label == "stop sign"
        for seen in one.boxes
    ]
    least = min(met) if met else None
    note = "" if met else "no sign was found"
    yield Figure("object_detection", "least overlap of boxes (IoU)", "drawn sign", least, "", at_least(0.7), note)


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def eyes(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Drawn eyes that close twice, and irises that are drawn to the left, in the middle and to the right."""
    shut = ((20, 24), (50, 53))
    pictures = [drawn(eyes_open=not any(a <= n < b for a, b in shut)) for n in range(80)]
    blinks = _eyes(write_video(folder / "blinks.mp4", pictures, fps=FPS), folder).blinks.items
    truth = [(a + b) / 2 / FPS for a, b in shut]
    f1 = hits([one.t for one in blinks], truth, 0.15).f1
    yield Figure("eye_tracking", "F1 of blinks within 0.15 s", "2 drawn blinks", f1, goal=at_least(0.95))
    across = []
    for gaze in (-0.1, 0.0, 0.1):
        video = write_video(folder / f"gaze{gaze}.mp4", [drawn(gaze=gaze)] * FPS, fps=FPS)
        found = [v for one in _eyes(video, folder).eyes.items for v in one.across if v is not None]
        across.append(float(np.median(found)) if found else 0.0)
    ordered = float(across[0] + 0.04 < across[1] < across[2] - 0.04)
    yield Figure("eye_tracking", "gazes told apart", "left, middle, right, drawn", ordered, goal=at_least(1))


def _eyes(video: Path, folder: Path) -> EyeTracks:
    return run(ready(EyeTracking), video, folder, ("face_detection", run(ready(FaceDetection), video, folder)))


def words(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Two captions over a camera that moves."""
    shown = (("FRESH BREAD", 1.0, 2.5, 400), ("OPEN AT NINE", 3.5, 5.0, 120))
    picture, rate = texture(11, 700, 1400), 12
    frames = []
    for index in range(6 * rate):
        frame = window(picture, 400 + 6 * index, 350, 1.0, 480, 640)
        for text, start, end, y in shown:
            frame = written(frame, text, y=y) if start <= index / rate < end else frame
        frames.append(frame)
    video = write_video(folder / "captions.mp4", frames, fps=rate)
    found = run(ready(TextOverlay), video, folder).captions.items
    wrong, late, matched = 0, 0.0, Hits()
    for text, start, end, _ in shown:
        best = min(found, key=lambda one: letters_wrong(one.text, text), default=None)
        wrong = max(wrong, len(text) if best is None else letters_wrong(best.text, text))
        if best is not None:
            late = max(late, abs(best.start - start), abs(best.end - end))
            matched += Hits(right=1)
    on = "2 captions, moving camera"
    yield Figure("text_overlay", "most wrong letters in a caption", on, wrong, goal=at_most(0))
    yield Figure("text_overlay", "largest error of a caption's times", on, late, "s", at_most(0.5))
    yield Figure("text_overlay", "captions beyond those", on, len(found) - matched.right, goal=at_most(0))


def gestures(_folder: Path, _rounds: int) -> Iterator[Figure]:
    """The rules on hands built joint by joint; the networks that find the joints need real hands."""
    right = [named(*hand) == gesture for gesture, hand in HANDS.items()]
    on = f"{len(HANDS)} hands built joint by joint"
    yield Figure("gesture_recognition", "gestures named right", on, float(np.mean(right)), goal=at_least(1))
    why = "no packaged picture has hands whose joints somebody has marked"
    yield Figure("gesture_recognition", "not judged: joints", "", None, note=why)


CHECKS: dict[str, Callable[[Path, int], Iterator[Figure]]] = {
    "eye_tracking": eyes,
    "face_detection": faces,
    "gesture_recognition": gestures,
    "object_detection": signs,
    "text_overlay": words,
}
