"""Where a package registry keeps a pinned wheel or tarball, asked through pip and npm.

The clients know the user's mirrors, proxies, certificates and passwords. They are asked for an address only, so that
downloads can be resumed; where an address does not serve us, they download by themselves. No package is installed,
imported or built.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from shared.errors import Infrastructure
from shared.pins import NpmTarball, PypiWheel

ANSWER_SECONDS = 180
"""How long a client may take to name an address."""


PATIENCE = {"NPM_CONFIG_FETCH_RETRY_MINTIMEOUT": "1000", "NPM_CONFIG_FETCH_RETRY_MAXTIMEOUT": "5000"}
"""npm alone would try for 70 s where there is no network; the user's own setting wins."""
OUTPUT = {
    "NO_COLOR": "1",
    "NPM_CONFIG_UPDATE_NOTIFIER": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PIP_QUIET": "1",
    # these three cannot be combined with the options below
    "PIP_NO_BINARY": "",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_USER": "0",
}


def locate(artifact: PypiWheel | NpmTarball) -> str:
    """The artifact's address: http, https or file. Raises Infrastructure when the client cannot tell."""
    with TemporaryDirectory() as folder:
        if isinstance(artifact, NpmTarball):
            specifier = f"{artifact.package}@{artifact.version}"
            answer = json.loads(_run([_npm(artifact), "view", specifier, "dist", "--json"], artifact, folder))
            return str(answer["tarball"])
        command = ["install", "--dry-run", "--ignore-installed", "--report", "-", "--target", folder]
        answer = json.loads(_run([*_pip(artifact), *command, *_selection(artifact)], artifact, folder))
        return _offered(artifact, answer)


def download(artifact: PypiWheel | NpmTarball, target: Path, deadline_seconds: float) -> None:
    """Let the client download the artifact to `target`, without resuming. Raises Infrastructure."""
    with TemporaryDirectory(dir=target.parent) as folder:
        if isinstance(artifact, NpmTarball):
            command = [
                _npm(artifact),
                "pack",
                f"{artifact.package}@{artifact.version}",
                "--json",
                "--pack-destination",
                folder,
            ]
        else:
            command = [*_pip(artifact), "download", "--dest", folder, *_selection(artifact)]
        _run(command, artifact, folder, deadline_seconds)
        (arrived,) = Path(folder).iterdir()
        arrived.replace(target)


def _selection(artifact: PypiWheel) -> list[str]:
    """Options that make pip choose the pinned wheel on every platform and Python."""
    _, python, abi, platforms = artifact.file.removesuffix(".whl").rsplit("-", maxsplit=3)
    options = ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python"]
    if platforms != "any":
        options += ["--python-version", python.removeprefix("cp"), "--implementation", python[:2], "--abi", abi]
        for platform in platforms.split("."):
            options += ["--platform", platform]
    return [*options, f"{artifact.package}=={artifact.version}"]


def _offered(artifact: PypiWheel, answer: dict[str, Any]) -> str:
    url = str(answer["install"][0]["download_info"]["url"])
    if (name := unquote(Path(urlsplit(url).path).name)) != artifact.file:
        raise Infrastructure(f"the package index offers {name} where {artifact.file} is pinned", retryable=False)
    return url


def _pip(artifact: PypiWheel) -> list[str]:
    if find_spec("pip"):
        # -P: a folder called pip where the user happens to stand is not imported
        return [sys.executable, "-P", "-m", "pip"]
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise Infrastructure(
        f"{artifact.package} {artifact.version} is fetched with pip, which is missing: run `python -m ensurepip`",
        retryable=False,
    )


def _npm(artifact: NpmTarball) -> str:
    if found := shutil.which("npm"):
        return found
    raise Infrastructure(
        f"{artifact.package} {artifact.version} is fetched with npm, which is missing: install Node.js with npm "
        "(on Debian: `apt-get install npm`)",
        retryable=False,
    )


def _run(command: Sequence[str], artifact: PypiWheel | NpmTarball, folder: str, seconds: float = ANSWER_SECONDS) -> str:
    """Standard output of a client. Raises Infrastructure with the client's own complaint."""
    subject = f"{artifact.package} {artifact.version}"
    try:
        done = subprocess.run(  # noqa: S603  (names and versions come from the pins file, no shell reads them)
            command,
            cwd=folder,
            env={**PATIENCE, **os.environ, **OUTPUT},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Infrastructure(f"{artifact.source} did not answer within {seconds:g} s for {subject}") from error
    if done.returncode:
        complaint = _pip_complaint(done.stderr) if isinstance(artifact, PypiWheel) else _npm_complaint(done.stdout)
        raise Infrastructure(f"cannot get {subject} from {artifact.source}: {complaint}")
    return done.stdout


def _pip_complaint(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip gave no reason"])[-1].removeprefix("ERROR:").strip()


def _npm_complaint(stdout: str) -> str:
    try:
        return str(json.loads(stdout)["error"]["summary"])
    except (json.JSONDecodeError, KeyError, TypeError):
        return "npm gave no reason"
