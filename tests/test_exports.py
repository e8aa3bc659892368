"""What all exports owe: found by their file, pure, and never broken by what analyzers did or did not find."""

from __future__ import annotations

import pkgutil

import pytest
from hypothesis import HealthCheck, given, settings

import services.exports.formats
from services.exports.format import Request
from services.exports.registry import format_named, formats
from shared.errors import BadInput
from shared.schema import AnalyzerReport, ErrorInfo
from tests.support.document import sample_document
from tests.support.exported import NAMES, items_in, read_items, written
from tests.support.made_up import documents, with_tracks


def test_each_format_is_one_file():
    """Every file of the folder is a format of its own name, and those that the issue asks for are there."""
    assert set(formats()) == {module.name for module in pkgutil.iter_modules(services.exports.formats.__path__)}
    assert set(formats()) >= {"srt", "vtt", "csv", "edl", "otio", "eaf", "coco", "html"}
    assert all(one.suffix.startswith(".") and "/" in one.media_type and one.summary for one in formats().values())


def test_an_unknown_format_is_answered_with_the_known_ones():
    """The sentence for a wrong name lists what there is."""
    with pytest.raises(BadInput, match=r"unknown format 'docx'; there are coco, csv, .*vtt") as refused:
        format_named("docx")
    assert refused.value.code == "unknown_format"


@pytest.mark.parametrize("name", NAMES)
def test_an_export_is_a_pure_function(name):
    """The same document gives the same bytes, in UTF-8."""
    first, second = (format_named(name).write(sample_document(), Request()) for _ in range(2))
    assert first == second
    first.decode()


@pytest.mark.parametrize(
    "media", [{}, {"fps": None, "width": None, "height": None, "streams": (), "vfr": None}], ids=["video", "nothing"]
)
@pytest.mark.parametrize("name", [*NAMES, "html"])
def test_nothing_found_is_an_empty_file(name, media, tmp_path):
    """Without a single track, with every analyzer failed, each format is a valid file that its reader opens."""
    failed = tuple(
        AnalyzerReport(
            name=one, version=1, status="failed", error=ErrorInfo(code="worker_lost", message="gone --> \n\n lost")
        )
        for one in ("cut_analysis", "speech_transcription", "text_overlay", "audio_analysis")
    )
    for analyzers in ((), failed):
        document = with_tracks((), **media).model_copy(update={"analyzers": analyzers})
        text = written(name, document)
        assert name == "html" or read_items(name, text, tmp_path) == 0


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(document=documents())
@pytest.mark.parametrize("name", NAMES)
def test_made_up_documents_are_read(name, document, tmp_path):
    """Whatever the types of all analyzers allow, each format's reader opens it and finds every item."""
    assert read_items(name, written(name, document), tmp_path) == items_in(name, document)


def test_the_videos_name_is_the_requests():
    """A request may name the video; else it is the document's name, else its hash."""
    document = sample_document()
    nameless = document.model_copy(update={"job": document.job.model_copy(update={"source_name": None})})
    assert Request("other.mov").video(document) == "other.mov"
    assert Request().video(document) == "reel.mp4"
    assert Request().video(nameless) == f"{document.media.sha256}.video"
