"""Which analyzers exist, how they depend on one another, and the document's JSON Schema with all their tracks."""

from __future__ import annotations

import inspect
import json
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter, ValidationError

import tasks.analyzers
from shared.errors import BadInput
from shared.groups import CONTROL, refuse_gaps
from shared.pins import Entry
from shared.schema import BaseTrack, Document, OptionValue
from shared.settings import Precision, settings
from shared.weights import Weights
from tasks.analyzer import Analyzer, Options
from tasks.engines.kinds import KINDS

AnyAnalyzer = type[Analyzer[Any, Any]]


@cache
def analyzers() -> dict[str, AnyAnalyzer]:
    """Every analyzer by name, in alphabetical order, found by walking `tasks/analyzers/`.

    Raises:
        TypeError: an analyzer breaks the contract: two names alike, an unknown dependency, a circle.
        BadInput: `groups.toml` lacks the group of an analyzer, or that of planning.
    """
    found: dict[str, AnyAnalyzer] = {}
    for module in pkgutil.iter_modules(tasks.analyzers.__path__):
        for value in vars(import_module(f"tasks.analyzers.{module.name}")).values():
            is_analyzer = inspect.isclass(value) and issubclass(value, Analyzer) and not inspect.isabstract(value)
            if is_analyzer and found.setdefault(value.name, value) is not value:
                raise TypeError(f"two analyzers are called {value.name}")
    refuse_gaps({CONTROL: "planning", **{one.group: one.name for one in found.values()}})
    for analyzer in found.values():
        _check(analyzer, found)
    _levels(found.values())
    return dict(sorted(found.items()))


def weights_entry(analyzer: AnyAnalyzer, profile: str) -> str | None:
    """The entry of `weights.toml` that the analyzer uses in a profile: what the settings say, else its own."""
    if not analyzer.weights:
        return None
    return settings().models.get(analyzer.name) or analyzer.weights.get(profile)


def extra_entry(analyzer: AnyAnalyzer, profile: str) -> str | None:
    """The entry that the analyzer uses in a profile when it is there; the settings name another if it has no other."""
    if profile not in analyzer.extra:
        return None
    chosen = None if analyzer.weights else settings().models.get(analyzer.name)
    return chosen or analyzer.extra[profile]


def has_what_it_needs(analyzer: AnyAnalyzer, profile: str) -> bool:
    """Whether the analyzer works in a profile: with weights that are declared for it, or with none."""
    return not analyzer.weights or profile in analyzer.weights or weights_entry(analyzer, profile) is not None


def used_entries(analyzer: AnyAnalyzer, profile: str) -> tuple[str, ...]:
    """The entries that the analyzer uses in a profile: its weights', then that of its extra."""
    return tuple(filter(None, (weights_entry(analyzer, profile), extra_entry(analyzer, profile))))


def declared(profile: str) -> dict[str, tuple[str, ...]]:
    """The entries that a profile's analyzers use, as the settings are, and which analyzers those are."""
    users: dict[str, list[str]] = {}
    for analyzer in analyzers().values():
        for entry in used_entries(analyzer, profile):
            users.setdefault(entry, []).append(analyzer.name)
    return {entry: tuple(users[entry]) for entry in sorted(users)}


def check_models(profile: str | None = None) -> None:
    """Refuse settings that give an analyzer weights that it cannot read, or, in a profile, a precision that they lack.

    Raises:
        BadInput: an analyzer or an entry is unknown, of another kind, or lacks a precision, or an engine is of another
            kind; the message lists those that are there.
    """
    here = settings()
    takers = [name for name, one in analyzers().items() if one.weights or one.extra]
    for variable, names in (("REELGRAPH_MODELS", here.models), ("REELGRAPH_PRECISION", here.precision)):
        for name in names:
            if name not in takers:
                message = f"{variable}: {name!r} is no analyzer with a model; these are: {', '.join(takers)}"
                raise BadInput(message, code="bad_setting")
    entries = Weights.of_settings().entries() if here.models or here.precision or here.pins_file else {}
    for name, one in entries.items():
        _check_engine(name, one)
    for name, entry in here.models.items():
        if entry not in entries:
            message = f"REELGRAPH_MODELS: there are no weights {entry!r} for {name}; there are {', '.join(entries)}"
            raise BadInput(message, code="bad_setting")
        if not _reads(analyzers()[name], entries[entry], entries):
            fitting = [each for each, one in entries.items() if _reads(analyzers()[name], one, entries)]
            message = f"REELGRAPH_MODELS: {entry} is not of the kind that {name} reads; these are: {', '.join(fitting)}"
            raise BadInput(message, code="bad_setting")
    for name, precision in here.precision.items() if profile is not None else ():
        _check_precision(analyzers()[name], precision, profile or "", entries)


def _check_engine(name: str, entry: Entry) -> None:
    """Raises BadInput when an entry of one's own names a kind of which its engine is none."""
    if entry.kind is None:
        return
    if (known := KINDS.get(entry.kind)) is None:
        raise BadInput(f"{name}: there is no kind {entry.kind!r}; there are {', '.join(KINDS)}", code="bad_pins")
    if entry.engine not in known:
        message = f"{name}: the engine {entry.engine!r} is none for {entry.kind}; these are: {', '.join(known)}"
        raise BadInput(message, code="bad_pins")


def _own(names: Iterable[str | None], entries: Mapping[str, Entry]) -> list[Entry]:
    return [entries[name] for name in names if name is not None]


def _kinds(own: Sequence[Entry]) -> set[str]:
    """Their kinds; those of their engines where own entries have taken the place of each of them and name none."""
    engines = {one.engine for one in own}
    named = {one.kind for one in own if one.kind is not None}
    return named or {kind for kind, known in KINDS.items() if engines & known.keys()}


def _reads(analyzer: AnyAnalyzer, entry: Entry, entries: Mapping[str, Entry]) -> bool:
    """Whether the analyzer can work with the entry: it is of a kind that it knows, or has the files that it reads.

    It stands for the weights that are declared, in any profile, or for the extra of an analyzer that has no weights.
    """
    own = _own((analyzer.weights or analyzer.extra).values(), entries)
    if entry.engine is None:
        names = {file.name for file in entry.files}
        return any(one.engine is None and {file.name for file in one.files} <= names for one in own)
    kinds = _kinds(own)
    return entry.kind in kinds if entry.kind is not None else any(entry.engine in KINDS[kind] for kind in kinds)


def _check_precision(analyzer: AnyAnalyzer, precision: Precision, profile: str, entries: Mapping[str, Entry]) -> None:
    """Raises BadInput when an engine of the analyzer lacks the precision, or it has none; other files have no say."""
    if precision == "auto":
        return
    kinds = _kinds(_own((*analyzer.weights.values(), *analyzer.extra.values()), entries))
    used = used_entries(analyzer, profile)
    for name in [name for name in used if entries[name].engine is not None] or used:
        entry = entries[name]
        known = [KINDS.get(kind, {}).items() for kind in sorted(kinds if entry.kind is None else {entry.kind})]
        had = list(
            dict.fromkeys(p for each in known for engine, one in each if engine == entry.engine for p in one.precisions)
        )
        if precision not in had:
            comes = f"comes in {' and '.join(had)}" if had else "comes in one format"
            message = f"REELGRAPH_PRECISION: {name} of {analyzer.name} {comes}, not in {precision}"
            raise BadInput(message, code="bad_setting")


def _check(analyzer: AnyAnalyzer, found: Mapping[str, AnyAnalyzer]) -> None:
    missing = [name for name in dependencies(analyzer) if name not in found]
    if missing:
        raise TypeError(f"{analyzer.name} depends on {', '.join(missing)}, which do not exist")


def task_name(analyzer: str) -> str:
    """The name of the Celery task that runs an analyzer."""
    return f"analyze.{analyzer}"


def dependencies(analyzer: AnyAnalyzer) -> tuple[str, ...]:
    """All analyzers whose tracks this one may read."""
    return (*analyzer.requires, *analyzer.uses)


def select(names: Iterable[str] | None) -> tuple[AnyAnalyzer, ...]:
    """The named analyzers and all that they require; every analyzer for None.

    Raises:
        BadInput: a name is unknown; the message lists the names that exist.
    """
    known = analyzers()
    if names is None:
        return tuple(known.values())
    chosen: dict[str, AnyAnalyzer] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in known:
            raise BadInput(f"unknown analyzer {name!r}; there are {', '.join(known)}", code="unknown_analyzer")
        if name not in chosen:
            chosen[name] = known[name]
            waiting.extend(known[name].requires)
    return tuple(chosen[name] for name in sorted(chosen))


def asked_for(requested: Sequence[str]) -> tuple[AnyAnalyzer, ...]:
    """What a job that was accepted asks for, as far as this version has it; every analyzer for no name."""
    return select([name for name in requested if name in analyzers()] if requested else None)


def retired(names: Iterable[str]) -> list[str]:
    """Those that this version has no analyzer for: the version that accepted the job had them."""
    return [name for name in names if name not in analyzers()]


def levels(
    chosen: Iterable[AnyAnalyzer], costs: Mapping[str, float] | None = None
) -> tuple[tuple[AnyAnalyzer, ...], ...]:
    """Analyzers by level: each depends only on earlier levels.

    Within a level those come first after which most work can only follow (Jackson's rule: on one machine the largest
    tail first ends soonest), and among equals the costliest. `costs` are seconds for a second of video by analyzer, for
    those that differ from what they declare.
    """
    ordered = _levels(chosen)
    cost = {one.name: one.cost for level in ordered for one in level} | dict(costs or {})
    tails = _tails(ordered, cost)
    return tuple(
        tuple(sorted(level, key=lambda one: (-tails[one.name], -cost[one.name], one.name))) for level in ordered
    )


def _tails(ordered: Sequence[Sequence[AnyAnalyzer]], cost: Mapping[str, float]) -> dict[str, float]:
    """Cost of the longest chain of analyzers that can only begin when this one has ended, by name."""
    tails = {analyzer.name: 0.0 for level in ordered for analyzer in level}
    for level in reversed(ordered):
        for analyzer in level:
            for name in tails.keys() & set(dependencies(analyzer)):
                tails[name] = max(tails[name], cost[analyzer.name] + tails[analyzer.name])
    return tails


def _levels(chosen: Iterable[AnyAnalyzer]) -> list[list[AnyAnalyzer]]:
    waiting = {analyzer.name: analyzer for analyzer in chosen}
    ordered = []
    while waiting:
        ready = [one for one in waiting.values() if not any(name in waiting for name in dependencies(one))]
        if not ready:
            raise TypeError(f"these analyzers depend on one another in a circle: {', '.join(sorted(waiting))}")
        ordered.append(ready)
        for analyzer in ready:
            del waiting[analyzer.name]
    return ordered


def parse_options(given: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, OptionValue]]:
    """Check options by analyzer; text such as "0.5" is understood as the option's type.

    Raises:
        BadInput: an analyzer or option is unknown, or a value does not fit.
    """
    parsed: dict[str, dict[str, OptionValue]] = {}
    for name, values in given.items():
        (analyzer,) = [one for one in select([name]) if one.name == name]
        try:
            options: Options = analyzer.options.model_validate(dict(values))
        except ValidationError as error:
            raise BadInput(_option_sentence(analyzer, error), code="bad_option") from error
        parsed[name] = {key: value for key, value in options.model_dump(mode="json").items() if key in values}
    return parsed


def _option_sentence(analyzer: AnyAnalyzer, error: ValidationError) -> str:
    first = error.errors()[0]
    option = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(analyzer.options.model_fields) or "no options"
        return f"unknown option {analyzer.name}.{option}; {analyzer.name} has {known}"
    return f"option {analyzer.name}.{option}: {first['msg']}"


@cache
def track_types() -> dict[str, type[BaseTrack]]:
    """The type of every track that may stand in a document, by track id."""
    return {
        f"{analyzer.name}/{name}": field.annotation
        for analyzer in analyzers().values()
        for name, field in analyzer.result.model_fields.items()
        if name != "analysed" and field.annotation is not None
    }


@cache
def _track_adapters() -> dict[str, TypeAdapter[BaseTrack]]:
    return {track_id: TypeAdapter(kind) for track_id, kind in track_types().items()}


def parse_track(raw: Mapping[str, Any]) -> BaseTrack:
    """A stored track as its analyzer's own type. Raises BadInput for a track that no analyzer here makes."""
    adapter = _track_adapters().get(raw["id"])
    if adapter is None:
        raise BadInput(f"no analyzer here makes the track {raw['id']!r}", code="unknown_track")
    return adapter.validate_python(raw)


def parse_document(content: bytes) -> Document:
    """A stored document with every track as its analyzer's own type."""
    raw = json.loads(content)
    tracks = tuple(parse_track(track) for track in raw.pop("tracks"))
    return Document.model_validate({**raw, "tracks": ()}).model_copy(update={"tracks": tracks})


def document_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document, with the tracks of every analyzer."""
    schema = Document.model_json_schema(mode="serialization")
    definitions = schema["$defs"]
    variants = []
    for track_id, kind in track_types().items():
        one = kind.model_json_schema(mode="serialization", ref_template="#/$defs/{model}")
        definitions.update(one.pop("$defs", {}))
        one["properties"]["id"] = {"const": track_id}
        one["properties"]["analyzer"] = {"const": track_id.split("/", maxsplit=1)[0]}
        one["title"] = track_id
        variants.append(one)
    definitions.pop("BaseTrack", None)
    schema["properties"]["tracks"]["items"] = {"oneOf": variants} if variants else False
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Reelgraph document"
    return schema
