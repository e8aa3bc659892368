"""An S3 server of a test's own: moto's, as a process."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.namespaces import Host
from tests.support.processes import eventually

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
BUCKET = "reels"


@dataclass(frozen=True)
class Server:
    """A running server with one bucket."""

    endpoint: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def client(self) -> Any:
        """botocore's own client, to look from outside."""
        from botocore.session import get_session

        return get_session().create_client("s3", endpoint_url=self.endpoint)

    def asked(self, method: str, part: str = "") -> int:
        """How many requests of a method were for objects with that part in their name; listings do not count."""
        return len(re.findall(rf'"{method} [^"?]*{re.escape(part)}[^"]* HTTP', self.log.read_text(errors="replace")))


@contextmanager
def s3_server(folder: Path, host: Host | None = None) -> Iterator[Server]:
    """A server, on another host if one is given, with an empty bucket, and credentials for it in the environment."""
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    os.environ.update(CREDENTIALS)
    log = folder / "s3.log"
    with log.open("wb") as output:  # port 0: one that is free, which the log names
        argv: list[str | Path] = [sys.executable, "-m", "moto.server", "-p", "0"]
        argv += ["-H", host.address if host else "127.0.0.1"]
        argv = host.command(*argv) if host else argv
        process = subprocess.Popen(argv, stdout=output, stderr=output, cwd=folder)
    try:
        assert eventually(lambda: bool(_address(log)) or process.poll() is not None, 60), log.read_text()
        assert process.poll() is None, log.read_text()
        server = Server(_address(log), process, log)
        server.client.create_bucket(Bucket=BUCKET)
        yield server
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


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
