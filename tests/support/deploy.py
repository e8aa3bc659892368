"""What operators get: manifests as kustomize builds them, the compose file as it is read, and who judges both."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.project import ROOT
from tests.support.system import missing, need_program

OVERLAYS = ("local", "gpu", "prod")
TOOLS = ROOT / ".venv-checks" / "bin"


def tool(name: str) -> str:
    """A program of the checks' environment, or of PATH."""
    found = TOOLS / name
    return str(found) if found.exists() else need_program(name, "make k8s-tools")


def node_tool(name: str) -> Path:
    """A program that npm installed for the checks."""
    found = ROOT / "k8s" / "checks" / "node_modules" / ".bin" / name
    return found if found.exists() else missing(f"{name} is not installed; get it with: make k8s-tools")


def kustomized(folder: Path) -> str:
    """The manifests of a folder as `kubectl apply` would get them."""
    command = [tool("kubectl"), "kustomize", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@cache
def built(overlay: str) -> str:
    """An overlay's manifests."""
    return kustomized(ROOT / "k8s" / "overlays" / overlay)


def objects(overlay: str, *kinds: str) -> list[dict[str, Any]]:
    """The objects of an overlay, or those of some kinds."""
    return [one for one in yaml.safe_load_all(built(overlay)) if not kinds or one["kind"] in kinds]


def pods(overlay: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name of the owner, labels and spec of every pod template of an overlay."""
    yield from pods_of(objects(overlay))


def pods_of(found: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Name of the owner, labels and spec of every pod template among objects."""
    for one in (one for one in found if one["kind"] in {"Deployment", "StatefulSet", "Job", "CronJob"}):
        spec = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
        yield one["metadata"]["name"], spec["template"]["metadata"]["labels"], spec["template"]["spec"]


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod, those that run before it starts as well."""
    return [*spec.get("initContainers", ()), *spec["containers"]]


def compose(**environment: str) -> dict[str, Any]:
    """The compose file with its variables filled in, as `docker compose config` does it."""
    return filled_in((ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8"), **environment)


def filled_in(text: str, **environment: str) -> dict[str, Any]:
    """A compose file as compose reads it: YAML first, then variables in what it holds, then types by the schema."""

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(one) for key, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        if not isinstance(value, str):
            return value
        whole = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: environment.get(found[1], found[2]), value)
        assert not re.search(r"(?<!\$)\$\{", whole)
        return whole.replace("$$", "$")

    read: dict[str, Any] = filled(yaml.safe_load(text))
    for network in read["networks"].values():
        if isinstance(network, dict) and isinstance(network.get("internal"), str):
            network["internal"] = {"true": True, "false": False}[network["internal"]]
    return read
