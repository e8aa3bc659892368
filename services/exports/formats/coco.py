"""COCO object detection: every moment at which something has a box as an image, every box as an annotation.

Written after COCO's Data format (cocodataset.org: info, images, annotations, categories), with `videos`, `tracks` and
their ids as TAO and COCO's video sets add them. `bbox` is `[x, y, width, height]` in pixels of the displayed picture
(rotation applied) from its left upper corner. A category is a label of a track: `name` is the label, `supercategory`
the track. `file_name` is where the service gives the frame, `frames/{t}.jpg`; `seconds` is the document's time, to the
millisecond; `frame_index` counts the images. There are no masks: `segmentation` is empty. `score` is the box's
confidence, left out where it is null. Moments without any box are not known from the document, so images without
annotations are missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

from services.exports.format import Format, Request
from services.exports.subtitles import milliseconds
from shared.errors import BadInput
from shared.schema import Box, Document, ObjectTrack, TimedBox, TrackedObject

VIDEO_ID = 1


class Annotation(TypedDict, total=False):
    """One box. `id`, `image_id`, `category_id` and `track_id` count from 1; `area` in square pixels."""

    id: int
    image_id: int
    category_id: int
    track_id: int
    video_id: int
    bbox: list[float]
    area: float
    segmentation: list[list[float]]
    iscrowd: int
    score: float


@dataclass(frozen=True, slots=True)
class _Sight:
    """A box of a followed object."""

    track: str
    item: TrackedObject
    at: TimedBox


def write(document: Document, request: Request) -> bytes:
    """The annotations as JSON in UTF-8; without images where nothing has a box.

    Raises:
        BadInput: the document has boxes and no picture size (`bad_document`).
    """
    sights = tuple(_sights(document))
    media = document.media
    if sights and not (media.width and media.height):
        raise BadInput("the document has boxes, but its media have no width and height", code="bad_document")
    width, height = media.width or 0, media.height or 0
    times = {ms: number for number, ms in enumerate(sorted({milliseconds(sight.at.t) for sight in sights}), start=1)}
    labels = dict.fromkeys((sight.track, sight.item.label) for sight in sights)
    categories = {label: number for number, label in enumerate(labels, start=1)}
    objects = dict.fromkeys((sight.track, sight.item.id, sight.item.label) for sight in sights)
    tracks = {one: number for number, one in enumerate(objects, start=1)}
    video = request.video(document)
    content = {
        "info": {
            "description": f"{video}, seen by Reelgraph",
            "version": document.schema_version,
            "date_created": document.job.submitted_at,
            "contributor": "Reelgraph",
        },
        "licenses": [],
        "videos": [{"id": VIDEO_ID, "name": video, "width": width, "height": height}],
        "images": [_image(number, ms, width, height) for ms, number in times.items()],
        "categories": [{"id": n, "name": name, "supercategory": track} for (track, name), n in categories.items()],
        "tracks": [
            {"id": n, "category_id": categories[track, label], "video_id": VIDEO_ID, "source": f"{track}/{item}"}
            for (track, item, label), n in tracks.items()
        ],
        "annotations": [
            _annotation(
                sight,
                number,
                image=times[milliseconds(sight.at.t)],
                category=categories[sight.track, sight.item.label],
                track=tracks[sight.track, sight.item.id, sight.item.label],
                size=(width, height),
            )
            for number, sight in enumerate(sights, start=1)
        ],
    }
    return f"{json.dumps(content, ensure_ascii=False)}\n".encode("utf-8", "replace")


def _sights(document: Document) -> Iterator[_Sight]:
    for track in document.tracks:
        if isinstance(track, ObjectTrack):
            for item in track.items:
                yield from (_Sight(track.id, item, at) for at in item.boxes)


def _image(number: int, ms: int, width: int, height: int) -> dict[str, int | float | str]:
    name = f"frames/{ms / 1000:.3f}.jpg"
    place = {"video_id": VIDEO_ID, "frame_index": number - 1, "seconds": ms / 1000}
    return {"id": number, "file_name": name, "width": width, "height": height, **place}


def _annotation(
    sight: _Sight, number: int, *, image: int, category: int, track: int, size: tuple[int, int]
) -> Annotation:
    bbox = _pixels(sight.at.box, *size)
    annotation = Annotation(
        id=number,
        image_id=image,
        category_id=category,
        track_id=track,
        video_id=VIDEO_ID,
        bbox=bbox,
        area=round(bbox[2] * bbox[3], 2),
        segmentation=[],
        iscrowd=0,
    )
    if sight.at.confidence is not None:
        annotation["score"] = sight.at.confidence
    return annotation


def _pixels(box: Box, width: int, height: int) -> list[float]:
    """A box in pixels to the hundredth, cut off at the picture's edges."""
    x, y, w, h = box
    w, h = min(w, 1 - x), min(h, 1 - y)
    return [round(value, 2) for value in (x * width, y * height, w * width, h * height)]


FORMAT = Format(
    name="coco",
    media_type="application/json",
    suffix=".coco.json",
    summary="COCO annotations: the boxes of all followed objects, by frame",
    write=write,
)
