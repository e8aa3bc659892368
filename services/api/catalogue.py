"""What there is to look with: analyzers and the groups they run in."""

from __future__ import annotations

from flask import Response
from pydantic import Field, JsonValue, RootModel

from services.api.documentation import TAG_CATALOGUE, blueprint
from services.commands.analyzers import runs_here
from shared.groups import groups
from shared.schema import Frozen
from shared.settings import settings
from tasks.registry import AnyAnalyzer, analyzers

api = blueprint("catalogue", __name__, TAG_CATALOGUE, url_prefix="/v1")


class AnalyzerInfo(Frozen):
    """One analyzer."""

    name: str
    version: int
    group: str
    summary: str
    requires: tuple[str, ...]
    uses: tuple[str, ...]
    weights: dict[str, str | None] = Field(description="entry of the weights by profile; null: needs none there")
    extra: dict[str, str] = Field(description="by profile, an entry that it makes use of where its files are")
    available: bool = Field(description="whether it runs in this deployment's profile")
    infers_personal_traits: bool
    tracks: tuple[str, ...]
    options: dict[str, JsonValue] = Field(description="JSON Schema of its options")


class GroupInfo(Frozen):
    """One group: a queue, and which workers serve it in this deployment's profile."""

    name: str
    purpose: str
    workers: tuple[str, ...]
    gpu: bool
    memory_mib: int
    analyzers: tuple[str, ...]


class AnalyzerList(RootModel[tuple[AnalyzerInfo, ...]]):
    """Every analyzer, by name."""


class GroupList(RootModel[tuple[GroupInfo, ...]]):
    """Every group."""


@api.get("/analyzers", responses={200: AnalyzerList})
def list_analyzers() -> Response:
    """Every analyzer: what it finds, its options and whether it runs here."""
    listed = AnalyzerList(tuple(map(_info, analyzers().values())))
    return Response(listed.model_dump_json(), mimetype="application/json")


@api.get("/groups", responses={200: GroupList})
def list_groups() -> Response:
    """Every group of analyzers and what serves it."""
    profile = settings().profile
    listed = GroupList(
        tuple(
            GroupInfo(
                name=group.name,
                purpose=group.purpose,
                workers=tuple(group.worker.get(profile, ())),
                gpu=group.gpu,
                memory_mib=group.memory_mib,
                analyzers=tuple(name for name, one in analyzers().items() if one.group == group.name),
            )
            for group in groups().values()
        )
    )
    return Response(listed.model_dump_json(), mimetype="application/json")


def _info(analyzer: AnyAnalyzer) -> AnalyzerInfo:
    return AnalyzerInfo(
        name=analyzer.name,
        version=analyzer.version,
        group=analyzer.group,
        summary=analyzer.summary,
        requires=analyzer.requires,
        uses=analyzer.uses,
        weights=dict(analyzer.weights),
        extra=analyzer.extra,
        available=runs_here(analyzer),
        infers_personal_traits=analyzer.infers_personal_traits,
        tracks=tuple(f"{analyzer.name}/{name}" for name in analyzer.result.model_fields if name != "analysed"),
        options=analyzer.options.model_json_schema().get("properties", {}),
    )
