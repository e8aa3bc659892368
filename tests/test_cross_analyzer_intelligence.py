from __future__ import annotations

import pytest

from shared.schema import Caption, Event, EventTrack, ObjectTrack, TrackedObject
from tasks.analyzers.cross_analyzer_intelligence import CrossAnalyzerIntelligence
from tests.support.media import run
from tests.support.tracks import result, segments, sound_of, spoken


@pytest.fixture
def compare(tmp_path):
    def compared(*others, **options):
        return run(CrossAnalyzerIntelligence(), sound_of(12, tmp_path), tmp_path / "store", *others, **options)

    return compared


def captions(*shown: tuple[str, float, float]):
    items = (
        Caption(id=f"x{i}", start=start, end=end, text=text, box=(0, 0, 1, 0.1))
        for i, (text, start, end) in enumerate(shown, 1)
    )
    return result("text_overlay", captions=segments(*items))


def tracked(*things: tuple[str, float, float]) -> ObjectTrack:
    items = tuple(
        TrackedObject(id=f"o{i}", label=label, start=start, end=end, boxes=())
        for i, (label, start, end) in enumerate(things, 1)
    )
    return ObjectTrack[TrackedObject](method="model", items=items)


def events(kind: str, *times: float) -> EventTrack:
    items = tuple(Event(id=f"{kind}{i}", t=t, type=kind) for i, t in enumerate(times, 1))
    return EventTrack[Event](method="measurement", items=items)


def kinds(found) -> list[str]:
    return [finding.type for finding in found.findings.items]


def only(found):
    (finding,) = found.findings.items
    return finding


def scalars(found) -> dict[str, float | None]:
    return {scalar.name: scalar.value for scalar in found.scalars.items}


def test_text_that_is_also_said_is_an_agreement(compare):
    """The words on screen are said while they stand: agreement, with the caption and the breaths as evidence."""
    found = compare(captions(("Ask not what", 3, 6)), spoken(("ask not", 3, 4), ("what your country", 5, 6)))
    finding = only(found)
    assert (finding.type, finding.verdict, finding.start, finding.end) == ("text_is_said", "agreement", 3, 6)
    assert finding.evidence == (
        "text_overlay/captions/x1",
        "speech_transcription/segments/s1",
        "speech_transcription/segments/s2",
    )
    assert scalars(found)["agreements"] == 1


@pytest.mark.parametrize(
    "said",
    [("ask not what", 9, 11), ("something else entirely", 3, 6)],
    ids=["said too late", "other words"],
)
def test_text_that_is_not_said_is_no_agreement(compare, said):
    """Other words, or the same words at another time, agree with nothing."""
    assert kinds(compare(captions(("Ask not what", 3, 6)), spoken(said))) == []


def test_a_number_that_differs_is_a_contradiction(compare):
    """413M pairs on screen and 430 million pairs said: contradiction, and the words around it are no agreement."""
    found = compare(captions(("413M image pairs", 1, 5)), spoken(("430 million image pairs", 2, 4)))
    finding = only(found)
    assert (finding.type, finding.verdict) == ("number_differs", "contradiction")
    assert "413" in finding.message
    assert "430" in finding.message


@pytest.mark.parametrize(
    ("shown", "said"),
    [("413M image pairs", "413 million image pairs"), ("only 3 left", "3 people came"), ("LAION-400M", "5 million")],
    ids=["same number", "another thing", "part of a name"],
)
def test_numbers_of_other_things_do_not_contradict(compare, shown, said):
    """Equal numbers, numbers of different things and numbers inside names are no contradiction."""
    assert "number_differs" not in kinds(compare(captions((shown, 1, 5)), spoken((said, 2, 4))))


def test_text_that_is_gone_too_soon(compare):
    """Two lines of 30 characters in one second are too fast to read together, the same lines for 4 s are not."""
    lines = ("a" * 14 + " " + "b" * 15, "c" * 14 + " " + "d" * 15)
    quick = compare(captions((lines[0], 1, 2), (lines[1], 1.2, 2)))
    assert only(quick).type == "text_too_fast"
    assert only(quick).evidence == ("text_overlay/captions/x1", "text_overlay/captions/x2")
    assert scalars(quick)["fastest_text"] == pytest.approx(60 / 1.25, abs=0.1)
    assert kinds(compare(captions((lines[0], 1, 5), (lines[1], 1, 5)))) == []
    assert kinds(compare(captions((lines[0], 1, 5)), reading_speed=5.0)) == ["text_too_fast"]


def test_a_counter_is_read_once(compare):
    """Values that follow one another each 0.4 s ask for no reading of their words again; other words do."""
    counter = [(f"analysing the film {5 * n} %", 1 + 0.4 * n, 1.4 + 0.4 * n) for n in range(10)]
    assert kinds(compare(captions(*counter))) == []
    assert set(
        kinds(
            compare(
                captions(
                    *(
                        (text.replace("film", word), start, end)
                        for word, (text, start, end) in zip(("film", "sound", "faces", "words"), counter, strict=False)
                    )
                )
            )
        )
    ) == {"text_too_fast"}


def test_faces_and_voices(compare):
    """Speech under a visible face and the run of speech after it without one are two findings."""
    faces = result("face_detection", faces=tracked(("face", 0, 3)))
    found = compare(faces, spoken(("one", 1, 2), ("two", 5, 6), ("three", 7, 8)))
    assert [(f.type, f.start, f.end) for f in found.findings.items] == [
        ("face_with_speech", 1, 2),
        ("voice_over", 5, 8),
    ]
    assert scalars(found)["speech_with_face"] == pytest.approx(1 / 3, abs=1e-3)


def test_nobody_speaks_over_a_long_pause(compare):
    """Speech, 5 s of silence, speech: two voice-overs, none of them in the silence; a breath parts nothing."""
    found = compare(result("face_detection", faces=tracked()), spoken(("one", 0, 2), ("two", 3, 4), ("three", 9, 11)))
    assert [(f.type, f.start, f.end, len(f.evidence)) for f in found.findings.items] == [
        ("voice_over", 0, 4, 2),
        ("voice_over", 9, 11, 1),
    ]


def test_not_looked_is_not_nothing_found(compare):
    """Without a face detector's result speech is no voice-over, and what there is nothing to compare for is null."""
    found = compare(spoken(("one", 1, 2)))
    assert kinds(found) == []
    assert scalars(found) == {
        "agreements": None,
        "contradictions": None,
        "fastest_text": None,
        "speech_with_face": None,
        "cuts_on_beats": None,
    }


HEARD, SHOWN = spoken(("one", 1, 2)), captions(("Two", 5, 6))
NO_FACE, NO_OBJECT = result("face_detection", faces=tracked()), result("object_detection", objects=tracked())
CUT, BEAT = result("cut_analysis", cuts=events("cut", 3.3)), result("audio_analysis", beats=events("beat", 1, 2))
NO_CUT, NOTHING_SAID = result("cut_analysis", cuts=events("cut")), spoken()


@pytest.mark.parametrize(
    ("others", "counts"),
    [
        ((), (None, None)),
        ((NO_FACE, NO_OBJECT, NO_CUT, BEAT, NOTHING_SAID), (None, None)),
        ((SHOWN, NOTHING_SAID), (None, None)),
        ((SHOWN, HEARD), (0, 0)),
        ((SHOWN, NO_OBJECT), (0, 0)),
        ((HEARD, NO_OBJECT), (0, 0)),
        ((HEARD, NO_FACE), (0, None)),
        ((CUT, BEAT), (0, None)),
    ],
    ids=["nothing", "noise", "text", "text, words", "text, objects", "words, objects", "words, faces", "cuts, beats"],
)
def test_nothing_to_compare_is_no_zero(compare, others, counts):
    """Agreements and contradictions are counted where two things can agree or contradict one another, else null."""
    found = scalars(compare(*others))
    assert (found["agreements"], found["contradictions"]) == counts


def test_objects_named_seen_and_missing(compare):
    """A bottle named while it is seen agrees; pizza named and never seen contradicts; "mouse" may mean anything."""
    seen = result("object_detection", objects=tracked(("bottle", 2, 5)))
    found = compare(seen, spoken(("these bottles", 3, 4)), captions(("PIZZA NIGHT", 6, 8), ("mouse", 6, 8)))
    assert [(f.type, f.verdict, f.evidence) for f in found.findings.items] == [
        (
            "object_named",
            "agreement",
            ("speech_transcription/segments/s1", "object_detection/objects/o1"),
        ),
        ("named_but_unseen", "contradiction", ("text_overlay/captions/x1",)),
    ]


def test_cuts_on_beats(compare):
    """Four of five cuts on the beat of 60 BPM cannot be chance; cuts between the beats are none."""
    beats = result("audio_analysis", beats=events("beat", *range(12)))
    on = compare(beats, result("cut_analysis", cuts=events("cut", 1.02, 3.0, 5.05, 6.5, 7.97)))
    assert only(on).type == "cuts_on_beats"
    assert len(only(on).evidence) == 8
    assert scalars(on)["cuts_on_beats"] == 0.8
    assert kinds(compare(beats, result("cut_analysis", cuts=events("cut", 1.4, 3.5, 5.6, 7.5)))) == []


def test_fast_beats_prove_nothing(compare):
    """At 210 BPM more than half of any cuts fall near a beat: four of five are not enough."""
    beats = result("audio_analysis", beats=events("beat", *(i * 60 / 210 for i in range(40))))
    cuts = result("cut_analysis", cuts=events("cut", 0.3, 0.86, 1.14, 1.43, 2.14))
    assert kinds(compare(beats, cuts)) == []
