"""Tests of the planner: limits from cost and deadline, renditions as they fit, fingerprints that tell inputs apart."""

import pytest

from shared.frames import Audio, Frames
from shared.schema import MediaInfo, StreamInfo
from shared.tables import Job
from tasks.analyzers.product_detection import SEARCH_SECONDS
from tasks.deadline import Economy
from tasks.plan import GRACE_SECONDS, LEAST_SECONDS, SLACK, Plan, fingerprint, measured, plan, refused, wanted
from tasks.registry import analyzers, select

VIDEO = StreamInfo(index=0, kind="video", chosen=True)
AUDIO = StreamInfo(index=1, kind="audio", chosen=True)


def media(*streams, seconds=10.0):
    return MediaInfo(sha256="0" * 64, size_bytes=1, container="mp4", duration_seconds=seconds, streams=streams)


def drawn(names, *, seconds=10.0, remaining=10_000.0, fitted=None):
    chosen = select(names)
    facts = media(VIDEO, AUDIO, seconds=seconds)
    return plan(
        chosen,
        profile="local",
        media=facts,
        remaining_seconds=remaining,
        economy=economy(
            chosen, {one: one for one in wanted(chosen, "local", facts)} if fitted is None else fitted, "local", {}
        ),
    )


def economy(chosen, fitted, profile, options):
    """Time enough for everything."""
    return Economy(renditions=fitted, costs=measured(chosen, profile, options), slower={}, left_out={})


def test_limits_grow_with_the_video_and_end_at_the_deadline():
    """A minute at least, cost times slack plus the length for long videos, never beyond what the job has left."""
    cost = analyzers()["text_overlay"].cost
    assert drawn(["text_overlay"], seconds=1).limits == {"text_overlay": LEAST_SECONDS}
    assert drawn(["text_overlay"], seconds=600).limits["text_overlay"] == pytest.approx(600 * (cost * SLACK + 1))
    assert drawn(["text_overlay"], seconds=600, remaining=30.0).limits == {"text_overlay": 30.0}
    assert GRACE_SECONDS > 0


def test_a_search_for_words_gets_its_time():
    """product_detection with words to look for gets a longer limit, and is sent before cheaper ones of its level."""
    chosen, facts = select(["product_detection", "speech_rate"]), media(VIDEO, AUDIO, seconds=100)

    def made(profile, **options):
        enough = economy(chosen, {}, profile, options)
        return plan(chosen, profile=profile, media=facts, remaining_seconds=10_000, economy=enough)

    plain, searching = made("gpu"), made("gpu", product_detection={"words": ["sneaker", "mug"]})
    assert plain.limits["product_detection"] == pytest.approx(100 * (0.002 * SLACK + 1))
    assert searching.limits["product_detection"] == pytest.approx(100 * (SEARCH_SECONDS + 0.002) * SLACK + 100)
    assert made("local", product_detection={"words": ["mug"]}).limits == made("local").limits
    (level,) = (names for names in searching.levels if "product_detection" in names)
    assert level[0] == "product_detection"


@pytest.mark.parametrize("remaining", [0.0, -5.0, 0.25])
def test_a_limit_is_never_nothing(remaining):
    """At or past the deadline the limit is short but positive: Celery would take 0 for no limit."""
    assert drawn(["text_overlay"], remaining=remaining).limits == {"text_overlay": 1.0}


def test_a_plan_survives_the_ledger():
    """A plan stored as JSON comes back the same, its renditions too, each once."""
    made = drawn(["scene_segmentation", "face_detection", "speech_transcription", "audio_analysis"])
    assert Plan.model_validate(made.model_dump(mode="json")) == made
    assert len(set(made.renditions)) == len(made.renditions)
    assert {type(one) for one in made.renditions} == {Frames, Audio}


def test_jobs_of_a_newer_version_are_read():
    """While pods are replaced, an older worker meets a job with fields that it does not know, at any depth: it passes
    over them, and finds the rest."""
    made = drawn(["face_detection"])
    told = made.model_dump(mode="json") | {"of_tomorrow": 1}
    for rendition in told["frames"].values():
        rendition["of_tomorrow"] = 2
    facts = media(VIDEO, AUDIO)
    probed = facts.model_dump(mode="json") | {"of_tomorrow": 3}
    for stream in probed["streams"]:
        stream["of_tomorrow"] = 4
    job = Job(id="j", plan=told, media=probed)
    assert (Plan.of(job), job.video) == (made, facts)


def test_a_plan_keeps_what_was_fitted():
    """Where the frame store has no room for what was asked, the plan maps the wish to what there is room for."""
    wish = analyzers()["face_detection"].needs[0]
    smaller = Frames(fps=1, short_side=wish.short_side, colour=wish.colour)
    made = drawn(["face_detection"], fitted={wish: smaller})
    assert made.frames == {wish.key: smaller}
    assert made.renditions == (smaller,)


def test_only_what_the_video_can_give_is_wanted():
    """Sound is not asked of a silent video, pictures are not asked of a sound file."""
    chosen = select(["cut_analysis", "speech_transcription"])
    assert {type(one) for one in wanted(chosen, "local", media(VIDEO))} == {Frames}
    assert {type(one) for one in wanted(chosen, "local", media(AUDIO))} == {Audio}
    assert wanted(chosen, "local", media()) == ()


@pytest.mark.parametrize(
    ("name", "profile", "streams", "ending"),
    [
        ("cut_analysis", "local", [VIDEO], None),
        ("cut_analysis", "local", [AUDIO], ("skipped", "no_video")),
        ("speech_transcription", "local", [VIDEO], ("skipped", "no_audio")),
        ("speech_transcription", "local", [StreamInfo(index=1, kind="audio")], ("skipped", "no_audio")),
        ("speech_transcription", "nowhere", [VIDEO, AUDIO], ("unavailable", "not_in_profile")),
        ("temporal_flow", "local", [], None),
    ],
)
def test_what_cannot_look_is_refused(name, profile, streams, ending):
    """No stream of the kind it needs: skipped. No weights in the profile: unavailable, with the way out."""
    no = refused(analyzers()[name], profile, media(*streams))
    assert (no and (no.status, no.error.code)) == ending
    if ending and ending[0] == "unavailable":
        assert "`--profile gpu`" in no.error.message
        assert "`reelgraph models pull whisper-large-v3-turbo`" in no.error.message


def test_only_personal_traits_can_be_switched_off():
    """The setting ends the analyzers that infer ages and moods and no other, whatever the profile has."""
    off = {name for name, one in analyzers().items() if code(one, infer_personal_traits=False) == "switched_off"}
    assert off == {"age_estimation", "face_emotion", "speech_emotion"}
    assert {code(analyzers()[name], infer_personal_traits=True) for name in off} == {None, "not_in_profile"}


def code(analyzer, **given):
    """Why it is refused, or None."""
    no = refused(analyzer, "local", media(VIDEO, AUDIO), **given)
    return no and no.error.code


BASE = {
    "video_sha256": "a",
    "weights": "w",
    "precision": "auto",
    "options": {},
    "renditions": ["r1", "r2"],
    "inputs": {"cut_analysis": "c", "audio_analysis": None},
}


def mark(**changed):
    return fingerprint(analyzers()["scene_segmentation"], **{**BASE, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"video_sha256": "b"},
        {"weights": None},
        {"precision": "nf4"},
        {"options": {"max_distance": 0.123}},
        {"renditions": ["r1"]},
        {"inputs": {"cut_analysis": "d"}},
        {"inputs": {"cut_analysis": "c", "audio_analysis": "x"}},
    ],
)
def test_whatever_matters_changes_the_fingerprint(changed):
    """Another video, other weights, another precision, options, renditions or inputs: another fingerprint."""
    assert mark(**changed) != mark()


def test_a_new_version_changes_the_fingerprint(monkeypatch):
    """An analyzer that says it has changed is run again."""
    before = mark()
    monkeypatch.setattr(analyzers()["scene_segmentation"], "version", 999)
    assert mark() != before


def test_what_does_not_matter_leaves_the_fingerprint():
    """A default that is written out, another order, or what it does not read: the same fingerprint."""
    default = analyzers()["scene_segmentation"].options().max_distance
    assert mark(options={"max_distance": default}) == mark()
    assert mark(renditions=["r2", "r1"]) == mark()
    assert mark(inputs={**BASE["inputs"], "text_overlay": "t"}) == mark()
    assert mark(weights=None, precision="nf4") == mark(weights=None)
