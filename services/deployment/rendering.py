"""Turning `groups.toml` into files: which file comes from which template, and whether the ones on disk are fresh."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from services.deployment import workers
from services.deployment.passwords import MOUNTED, READ_BY_ALL
from services.deployment.workers import compose_workers, worker_specs
from shared.errors import BadInput
from shared.groups import own_groups
from shared.text import one_line

HEADER = "# Rendered from {source} by `reelgraph render`; template: services/deployment/templates/{template}"

FILES: Mapping[str, tuple[str, str]] = {
    "docker/compose.yaml": ("compose.yaml.j2", "local"),
    "k8s/workers/local/workers.yaml": ("workers.yaml.j2", "local"),
    "k8s/workers/gpu/workers.yaml": ("workers.yaml.j2", "gpu"),
    "k8s/components/groups/kustomization.yaml": ("groups.yaml.j2", "local"),
    "k8s/components/mig/kustomization.yaml": ("mig.yaml.j2", "gpu"),
    "k8s/components/scaling/scaledobjects.yaml": ("scaledobjects.yaml.j2", "gpu"),
}
"""File to its template and the profile whose workers it holds; compose has those of both."""

COPIES = ("docker/groups.toml", "k8s/components/groups/groups.toml")
"""Where a file of groups that no image has is put, for compose and kustomize to mount in every container."""

NOT_CARRIED = re.compile("[^\t\n -~\xa0-\ufffd\U00010000-\U0010ffff]")
"""What TOML takes in a comment or text and YAML does not (5.1, "Character Set"), or reads as a line's end (U+0085)."""


def rendered() -> dict[str, str]:
    """Every file's text by its path in the project. Raises BadInput when `groups.toml` cannot be used."""
    environment = Environment(
        loader=PackageLoader("services.deployment"),
        autoescape=False,  # noqa: S701  (YAML, and what goes in is quoted as JSON)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = json.dumps
    own = own_groups()
    if own:
        _refuse_not_carried(*own)
    source = one_line(own[0].name) if own else "shared/groups.toml"
    texts = {}
    for path, (template, profile) in FILES.items():
        text = environment.get_template(template).render(
            header=HEADER.format(source=source, template=template),
            own_groups=own is not None,
            workers=worker_specs(profile),
            services=compose_workers(),
            limits=workers,
            secrets=MOUNTED,
        )
        texts[path] = text
    if own:
        texts |= dict.fromkeys(COPIES, own[1])
    return texts


def stale(root: Path) -> list[str]:
    """The files below `root` that are missing or differ from what is rendered now."""
    return [path for path, text in rendered().items() if not _is(root / path, text)]


def write(root: Path) -> list[str]:
    """Write what is stale below `root`; what was written. Raises BadInput when that is no clone of the project."""
    if not (root / "k8s").is_dir() or not (root / "docker").is_dir():
        raise BadInput(
            f"{root} has no folders k8s and docker: stand in a clone, or name one with --root", code="no_root"
        )
    written = stale(root)
    texts = rendered()
    for path in written:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(texts[path], encoding="utf-8")
        if path in COPIES:
            (root / path).chmod(READ_BY_ALL)
    return written


def _refuse_not_carried(file: Path, text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if found := NOT_CARRIED.search(line):
            message = (
                f"{file}: line {number} holds U+{ord(found[0]):04X}, which Kubernetes' YAML does not carry as it is"
            )
            raise BadInput(f"{message}: remove it", code="bad_groups")


def _is(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text
