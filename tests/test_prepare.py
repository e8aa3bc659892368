"""Tests of preparing a job: what is decided, known or left to do, in a real ledger and storage, without a broker."""

import json
import time

import pytest

from shared.errors import Infrastructure
from shared.schema import AnalyzerReport, MediaInfo, Outcome, StreamInfo
from shared.storage import cache_key, document_key, outcome_key
from shared.tables import Job, new_id
from tasks.aggregate import aggregate
from tasks.inputs import stored_outcome
from tasks.node import ledger, storage
from tasks.plan import Plan, fingerprint
from tasks.prepare import prepare
from tasks.registry import analyzers
from tests.support.node import node
from tests.support.plugged import plugged
from tests.test_registry import write

VIDEO = StreamInfo(index=0, kind="video", chosen=True, width=64, height=64)
AUDIO = StreamInfo(index=1, kind="audio", chosen=True)


@pytest.fixture(autouse=True)
def here(tmp_path):
    with node(tmp_path / "data") as settings:
        yield settings


def a_job(*requested, streams=(VIDEO, AUDIO), seconds=10.0, deadline=600.0, **changed):
    media = MediaInfo(
        sha256="0" * 64,
        size_bytes=1,
        container="mp4",
        duration_seconds=seconds,
        width=64,
        height=64,
        fps="30/1",
        streams=streams,
    )
    given = {
        "id": new_id(),
        "state": "queued",
        "deployment": "test",
        "profile": "local",
        "video_sha256": media.sha256,
        "media": media.model_dump(mode="json"),
        "requested": list(requested),
        "options": {},
        "priority": 5,
        "submitted_at": time.time(),
        "deadline_at": time.time() + deadline,
    }
    return ledger().create(Job(**{**given, **changed}))


def prepared(*requested, **given):
    """Plan, runs and the codes of what was decided."""
    job = a_job(*requested, **given)
    prepare(job.id)
    return job.id, Plan.model_validate(ledger().job(job.id).plan), ledger().runs(job.id)


def decided(runs):
    return {
        name: (run.status, run.outcome.error.code if run.outcome.error else None)
        for name, run in runs.items()
        if run.status
    }


def test_everything_new_is_planned():
    """Nothing is known: every analyzer is in the plan in its level, open in the ledger, and the job runs."""
    job_id, plan, runs = prepared("scene_segmentation", "audio_analysis")
    assert {name for level in plan.levels for name in level} == set(runs)
    assert set(runs) == {"scene_segmentation", "cut_analysis", "audio_analysis"}
    assert [name for name, run in runs.items() if run.level == 1] == ["scene_segmentation"]
    assert decided(runs) == {}
    assert ledger().job(job_id).state == "running"
    assert set(plan.frames) | set(plan.audio) == {need.key for name in runs for need in analyzers()[name].needs}


def test_a_job_that_names_nobody_gets_everybody():
    """Without names every analyzer that exists has a run."""
    assert set(prepared()[2]) == set(analyzers())


def test_no_sound_skips_what_listens_and_what_needs_that():
    """A silent video: who needs sound is skipped as no_audio, who needs its track as missing_input, the rest runs."""
    job_id, plan, runs = prepared("speech_rate", "cut_analysis", streams=(VIDEO,))
    assert decided(runs) == {
        "speech_transcription": ("skipped", "no_audio"),
        "speech_rate": ("skipped", "missing_input"),
    }
    assert plan.levels == (("cut_analysis",),)
    assert plan.audio == {}
    assert stored_outcome(storage(), job_id, "speech_rate").report.status == "skipped"


def test_a_profile_without_weights_is_said():
    """An analyzer without weights in the profile ends unavailable at once, with the command that would help."""
    _, plan, runs = prepared("blip2_caption", profile="local")
    assert decided(runs) == {"blip2_caption": ("unavailable", "not_in_profile")}
    assert "reelgraph models pull" in runs["blip2_caption"].outcome.error.message
    assert plan.levels == ()


def test_what_profiles_people_can_be_switched_off(tmp_path):
    """One setting ends all that infer personal traits as unavailable, before anything runs; the job is fine."""
    with node(tmp_path / "discreet", infer_personal_traits=False):
        job_id, plan, runs = prepared("age_estimation", "face_emotion")
        assert decided(runs) == dict.fromkeys(["age_estimation", "face_emotion"], ("unavailable", "switched_off"))
        assert "REELGRAPH_INFER_PERSONAL_TRAITS" in runs["face_emotion"].outcome.error.message
        assert plan.levels == (("face_detection",),)
        face = AnalyzerReport(name="face_detection", version=1, status="ok")
        storage().write(outcome_key(job_id, "face_detection"), Outcome(report=face).model_dump_json().encode())
        ledger().begin(job_id, "face_detection", limit_seconds=9)
        ledger().end(job_id, face)
        assert aggregate(job_id) == "completed"


def test_weights_that_nobody_has_locked_do_not_stop_a_job(tmp_path):
    """An analyzer whose pinned entry has no hashes yet is planned like the others: its worker says what is missing."""
    write(tmp_path, "unlocked")
    with (tmp_path / "unlocked.py").open("a") as file:
        file.write('    weights = {"local": "qwen2-vl-7b"}\n')
    with plugged(tmp_path):
        job_id, plan, runs = prepared("unlocked", "cut_analysis")
    assert decided(runs) == {}
    assert {name for level in plan.levels for name in level} == {"unlocked", "cut_analysis"}
    assert ledger().job(job_id).state == "running"


def test_preparing_twice_is_preparing_once():
    """A redelivered task changes nothing: the plan and the attempts of the first stand."""
    job_id, plan, _ = prepared("cut_analysis")
    ledger().begin(job_id, "cut_analysis", limit_seconds=9)
    prepare(job_id)
    assert Plan.model_validate(ledger().job(job_id).plan) == plan
    assert ledger().runs(job_id)["cut_analysis"].attempts == 1


def cache(name, job_id, inputs=None, tracks=()):
    """Store a good outcome as an earlier job would have; its fingerprint."""
    analyzer = analyzers()[name]
    plan = Plan.model_validate(ledger().job(job_id).plan)
    given = {**plan.frames, **plan.audio}
    mark = fingerprint(
        analyzer,
        video_sha256="0" * 64,
        weights=None,
        precision="auto",
        options={},
        renditions=[given[need.key].key for need in analyzer.needs],
        inputs=inputs or {},
    )
    report = {"name": name, "version": analyzer.version, "status": "ok", "analysed": [[0, 10]]}
    content = json.dumps({"report": report, "tracks": list(tracks)}).encode()
    storage().write(cache_key(mark), content)
    return mark


def test_what_an_earlier_job_found_is_taken_over():
    """A cached outcome becomes this job's, is marked as such, and its fingerprint feeds those who read it."""
    first, _, _ = prepared("scene_segmentation")
    cuts = cache("cut_analysis", first)
    cache("scene_segmentation", first, {"cut_analysis": cuts})
    job_id, plan, runs = prepared("scene_segmentation")
    assert decided(runs) == {"cut_analysis": ("ok", None), "scene_segmentation": ("ok", None)}
    assert runs["cut_analysis"].fingerprint == cuts
    assert plan.levels == ()
    stored = stored_outcome(storage(), job_id, "cut_analysis").report
    assert stored.receipt.cache_hit
    assert stored.analysed == ((0.0, 10.0),)


def test_a_changed_input_runs_its_readers_again():
    """Cached with another input than this job's: the reader runs, its input still comes from the cache."""
    first, _, _ = prepared("scene_segmentation")
    cache("cut_analysis", first)
    cache("scene_segmentation", first, {"cut_analysis": "other"})
    _, plan, runs = prepared("scene_segmentation")
    assert decided(runs) == {"cut_analysis": ("ok", None)}
    assert plan.levels == (("scene_segmentation",),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{}",
        b'{"report": {}, "tracks": []}',
        b'{"report": 1, "tracks": [{"id": "gone/track"}]}',
        b'{"report": 1, "tracks": [{"id": "cut_analysis/cuts", "method": "measurement", "items": [{}]}]}',
    ],
)
def test_a_broken_cache_entry_is_made_anew(content):
    """What cannot be read in the cache (torn, of an older version, of an analyzer that is gone) is not used."""
    first, _, _ = prepared("cut_analysis")
    storage().write(cache_key(cache("cut_analysis", first)), content)
    job_id, plan, runs = prepared("cut_analysis")
    assert decided(runs) == {}
    assert plan.levels == (("cut_analysis",),)
    assert not storage().exists(outcome_key(job_id, "cut_analysis"))


def test_a_small_frame_store_lowers_what_is_written(tmp_path):
    """When the frame store has no room for all that was asked, the plan asks for less and says so."""
    for room in ("frame_store_bytes", "video_frames_bytes"):
        with node(tmp_path / room, **{room: 1 << 20}):
            _, plan, _ = prepared("cut_analysis", "face_detection", "object_detection", seconds=600.0)
        assert plan.notes
        assert any(key != rendition.key for key, rendition in plan.frames.items())


def test_a_late_job_is_still_planned():
    """A job whose deadline has passed gets limits that end at once, not none at all."""
    _, plan, _ = prepared("cut_analysis", deadline=-5.0)
    assert plan.limits == {"cut_analysis": 1.0}


def test_what_the_deadline_has_no_time_for_is_skipped_at_once():
    """Of all analyzers and a minute of video, 20 s leave some out: skipped at once, with code and reason."""
    _, plan, runs = prepared(seconds=60.0, deadline=20.0)
    left_out = {name for name, run in runs.items() if run.status and run.outcome.error.code == "deadline"}
    assert "background_segmentation" in left_out
    assert "cut_analysis" not in left_out
    assert left_out.isdisjoint(name for level in plan.levels for name in level)
    reports = {name: runs[name].outcome for name in left_out}
    assert {one.status for one in reports.values()} == {"skipped"}
    assert all("left until the job's deadline" in one.error.message and one.error.retryable for one in reports.values())
    assert [note for note in plan.notes if note.startswith("background_segmentation: left out")]
    assert "looked at 1 instead of 4 pictures a second" in plan.slower["object_detection"]


SHORT = {"seconds": 6000.0, "deadline": 800.0}
"""cut_analysis and camera_analysis would take 960 s together, camera_analysis alone 600."""


def test_what_a_job_as_short_of_time_found_is_taken_over():
    """A rerun of a job that was slowed for its deadline gets what that found at those rates, and still says so."""
    first, slow, _ = prepared("camera_analysis", **SHORT)
    assert "camera_analysis" in slow.slower
    cuts = cache("cut_analysis", first)
    mark = cache("camera_analysis", first, {"cut_analysis": cuts})
    _, plan, runs = prepared("camera_analysis", **SHORT)
    assert decided(runs) == {"cut_analysis": ("ok", None), "camera_analysis": ("ok", None)}
    assert runs["camera_analysis"].fingerprint == mark
    assert (plan.levels, plan.limits, plan.renditions) == ((), {}, ())
    assert runs["camera_analysis"].outcome.receipt.notes[0].startswith("looked at 5 instead of 10 pictures a second")
    assert plan.notes[0].startswith("camera_analysis: looked at 5 instead of 10")


def test_what_has_to_run_alone_is_not_slowed_for_what_is_known():
    """What is left to run has all its pictures where its own time fits, whatever the known rest would have taken."""
    first, _, _ = prepared("camera_analysis", **SHORT)
    cache("cut_analysis", first)
    _, plan, runs = prepared("camera_analysis", **SHORT)
    assert decided(runs) == {"cut_analysis": ("ok", None)}
    assert (plan.levels, plan.slower, plan.notes) == ((("camera_analysis",),), {}, ())
    assert [rendition.fps for rendition in plan.frames.values()] == [10]


def test_what_shall_run_again_is_not_left_out():
    """An analyzer named in a rerun of all runs however little time there is; without its name it would be left out."""
    late = {"seconds": 60.0, "deadline": -5.0}
    assert decided(prepared(**late)[2])["eye_tracking"] == ("skipped", "deadline")
    assert "eye_tracking" not in decided(prepared(fresh=["eye_tracking"], **late)[2])


def ended(job_id, name, tracks=()):
    """End a run well, as its worker would; its report."""
    report = AnalyzerReport(name=name, version=1, status="ok")
    storage().write(outcome_key(job_id, name), Outcome(report=report, tracks=tracks).model_dump_json().encode())
    ledger().begin(job_id, name, limit_seconds=9)
    ledger().end(job_id, report, fingerprint="f" * 64)
    return report


@pytest.mark.parametrize("content", [None, b"", b'{"report": {"name"', b"[]", b'{"tracks": [{"id": "no/such"}]}'])
def test_an_outcome_that_is_lost_is_said_and_the_job_ends(content):
    """A stored outcome that is gone or cut short costs its analyzer alone: failed, retryable; the job closes."""
    job_id, _, _ = prepared("cut_analysis", "audio_analysis")
    ended(job_id, "cut_analysis")
    ended(job_id, "audio_analysis")
    path = storage().path(outcome_key(job_id, "cut_analysis"))
    path.unlink() if content is None else path.write_bytes(content)
    assert aggregate(job_id) == "completed_with_errors"
    other, lost = json.loads(storage().read(document_key(job_id)))["analyzers"]
    assert (other["status"], lost["error"]["code"], lost["error"]["retryable"]) == ("ok", "outcome_lost", True)
    assert decided(ledger().runs(job_id))["cut_analysis"] == ("failed", "outcome_lost")
    assert (path.read_bytes() if path.exists() else None) == content


def test_a_lost_outcome_comes_back_from_the_cache():
    """What the cache still has of a lost outcome is in the document, and stored anew."""
    job_id, _, _ = prepared("cut_analysis")
    report = ended(job_id, "cut_analysis")
    storage().copy(outcome_key(job_id, "cut_analysis"), cache_key("f" * 64))
    storage().remove(outcome_key(job_id, "cut_analysis"))
    assert aggregate(job_id) == "completed"
    assert stored_outcome(storage(), job_id, "cut_analysis").report == report


def test_a_storage_that_does_not_answer_is_waited_for(monkeypatch):
    """An outcome that cannot be read just now is not given up while the job has time; at its deadline it is."""
    job_id, _, _ = prepared("cut_analysis")
    ended(job_id, "cut_analysis")
    outcome = storage().path(outcome_key(job_id, "cut_analysis"))
    outcome.unlink()
    outcome.mkdir()  # reading says EISDIR: a trouble that is not "not found"
    with pytest.raises(Infrastructure):
        aggregate(job_id)
    assert ledger().job(job_id).state == "running"
    monkeypatch.setattr(Job, "remaining_seconds", -1.0)
    storage().path(cache_key("f" * 64)).mkdir(parents=True)  # nor can the cache be read
    assert aggregate(job_id) == "completed_with_errors"


def test_an_analyzer_that_this_version_lacks_ends_with_a_code():
    """A job of an older version names an analyzer that is gone: said in the document, and what it had found is kept."""
    open_, found = a_job("cut_analysis", "retired_analyzer"), a_job("cut_analysis", "retired_analyzer")
    for job in (open_, found):
        prepare(job.id)
        ended(job.id, "cut_analysis")
    ended(found.id, "retired_analyzer")
    never = a_job("retired_analyzer")
    for job in (open_, found, never):
        assert aggregate(job.id) == "completed_with_errors"
        reports = json.loads(storage().read(document_key(job.id)))["analyzers"]
        gone = next(one for one in reports if one["name"] == "retired_analyzer")
        assert (gone["status"], gone["error"]["code"]) == ("unavailable", "unknown_analyzer")
    assert storage().exists(outcome_key(found.id, "retired_analyzer"))
    assert ledger().run(found.id, "retired_analyzer").status == "ok"


def test_a_broker_that_is_gone_costs_no_time():
    """Events go nowhere here: planning is not held up by them."""
    began = time.monotonic()
    prepared()
    assert time.monotonic() - began < 30


def test_outcomes_are_stored_as_they_are_read():
    """What prepare stores is what aggregate reads: an outcome that validates."""
    job_id, _, _ = prepared("speech_rate", streams=(VIDEO,))
    content = storage().read(outcome_key(job_id, "speech_rate"))
    assert Outcome.model_validate_json(content) == stored_outcome(storage(), job_id, "speech_rate")
