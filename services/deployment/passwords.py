"""The files of secrets that compose and Kubernetes mount, made at random where they are missing."""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import quote, unquote

from shared.broker_address import broker_parts
from shared.errors import BadInput
from shared.signing import write_secret

FOLDER = "docker/secrets"
"""Where compose looks for them; `kubectl create secret generic reelgraph --from-file=docker/secrets` takes all."""

MOUNTED = (
    "redis_password",
    "postgres_password",
    "grafana_password",
    "reelgraph_broker_url",
    "reelgraph_ledger_url",
    "reelgraph_webhook_secret",
    "metrics_key",
    "aws_credentials",
)
"""Those that compose mounts."""

NAMESPACE = "reelgraph"
"""Of the manifests."""

READ_BY_ALL = 0o644
"""Compose mounts the file as it is, for a user of another number; the folder is closed instead."""


def write_secrets(folder: Path) -> list[str]:
    """Make each secret that is not there yet; the names of those written. What is there stays: databases know it.

    What KEDA is told of the broker follows its address, `reelgraph_broker_url`, at each call.

    Raises:
        BadInput: a password that is there is empty or cannot be read, or the address is not one (`told_to_keda`).
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    redis = _kept(folder, "redis_password")
    postgres = _kept(folder, "postgres_password")
    contents = {
        "redis_password": redis,
        "postgres_password": postgres,
        "grafana_password": _kept(folder, "grafana_password"),
        "reelgraph_broker_url": f"redis://:{quote(redis, safe='')}@redis:6379/0",
        "reelgraph_ledger_url": f"postgresql+psycopg://reelgraph:{quote(postgres, safe='')}@postgres:5432/reelgraph",
        "reelgraph_webhook_secret": write_secret(secrets.token_bytes(32)),
        "metrics_key": "none yet: reelgraph keys create prometheus --scope admin",
        "aws_credentials": "# none yet: an AWS credentials file, for media in a bucket\n",
    }
    new = [name for name in contents if not (folder / name).exists()]
    broker = "reelgraph_broker_url"
    told = told_to_keda(contents[broker] if broker in new else _text(folder / broker))
    for name in new:
        _write(folder / name, contents[name])
    changed = [name for name, text in told.items() if not _holds(folder / name, text)]
    for name in changed:
        _write(folder / name, told[name])
    return [*new, *changed]


def told_to_keda(broker_url: str) -> dict[str, str]:
    """The parts of the broker's address by the names of their secrets.

    KEDA takes no URL, and is in a namespace of its own: from there a Service of ours needs our namespace in its name.

    Raises:
        BadInput: it is no broker's address, or it names another database than 0.
    """
    try:
        parts = broker_parts(broker_url)
    except ValueError as error:
        raise BadInput(f"{FOLDER}/reelgraph_broker_url: {error}", code="bad_secret") from error
    if parts.path not in {"", "/", "/0"}:
        message = f"{FOLDER}/reelgraph_broker_url: database {parts.path[1:]}: KEDA is told to count in database 0"
        raise BadInput(message, code="bad_secret")
    host = parts.hostname or ""
    host = host if "." in host or ":" in host else f"{host}.{NAMESPACE}.svc"
    host = f"[{host}]" if ":" in host else host
    return {
        "keda_address": f"{host}:{parts.port or 6379}",
        "keda_username": unquote(parts.username or ""),
        "keda_password": unquote(parts.password or ""),
        "keda_tls": "enable" if parts.scheme == "rediss" else "disable",
    }


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_bytes() == text.encode()


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(READ_BY_ALL)


def _kept(folder: Path, name: str) -> str:
    """The password of that name, a new one where there is none."""
    file = folder / name
    return _text(file) if file.exists() else secrets.token_hex(24)


def _text(file: Path) -> str:
    """What a secret's file says, which is repeated in no error. Raises BadInput."""
    try:
        said = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadInput(f"{FOLDER}/{file.name}: {error.strerror}", code="bad_secret") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{FOLDER}/{file.name}: it is not UTF-8", code="bad_secret") from error
    if not said:
        raise BadInput(f"{FOLDER}/{file.name}: it is empty; without the file one is made", code="bad_secret")
    return said
