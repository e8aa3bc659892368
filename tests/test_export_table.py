"""The CSV: RFC 4180 to the letter, complete, and harmless in a spreadsheet."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from services.exports.characters import writable
from services.exports.formats.csv import COLUMNS
from shared.schema import Caption, SegmentTrack
from tests.support.document import sample_document
from tests.support.exported import csv, written
from tests.support.made_up import texts, times, with_tracks


def test_columns_are_stable():
    """The columns are those that programs may rely on, also when there is no row."""
    header = (
        "track,analyzer,kind,method,id,start_seconds,end_seconds,name,text,value,unit,confidence,x,y,width,height,boxes,"
        "evidence,details\r\n"
    )
    assert written("csv", with_tracks(())) == header
    assert ",".join(COLUMNS) == header.strip()


@settings(deadline=None)
@given(st.lists(st.tuples(texts, times), max_size=6))
def test_texts_come_back_and_start_no_formula(captions):
    """No cell of text begins as a formula does; without its mark the text is the document's; times agree."""
    items = tuple(
        Caption(id=f"x{number}", start=t, end=t, text=text, box=(0, 0, 1, 1))
        for number, (text, t) in enumerate(captions)
    )
    rows = csv(written("csv", with_tracks([SegmentTrack(id="text_overlay/captions", method="model", items=items)])))
    assert [float(row["start_seconds"]) for row in rows] == [item.start for item in items]
    for row, item in zip(rows, items, strict=True):
        assert not row["text"].startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"))
        assert row["text"].removeprefix("'") == writable(item.text)
        assert row["text"].startswith("'") == item.text.startswith(tuple("=+-@\t\r\n'\uff1d\uff0b\uff0d\uff20"))


def test_every_kind_of_track_has_its_rows():
    """Moments have no end, values of a series their time and unit, objects their boxes counted, negatives no mark."""
    rows = csv(written("csv", sample_document()))

    def of(track: str) -> list[dict[str, str]]:
        return [row for row in rows if row["track"] == track]

    cut, loudness, measure = of("cut_analysis/cuts")[0], of("audio_analysis/loudness"), of("audio_analysis/scalars")
    assert (cut["start_seconds"], cut["end_seconds"], cut["name"]) == ("3.000", "", "cut")
    assert (len(loudness), loudness[0]["value"], loudness[7]["unit"]) == (120, "", "LUFS")
    assert float(loudness[7]["value"]) < 0
    assert (measure[0]["name"], measure[0]["value"], measure[2]["value"]) == ("integrated_loudness", "-20.4", "")
    assert [row["boxes"] for row in of("object_detection/objects")] == ["4"] * 5
    assert of("text_overlay/captions")[0]["width"] == "0.6"
    finding = of("cross_analyzer_intelligence/findings")[0]
    assert finding["evidence"] == "face_detection/faces/f1 speech_transcription/segments/s1"
    assert json.loads(finding["details"]) == {"verdict": "observation"}
