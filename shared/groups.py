"""The groups of `groups.toml`: which queue each analyzer belongs to and which worker serves it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from shared.errors import BadInput
from shared.settings import settings

CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Group:
    """One queue and what serves it."""

    name: str
    purpose: str
    worker: dict[str, list[str]]
    gpu: bool
    memory_mib: int
    vram_mib: int | None = None
    gpu_index: dict[str, int] = field(default_factory=dict)
    load_seconds: dict[str, float] = field(default_factory=dict)
    batch: bool = False
    most_workers: int = 1

    def gpu_of(self, worker: str) -> int:
        """Which of the node's GPUs a worker of that name uses."""
        return self.gpu_index.get(worker, 0)


@cache
def groups() -> dict[str, Group]:
    """Every group by name, in the order of the file: this version's, or the one that the settings name.

    Raises:
        BadInput: the file of the settings cannot be used.
    """
    chosen = settings().groups_file
    try:
        source = chosen or files("shared").joinpath("groups.toml")
        entries = tomllib.loads(source.read_text(encoding="utf-8"))
        return {name: Group(name=name, **entry) for name, entry in entries.items()}
    except (OSError, tomllib.TOMLDecodeError, TypeError) as error:
        raise BadInput(f"{chosen}: {error}", code="bad_groups") from error


def profiles() -> tuple[str, ...]:
    """The profiles that the groups know."""
    return tuple(dict.fromkeys(profile for group in groups().values() for profile in group.worker))


def node_name(worker: str, queues: Sequence[str]) -> str:
    """What a worker is called where people look, in Flower first of all: its name and, where others, its groups."""
    return worker if tuple(queues) == (worker,) else f"{worker}:{'+'.join(queues)}"


def worker_of(node: str) -> str:
    """The worker's own name in a node's: `vision` of `vision:detect+light@host`."""
    return node.partition("@")[0].partition(":")[0]


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
