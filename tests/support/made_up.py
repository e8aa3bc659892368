"""Documents made up from the types of every analyzer's tracks: valid, and as odd as the types allow."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.schema import BaseTrack, Document
from tasks.registry import track_types
from tests.support.document import sample_document

HOSTILE = (
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "'", "a,b", 'say "no"', "two\nlines", "gap\n\n\nbelow", "a\r\nb\rc"),
    *("00:00:01,000 --> 00:00:02,000", "a --> b", "<b>bold</b>", "<i", "a & b &lt;", "NOTE", "WEBVTT", "STYLE", "1"),
    *(
        "a\x00b\x08",
        "\ufffe",
        "a\u2028b\x85c",
        "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "",
        "  ",
    ),
    *("]]>", "{\\an8}", "* LOC: 00:00:00:00 RED", "\uff1d1", "\u202eabc"),
)

READ = (
    *("speech_transcription/segments", "text_overlay/captions", "object_detection/objects"),
    *("cut_analysis/shots", "cut_analysis/cuts", "audio_analysis/beats"),
)
"""Tracks that formats look for: in every document."""

texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=12), st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join)
)
times = st.integers(0, 4_000_000).map(lambda ms: ms / 1000)


def documents(**media: Any) -> st.SearchStrategy[Document]:
    """The sample document with made-up tracks; `media` replaces facts about the file."""
    others = [name for name in sorted(track_types()) if name not in READ]
    names = st.lists(st.sampled_from(others), unique=True, max_size=3)
    tracks = names.flatmap(lambda chosen: st.tuples(*(track(name) for name in (*READ, *chosen))))
    return tracks.map(lambda made: with_tracks(made, **media))


def with_tracks(tracks: Sequence[BaseTrack], **media: Any) -> Document:
    """The sample document with other tracks."""
    document = sample_document()
    changed = {"tracks": tuple(tracks), "media": document.media.model_copy(update=media)}
    return document.model_copy(update=changed)


def track(name: str) -> st.SearchStrategy[BaseTrack]:
    """One track of an analyzer (`analyzer/track`), signed."""
    signed = {"id": name, "analyzer": name.partition("/")[0]}
    return models(track_types()[name]).map(lambda made: made.model_copy(update=signed))


def models(kind: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Valid instances of a model."""
    fields = {
        name: _values(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation, name)
        for name, field in kind.model_fields.items()
    }
    return st.fixed_dictionaries(fields).map(_ordered).map(lambda values: _valid(kind, values)).filter(bool)


def _ordered(values: dict[str, Any]) -> dict[str, Any]:
    if {"start", "end"} <= set(values):
        values["start"], values["end"] = sorted((values["start"], values["end"]))
    return values


def _valid(kind: type[BaseModel], values: dict[str, Any]) -> BaseModel | None:
    try:
        return kind.model_validate(values)
    except ValidationError:
        return None


def _values(annotation: Any, name: str) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if name in ("start", "end", "t", "t0"):
        return times
    if name == "dt":
        return st.floats(0.01, 10)
    if origin is Annotated:
        pattern = next((p for one in arguments[1:] if (p := getattr(one, "pattern", None))), None)
        if pattern:
            return st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))
        length = next((n for one in arguments[1:] if (n := getattr(one, "min_length", None))), None)
        if length and get_origin(arguments[0]) is tuple:
            return st.lists(_values(get_args(arguments[0])[0], ""), min_size=length, max_size=length).map(tuple)
        return st.floats(0, 1) if arguments[0] is float else _values(arguments[0], name)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_values(one, name) for one in arguments))
    if origin is tuple and arguments[1:] == (...,):
        return st.lists(_values(arguments[0], ""), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(_values(one, "") for one in arguments))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return models(annotation)
    plain = {str: texts, float: st.floats(-1e6, 1e6), int: st.integers(0, 99), bool: st.booleans()}
    return plain[annotation] if annotation in plain else st.from_type(annotation)
