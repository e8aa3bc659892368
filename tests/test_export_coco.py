"""COCO: what its own API makes of the boxes, and what its specification asks of each entry."""

from __future__ import annotations

import json

import pytest

from shared.errors import BadInput
from shared.schema import ObjectTrack, TimedBox, TrackedObject
from tests.support.document import sample_document
from tests.support.exported import coco, written
from tests.support.made_up import with_tracks


def test_boxes_are_found_again(tmp_path):
    """Each box of the document is an annotation of the image at its time, in pixels of the displayed picture."""
    document = sample_document()
    read = coco(written("coco", document), tmp_path)
    wanted = sorted(
        (round(box.t, 3), track.id, item.label, tuple(box.box))
        for track in document.tracks
        if isinstance(track, ObjectTrack)
        for item in track.items
        for box in item.boxes
    )
    found = sorted(
        (
            read.imgs[one["image_id"]]["seconds"],
            read.cats[one["category_id"]]["supercategory"],
            read.cats[one["category_id"]]["name"],
            tuple(round(value / side, 4) for value, side in zip(one["bbox"], (720, 1280) * 2, strict=True)),
        )
        for one in read.anns.values()
    )
    assert found == wanted


def test_entries_are_as_specified():
    """Ids are unique and lead somewhere, areas are those of the boxes, images have the displayed size."""
    data = json.loads(written("coco", sample_document()))
    ids = {part: [one["id"] for one in data[part]] for part in ("images", "annotations", "categories", "tracks")}
    assert all(len(set(numbers)) == len(numbers) for numbers in ids.values())
    for one in data["annotations"]:
        assert one["image_id"] in ids["images"]
        assert one["category_id"] in ids["categories"]
        assert one["area"] == pytest.approx(one["bbox"][2] * one["bbox"][3], abs=0.01)
        assert (one["iscrowd"], one["segmentation"]) == (0, [])
        track = data["tracks"][one["track_id"] - 1]
        assert (track["id"], track["category_id"]) == (one["track_id"], one["category_id"])
    assert {(image["width"], image["height"]) for image in data["images"]} == {(720, 1280)}
    assert data["images"][1]["file_name"] == "frames/0.400.jpg"


def made(box, confidence=None):
    """A document with one box at 1.5 s."""
    item = TrackedObject(id="o1", start=1, end=2, label="cup", boxes=(TimedBox(t=1.5, box=box, confidence=confidence),))
    return [ObjectTrack(id="object_detection/objects", method="model", items=(item,))]


def test_boxes_end_at_the_pictures_edge():
    """What reaches out of the picture by rounding is cut off at its edge."""
    (annotation,) = json.loads(written("coco", with_tracks(made((0.75, 0.5, 0.5, 0.25), 0.5))))["annotations"]
    assert annotation["bbox"] == [540, 640, 180, 320]
    assert annotation["score"] == 0.5


def test_no_confidence_is_no_score():
    """A box without confidence gets none."""
    (annotation,) = json.loads(written("coco", with_tracks(made((0, 0, 1, 1)))))["annotations"]
    assert "score" not in annotation


def test_boxes_without_a_picture_size_are_refused():
    """Pixels cannot be made up: a document with boxes and no size is refused in a sentence."""
    with pytest.raises(BadInput, match="no width and height"):
        written("coco", with_tracks(made((0, 0, 1, 1)), width=None))
