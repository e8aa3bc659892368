"""Tests of the registry: the contract is checked, dependencies are ordered, options are understood or explained."""

import copy
import json
import math

import jsonschema
import pytest
from click.testing import CliRunner

from services.cli import cli
from shared.errors import BadInput
from shared.schema import (
    AnalyzerReport,
    Coverage,
    Document,
    ErrorInfo,
    JobInfo,
    MediaInfo,
    Receipt,
    SegmentTrack,
    SeriesTrack,
    Status,
    StreamInfo,
)
from tasks.registry import (
    analyzers,
    dependencies,
    document_schema,
    levels,
    parse_document,
    parse_options,
    select,
    track_types,
)
from tests.support.plugged import plugged
from tests.support.project import ROOT

SCHEMA = ROOT / "docs" / "document.schema.json"

ANALYZER = """
from shared.schema import ScalarTrack, TrackSet
from tasks.analyzer import Analyzer, Options

class Result(TrackSet):
    values: ScalarTrack

class {cls}(Analyzer[Options, Result]):
    name = "{name}"
    version = 1
    group = "{group}"
    summary = "made by a test"
    requires = {requires}
    uses = {uses}

    def analyze(self, media, options):
        return Result(values=ScalarTrack(method="measurement"))
"""


def write(folder, name, *, group="light", requires=(), uses=(), file=None):
    text = ANALYZER.format(cls=name.title().replace("_", ""), name=name, group=group, requires=requires, uses=uses)
    (folder / f"{file or name}.py").write_text(text)


# --- what there is ---


def test_every_analyzer_says_who_it_is():
    """Each has a name like its file's, a version from 1, a summary of one line and a positive cost."""
    for name, analyzer in analyzers().items():
        assert analyzer.__module__ == f"tasks.analyzers.{name}"
        assert analyzer.name == name
        assert analyzer.version >= 1
        assert analyzer.summary
        assert "\n" not in analyzer.summary
        assert analyzer.cost > 0
        assert all(field.description for field in analyzer.options.model_fields.values()), name
        assert not [option for option, field in analyzer.options.model_fields.items() if field.is_required()]


def test_a_new_file_is_a_new_analyzer(tmp_path):
    """One file in the folder that is walked is all it takes, and its track is in the schema."""
    write(tmp_path, "brand_new")
    with plugged(tmp_path):
        assert "brand_new" in analyzers()
        assert "brand_new/values" in track_types()
        assert "brand_new/values" in json.dumps(document_schema())
    assert "brand_new" not in analyzers()


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([{"name": "one", "requires": ("absent",)}], "one depends on absent"),
        ([{"name": "one", "requires": ("two",)}, {"name": "two", "requires": ("one",)}], "in a circle: one, two"),
        ([{"name": "one", "requires": ("two",)}, {"name": "two", "uses": ("one",)}], "in a circle: one, two"),
        ([{"name": "one", "requires": ("one",)}], "in a circle: one"),
        ([{"name": "one"}, {"name": "one", "file": "other"}], "two analyzers are called one"),
    ],
)
def test_a_broken_contract_is_seen_at_once(tmp_path, entries, complaint):
    """An unknown dependency, a circle (of requires, uses or both) or a double name: TypeError."""
    for entry in entries:
        write(tmp_path, **entry)
    with plugged(tmp_path), pytest.raises(TypeError, match=complaint):
        analyzers()


def test_a_group_that_the_file_lacks_is_named(tmp_path):
    """An analyzer in a group that groups.toml does not have is refused with both, in every command."""
    write(tmp_path, "one", group="nowhere")
    with (
        plugged(tmp_path),
        pytest.raises(BadInput, match=r"there is no group \[nowhere\], and one is in it"),
    ):
        analyzers()


# --- dependencies ---


def test_selecting_brings_what_is_required():
    """The named analyzers and all that they require, at any depth, each once; not what they could merely use."""
    assert [one.name for one in select(["scene_segmentation", "cut_analysis"])] == [
        "cut_analysis",
        "scene_segmentation",
    ]
    assert [one.name for one in select(["temporal_flow"])] == ["temporal_flow"]
    assert select(None) == tuple(analyzers().values())
    assert select([]) == ()


def test_a_chain_is_selected_to_its_end(tmp_path):
    """What is required by what is required comes along."""
    for name, requires in (("one", ("two",)), ("two", ("three",)), ("three", ())):
        write(tmp_path, name, requires=requires)
    with plugged(tmp_path):
        assert {one.name for one in select(["one"])} == {"one", "two", "three"}
        assert [[one.name for one in level] for level in levels(select(["one"]))] == [["three"], ["two"], ["one"]]


def test_an_unknown_analyzer_is_explained():
    """A misspelt name is refused with the names that exist."""
    with pytest.raises(BadInput, match=r"unknown analyzer 'cuts'; there are .*cut_analysis") as caught:
        select(["cut_analysis", "cuts"])
    assert caught.value.code == "unknown_analyzer"


def test_levels_respect_every_dependency():
    """Whatever an analyzer may read stands in an earlier level."""
    ordered = levels(analyzers().values())
    at = {one.name: number for number, level in enumerate(ordered) for one in level}
    assert set(at) == set(analyzers())
    for analyzer in analyzers().values():
        assert all(at[name] < at[analyzer.name] for name in dependencies(analyzer) if name in at)


def test_what_most_waits_for_comes_first():
    """In a level the cheap cuts, on which a long chain stands, go before the costly text; without one cost counts."""
    (first, *_) = levels(select(["background_segmentation", "cut_analysis", "text_overlay", "visual_effects"]))
    assert [one.name for one in first] == ["cut_analysis", "text_overlay"]
    (alone,) = levels(select(["cut_analysis", "text_overlay"]))
    assert [one.name for one in alone] == ["text_overlay", "cut_analysis"]


def test_what_is_not_chosen_delays_nothing():
    """An analyzer that could use another one which does not run stands in the first level."""
    assert [[one.name for one in level] for level in levels(select(["temporal_flow"]))] == [["temporal_flow"]]


# --- options ---


def test_text_is_understood_as_the_option_s_type():
    """What a command line gives as text arrives as a number, and only what was given arrives."""
    assert parse_options({"speech_rate": {"window_seconds": "2.5"}}) == {"speech_rate": {"window_seconds": 2.5}}
    assert parse_options({"speech_rate": {}}) == {"speech_rate": {}}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"speech_rat": {}}, "unknown analyzer 'speech_rat'; there are "),
        ({"speech_rate": {"window": 1}}, "unknown option speech_rate.window; speech_rate has window_seconds, "),
        ({"temporal_flow": {"x": 1}}, "unknown option temporal_flow.x; temporal_flow has "),
        ({"blip2_caption": {"prompt": "a" * 2001}}, "option blip2_caption.prompt: String should have at most 2000"),
        (
            {"qwen2_vl_temporal": {"prompt": "\ud83d"}},
            "option qwen2_vl_temporal.prompt: Input should be a valid string",
        ),
        (
            {"speech_rate": {"window_seconds": "long"}},
            "option speech_rate.window_seconds: Input should be a valid number",
        ),
        ({"speech_rate": {"window_seconds": 0}}, "option speech_rate.window_seconds: Input should be greater than"),
    ],
)
def test_a_bad_option_is_explained(given, message):
    """Unknown analyzers, unknown options and values that do not fit: a sentence with what would do."""
    with pytest.raises(BadInput) as caught:
        parse_options(given)
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, "inf", "1e400", "nan", 10**400])
def test_no_option_takes_what_is_no_number(value):
    """Infinities, nan and integers beyond any float are refused by every option of numbers, in one sentence."""
    for name, analyzer in analyzers().items():
        for option, field in analyzer.options.model_fields.items():
            if not isinstance(field.default, str | tuple):
                with pytest.raises(BadInput, match=f"^option {name}.{option}: Input should be "):
                    parse_options({name: {option: value}})


# --- the document ---


def a_document():
    """A document with a track of each kind that analyzers here make, filled in every field."""
    cuts = track_types()["cut_analysis/cuts"].model_validate(
        {"id": "cut_analysis/cuts", "analyzer": "cut_analysis", "method": "measurement", "items": []}
    )
    series = SeriesTrack(
        id="audio_analysis/loudness",
        analyzer="audio_analysis",
        method="measurement",
        unit="LUFS",
        t0=0,
        dt=0.1,
        values=(-23.1, None),
    )
    speech = track_types()["speech_transcription/segments"].model_validate(
        {
            "id": "speech_transcription/segments",
            "analyzer": "speech_transcription",
            "method": "model",
            "items": [
                {
                    "id": "s1",
                    "start": 0.1,
                    "end": 0.9,
                    "confidence": 0.5,
                    "text": "so",
                    "words": [{"start": 0.1, "end": 0.9, "text": "so", "confidence": None}],
                }
            ],
        }
    )
    return Document(
        job=JobInfo(
            id="x",
            state="completed",
            profile="local",
            submitted_at="2026-01-01T00:00:00.000+00:00",
            decode_passes=1,
            wall_seconds=1.5,
            realtime_factor=None,
        ),
        media=MediaInfo(
            sha256="0" * 64,
            size_bytes=1,
            container="mp4",
            duration_seconds=1.0,
            streams=(StreamInfo(index=0, kind="video"),),
        ),
        coverage=Coverage(ok=("cut_analysis",)),
        analyzers=tuple(
            AnalyzerReport(
                name="cut_analysis",
                version=1,
                status=status,
                options={"a": 1.5, "b": ("x",)},
                analysed=((0, 1),),
                error=ErrorInfo(code="c", message="m"),
                receipt=Receipt(queue_seconds=0.1, worker="w"),
            )
            for status in Status.__args__
        ),
        tracks=(cuts, series, speech),
    )


@pytest.fixture(scope="module")
def validator():
    schema = document_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def raw():
    return json.loads(a_document().model_dump_json())


def test_a_document_fits_the_schema(validator, raw):
    """A document as it is written, every status and kind of track in it, validates."""
    assert list(validator.iter_errors(raw)) == []


@pytest.mark.parametrize(
    "path",
    [(), ("job",), ("media",), ("media", "streams", 0), ("coverage",), ("analyzers", 0), ("analyzers", 0, "receipt")]
    + [("tracks", number) for number in range(3)]
    + [("tracks", 2, "items", 0), ("tracks", 2, "items", 0, "words", 0)],
)
def test_an_unknown_field_is_refused(validator, raw, path):
    """A field that the schema does not name fails validation wherever it stands."""
    place = raw
    for step in path:
        place = place[step]
    place["invented"] = 1
    assert not validator.is_valid(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "nobody/values", "analyzer": "nobody"},
        {"id": "audio_analysis/loudnes"},
        {"analyzer": "cut_analysis"},
        {"kind": "event"},
        {"dt": 0},
        {"values": ["loud"]},
        {"method": "guess"},
    ],
)
def test_a_strange_track_is_refused(validator, raw, change):
    """A track of an unknown analyzer, under another's name, of another kind or with other values fails validation."""
    raw["tracks"][1].update(change)
    assert not validator.is_valid(raw)


def test_times_and_confidence_are_bounded(validator, raw):
    """The schema itself holds that times are not negative and that confidence is 0..1 or null."""
    for field, bad in (("start", -1), ("confidence", 1.5), ("confidence", "high")):
        changed = copy.deepcopy(raw)
        changed["tracks"][2]["items"][0][field] = bad
        assert not validator.is_valid(changed), field


def test_a_document_is_read_back_as_it_was():
    """Stored and read again, each track has its analyzer's own type and the same content."""
    document = a_document()
    again = parse_document(document.model_dump_json().encode())
    assert again == document
    assert [type(track) for track in again.tracks] == [track_types()[track.id] for track in document.tracks]
    assert isinstance(again.tracks[2], SegmentTrack)


def test_a_track_nobody_makes_is_not_read(raw):
    """A stored document with the track of an analyzer that is gone is bad input that names the track."""
    raw["tracks"][0]["id"] = "gone/values"
    with pytest.raises(BadInput, match="gone/values"):
        parse_document(json.dumps(raw).encode())


def test_definitions_of_one_name_are_one_definition():
    """No two analyzers put different models under the same name into the schema, where one would win silently."""
    seen = dict(Document.model_json_schema(mode="serialization")["$defs"])
    for track_id, kind in track_types().items():
        for name, definition in kind.model_json_schema(mode="serialization").get("$defs", {}).items():
            assert seen.setdefault(name, definition) == definition, f"{track_id} has another {name}"


def test_the_published_schema_is_fresh():
    """docs/document.schema.json is what `reelgraph schema` prints."""
    printed = CliRunner().invoke(cli, ["schema"], catch_exceptions=False).stdout
    assert SCHEMA.read_text(encoding="utf-8") == printed, "stale: reelgraph schema > docs/document.schema.json"


def test_the_schema_says_whose_gpu_memory_receipts_count():
    """A reader of `peak_gpu_mib` learns that a process takes more of the GPU than torch's tensors."""
    assert "torch's tensors" in document_schema()["$defs"]["Receipt"]["description"]


@pytest.mark.parametrize(("name", "told"), [("rotation", ("counterclockwise", "boxes")), ("mirrored", ("turn",))])
def test_the_schema_says_which_way_the_picture_was_turned(name, told):
    """`media.rotation` and `media.mirrored` name unit and direction, and whether boxes are turned already."""
    described = document_schema()["$defs"]["MediaInfo"]["properties"][name]["description"]
    assert all(word in described for word in told)
