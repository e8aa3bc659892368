"""The groups of `groups.toml`: which queue each analyzer belongs to and which worker serves it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

from shared.errors import BadInput
from shared.settings import settings

SHIPPED = files("shared").joinpath("groups.toml")
CONTROL = "control"
BEFORE_GROUPS = "="
"""Between a worker's name and its groups: not `tasks.celery`'s `sep`, at which kombu splits what names are part of."""

EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a table such as { NAME = … }",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": 'a list of names such as ["NAME"]',
    "string_type": "text in quotes",
}
"""What pydantic calls a value of another type, and what a TOML file should have there."""

Name = Annotated[str, Field(min_length=1)]
Mib = Annotated[int, Field(gt=0)]
MEMORY = TypeAdapter[int | dict[str, int]](Mib | Annotated[dict[Name, Mib], Field(min_length=1)])


def _memory(given: object) -> int | dict[str, int]:
    try:
        return MEMORY.validate_python(given, strict=True)
    except ValidationError as error:
        what = "a whole number of MiB above 0, or one for each worker such as { NAME = 8000 }, is expected"
        raise ValueError(f"{what}, not {_shown(given)}") from error


class Group(BaseModel):
    """One queue and what serves it. Types are taken as they are written: a number in quotes is text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    purpose: Name
    worker: dict[Name, list[Name]]
    gpu: bool
    memory_mib: Mib
    vram_mib: Annotated[int | dict[str, int] | None, PlainValidator(_memory)] = None
    """GPU memory that one worker may use for this group, or worker's name to what that whole worker may use."""
    gpu_index: dict[Name, Annotated[int, Field(ge=0)]] = {}
    load_seconds: dict[Name, Annotated[float, Field(ge=0)]] = {}
    batch: bool = False
    most_workers: Annotated[int, Field(gt=0)] = 1


@cache
def groups() -> dict[str, Group]:
    """Every group by name, in the order of the file: this version's, or the one that the settings name.

    Raises:
        BadInput: the file of the settings cannot be used.
    """
    chosen = settings().groups_file
    source: Path | Traversable = chosen or SHIPPED
    return {name: _group(str(source), name, table) for name, table in _tables(source).items()}


def own_groups() -> tuple[Path, str] | None:
    """The file that the settings name and its text, where that is another than this version's.

    Raises:
        BadInput: it cannot be read.
    """
    chosen = settings().groups_file
    if chosen is None:
        return None
    text = _text(chosen)
    return None if text == _text(SHIPPED) else (chosen, text)


def refuse_gaps(needed: Mapping[str, str]) -> None:
    """Refuse a file of the settings that lacks a group; `needed` is what is in each.

    Raises:
        BadInput: the file, the group and what would wait in its queue for good.
    """
    for name, what in needed.items():
        if name not in groups():
            file = settings().groups_file or SHIPPED
            raise BadInput(f"{file}: there is no group [{name}], and {what} is in it", code="bad_groups")


def _tables(source: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(source))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{source}: {error}", code="bad_groups") from error


def _text(source: Path | Traversable) -> str:
    try:
        return source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{source}: {error}", code="bad_groups") from error


def _group(file: str, name: str, table: object) -> Group:
    """One group as the file has it. Raises BadInput with the file, the group, the key, and what is wrong with it."""
    if not isinstance(table, dict):
        raise BadInput(f"{file}: {name} = {_shown(table)}: a table [{name}] of a group is expected", code="bad_groups")
    if "name" in table:
        raise BadInput(f"{file}: [{name}] name: the table's own name is the group's", code="bad_groups")
    try:
        return Group.model_validate({**table, "name": name})
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadInput(f"{file}: [{name}] {key}: {_wrong(error)}", code="bad_groups") from error


def _wrong(error: ValidationError) -> str:
    """The first thing that pydantic says of a table, in words of TOML."""
    first = error.errors()[0]
    match first["type"]:
        case "missing":
            return "it is missing"
        case "extra_forbidden":
            return f"there is no such key; a group has {', '.join(key for key in Group.model_fields if key != 'name')}"
        case "value_error":
            return str(first["ctx"]["error"])
        case kind if (expected := EXPECTED.get(kind)) is not None:
            return f"{expected} is expected, not {_shown(first['input'])}"
    return f"{first['msg']}, not {_shown(first['input'])}"


def _shown(given: object) -> str:
    return f"{json.dumps(given, default=str):.60}"


def profiles() -> tuple[str, ...]:
    """The profiles that the groups know."""
    return tuple(dict.fromkeys(profile for group in groups().values() for profile in group.worker))


def node_name(worker: str, queues: Sequence[str]) -> str:
    """What a worker is called where people look, in Flower first of all: its name and, where others, its groups."""
    return worker if tuple(queues) == (worker,) else f"{worker}{BEFORE_GROUPS}{'+'.join(queues)}"


def worker_of(node: str) -> str:
    """The worker's own name in a node's: `vision` of `vision=detect+light@host`."""
    return node.partition("@")[0].partition(BEFORE_GROUPS)[0]


def workers(profile: str) -> dict[str, tuple[str, ...]]:
    """The workers of a profile and the queues each serves, its own before shared ones.

    Raises:
        BadInput: no group knows the profile.
    """
    if profile not in profiles():
        raise BadInput(f"unknown profile {profile!r}; known are {', '.join(profiles())}", code="unknown_profile")
    served: dict[str, list[str]] = {}
    for group in groups().values():
        for worker in group.worker.get(profile, []):
            served.setdefault(worker, []).append(group.name)
    return {worker: tuple(queues) for worker, queues in served.items()}


def planned_gpu(worker: str, queues: Iterable[str]) -> int | None:
    """Which of the node's GPUs a worker of these queues was given: by its name, else where all their workers share one.

    None where `gpu_index` says nothing of these queues.

    Raises:
        BadInput: their workers are on several GPUs, and the name is none of theirs.
    """
    places = [groups()[queue].gpu_index for queue in queues if queue in groups()]
    given = {name: gpu for each in places for name, gpu in each.items()}
    named = {each[worker] for each in places if worker in each}
    found = named or set(given.values())
    if len(found) > 1:
        there = ", ".join(f"{name} (GPU {gpu})" for name, gpu in given.items())
        message = f"{', '.join(queues)}: these workers are planned on several GPUs: {there}; start each under its name"
        raise BadInput(f"{message}, `--name {next(iter(given))}@%h`, or choose with REELGRAPH_GPU", code="which_gpu")
    return next(iter(found), None)


def planned_mib(worker: str, queues: Sequence[str]) -> int | None:
    """GPU memory of a worker of these queues: what they declare each, and what is planned for whole workers.

    A worker of no planned name gets what the smallest of its queues' workers has. None where a queue says nothing.

    Raises:
        BadInput: what is planned is for one worker that serves a group more.
    """
    parts, wholes = 0, dict[str, int]()
    for queue in dict.fromkeys(queues):
        match groups()[queue].vram_mib:
            case None:
                return None
            case int(mib):
                parts += mib
            case by_worker:
                name = worker if worker in by_worker else min(by_worker, key=by_worker.__getitem__)
                wholes[name] = by_worker[name]
    for name in wholes:
        planned = [one.name for one in groups().values() if isinstance(one.vram_mib, dict) and name in one.vram_mib]
        if more := [one for one in planned if one not in queues]:
            what = f"{', '.join(planned)} are planned as one worker that has memory for all of them together"
            how = f"serve {', '.join(more)}, too (`--groups {','.join(planned)} --name {name}@%h`)"
            raise BadInput(
                f"{what}: {how}, or say what this one may use (REELGRAPH_GPU_MEMORY_MIB)", code="part_of_plan"
            )
    return parts + sum(wholes.values()) or None


def visible_devices(gpu: int | None, exported: str | None) -> str:
    """CUDA_VISIBLE_DEVICES of a worker that was given this GPU, one of those `exported`, where that is set.

    Raises:
        BadInput: fewer GPUs are exported than that.
    """
    if exported is None:
        return str(gpu or 0)
    if gpu is None:
        return exported
    shown = [one.strip() for one in exported.split(",") if one.strip()]
    if gpu >= len(shown):
        message = (
            f"this worker is to use GPU {gpu}, and CUDA_VISIBLE_DEVICES={exported} shows {len(shown)} (0 is the first)"
        )
        raise BadInput(f"{message}: unset it, show more, or choose with REELGRAPH_GPU", code="hidden_gpu")
    return shown[gpu]
