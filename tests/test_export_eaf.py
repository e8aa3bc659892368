"""EAF as pympi reads it, and as the schema of ELAN asks for it."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.exports.characters import lines_of
from shared.schema import Caption, SegmentTrack, SpeechSegment
from tests.support.document import sample_document
from tests.support.exported import eaf, written
from tests.support.made_up import documents, texts, times, with_tracks

ORDER = (
    *("HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LOCALE", "LANGUAGE", "CONSTRAINT", "CONTROLLED_VOCABULARY"),
    *("LEXICON_REF", "EXTERNAL_REF"),
)
"""Elements below the root, in the order that the schema wants."""


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(times, times, texts), max_size=8))
def test_tiers_hold_what_stands_on_screen_when(tmp_path, captions):
    """Every caption is an annotation with its milliseconds and text; no two of a tier overlap."""
    items = tuple(
        Caption(id=f"x{number}", start=min(a, b), end=max(a, b), text=text, box=(0, 0, 1, 1))
        for number, (a, b, text) in enumerate(captions)
    )
    document = with_tracks([SegmentTrack(id="text_overlay/captions", method="model", items=items)])
    read = eaf(written("eaf", document), tmp_path)
    tiers = [read.get_annotation_data_for_tier(name) for name in read.get_tier_names()]
    for tier in tiers:
        assert all(before[1] <= after[0] for before, after in pairwise(sorted(tier)))
    wanted = sorted(
        (round(item.start * 1000), max(round(item.end * 1000), round(item.start * 1000) + 1), spoken(item))
        for item in items
    )
    assert sorted((start, end, value) for tier in tiers for start, end, value in tier) == wanted


def spoken(item) -> str:
    """What an annotation of an item says."""
    return "\n".join(lines_of(item.text or item.id))


@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(documents())
def test_references_lead_somewhere(document):
    """In any document: elements in the schema's order, unique ids, and every reference to one that is there."""
    root = ET.fromstring(written("eaf", document))
    places = [ORDER.index(child.tag) for child in root]
    assert places == sorted(places)
    slots = [slot.attrib["TIME_SLOT_ID"] for slot in root.iter("TIME_SLOT")]
    values = [int(slot.attrib["TIME_VALUE"]) for slot in root.iter("TIME_SLOT")]
    notes = list(root.iter("ALIGNABLE_ANNOTATION"))
    entries = {entry.attrib["CVE_ID"] for entry in root.iter("CV_ENTRY_ML")}
    kinds = {kind.attrib["LINGUISTIC_TYPE_ID"]: kind for kind in root.iter("LINGUISTIC_TYPE")}
    vocabularies = {vocabulary.attrib["CV_ID"] for vocabulary in root.iter("CONTROLLED_VOCABULARY")}
    tiers = [tier.attrib["TIER_ID"] for tier in root.iter("TIER")]
    assert values == sorted(values)
    assert len(slots) == len(set(slots)) == 2 * len(notes)
    assert {note.attrib[f"TIME_SLOT_REF{side}"] for note in notes for side in (1, 2)} == set(slots)
    assert len({note.attrib["ANNOTATION_ID"] for note in notes}) == len(notes)
    assert {note.attrib["CVE_REF"] for note in notes if "CVE_REF" in note.attrib} <= entries
    assert {tier.attrib["LINGUISTIC_TYPE_REF"] for tier in root.iter("TIER")} <= set(kinds)
    assert {one for kind in kinds.values() if (one := kind.get("CONTROLLED_VOCABULARY_REF"))} == vocabularies
    assert len(tiers) == len(set(tiers))


def test_labels_are_a_controlled_vocabulary(tmp_path):
    """Tracks of labels bring the labels that occur; tracks of text do not; words have a tier of their own."""
    read = eaf(written("eaf", sample_document()), tmp_path)
    assert set(read.get_controlled_vocabulary_names()) == {
        *("cut_analysis/shots", "object_detection/objects", "face_detection/faces", "camera_analysis/motion"),
        "temporal_flow/phases",
    }
    labels = {values[0][0] for values, _ in read.get_cv_entries("temporal_flow/phases").values()}
    assert labels == {"hook", "body", "call_to_action"}
    said = [word.text for track in sample_document().tracks for item in track_items(track) for word in item.words]
    assert [value for _, _, value in sorted(read.get_annotation_data_for_tier("speech_transcription/words"))] == said
    assert "audio_analysis/silence" in read.get_tier_names()


def track_items(track) -> tuple[SpeechSegment, ...]:
    """Speech in a track."""
    return tuple(item for item in getattr(track, "items", ()) if isinstance(item, SpeechSegment))


def test_media_and_holes_are_named(tmp_path):
    """The header names the video beside the file, in URL form, and why an analyzer has no tier."""
    read = eaf(written("eaf", sample_document(), video_name="my reel #1.mp4"), tmp_path)
    (media,) = read.get_linked_files()
    assert media["RELATIVE_MEDIA_URL"] == "./my%20reel%20%231.mp4"
    holes = dict(read.get_properties())
    assert (
        holes["missing: background_segmentation"]
        == "background_segmentation: failed, the worker process died three times"
    )
